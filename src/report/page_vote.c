// page_vote.c — the vote of the weights.
//
//     vote: {margin, texts: [{kind, tokens, scored, nats, known}], rows: [{reading, field, meaning,
//     verdict, delta, error, tokens}]}
#include <stdio.h>

#include "report/html.h"
#include "report/page.h"

static void write_row(StrBuf *out, const json_t *row, const char *state) {
    strbuf_add(out, STR("<tr><td><b>"));
    html_words(out, member_text(row, "reading"));
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_words(out, member_text(row, "field"));
    strbuf_add(out, STR(": "));
    html_words(out, member_text(row, "meaning"));
    strbuf_add(out, STR("</span></td><td class=\"n\">"));
    page_number(out, row, "delta");
    strbuf_add(out, STR(" ± "));
    page_number(out, row, "error");
    strbuf_add(out, STR("</td>"));
    html_cell(out, state, member_text(row, "verdict"));
    strbuf_add(out, STR("</tr>"));
}

// What speaks against the contract first, then what does not speak for it.
enum { N_RANKS = 3 };

static int rank_of(const json_t *row) {
    return member_is(row, "verdict", "better") ? 0 : member_is(row, "verdict", "worse") ? 2 : 1;
}

static void write_rows(StrBuf *out, const json_t *vote, const json_t *rows) {
    static const char *const states[N_RANKS] = {"no", "maybe", "ok"};
    const json_t *row;
    size_t i;
    strbuf_add(out, STR("<p class=\"dim\">Nats a token: how much worse the misreading predicts "
                        "(+) than the contract, with the standard error. It counts as worse or "
                        "better from "));
    page_number(out, vote, "errors");
    strbuf_add(out, STR(" such errors on, and as better only from "));
    page_number(out, vote, "margin");
    strbuf_add(out,
               STR(" nats on, too.</p><div class=\"scroll\"><table><thead><tr><th>Misreading</th>"
                   "<th class=\"n\">nats a token</th><th>fits</th></tr></thead><tbody>"));
    for (int rank = 0; rank < N_RANKS; rank++) json_array_foreach(rows, i, row) {
            if (rank_of(row) == rank) write_row(out, row, states[rank]);
        }
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_texts(StrBuf *out, const json_t *texts) {
    const json_t *text;
    size_t i;
    strbuf_add(out, STR("<details><summary>What was read</summary><p class=\"dim\">A text counts "
                        "only when the model knows it: less than half the nats of a blind guess."
                        "</p><div class=\"scroll\"><table><thead><tr><th>Text</th>"
                        "<th class=\"n\">tokens scored</th><th class=\"n\">nats a token</th>"
                        "<th>known</th></tr></thead><tbody>"));
    json_array_foreach(texts, i, text) {
        bool is_known = member_is_yes(text, "known");
        strbuf_add(out, STR("<tr>"));
        html_cell(out, "", member_text(text, "kind"));
        html_number_cell(out, member_number(text, "scored"));
        html_number_cell(out, member_number(text, "nats"));
        html_cell(out, is_known ? "ok" : "", is_known ? "✓" : "–");
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
}

static void write_vote(StrBuf *out, const json_t *vote, const char *title) {
    const json_t *texts = member_list(vote, "texts"), *rows = member_list(vote, "rows"), *row;
    size_t i, n_worse = 0, n_better = 0;
    if (!rows) return;
    json_array_foreach(rows, i, row) {
        n_worse += member_is(row, "verdict", "worse");
        n_better += member_is(row, "verdict", "better");
    }
    strbuf_printf(out,
                  "<h3>%s</h3><p>%zu misreadings were tried: %zu fit worse, as they should; "
                  "<b class=\"%s\">%zu fit better</b>; %zu cannot be told from the contract, so "
                  "that only a second source can check them.</p>",
                  title, json_array_size(rows), n_worse, n_better ? "no" : "ok", n_better,
                  json_array_size(rows) - n_worse - n_better);
    strbuf_add(out, STR("<details><summary>All misreadings</summary>"));
    write_rows(out, vote, rows);
    strbuf_add(out, STR("</details>"));
    if (texts) write_texts(out, texts);
}

bool page_vote(Page *p) {
    const json_t *vote = json_object_get(p->report, "vote");
    if (!member_list(vote, "rows")) return false;
    write_vote(p->out, vote, "On ordinary text");
    write_vote(p->out, json_object_get(p->report, "vote_long"), "Beyond the original context");
    return true;
}
