// page_layers.c — errors by layer: those of the graph, and those of the weights' form.
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
    const ReportResults *results;
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

static double bound_of(const Source *source, FigureId bound) {
    return source->results->n ? 1 - source->results->list[0].figures[bound] : (double)NAN;
}

static bool is_cosine(FigureId figure) {
    return figure == FIGURE_cos || figure == FIGURE_worst_cos;
}

// One figure of one gate over the layers; cosines as 1 - cos.
static SvgSeries series_of(Arena *arena, const Source *source, FigureId figure, FigureId bound) {
    SvgStep *steps = arena_array(arena, source->results->n, SvgStep);
    size_t n = 0;
    for (size_t i = 0; i < source->results->n; i++) {
        const ReportResult *result = &source->results->list[i];
        double value = result->figures[figure];
        SvgStep *s = &steps[n];
        if (!read_range(result->scope, &s->first, &s->end)) continue;
        if (isnan(value) && !is_cosine(figure)) continue;
        s->value = is_cosine(figure) ? 1 - value : value;
        n++;
    }
    return (SvgSeries){source->name,
                       source->class_name,
                       steps,
                       n,
                       bound != FIGURE_COUNT ? bound_of(source, bound) : (double)NAN,
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
    FigureId figure;
    const char *title;
    FigureId bound; // FIGURE_COUNT: none
} plots[] = {
    {FIGURE_cos, "direction, all rows together: 1 - cos", FIGURE_least_cos},
    {FIGURE_worst_cos, "direction, the worst single row: 1 - cos", FIGURE_least_worst},
    {FIGURE_rmse, "typical difference of a number: rmse", FIGURE_COUNT},
    {FIGURE_max_abs, "largest difference of a number: max_abs", FIGURE_COUNT},
    {FIGURE_group_off, "the worst group of channels: share of its size", FIGURE_most_off},
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
    ErrorsId errors;
    const char *name, *class_name;
    GateId gate;
    const char *scope; // the results that hold the bounds
    const char *bound_name, *mark, *meaning;
} parts[] = {
    {ERRORS_GRAPH_FP32, "graph fp32", "s1", GATE_graph, "layers", "allowed: fp32", "●",
     "the packages in fp32, compared with the reference with the same packed weights: an error of "
     "the graph"},
    {ERRORS_GRAPH, "graph fp16", "s3", GATE_golden, "graph", "allowed: fp16", "■",
     "the packages in fp16, as they will run, compared with the same reference: the graph's error "
     "and rounding"},
    {ERRORS_WEIGHTS, "weights' form", "s2", GATE_golden, "weights", "allowed: weights", "▲",
     "the reference with packed weights, compared with the reference with the source's: the error "
     "of packing"},
};

static void write_legend(StrBuf *out, const Report *report) {
    strbuf_add(out, STR("<ul class=\"plain\">"));
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (!report->errors[parts[i].errors].is_given) continue;
        strbuf_printf(out, "<li><b class=\"%s\">%s %s</b>: %s.</li>", parts[i].class_name,
                      parts[i].mark, parts[i].name, parts[i].meaning);
    }
    strbuf_add(out, STR("</ul>"));
}

static double part_bound(const Report *report, size_t part, size_t plot) {
    const ReportResults *results = &report->gates[parts[part].gate];
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *r = &results->list[i];
        if (!str_starts(str_of(r->scope), str_of(parts[part].scope))) continue;
        double bound =
            plots[plot].bound != FIGURE_COUNT ? r->figures[plots[plot].bound] : (double)NAN;
        // The result about all weights of the packages is called "weights", too, and has no bound.
        if (!isnan(bound)) return is_cosine(plots[plot].figure) ? 1 - bound : bound;
    }
    return NAN;
}

