// page_layers.c — error over layers: what the graph does wrong, and what the weights' form costs.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

enum { MOST_SERIES = 4 };

// Results of one gate whose scope is "layers 04..07" or "layer 04".
typedef struct {
    const char *name, *class_name;
    const json_t *results;
} Source;

static bool read_range(const char *scope, double *first, double *end) {
    unsigned a, b;
    int n = 0;
    if (sscanf(scope, "layers %u..%u%n", &a, &b, &n) != 2) {
        if (sscanf(scope, "layer %u%n", &a, &n) != 1) return false;
        b = a;
    }
    *first = a;
    *end = (double)b + 1;
    return b >= a && scope[n] == 0; // "layer 00, and more" is another thing
}

static double bound_of(const Source *source, const char *bound) {
    const json_t *figures = json_object_get(json_array_get(source->results, 0), "figures");
    return 1 - member_number(figures, bound);
}

// One figure of one gate over the layers; cosines as 1 - cos.
static SvgSeries series_of(Arena *arena, const Source *source, const char *figure,
                           const char *bound) {
    SvgStep *steps = arena_array(arena, json_array_size(source->results), SvgStep);
    bool is_cos = strstr(figure, "cos") != NULL;
    size_t n = 0, i;
    const json_t *result;
    json_array_foreach(source->results, i, result) {
        double value = member_number(json_object_get(result, "figures"), figure);
        SvgStep *s = &steps[n];
        if (!read_range(member_text(result, "scope"), &s->first, &s->end)) continue;
        if (!json_object_get(json_object_get(result, "figures"), figure) && !is_cos) continue;
        s->value = is_cos ? 1 - value : value;
        n++;
    }
    return (SvgSeries){
        source->name, source->class_name, steps, n, bound ? bound_of(source, bound) : (double)NAN,
        "allowed"};
}

static double end_of(const SvgSeries *series, size_t n) {
    double end = 0;
    for (size_t s = 0; s < n; s++)
        for (size_t i = 0; i < series[s].n_steps; i++) end = fmax(end, series[s].steps[i].end);
    return end;
}

// One plot a figure, of as many series as have something of it.
static const struct {
    const char *figure, *title, *bound;
} plots[] = {
    {"cos", "direction, all rows together: 1 - cos", "least_cos"},
    {"worst_cos", "direction, the worst single row: 1 - cos", "least_worst"},
    {"rmse", "typical difference of a number: rmse", NULL},
    {"max_abs", "largest difference of a number: max_abs", NULL},
    {"group_off", "the worst group of channels: share of its size", "most_off"},
};

static bool write_plots(StrBuf *out, const SvgSeries (*series)[COUNT_OF(plots)], size_t n_series) {
    bool has_any = false;
    for (size_t i = 0; i < COUNT_OF(plots); i++) {
        SvgSeries shown[MOST_SERIES];
        size_t n = 0;
        for (size_t s = 0; s < n_series; s++)
            if (series[s][i].n_steps) shown[n++] = series[s][i];
        if (n == 0) continue;
        if (!has_any) strbuf_add(out, STR("<div class=\"plots\">"));
        has_any = true;
        SvgPlot plot = {plots[i].title, shown, n, end_of(shown, n), true};
        svg_plot(out, &plot);
    }
    if (has_any) strbuf_add(out, STR("</div>"));
    return has_any;
}

// ---- layer by layer: sections graph_errors {graph_fp32} and golden_errors {graph, weights,
// total}, each {cos: [a layer each], worst_cos, rmse, max_abs, group_off}

static const struct {
    const char *section, *key, *name, *class_name;
    const char *gate, *scope; // the results that hold the bounds
    const char *bound_name, *mark, *meaning;
} parts[] = {
    {"graph_errors", "graph_fp32", "graph fp32", "s1", "graph", "layers", "allowed: fp32", "●",
     "packages run in 32 bits, against the reference with the same packed weights: what is left "
     "is a fault of the graph"},
    {"golden_errors", "graph", "graph fp16", "s3", "layer golden", "graph", "allowed: fp16", "■",
     "the same in 16 bits, as it will run: rounding besides"},
    {"golden_errors", "weights", "weights' form", "s2", "layer golden", "weights",
     "allowed: weights", "▲",
     "the reference with packed weights, against the reference with the source's: what packing "
     "costs"},
};

static void write_legend(StrBuf *out, const json_t *report) {
    strbuf_add(out, STR("<ul class=\"plain\">"));
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (!json_object_get(json_object_get(report, parts[i].section), parts[i].key)) continue;
        strbuf_printf(out, "<li><b class=\"%s\">%s %s</b>: %s.</li>", parts[i].class_name,
                      parts[i].mark, parts[i].name, parts[i].meaning);
    }
    strbuf_add(out, STR("</ul>"));
}

