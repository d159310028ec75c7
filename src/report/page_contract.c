// page_contract.c — the contract field by field: its value and source, what second sources state,
// and whether the vote rejects other values.
//
//     contract: [{field, value, unit, kind, from, meaning}]
//     agreement: {source: [{field, verdict, gguf, gguf_from, config, config_from, note}]}
#include <stdio.h>
#include <string.h>

#include "report/html.h"
#include "report/page.h"

// ---- second sources

static size_t count_rows(const ReportSource *source, AgreementKind kind) {
    size_t n = 0;
    for (size_t i = 0; i < source->n_rows; i++) n += source->rows[i].kind == kind;
    return n;
}

static void write_contradiction(StrBuf *out, const ReportAgreement *row) {
    strbuf_add(out, STR("<tr><td><b class=\"no\">✗ "));
    html_name(out, row->field);
    strbuf_add(out, STR("</b></td><td data-l=\"model file\"><b>"));
    html_words(out, row->gguf);
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_name(out, row->gguf_from);
    strbuf_add(out, STR("</span></td><td data-l=\"2nd source\"><b>"));
    html_words(out, row->config);
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_name(out, row->config_from);
    strbuf_add(out, STR("</span></td></tr>"));
}

static void write_source(StrBuf *out, const ReportSource *source) {
    size_t n = count_rows(source, AGREEMENT_CONTRADICTS);
    strbuf_printf(out, "<div class=\"%s\"><b>", n ? "alarm" : "card");
    strbuf_printf(out, "<span class=\"%s\">%s</span> ", n ? "no" : "ok", n ? "✗" : "✓");
    strbuf_add(out, STR("Second source ("));
    html_words(out, source->name);
    strbuf_printf(out,
                  ")</b><br><b class=\"%s\">%zu field%s</b>, %zu agree, %zu only the model file "
                  "states.",
                  n ? "no" : "ok", n, n == 1 ? " contradicts" : "s contradict",
                  count_rows(source, AGREEMENT_AGREES), count_rows(source, AGREEMENT_FILE_ALONE));
    if (n) {
        strbuf_add(out, STR("<table class=\"stack\"><thead><tr><th>Field</th><th>model file"
                            "</th><th>second source</th></tr></thead><tbody>"));
        for (size_t i = 0; i < source->n_rows; i++)
            if (source->rows[i].kind == AGREEMENT_CONTRADICTS)
                write_contradiction(out, &source->rows[i]);
        strbuf_add(out, STR("</tbody></table>"));
    }
    strbuf_add(out, STR("</div>"));
}

// ---- all fields

static void write_second_row(StrBuf *out, const ReportAgreement *row) {
    if (row->kind == AGREEMENT_AGREES) {
        strbuf_add(out, STR("<b class=\"ok\">✓ agrees</b>"));
    } else if (row->kind == AGREEMENT_CONTRADICTS) {
        strbuf_add(out, STR("<b class=\"no\">✗ contradicts: "));
        html_words(out, row->config);
        strbuf_add(out, STR("</b>"));
    } else {
        strbuf_add(out, STR("<b class=\"maybe\">"));
        html_words(out, row->verdict);
        strbuf_add(out, STR("</b>"));
    }
    strbuf_add(out, STR(" <span class=\"dim\">"));
    html_name(out, row->config_from);
    if (*row->note) strbuf_add(out, STR("; "));
    html_words(out, row->note);
    strbuf_add(out, STR("</span>"));
}

// What the second sources say of one field.
static void write_second(Page *p, const char *field) {
    size_t n = 0;
    for (size_t s = 0; s < p->report->n_sources; s++)
        for (size_t i = 0; i < p->report->sources[s].n_rows; i++) {
            const ReportAgreement *row = &p->report->sources[s].rows[i];
            if (strcmp(row->field, field) != 0 || row->kind == AGREEMENT_FILE_ALONE) continue;
            strbuf_add(p->out, n++ ? STR("<br>") : STR("<td data-l=\"2nd source\">"));
            write_second_row(p->out, row);
        }
    if (n == 0) strbuf_add(p->out, STR("<td class=\"none\">–"));
    strbuf_add(p->out, STR("</td>"));
}

