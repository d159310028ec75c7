// page_text.c — answers of the bundle and the reference side by side, and their perplexity on a
// text.
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "report/html.h"
#include "report/page.h"

// The rows of the text: scopes of gate text.
static const struct {
    const char *scope, *meaning;
} held[] = {
    {"fp16", "bundle and reference with the same packed weights: the error of fp16"},
    {"weights' form", "reference with packed weights and with the source's: the error of packing"},
    {"against the source", "bundle and source: both errors"},
};

static size_t held_row(const ReportResult *result) {
    size_t i = 0;
    while (i < COUNT_OF(held) && strcmp(result->scope, held[i].scope) != 0) i++;
    return i;
}

static void open_cell(StrBuf *out, const char *name) {
    strbuf_printf(out, "<td data-l=\"%s\">", name);
}

static void write_held_row(StrBuf *out, const ReportResult *result, size_t row) {
    const double *f = result->figures;
    bool is_ok = result->passed;
    strbuf_printf(out,
                  "<tr><td><b><span class=\"%s\">%s</span> %s</b> <span class=\"dim\">%s</span>"
                  "</td>",
                  is_ok ? "ok" : "no", is_ok ? "✓" : "✗", held[row].scope, held[row].meaning);
    open_cell(out, "KL, mean");
    html_number(out, f[FIGURE_kl_mean]);
    strbuf_add(out, STR("</td>"));
    open_cell(out, "KL, most");
    html_number(out, f[FIGURE_kl_max]);
    strbuf_add(out, STR("</td>"));
    open_cell(out, "same first here");
    html_number(out, round(1000 * f[FIGURE_top1]) / 10);
    strbuf_add(out, STR(" %</td></tr>"));
}

static void write_held(StrBuf *out, const ReportResults *results) {
    bool is_open = false;
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        size_t row = held_row(result);
        if (row == COUNT_OF(held)) continue;
        if (!is_open)
            strbuf_add(
                out, STR("<h3>A conversation that both read</h3><p class=\"dim\">KL: how far the "
                         "predictions of the next token are apart, in nats; 0: the same. Same "
                         "first here: at which share of this text's positions the likeliest token "
                         "is the same (the figure at the top is for another text).</p><table "
                         "class=\"stack\"><thead><tr><th>What differs</th><th>KL, mean</th><th>KL, "
                         "most</th><th>same first here</th></tr></thead><tbody>"));
        is_open = true;
        write_held_row(out, result, row);
    }
    if (is_open) strbuf_add(out, STR("</tbody></table>"));
}

// The answer of source and bundle, once where they are the same.
static void write_both_texts(StrBuf *out, const ReportResult *result) {
    const char *source = result->source_answer, *bundle = result->bundle_answer;
    if (!*result->question) return;
    bool is_same = strcmp(source, bundle) == 0;
    strbuf_printf(out, "<b>%s</b><pre>", is_same ? "Both answer" : "The source answers");
    html_words(out, source);
    if (!is_same) {
        strbuf_add(
            out,
            STR("</pre><b>The bundle, given the source's tokens up to each position</b><pre>"));
        html_words(out, bundle);
    }
    strbuf_add(out, STR("</pre>"));
}

static void write_answer(StrBuf *out, const ReportResult *result) {
    const double *f = result->figures;
    double steps = f[FIGURE_steps], differ = f[FIGURE_differing];
    bool is_ok = result->passed;
    strbuf_printf(out, "<div class=\"card\"><b><span class=\"%s\">%s</span> ", is_ok ? "ok" : "no",
                  is_ok ? "✓" : "✗");
    html_words(out, result->scope);
    strbuf_add(out, STR("</b><br>"));
    write_both_texts(out, result);
    if (!isnan(steps)) strbuf_printf(out, "%.0f of %.0f tokens the same", steps - differ, steps);
    if (differ > 0) {
        strbuf_add(out, STR("; where they differ, the source's token leads by at most "));
        html_number(out, f[FIGURE_worst_margin]);
        strbuf_add(out, STR(", noise is "));
        html_number(out, f[FIGURE_logit_noise]);
    }
    strbuf_add(out, STR("<span class=\"dim\">"));
    html_words(out, result->text);
    strbuf_add(out, STR("</span></div>"));
}

static bool has_steps(const ReportResult *result) {
    return !isnan(result->figures[FIGURE_steps]);
}

bool page_text(Page *p) {
    const ReportResults *results = &p->report->gates[GATE_text];
    if (!results->n) return false;
    for (size_t i = 0; i < results->n; i++)
        if (has_steps(&results->list[i])) write_answer(p->out, &results->list[i]);
    write_held(p->out, results);
    bool has_more = false;
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        if (held_row(result) < COUNT_OF(held) || has_steps(result)) continue;
        if (!has_more) strbuf_add(p->out, STR("<h3>Besides</h3>"));
        has_more = true;
        write_answer(p->out, result);
        if (result->is_perplexity)
            strbuf_add(
                p->out,
                STR("<p class=\"dim\">Perplexity: e to the power of the mean nats per token of "
                    "that text; lower is better. What counts here is that the three agree: the "
                    "bundle may be at most 0.5 nats per token above the source.</p>"));
    }
    return true;
}
