// page_mutants.c — the kill matrix: mutants, and the gates that failed them.
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "report/html.h"
#include "report/page.h"

// Classes by their names in mutants/; an unknown one is shown last under its own name.
static const struct {
    const char *kind, *title, *doc;
} classes[] = {
    {"contract", "contract misread",
     "converter and host use another contract than the file states"},
    {"graph", "program", "one layer has a wrong op, or an op with wrong operands"},
    {"rows", "weights mixed up", "rows of weights are exchanged or changed"},
    {"bytes", "weight file", "bytes of the packed weights are wrong"},
    {"host", "host's arithmetic",
     "what the host computes is wrong: positions, masks, rotary tables, turns"},
    {"keys", "host's metadata", "special tokens or template differ from the source's"},
};

static bool is_of_class(const ReportMutant *mutant, size_t class) {
    if (class < COUNT_OF(classes)) return strcmp(mutant->kind, classes[class].kind) == 0;
    for (size_t i = 0; i < COUNT_OF(classes); i++)
        if (strcmp(mutant->kind, classes[i].kind) == 0) return false;
    return true;
}

static const char *class_title(size_t class) {
    return class < COUNT_OF(classes) ? classes[class].title : "others";
}

// ---- tables with a column a gate

static void open_table(StrBuf *out, const char *first, const ReportMutants *m) {
    strbuf_printf(out, "<div class=\"scroll matrix\"><table><thead><tr><th>%s</th>", first);
    for (size_t i = 0; i < m->n_gates; i++) {
        strbuf_add(out, STR("<th><span>"));
        html_words(out, m->gates[i]);
        strbuf_add(out, STR("</span></th>"));
    }
    strbuf_add(out, STR("</tr></thead><tbody>"));
}

static void close_table(StrBuf *out) {
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_mutant(StrBuf *out, const ReportMutants *m, const ReportMutant *mutant) {
    strbuf_add(out, STR("<tr><td><b>"));
    html_name(out, mutant->name);
    strbuf_add(out, STR("</b><small>"));
    html_words(out, mutant->doc);
    strbuf_add(out, STR("</small></td>"));
    for (size_t i = 0; i < m->n_gates; i++)
        strbuf_add(out, mutant->cells[i] == REPORT_FAILED   ? STR("<td class=\"hit\">●</td>")
                        : mutant->cells[i] == REPORT_PASSED ? STR("<td class=\"miss\">·</td>")
                                                            : STR("<td class=\"miss\"></td>"));
    strbuf_add(out, STR("</tr>"));
}

// ---- the whole in a few lines: how many of each class each gate noticed

static void write_count(StrBuf *out, size_t n) {
    strbuf_printf(out, n ? "<td class=\"some\">%zu</td>" : "<td class=\"miss\">·</td>", n);
}

// Mutants that this gate noticed and no other one did.
static size_t count_alone(const ReportMutants *m, size_t only) {
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        size_t n_hits = 0;
        for (size_t k = 0; k < m->n_gates; k++) n_hits += m->list[i].cells[k] == REPORT_FAILED;
        n += n_hits == 1 && m->list[i].cells[only] == REPORT_FAILED;
    }
    return n;
}