static void write_vote_of(StrBuf *out, const FieldWitness *w) {
    size_t n = w->n_worse + w->n_even + w->n_better;
    if (n == 0) {
        strbuf_add(out, STR("<td class=\"none\">–</td>"));
        return;
    }
    strbuf_add(out, STR("<td data-l=\"weights\">"));
    if (w->n_better)
        strbuf_printf(out, "<b class=\"no\">✗ %zu of %zu predict better</b>", w->n_better, n);
    else if (w->n_even)
        strbuf_printf(out, "<span class=\"maybe\">%zu of %zu not told apart</span>", w->n_even, n);
    else
        strbuf_printf(out, "<span class=\"ok\">✓ %zu of %zu predict worse</span>", w->n_worse, n);
    strbuf_add(out, STR("</td>"));
}

static void write_field(Page *p, const ReportField *field, const FieldWitness *w) {
    StrBuf *out = p->out;
    strbuf_add(out, STR("<tr><td><b>"));
    html_name(out, field->field);
    strbuf_add(out, STR("</b> <span class=\"dim\">"));
    html_words(out, field->meaning);
    strbuf_add(out, STR("</span></td><td data-l=\"value\">"));
    html_words(out, *field->value ? field->value : "none");
    strbuf_add(out, STR(" <span class=\"dim\">"));
    html_words(out, field->unit);
    strbuf_add(out, STR("</span></td><td data-l=\"read from\">"));
    html_words(out, field->kind);
    if (*field->from) strbuf_add(out, STR(": "));
    html_name(out, field->from);
    strbuf_add(out, STR("</td>"));
    write_second(p, field->field);
    write_vote_of(out, w);
    strbuf_add(out, STR("</tr>"));
}

static void write_fields(Page *p) {
    StrBuf *out = p->out;
    strbuf_printf(
        out,
        "<details><summary>All %zu fields, with sources</summary><p class=\"dim\">Read from: a key "
        "or a tensor of the file, the shape of a tensor, a rule (derived), or what every model of "
        "the architecture does. Weights: how many misreadings of the field predict worse, as they "
        "should. – means that this source says nothing about the field.</p><table class=\"stack "
        "fields\"><thead><tr><th>Field</th><th>value</th><th>read from</th><th>second "
        "source</th><th>weights</th></tr></thead><tbody>",
        p->report->n_fields);
    // What is in doubt first.
    for (int is_fine = 0; is_fine < 2; is_fine++)
        for (size_t i = 0; i < p->report->n_fields; i++) {
            const ReportField *field = &p->report->fields[i];
            FieldWitness w = page_witness(p->report, field->field);
            if ((w.n_contradict == 0 && w.n_better == 0) == (is_fine == 1))
                write_field(p, field, &w);
        }
    strbuf_add(out, STR("</tbody></table></details>"));
}

bool page_contract(Page *p) {
    const Report *report = p->report;
    StrBuf *out = p->out;
    if (!report->n_fields) return false;
    for (size_t i = 0; i < report->n_sources; i++) write_source(out, &report->sources[i]);
    if (report->n_sources == 0) {
        strbuf_add(out, STR("<p class=\"absent\">No second source was compared. "));
        page_command(p, "lathe verify BUNDLE --config config.json");
        strbuf_add(out, STR(" compares with the publisher's file.</p>"));
    }
    write_fields(p);
    strbuf_add(out, STR("<p class=\"dim\">Digest of all fields: "));
    html_code(out, report->contract_sha256);
    strbuf_add(out, STR("</p>"));
    return true;
}

// ---- how it is used

bool page_use(Page *p) {
    StrBuf *out = p->out;
    if (!p->report->n_use) return false;
    strbuf_add(out, STR("<table class=\"stack\"><thead><tr><th>Choice</th><th>Value</th>"
                        "<th>From</th><th>The publisher's</th></tr></thead><tbody>"));
    for (size_t i = 0; i < p->report->n_use; i++) {
        const ReportChoice *choice = &p->report->use[i];
        const char *publisher = choice->publisher;
        strbuf_add(out, STR("<tr><td><b>"));
        html_name(out, choice->name);
        strbuf_add(out, STR("</b></td><td data-l=\"Value\">"));
        html_words(out, choice->value);
        strbuf_add(out, STR("</td><td data-l=\"From\">"));
        html_words(out, choice->source);
        strbuf_printf(out, "</td><td data-l=\"Publisher\"%s>",
                      *publisher ? " class=\"maybe\"" : "");
        html_words(out, *publisher ? publisher : "the same");
        strbuf_add(out, STR("</td></tr>"));
    }
    strbuf_add(out, STR("</tbody></table>"));
    return true;
}
