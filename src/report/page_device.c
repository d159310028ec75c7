// page_device.c — what gates found on devices, a machine each, apart from the proof.
//
//     device: {runs: [{machine: {is_device, chip, …}, ended, passed, gates: {name: [results]}}]}
#include "bundle/device_gates.h"
#include "report/html.h"
#include "report/page.h"

static void write_machine(StrBuf *out, const json_t *run) {
    const json_t *machine = json_object_get(run, "machine");
    static const char *const words[] = {"chip", "model", "system", "build"};
    const char *before = "";
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *word = member_text(machine, words[i]);
        if (!*word) continue;
        strbuf_printf(out, "%s", before);
        html_words(out, word);
        before = ", ";
    }
    if (*member_text(machine, "framework")) {
        strbuf_add(out, STR(", Core ML "));
        html_words(out, member_text(machine, "framework"));
    }
    if (member_is_yes(machine, "is_virtual")) strbuf_add(out, STR(", a virtual machine"));
    if (!(member_number(machine, "ane_cores") > 0)) strbuf_add(out, STR(", no Neural Engine"));
}

static void write_result(StrBuf *out, const char *gate, const json_t *result) {
    ProofVerdict verdict = proof_verdict_of(result);
    static const char *const classes[PROOF_VERDICT_COUNT] = {[PROOF_PASSED] = "ok",
                                                             [PROOF_FAILED] = "no",
                                                             [PROOF_UNPROVED] = "maybe",
                                                             [PROOF_NOTE] = ""};
    strbuf_add(out, STR("<tr>"));
    html_cell(out, "", gate);
    html_cell(out, "", member_text(result, "scope"));
    strbuf_printf(out, "<td><b class=\"%s\">%s</b></td>", classes[verdict],
                  proof_verdict_word(verdict));
    html_cell(out, "", member_text(result, "text"));
    strbuf_add(out, STR("</tr>"));
}

static void write_run(StrBuf *out, const json_t *run) {
    bool is_device = member_is_yes(json_object_get(run, "machine"), "is_device");
    strbuf_add(out, STR("<h3>"));
    if (!is_device) strbuf_add(out, STR("No device: a stand-in for the framework on "));
    write_machine(out, run);
    strbuf_printf(out, "</h3><p><b class=\"%s\">%s</b>, ended ",
                  member_is_yes(run, "passed") ? "ok" : "no",
                  member_is_yes(run, "passed") ? "these gates passed" : "a gate failed");
    html_words(out, member_text(run, "ended"));
    if (!is_device) strbuf_add(out, STR("; <b class=\"no\">no figure here is a device's</b>"));
    strbuf_add(out,
               STR(".</p><div class=\"scroll\"><table><thead><tr><th>Gate</th><th>of</th><th></th>"
                   "<th>found</th></tr></thead><tbody>"));
    for (int i = 0; i < DEVICE_GATE_COUNT; i++) {
        const char *name = device_gates[i].name;
        const json_t *result;
        size_t k;
        json_array_foreach(json_object_get(json_object_get(run, "gates"), name), k, result)
            write_result(out, name, result);
    }
    strbuf_add(out, STR("</tbody></table></div>"));
}

bool page_device(Page *p) {
    const json_t *runs = member_list(json_object_get(p->report, "device"), "runs"), *run;
    size_t i;
    if (!runs) return false;
    json_array_foreach(runs, i, run) write_run(p->out, run);
    return true;
}

bool page_has_device(const json_t *report) {
    const json_t *run;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(report, "device"), "runs"), i, run) {
        if (member_is_yes(json_object_get(run, "machine"), "is_device")) return true;
    }
    return false;
}