static void write_overview(StrBuf *out, const ReportMutants *m) {
    open_table(out, "Errors that each gate noticed", m);
    for (size_t class = 0; class <= COUNT_OF(classes); class ++) {
        size_t n = 0, n_killed = 0;
        for (size_t i = 0; i < m->n; i++) {
            if (!is_of_class(&m->list[i], class)) continue;
            n++;
            n_killed += m->list[i].is_killed;
        }
        if (n == 0) continue;
        strbuf_printf(out, "<tr><td><b>%s</b><small class=\"%s\">%zu of %zu noticed</small></td>",
                      class_title(class), n_killed == n ? "" : "no", n_killed, n);
        for (size_t k = 0; k < m->n_gates; k++) {
            size_t n_hits = 0;
            for (size_t i = 0; i < m->n; i++)
                n_hits += is_of_class(&m->list[i], class) && m->list[i].cells[k] == REPORT_FAILED;
            write_count(out, n_hits);
        }
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(
        out,
        STR("<tr><td><b>by this gate alone</b><small>no other gate notices them</small></td>"));
    for (size_t k = 0; k < m->n_gates; k++) write_count(out, count_alone(m, k));
    strbuf_add(out, STR("</tr>"));
    close_table(out);
}

// ---- one by one

static void write_survivors(StrBuf *out, const ReportMutants *m, size_t n) {
    strbuf_printf(out, "<div class=\"alarm\"><h3>✗ %zu survived: no gate that ran failed</h3>", n);
    open_table(out, "Planted error", m);
    for (size_t i = 0; i < m->n; i++)
        if (!m->list[i].is_killed) write_mutant(out, m, &m->list[i]);
    close_table(out);
    strbuf_add(out, STR("</div>"));
}

static void write_class(StrBuf *out, const ReportMutants *m, size_t class) {
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) n += is_of_class(&m->list[i], class) && m->list[i].is_killed;
    if (n == 0) return;
    strbuf_printf(out, "<details><summary><span class=\"ok\">✓</span> <b>%s</b>: %zu noticed%s%s",
                  class_title(class), n, class < COUNT_OF(classes) ? "<span class=\"dim\">" : "",
                  class < COUNT_OF(classes) ? classes[class].doc : "");
    if (class < COUNT_OF(classes)) strbuf_add(out, STR("</span>"));
    strbuf_add(out, STR("</summary>"));
    open_table(out, "Planted error", m);
    for (size_t i = 0; i < m->n; i++)
        if (is_of_class(&m->list[i], class) && m->list[i].is_killed)
            write_mutant(out, m, &m->list[i]);
    close_table(out);
    strbuf_add(out, STR("</details>"));
}

// Names under each reason.
static void write_left_out(StrBuf *out, const ReportMutants *m) {
    const ReportMutant *left_out = m->left_out;
    strbuf_printf(out,
                  "<details><summary>– %zu do not apply to this model</summary><ul "
                  "class=\"plain\">",
                  m->n_left_out);
    for (size_t i = 0; i < m->n_left_out; i++) {
        const char *why = left_out[i].why;
        bool is_first = true;
        for (size_t k = 0; k < i && is_first; k++) is_first = strcmp(left_out[k].why, why) != 0;
        if (!is_first) continue;
        strbuf_add(out, STR("<li><b>"));
        html_words(out, *why ? why : "no reason is given");
        strbuf_add(out, STR("</b>:"));
        for (size_t k = 0; k < m->n_left_out; k++) {
            if (strcmp(left_out[k].why, why) != 0) continue;
            strbuf_add(out, STR(" "));
            html_words(out, left_out[k].name);
        }
        strbuf_add(out, STR("</li>"));
    }
    strbuf_add(out, STR("</ul></details>"));
}

bool page_mutants(Page *p) {
    const ReportMutants *m = &p->report->mutants;
    StrBuf *out = p->out;
    size_t n = m->n, n_survived = page_count_survivors(p->report);
    if (n == 0) return false;
    strbuf_printf(out, "<p><b class=\"%s\">%zu of %zu planted errors were noticed</b>",
                  n_survived ? "no" : "ok", n - n_survived, n);
    if (m->n_left_out) strbuf_printf(out, "; %zu more do not apply to this model", m->n_left_out);
    strbuf_add(out, STR(". ●: the gate failed, as it should; ·: it passed; empty: it did not run, "
                        "because another gate had failed before (gate text) or because it was left "
                        "out. Gates without a column do not judge what a bundle computes.</p>"));
    if (n_survived) write_survivors(out, m, n_survived);
    write_overview(out, m);
    for (size_t class = 0; class <= COUNT_OF(classes); class ++) write_class(out, m, class);
    if (m->n_left_out) write_left_out(out, m);
    return true;
}
