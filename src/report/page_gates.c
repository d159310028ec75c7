// page_gates.c — every result of every gate.
#include <math.h>

#include "bundle/gates.h"
#include "bundle/verdict.h"
#include "report/html.h"
#include "report/page.h"

static void write_some(StrBuf *out, const ReportResults *results, bool passed) {
    strbuf_add(out, STR("<div class=\"scroll\"><table><tbody>"));
    for (size_t i = 0; i < results->n; i++) {
        const ReportResult *result = &results->list[i];
        if (result->passed != passed) continue;
        strbuf_add(out, STR("<tr>"));
        html_cell(out,
                  !passed                           ? "no"
                  : result->verdict == PROOF_PASSED ? "ok"
                                                    : "maybe",
                  !passed                             ? "✗"
                  : result->verdict == PROOF_UNPROVED ? "unproved"
                  : result->verdict == PROOF_NOTE     ? "–"
                                                      : "✓");
        html_cell(out, "", result->scope);
        html_cell(out, "long", result->text);
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

// Failures stand alone, what passed beside them is folded.
static void write_results(StrBuf *out, const ReportResults *results, const GateSum *sum) {
    if (sum->counts[PROOF_FAILED] == 0) {
        write_some(out, results, true);
        return;
    }
    write_some(out, results, false);
    if (results->n == sum->counts[PROOF_FAILED]) return;
    strbuf_printf(out, "<details><summary>%zu passed</summary>", sum->counts[PROOF_PASSED]);
    write_some(out, results, true);
    strbuf_add(out, STR("</details>"));
}

static void write_gate(Page *p, GateId id) {
    const GateInfo *gate = &gates[id];
    GateSum sum = gate_sum(&p->report->gates[id]);
    StrBuf *out = p->out;
    size_t n_failed = sum.counts[PROOF_FAILED], n_unproved = sum.counts[PROOF_UNPROVED];
    const char *state = !sum.has_run ? "maybe" : n_failed ? "no" : "ok";
    const char *mark = !sum.has_run ? "–" : n_failed ? "✗" : "✓";
    strbuf_printf(out, "<details%s><summary><span class=\"mark %s\">%s</span><b>%s</b> ",
                  n_failed ? " open" : "", state, mark, gate->name);
    if (!sum.has_run)
        strbuf_add(out, STR("not run"));
    else if (n_failed)
        strbuf_printf(out, "<b class=\"no\">%zu of %zu failed</b>", n_failed, sum.n_checks);
    else
        strbuf_printf(out, "%zu of %zu", sum.counts[PROOF_PASSED], sum.n_checks);
    if (n_unproved) strbuf_printf(out, ", %zu unproved", n_unproved);
    if (!isnan(sum.most_used))
        strbuf_printf(out, ", %.0f %% of the error allowed", 100 * sum.most_used);
    strbuf_printf(out, "<span class=\"dim\">%s</span></summary><p class=\"dim\">This gate %s.</p>",
                  gate->question, gate->doc);
    if (sum.has_run) write_results(out, &p->report->gates[id], &sum);
    strbuf_add(out, STR("</details>"));
}

bool page_gates(Page *p) {
    if (!p->report->has_gates) return false;
    for (int i = 0; i < GATE_COUNT; i++) write_gate(p, (GateId)i);
    return true;
}
