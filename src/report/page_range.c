// page_range.c — room in the numbers: before and after conditioning, and op by op.
#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

// ---- conditioning: {tokens, logit_peak, layers: [{layer, stream, attn_sum, …: [measured,
// carried]}]}

// fp16 ends at 65504; sums of the Neural Engine at 32752 (M4, M6; see engine/ane_rules.def).
static const struct {
    const char *key, *title;
    double limit;
    const char *limit_name;
} range_plots[] = {
    {"stream", "residual stream: largest number", 65504, "fp16 ends: 65504"},
    {"attn_sum", "attention output: largest partial sum", 32752, "sums end: 32752"},
    {"ffn_sum", "down projection: largest partial sum", 32752, "sums end: 32752"},
    {"gated", "gated product: largest number", 65504, "fp16 ends: 65504"},
};

enum { MEASURED, CARRIED };

static SvgSeries range_series(Arena *arena, const json_t *layers, const char *key, size_t which) {
    SvgStep *steps = arena_array(arena, json_array_size(layers), SvgStep);
    const json_t *layer;
    size_t n = 0, i;
    json_array_foreach(layers, i, layer) {
        const json_t *value = json_array_get(json_object_get(layer, key), which);
        double at = member_number(layer, "layer");
        if (json_is_number(value) && at >= 0)
            steps[n++] = (SvgStep){at, at + 1, json_number_value(value)};
    }
    // Where nothing had to be divided one line covers the other: the lower one is wide.
    return (SvgSeries){.name = which == CARRIED ? "as the packages carry it" : "as measured",
                       .class_name = which == CARRIED ? "s1" : "s2 wide",
                       .steps = steps,
                       .n_steps = n,
                       .bound = NAN};
}

// Bits between the largest number of any layer and the end of its form.
static double least_room(const json_t *layers, size_t which) {
    double least = NAN;
    const json_t *layer;
    size_t i;
    json_array_foreach(layers, i, layer) for (size_t k = 0; k < COUNT_OF(range_plots); k++) {
        const json_t *value = json_array_get(json_object_get(layer, range_plots[k].key), which);
        double bits = log2(range_plots[k].limit / fabs(json_number_value(value)));
        if (json_is_number(value) && isfinite(bits) && !(bits >= least)) least = bits;
    }
    return least;
}

static bool write_conditioning(Page *p) {
    const json_t *range = json_object_get(p->report, "conditioning");
    const json_t *layers = member_list(range, "layers");
    if (!layers) return false;
    strbuf_add(p->out, STR("<h3>Before and after conditioning</h3><p>Measured in the 32-bit "
                           "reference over a calibration text of "));
    page_number(p->out, range, "tokens");
    strbuf_add(p->out, STR(" tokens. Where a number comes too near to the end of what the hardware "
                           "holds, the packages carry it divided by a power of two, which changes "
                           "no digit of it."));
    double before = least_room(layers, MEASURED), after = least_room(layers, CARRIED);
    if (!isnan(before) && !isnan(after))
        strbuf_printf(p->out,
                      " Least room of these: <b>%.1f bits before, %.1f after</b>%s; a bit is a "
                      "factor of two.",
                      before, after, before == after ? " (nothing had to be divided)" : "");
    strbuf_add(p->out, STR("</p><div class=\"plots\">"));
    Arena arena = {0};
    for (size_t i = 0; i < COUNT_OF(range_plots); i++) {
        SvgSeries series[2] = {range_series(&arena, layers, range_plots[i].key, MEASURED),
                               range_series(&arena, layers, range_plots[i].key, CARRIED)};
        size_t n = series[0].n_steps;
        if (n == 0) continue;
        series[0].bound = range_plots[i].limit;
        series[0].bound_name = range_plots[i].limit_name;
        SvgPlot plot = {range_plots[i].title, series, COUNT_OF(series), series[0].steps[n - 1].end,
                        true};
        svg_plot(p->out, &plot);
    }
    strbuf_add(p->out, STR("</div>"));
    arena_free(&arena);
    return true;
}

// range: {named, tightest: [{op, kind, role, largest_out, limit, room_bits, …}]}: what the
// packages' own ops came to when they ran.
static bool write_room(StrBuf *out, const char *title, const json_t *ops) {
    const json_t *op;
    size_t i;
    if (!ops) return false;
    strbuf_printf(out,
                  "<details><summary>%s</summary><div class=\"scroll\"><table><thead><tr>"
                  "<th>Op</th><th class=\"n\">room, bits</th><th class=\"n\">largest</th>"
                  "<th class=\"n\">limit</th></tr></thead><tbody>",
                  title);
    json_array_foreach(ops, i, op) {
        strbuf_add(out, STR("<tr><td><b>"));
        html_words(out, member_text(op, "op"));
        strbuf_add(out, STR("</b> <span class=\"dim\">"));
        html_words(out, member_text(op, "kind"));
        strbuf_add(out, STR(" "));
        html_words(out, member_text(op, "role"));
        strbuf_add(out, STR("</span></td>"));
        html_number_cell(out, member_number(op, "room_bits"));
        html_number_cell(out, member_number(op, "largest_out"));
        html_number_cell(out, member_number(op, "limit"));
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
    return true;
}

bool page_range(Page *p) {
    const json_t *range = json_object_get(p->report, "range");
    bool has_any = write_conditioning(p);
    double room = page_least_room(p->report);
    if (!isnan(room)) {
        strbuf_printf(
            p->out,
            "<h3>What the packages' own ops came to</h3><p>The range gate ran the "
            "packages on a calibration text: the tightest op has <b class=\"%s\">%.1f bits "
            "of room</b>, so its numbers could be 2<sup>%.1f</sup> times as large.</p>",
            room < 0 ? "no" : "ok", room, room);
        has_any = true;
    }
    has_any |= write_room(p->out, "Ops that the range gate names", member_list(range, "named"));
    has_any |= write_room(p->out, "The least room, op by op", member_list(range, "tightest"));
    return has_any;
}