static double part_bound(const json_t *report, size_t part, size_t figure) {
    const json_t *list = json_object_get(json_object_get(report, "gates"), parts[part].gate), *r;
    size_t i;
    json_array_foreach(list, i, r) {
        if (!str_starts(str_of(member_text(r, "scope")), str_of(parts[part].scope))) continue;
        double bound = plots[figure].bound
                           ? member_number(json_object_get(r, "figures"), plots[figure].bound)
                           : (double)NAN;
        // The result about all weights of the packages is called "weights", too, and has no bound.
        if (!isnan(bound)) return strstr(plots[figure].figure, "cos") ? 1 - bound : bound;
    }
    return NAN;
}

static SvgSeries part_series(Arena *arena, const json_t *report, size_t part, size_t figure) {
    const json_t *arrays =
        json_object_get(json_object_get(report, parts[part].section), parts[part].key);
    const json_t *values = json_object_get(arrays, plots[figure].figure), *value;
    bool is_cos = strstr(plots[figure].figure, "cos") != NULL;
    SvgStep *steps = arena_array(arena, json_array_size(values), SvgStep);
    size_t i, n = 0;
    json_array_foreach(values, i, value) {
        double x = json_is_number(value) ? json_number_value(value) : (double)NAN;
        steps[n++] = (SvgStep){(double)i, (double)i + 1, is_cos ? 1 - x : x};
    }
    return (SvgSeries){
        parts[part].name,      parts[part].class_name, steps, n, part_bound(report, part, figure),
        parts[part].bound_name};
}

// ---- the same as figures, with graph and weights together

static const char *const table_figures[][2] = {
    {"cos", "1 - cos"}, {"rmse", "rmse"}, {"max_abs", "max_abs"}};
static const char *const table_parts[][2] = {{"graph_fp32", "graph fp32"},
                                             {"graph", "graph fp16"},
                                             {"weights", "weights"},
                                             {"total", "both"}};

// By key alone: the sections have none in common.
static const json_t *arrays_of(const json_t *report, const char *key) {
    const json_t *arrays = json_object_get(json_object_get(report, "golden_errors"), key);
    return arrays ? arrays : json_object_get(json_object_get(report, "graph_errors"), key);
}

static void write_table(StrBuf *out, const json_t *report) {
    size_t n_layers = json_array_size(json_object_get(arrays_of(report, "total"), "cos"));
    if (n_layers == 0) return;
    strbuf_add(out, STR("<details><summary>All figures, layer by layer</summary><p class=\"dim\">"
                        "Both: packages in 16 bits against the reference with the source's weights."
                        " A layer's figures hold what the layers before it in its package have "
                        "added up.</p><div class=\"scroll\"><table><thead><tr><th>Layer</th>"));
    for (size_t f = 0; f < COUNT_OF(table_figures); f++)
        for (size_t k = 0; k < COUNT_OF(table_parts); k++)
            strbuf_printf(out, "<th class=\"n\">%s, %s</th>", table_figures[f][1],
                          table_parts[k][1]);
    strbuf_add(out, STR("</tr></thead><tbody>"));
    for (size_t layer = 0; layer < n_layers; layer++) {
        strbuf_printf(out, "<tr><td>%zu</td>", layer);
        for (size_t f = 0; f < COUNT_OF(table_figures); f++)
            for (size_t k = 0; k < COUNT_OF(table_parts); k++) {
                const json_t *part = arrays_of(report, table_parts[k][0]);
                const json_t *value =
                    json_array_get(json_object_get(part, table_figures[f][0]), layer);
                double x = json_is_number(value) ? json_number_value(value) : (double)NAN;
                html_number_cell(out, f == 0 ? 1 - x : x);
            }
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
}

// ---- shard by shard: the gates' own results

static const struct {
    const char *gate, *name, *class_name;
} by_shard[] = {
    {"graph", "graph error", "s1"},
    {"layer golden", "with the weights' form", "s2"},
};

bool page_layers(Page *p) {
    SvgSeries series[MOST_SERIES][COUNT_OF(plots)];
    const json_t *results = json_object_get(p->report, "gates");
    Arena arena = {0};
    size_t n = 0;
    bool has_layers = false;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        has_layers = has_layers || json_object_get(p->report, parts[i].section);
    if (has_layers) {
        write_legend(p->out, p->report);
        for (; n < COUNT_OF(parts); n++)
            for (size_t i = 0; i < COUNT_OF(plots); i++)
                series[n][i] = part_series(&arena, p->report, n, i);
    } else {
        for (; n < COUNT_OF(by_shard); n++) {
            Source source = {by_shard[n].name, by_shard[n].class_name,
                             json_object_get(results, by_shard[n].gate)};
            for (size_t i = 0; i < COUNT_OF(plots); i++)
                series[n][i] = series_of(&arena, &source, plots[i].figure, plots[i].bound);
        }
    }
    bool has_any = write_plots(p->out, series, n);
    write_table(p->out, p->report);
    arena_free(&arena);
    return has_any;
}
