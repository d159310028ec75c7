// page_gates.c — every result of every gate.
#include <math.h>

#include "bundle/gates.h"
#include "bundle/verdict.h"
#include "report/html.h"
#include "report/page.h"

static void write_some(StrBuf *out, const json_t *list, bool passed) {
    const json_t *result;
    size_t i;
    strbuf_add(out, STR("<div class=\"scroll\"><table><tbody>"));
    json_array_foreach(list, i, result) {
        if (member_is_yes(result, "passed") != passed) continue;
        strbuf_add(out, STR("<tr>"));
        ProofVerdict verdict = proof_verdict_of(result);
        html_cell(out,
                  !passed                   ? "no"
                  : verdict == PROOF_PASSED ? "ok"
                                            : "maybe",
                  !passed                     ? "✗"
                  : verdict == PROOF_UNPROVED ? "unproved"
                  : verdict == PROOF_NOTE     ? "–"
                                              : "✓");
        html_cell(out, "", member_text(result, "scope"));
        html_cell(out, "long", member_text(result, "text"));
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

// Failures stand alone, what passed beside them is folded.
static void write_results(StrBuf *out, const json_t *list, const GateSum *sum) {
    if (sum->n_passed == sum->n) {
        write_some(out, list, true);
        return;
    }
    write_some(out, list, false);
    if (sum->n_passed == 0) return;
    strbuf_printf(out, "<details><summary>%zu passed</summary>", sum->n_passed);
    write_some(out, list, true);
    strbuf_add(out, STR("</details>"));
}

static void write_gate(Page *p, GateId id) {
    const GateInfo *gate = &gates[id];
    GateSum sum = page_gate_sum(p->report, gate->name);
    StrBuf *out = p->out;
    const char *state = sum.n == 0 ? "maybe" : sum.n_passed == sum.n ? "ok" : "no";
    const char *mark = sum.n == 0 ? "–" : sum.n_passed == sum.n ? "✓" : "✗";
    strbuf_printf(out, "<details%s><summary><span class=\"mark %s\">%s</span><b>%s</b> ",
                  sum.n_passed < sum.n ? " open" : "", state, mark, gate->name);
    if (sum.n == 0)
        strbuf_add(out, STR("not run"));
    else if (sum.n_passed == sum.n)
        strbuf_printf(out, "%zu of %zu", sum.n_passed, sum.n);
    else
        strbuf_printf(out, "<b class=\"no\">%zu of %zu failed</b>", sum.n - sum.n_passed, sum.n);
    if (!isnan(sum.most_used))
        strbuf_printf(out, ", %.0f %% of the error allowed", 100 * sum.most_used);
    strbuf_printf(out, "<span class=\"dim\">%s</span></summary><p class=\"dim\">Compared: %s.</p>",
                  gate->question, gate->doc);
    if (sum.n)
        write_results(out, json_object_get(json_object_get(p->report, "gates"), gate->name), &sum);
    strbuf_add(out, STR("</details>"));
}

bool page_gates(Page *p) {
    if (json_object_size(json_object_get(p->report, "gates")) == 0) return false;
    for (int i = 0; i < GATE_COUNT; i++) write_gate(p, (GateId)i);
    return true;
}
