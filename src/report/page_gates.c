// page_gates.c — every result of every gate, and the answers of the text gate.
#include <math.h>
#include <string.h>

#include "bundle/gates.h"
#include "report/html.h"
#include "report/page.h"

static void write_results(StrBuf *out, const json_t *list) {
    const json_t *result;
    size_t i;
    strbuf_add(out, STR("<div class=\"scroll\"><table><tbody>"));
    json_array_foreach(list, i, result) {
        bool is_ok = member_is_yes(result, "passed");
        strbuf_add(out, STR("<tr>"));
        html_cell(out, is_ok ? "ok" : "no", is_ok ? "✓" : "✗");
        html_cell(out, "", member_text(result, "scope"));
        html_cell(out, "", member_text(result, "text"));
        strbuf_add(out, STR("</tr>"));
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

static void write_gate(StrBuf *out, const GateInfo *gate, const json_t *list) {
    size_t n = json_array_size(list), n_passed = 0, i;
    double use = NAN;
    const json_t *result;
    json_array_foreach(list, i, result) {
        n_passed += member_is_yes(result, "passed");
        if (isnan(use) || page_use(result) > use) use = page_use(result);
    }
    const char *state = n == 0 ? "maybe" : n_passed == n ? "ok" : "no";
    const char *mark = n == 0 ? "–" : n_passed == n ? "✓" : "✗";
    strbuf_printf(out, "<details%s><summary><span class=\"mark %s\">%s</span><b>%s</b> ",
                  n && n_passed < n ? " open" : "", state, mark, gate->name);
    if (n == 0)
        strbuf_add(out, STR("not run"));
    else
        strbuf_printf(out, "%zu of %zu", n_passed, n);
    if (!isnan(use)) strbuf_printf(out, ", %.0f %% of the error allowed", 100 * use);
    strbuf_printf(out, "<span class=\"dim\">%s</span></summary>", gate->doc);
    if (n) write_results(out, list);
    strbuf_add(out, STR("</details>"));
}

bool page_gates(Page *p) {
    const json_t *results = json_object_get(p->report, "gates");
    if (json_object_size(results) == 0) return false;
    for (int i = 0; i < GATE_COUNT; i++)
        write_gate(p->out, &gates[i], json_object_get(results, gates[i].name));
    return true;
}

static void write_answer(StrBuf *out, const json_t *result) {
    const json_t *f = json_object_get(result, "figures");
    double steps = member_number(f, "steps"), differ = member_number(f, "differing");
    bool is_ok = member_is_yes(result, "passed");
    strbuf_printf(out, "<div class=\"card\"><span class=\"%s\">%s</span> <b>", is_ok ? "ok" : "no",
                  is_ok ? "✓" : "✗");
    html_words(out, member_text(result, "scope"));
    strbuf_add(out, STR("</b><br>"));
    if (!isnan(steps)) strbuf_printf(out, "%.0f of %.0f tokens the same", steps - differ, steps);
    if (differ > 0) {
        strbuf_add(out, STR("; at the worst step the reference prefers its own by "));
        page_number(out, f, "worst_margin");
        strbuf_add(out, STR(", noise is "));
        page_number(out, f, "logit_noise");
    }
    strbuf_add(out, STR("<span class=\"dim\">"));
    html_words(out, member_text(result, "text"));
    strbuf_add(out, STR("</span></div>"));
}

bool page_text(Page *p) {
    const json_t *list = member_list(json_object_get(p->report, "gates"), "text"), *result;
    const json_t *more = member_list(p->report, "text");
    size_t i;
    if (!list && !more) return false;
    json_array_foreach(list, i, result) write_answer(p->out, result);
    if (more) page_plain_table(p->out, more);
    return true;
}
