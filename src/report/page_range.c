// page_range.c — headroom of the numbers: before and after conditioning, and op by op.
#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

// ---- conditioning

// fp16 ends at 65504; sums of the Neural Engine at 32752 (M4, M6; see engine/ane_rules.def).
static const struct {
    const char *title;
    double limit;
    const char *limit_name;
} range_plots[RANGE_COUNT] = {
    [RANGE_STREAM] = {"residual stream: largest number", 65504, "fp16 ends: 65504"},
    [RANGE_ATTN_SUM] = {"attention output: largest partial sum", 32752, "sums end: 32752"},
    [RANGE_FFN_SUM] = {"down projection: largest partial sum", 32752, "sums end: 32752"},
    [RANGE_GATED] = {"gated product: largest number", 65504, "fp16 ends: 65504"},
};

static SvgSeries range_series(Arena *arena, const Report *r, size_t of, size_t which) {
    SvgStep *steps = arena_array(arena, r->n_ranges, SvgStep);
    size_t n = 0;
    for (size_t i = 0; i < r->n_ranges; i++) {
        double at = r->ranges[i].layer, largest = r->ranges[i].largest[of][which];
        if (!isnan(largest) && at >= 0) steps[n++] = (SvgStep){at, at + 1, largest};
    }
    // Where nothing had to be divided one line covers the other: the lower one is wide.
    return (SvgSeries){.name = which == CARRIED ? "as the packages carry it" : "as measured",
                       .class_name = which == CARRIED ? "s1" : "s2 wide",
                       .steps = steps,
                       .n_steps = n,
                       .bound = NAN};
}

// Bits between the largest number of any layer and the end of its form.
static double least_room(const Report *r, size_t which) {
    double least = NAN;
    for (size_t i = 0; i < r->n_ranges; i++)
        for (size_t k = 0; k < RANGE_COUNT; k++) {
            double bits = log2(range_plots[k].limit / fabs(r->ranges[i].largest[k][which]));
            if (isfinite(bits) && !(bits >= least)) least = bits;
        }
    return least;
}

static bool write_conditioning(Page *p) {
    const Report *r = p->report;
    if (!r->n_ranges) return false;
    strbuf_add(p->out, STR("<h3>Before and after conditioning</h3><p>Measured in the 32-bit "
                           "reference over a calibration text of "));
    html_number(p->out, r->n_range_tokens);
    strbuf_add(p->out, STR(" tokens. Where a number comes too near to a limit, the packages carry "
                           "it divided by a power of two, which changes no digit of it."));
    double before = least_room(r, MEASURED), after = least_room(r, CARRIED);
    if (!isnan(before) && !isnan(after))
        strbuf_printf(p->out,
                      " Least headroom of these: <b>%.1f bits before, %.1f after</b>%s; a bit is a "
                      "factor of two.",
                      before, after, before == after ? " (nothing had to be divided)" : "");
    strbuf_add(p->out, STR("</p><div class=\"plots\">"));
    Arena arena = {0};
    for (size_t i = 0; i < COUNT_OF(range_plots); i++) {
        SvgSeries series[2] = {range_series(&arena, r, i, MEASURED),
                               range_series(&arena, r, i, CARRIED)};
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

// What the packages' own ops came to when they ran.
static bool write_room(StrBuf *out, const char *title, const ReportOps *ops) {
    if (!ops->n) return false;
    strbuf_printf(out,
                  "<details><summary>%s</summary><div class=\"scroll\"><table><thead><tr>"
                  "<th>Op</th><th class=\"n\">room, bits</th><th class=\"n\">largest</th>"
                  "<th class=\"n\">limit</th></tr></thead><tbody>",
                  title);
    for (size_t i = 0; i < ops->n; i++) {
        const ReportOp *op = &ops->list[i];
        strbuf_add(out, STR("<tr><td><b>"));
        html_words(out, op->op);
        strbuf_add(out, STR("</b> <span class=\"dim\">"));
        html_words(out, op->kind);
        strbuf_add(out, STR(" "));
        html_words(out, op->role);
        strbuf_add(out, STR("</span></td>"));
        html_number_cell(out, op->room_bits);
        html_number_cell(out, op->largest);
        html_number_cell(out, op->limit);
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
    return true;
}

bool page_range(Page *p) {
    bool has_any = write_conditioning(p);
    double room = page_least_room(p->report);
    if (!isnan(room)) {
        strbuf_printf(p->out,
                      "<h3>Numbers in the packages</h3><p>Gate range ran the packages on a "
                      "calibration text. The op with the least headroom has <b class=\"%s\">%.1f "
                      "bits</b>: its numbers could be 2<sup>%.1f</sup> times as large.</p>",
                      room < 0 ? "no" : "ok", room, room);
        has_any = true;
    }
    has_any |= write_room(p->out, "Ops that gate range names", &p->report->named);
    has_any |= write_room(p->out, "The least headroom, op by op", &p->report->tightest);
    return has_any;
}