static SvgSeries part_series(Arena *arena, const Report *report, size_t part, size_t plot) {
    const ReportErrors *errors = &report->errors[parts[part].errors];
    FigureId figure = plots[plot].figure;
    size_t n = errors->n_values[figure];
    SvgStep *steps = arena_array(arena, n, SvgStep);
    for (size_t i = 0; i < n; i++) {
        double x = errors->values[figure][i];
        steps[i] = (SvgStep){(double)i, (double)i + 1, is_cosine(figure) ? 1 - x : x};
    }
    return (SvgSeries){
        parts[part].name,      parts[part].class_name, steps, n, part_bound(report, part, plot),
        parts[part].bound_name};
}

// ---- the same as figures, with graph and weights together

static const struct {
    FigureId figure;
    const char *name;
} table_figures[] = {{FIGURE_cos, "1 - cos"}, {FIGURE_rmse, "rmse"}, {FIGURE_max_abs, "max_abs"}};
static const struct {
    ErrorsId errors;
    const char *name;
} table_parts[] = {{ERRORS_GRAPH_FP32, "graph fp32"},
                   {ERRORS_GRAPH, "graph fp16"},
                   {ERRORS_WEIGHTS, "weights"},
                   {ERRORS_TOTAL, "both"}};

static double error_of(const ReportErrors *errors, FigureId figure, size_t layer) {
    return layer < errors->n_values[figure] ? errors->values[figure][layer] : (double)NAN;
}

static void write_table(StrBuf *out, const Report *report) {
    size_t n_layers = report->errors[ERRORS_TOTAL].n_values[FIGURE_cos];
    if (n_layers == 0) return;
    strbuf_add(out,
               STR("<details><summary>All figures, layer by layer</summary><p class=\"dim\">Both: "
                   "the packages in fp16, compared with the reference with the source's weights. "
                   "The figures of a layer include the errors of the layers before it in its "
                   "package.</p><div class=\"scroll\"><table><thead><tr><th>Layer</th>"));
    for (size_t f = 0; f < COUNT_OF(table_figures); f++)
        for (size_t k = 0; k < COUNT_OF(table_parts); k++)
            strbuf_printf(out, "<th class=\"n\">%s, %s</th>", table_figures[f].name,
                          table_parts[k].name);
    strbuf_add(out, STR("</tr></thead><tbody>"));
    for (size_t layer = 0; layer < n_layers; layer++) {
        strbuf_printf(out, "<tr><td>%zu</td>", layer);
        for (size_t f = 0; f < COUNT_OF(table_figures); f++)
            for (size_t k = 0; k < COUNT_OF(table_parts); k++) {
                double x = error_of(&report->errors[table_parts[k].errors], table_figures[f].figure,
                                    layer);
                html_number_cell(out, is_cosine(table_figures[f].figure) ? 1 - x : x);
            }
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
}

// ---- shard by shard: the gates' own results

static const struct {
    GateId gate;
    const char *name, *class_name;
} by_shard[] = {
    {GATE_graph, "graph error", "s1"},
    {GATE_golden, "with the weights' form", "s2"},
};

bool page_layers(Page *p) {
    SvgSeries series[MOST_SERIES][COUNT_OF(plots)];
    Arena arena = {0};
    size_t n = 0;
    if (p->report->has_errors) {
        write_legend(p->out, p->report);
        for (; n < COUNT_OF(parts); n++)
            for (size_t i = 0; i < COUNT_OF(plots); i++)
                series[n][i] = part_series(&arena, p->report, n, i);
    } else {
        for (; n < COUNT_OF(by_shard); n++) {
            Source source = {by_shard[n].name, by_shard[n].class_name,
                             &p->report->gates[by_shard[n].gate]};
            for (size_t i = 0; i < COUNT_OF(plots); i++)
                series[n][i] = series_of(&arena, &source, plots[i].figure, plots[i].bound);
        }
    }
    bool has_any = write_plots(p->out, series, n);
    write_table(p->out, p->report);
    arena_free(&arena);
    return has_any;
}
