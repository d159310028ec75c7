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
    strbuf_add(out, STR("<div class=\"scroll\"><table><thead><tr><th>Misreading</th><th>field</th>"
                        "<th class=\"n\">nats a token against the contract</th><th>verdict</th>"
                        "</tr></thead><tbody>"));
    json_array_foreach(rows, i, row) {
        const char *verdict = member_text(row, "verdict");
        bool is_better = strcmp(verdict, "better") == 0, is_worse = strcmp(verdict, "worse") == 0;
        strbuf_add(out, STR("<tr><td><b>"));
        html_words(out, member_text(row, "reading"));
        strbuf_add(out, STR("</b> <span class=\"dim\">"));
        html_words(out, member_text(row, "meaning"));
        strbuf_add(out, STR("</span></td>"));
        html_cell(out, "", member_text(row, "field"));
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

bool page_range(Page *p) {
    return write_plain(p, "range");
}

bool page_mutants(Page *p) {
    return write_plain(p, "mutants");
}

bool page_agreement(Page *p) {
    return write_plain(p, "agreement");
}
