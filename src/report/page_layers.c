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

// Results of one gate whose scope is "layers 04..07" or "layer 04".
typedef struct {
    const char *gate, *name, *class_name;
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
    return b >= a && scope[n] == 0; // "layer 00, small rows" is another thing
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

bool page_layers(Page *p) {
    Source sources[] = {
        {"graph", "graph error", "s1", NULL},
        {"layer golden", "with the weights' form", "s2", NULL},
    };
    static const struct {
        const char *figure, *title, *bound;
    } plots[] = {
        {"cos", "all rows together: 1 - cos", "least_cos"},
        {"worst_cos", "the worst single row: 1 - cos", "least_worst"},
        {"rmse", "typical difference (rmse)", NULL},
        {"max_abs", "largest difference (max_abs)", NULL},
    };
    const json_t *results = json_object_get(p->report, "gates");
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        sources[i].results = json_object_get(results, sources[i].gate);
    Arena arena = {0};
    bool has_any = false;
    for (size_t i = 0; i < COUNT_OF(plots); i++) {
        SvgSeries series[COUNT_OF(sources)];
        for (size_t s = 0; s < COUNT_OF(sources); s++)
            series[s] = series_of(&arena, &sources[s], plots[i].figure, plots[i].bound);
        double end = end_of(series, COUNT_OF(series));
        if (end == 0) continue;
        if (!has_any) strbuf_add(p->out, STR("<div class=\"plots\">"));
        has_any = true;
        SvgPlot plot = {
            .title = plots[i].title,
            .series = series,
            .n_series = COUNT_OF(series),
            .x_end = end,
            .is_log = true,
        };
        svg_plot(p->out, &plot);
    }
    if (has_any) strbuf_add(p->out, STR("</div>"));
    arena_free(&arena);
    return has_any;
}
