// page_evidence.c — the vote of the weights, the planted errors, the room in the numbers.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"
#include "report/html.h"
#include "report/page.h"
#include "report/svg.h"

// ---- vote: {margin, texts: [{kind, tokens, scored, nats, known}], rows: [{reading, field,
// meaning, verdict, delta, error, tokens}]}

static void write_vote_rows(StrBuf *out, const json_t *rows) {
    const json_t *row;
    size_t i;
    strbuf_add(out, STR("<div class=\"scroll\"><table><thead><tr><th>Misreading</th>"
                        "<th class=\"n\">nats a token</th><th>verdict</th>"
                        "</tr></thead><tbody>"));
    json_array_foreach(rows, i, row) {
        const char *verdict = member_text(row, "verdict");
        bool is_better = strcmp(verdict, "better") == 0, is_worse = strcmp(verdict, "worse") == 0;
        strbuf_add(out, STR("<tr><td><b>"));
        html_words(out, member_text(row, "reading"));
        strbuf_add(out, STR("</b> <span class=\"dim\">"));
        html_words(out, member_text(row, "field"));
        strbuf_add(out, STR(": "));
        html_words(out, member_text(row, "meaning"));
        strbuf_add(out, STR("</span></td>"));
        strbuf_add(out, STR("<td class=\"n\">"));
        page_number(out, row, "delta");
        strbuf_add(out, STR(" ± "));
        page_number(out, row, "error");
        strbuf_add(out, STR("</td>"));
        html_cell(out, is_better ? "no" : is_worse ? "ok" : "maybe", verdict);
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_vote(StrBuf *out, const json_t *vote, const char *title) {
    const json_t *texts = member_list(vote, "texts"), *rows = member_list(vote, "rows"), *row;
    size_t i, n_worse = 0, n_better = 0;
    if (!rows) return;
    json_array_foreach(rows, i, row) {
        n_worse += strcmp(member_text(row, "verdict"), "worse") == 0;
        n_better += strcmp(member_text(row, "verdict"), "better") == 0;
    }
    strbuf_printf(out,
                  "<h3>%s</h3><p>%zu misreadings: %zu fit worse, <b class=\"%s\">%zu fit "
                  "better</b>, %zu cannot be told from the contract by likelihood.</p>",
                  title, json_array_size(rows), n_worse, n_better ? "no" : "ok", n_better,
                  json_array_size(rows) - n_worse - n_better);
    strbuf_add(out, STR("<details><summary>All of them</summary>"));
    write_vote_rows(out, rows);
    strbuf_add(out, STR("</details>"));
    if (!texts) return;
    strbuf_add(out, STR("<details><summary>What was read</summary>"));
    page_plain_table(out, texts);
    strbuf_add(out, STR("</details>"));
}

bool page_vote(Page *p) {
    const json_t *vote = json_object_get(p->report, "vote");
    if (!member_list(vote, "rows")) return false;
    write_vote(p->out, vote, "On ordinary text");
    write_vote(p->out, json_object_get(p->report, "vote_long"), "Behind the original context");
    return true;
}

// ---- conditioning: {tokens, logit_peak, layers: [{layer, stream, attn_sum, …: [measured,
// carried]}]}

// fp16 ends at 65504; sums of the Neural Engine at 32752 (M4, M6; see engine/ane_rules.def).
static const struct {
    const char *key, *title;
    double limit;
} range_plots[] = {
    {"stream", "residual stream: largest number", 65504},
    {"attn_sum", "attention output: largest partial sum", 32752},
    {"ffn_sum", "down projection: largest partial sum", 32752},
    {"gated", "gated product: largest number", 65504},
};

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
    return (SvgSeries){.name = which ? "as the packages carry it" : "as measured",
                       .class_name = which ? "s1" : "s2",
                       .steps = steps,
                       .n_steps = n,
                       .bound = NAN};
}

static bool write_conditioning(Page *p) {
    const json_t *range = json_object_get(p->report, "conditioning");
    const json_t *layers = member_list(range, "layers");
    if (!layers) return false;
    strbuf_add(p->out, STR("<p>Measured in the 32-bit reference over a calibration text of "));
    page_number(p->out, range, "tokens");
    strbuf_add(p->out, STR(" tokens. Where a number would come too near to the end of what the "
                           "hardware holds, the packages carry it divided by a power of two, which "
                           "changes no result.</p><div class=\"plots\">"));
    Arena arena = {0};
    for (size_t i = 0; i < COUNT_OF(range_plots); i++) {
        SvgSeries series[2] = {range_series(&arena, layers, range_plots[i].key, 0),
                               range_series(&arena, layers, range_plots[i].key, 1)};
        size_t n = series[0].n_steps;
        if (n == 0) continue;
        series[0].bound = range_plots[i].limit;
        series[0].bound_name = "limit";
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
    has_any |= write_room(p->out, "Ops that the range gate names", member_list(range, "named"));
    has_any |= write_room(p->out, "The least room, op by op", member_list(range, "tightest"));
    return has_any;
}

// ---- mutants: {gates: [name], mutants: [{name, kind, doc, killed, killer, gates: {name: "failed"
// | "passed" | "not run"}}], not_applicable: [{name, kind, why}]}

static void write_mutant(StrBuf *out, const json_t *gates, const json_t *mutant) {
    bool is_killed = member_is_yes(mutant, "killed");
    const json_t *cells = json_object_get(mutant, "gates"), *gate;
    size_t i;
    strbuf_printf(out, "<tr><td class=\"%s\">%s</td><td><b>", is_killed ? "ok" : "no",
                  is_killed ? "✓" : "✗");
    html_words(out, member_text(mutant, "name"));
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_words(out, member_text(mutant, "doc"));
    strbuf_add(out, STR("</span></td>"));
    json_array_foreach(gates, i, gate) {
        const char *name = json_string_value(gate);
        const char *cell = name ? member_text(cells, name) : "";
        bool is_hit = strcmp(cell, "failed") == 0;
        strbuf_add(out, is_hit                        ? STR("<td class=\"hit\">✗</td>")
                        : strcmp(cell, "passed") == 0 ? STR("<td class=\"miss\">·</td>")
                                                      : STR("<td class=\"miss\"></td>"));
    }
    strbuf_add(out, STR("</tr>"));
}

bool page_mutants(Page *p) {
    const json_t *all = json_object_get(p->report, "mutants"), *mutant, *gate;
    const json_t *mutants = member_list(all, "mutants"), *gates = member_list(all, "gates");
    const json_t *left_out = member_list(all, "not_applicable");
    StrBuf *out = p->out;
    size_t i, n_killed = 0, n = json_array_size(mutants);
    if (!mutants) return false;
    json_array_foreach(mutants, i, mutant) n_killed += member_is_yes(mutant, "killed");
    strbuf_printf(out,
                  "<p><b class=\"%s\">%zu of %zu planted errors were caught</b>; %zu do not apply "
                  "to this model. ✗ marks a gate that failed, as it should; a dot one that passed; "
                  "nothing one that was no longer asked.</p>",
                  n_killed == n ? "ok" : "no", n_killed, n, json_array_size(left_out));
    strbuf_add(out, STR("<div class=\"scroll matrix\"><table><thead><tr><th></th>"
                        "<th>Planted error</th>"));
    json_array_foreach(gates, i, gate) {
        strbuf_add(out, STR("<th><span>"));
        html_words(out, json_string_value(gate) ? json_string_value(gate) : "");
        strbuf_add(out, STR("</span></th>"));
    }
    strbuf_add(out, STR("</tr></thead><tbody>"));
    // Survivors first.
    for (int killed = 0; killed < 2; killed++) json_array_foreach(mutants, i, mutant) {
            if (member_is_yes(mutant, "killed") == (killed == 1)) write_mutant(out, gates, mutant);
        }
    strbuf_add(out, STR("</tbody></table></div>"));
    if (left_out) {
        strbuf_add(out, STR("<details><summary>Not applicable</summary>"));
        page_plain_table(out, left_out);
        strbuf_add(out, STR("</details>"));
    }
    return true;
}

// ---- sections of a shape of their own: lists of objects, whatever their members

static bool write_plain(Page *p, const char *name) {
    const json_t *section = json_object_get(p->report, name), *value;
    const char *key;
    bool has_any = false;
    if (json_array_size(section)) {
        page_plain_table(p->out, section);
        return true;
    }
    json_object_foreach((json_t *)section, key, value) {
        if (!json_is_object(json_array_get(value, 0))) continue;
        strbuf_add(p->out, STR("<h3>"));
        html_words(p->out, key);
        strbuf_add(p->out, STR("</h3>"));
        page_plain_table(p->out, value);
        has_any = true;
    }
    return has_any;
}

bool page_agreement(Page *p) {
    return write_plain(p, "agreement");
}
