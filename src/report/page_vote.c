// page_vote.c — the vote of the weights.
//
//     vote: {margin, texts: [{kind, tokens, scored, nats, known}], rows: [{reading, field, meaning,
//     verdict, delta, error, tokens}]}
#include <stdio.h>

#include "report/html.h"
#include "report/page.h"

static void write_row(StrBuf *out, const ReportReading *row, const char *state) {
    strbuf_add(out, STR("<tr><td><b>"));
    html_words(out, row->reading);
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_words(out, row->field);
    strbuf_add(out, STR(": "));
    html_words(out, row->meaning);
    strbuf_add(out, STR("</span></td><td class=\"n\">"));
    html_number(out, row->delta);
    strbuf_add(out, STR(" ± "));
    html_number(out, row->error);
    strbuf_add(out, STR("</td>"));
    html_cell(out, state, row->verdict);
    strbuf_add(out, STR("</tr>"));
}

// What speaks against the contract first, then what does not speak for it.
enum { N_RANKS = 3 };

static int rank_of(const ReportReading *row) {
    return row->kind == VOTE_BETTER ? 0 : row->kind == VOTE_WORSE ? 2 : 1;
}

static void write_rows(StrBuf *out, const ReportVote *vote) {
    static const char *const states[N_RANKS] = {"no", "maybe", "ok"};
    strbuf_add(out, STR("<p class=\"dim\">Nats per token: how much worse (+) or better (-) the "
                        "misreading predicts than the contract, with the standard error. It counts "
                        "as worse or better from "));
    html_number(out, vote->errors);
    strbuf_add(out, STR(" standard errors on, and as better only from "));
    html_number(out, vote->margin);
    strbuf_add(
        out,
        STR(" nats on as well.</p><div class=\"scroll\"><table><thead><tr><th>Misreading</th><th "
            "class=\"n\">nats a token</th><th>fits</th></tr></thead><tbody>"));
    for (int rank = 0; rank < N_RANKS; rank++)
        for (size_t i = 0; i < vote->n_rows; i++)
            if (rank_of(&vote->rows[i]) == rank) write_row(out, &vote->rows[i], states[rank]);
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_texts(StrBuf *out, const ReportVote *vote) {
    strbuf_add(
        out,
        STR("<details><summary>Texts that were scored</summary><p class=\"dim\">A text counts only "
            "if the model knows it: it must cost less than half the nats of a blind guess.</p><div "
            "class=\"scroll\"><table><thead><tr><th>Text</th><th class=\"n\">tokens scored</th><th "
            "class=\"n\">nats a token</th><th>known</th></tr></thead><tbody>"));
    for (size_t i = 0; i < vote->n_texts; i++) {
        const ReportText *text = &vote->texts[i];
        strbuf_add(out, STR("<tr>"));
        html_cell(out, "", text->kind);
        html_number_cell(out, text->n_scored);
        html_number_cell(out, text->nats);
        html_cell(out, text->is_known ? "ok" : "", text->is_known ? "✓" : "–");
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div></details>"));
}

static void write_vote(StrBuf *out, const ReportVote *vote, const char *title) {
    size_t n_worse = 0, n_better = 0;
    if (!vote->n_rows) return;
    for (size_t i = 0; i < vote->n_rows; i++) {
        n_worse += vote->rows[i].kind == VOTE_WORSE;
        n_better += vote->rows[i].kind == VOTE_BETTER;
    }
    strbuf_printf(out,
                  "<h3>%s</h3><p>%zu misreadings were tried: %zu predict worse, as they should; <b "
                  "class=\"%s\">%zu predict better</b>; %zu cannot be told apart from the "
                  "contract, so only a second source can check them.</p>",
                  title, vote->n_rows, n_worse, n_better ? "no" : "ok", n_better,
                  vote->n_rows - n_worse - n_better);
    strbuf_add(out, STR("<details><summary>All misreadings</summary>"));
    write_rows(out, vote);
    strbuf_add(out, STR("</details>"));
    if (vote->n_texts) write_texts(out, vote);
}

bool page_vote(Page *p) {
    if (!p->report->vote.n_rows) return false;
    write_vote(p->out, &p->report->vote, "On ordinary text");
    write_vote(p->out, &p->report->vote_long, "Beyond the original context");
    return true;
}
