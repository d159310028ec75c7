// page_device.c — results of gates on devices, one section per machine, apart from the proof.
#include "base/size.h"
#include "bundle/device_gates.h"
#include "report/html.h"
#include "report/page.h"

static void write_machine(StrBuf *out, const ReportDeviceRun *run) {
    const char *const words[] = {run->chip, run->model, run->system, run->build};
    const char *before = "";
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!*words[i]) continue;
        strbuf_printf(out, "%s", before);
        html_words(out, words[i]);
        before = ", ";
    }
    if (*run->framework) {
        strbuf_add(out, STR(", Core ML "));
        html_words(out, run->framework);
    }
    if (run->is_virtual) strbuf_add(out, STR(", a virtual machine"));
    if (!(run->n_ane_cores > 0)) strbuf_add(out, STR(", no Neural Engine"));
}

static void write_result(StrBuf *out, const char *gate, const ReportResult *result) {
    static const char *const classes[PROOF_VERDICT_COUNT] = {[PROOF_PASSED] = "ok",
                                                             [PROOF_FAILED] = "no",
                                                             [PROOF_UNPROVED] = "maybe",
                                                             [PROOF_NOTE] = ""};
    strbuf_add(out, STR("<tr>"));
    html_cell(out, "", gate);
    html_cell(out, "", result->scope);
    strbuf_printf(out, "<td><b class=\"%s\">%s</b></td>", classes[result->verdict],
                  proof_verdict_word(result->verdict));
    html_cell(out, "", result->text);
    strbuf_add(out, STR("</tr>"));
}

static void write_run(StrBuf *out, const ReportDeviceRun *run) {
    strbuf_add(out, STR("<h3>"));
    if (!run->is_device) strbuf_add(out, STR("No device: a stand-in for the framework on "));
    write_machine(out, run);
    strbuf_printf(out, "</h3><p><b class=\"%s\">%s</b>, ended ", run->passed ? "ok" : "no",
                  run->passed ? "these gates passed" : "a gate failed");
    html_words(out, run->ended);
    if (!run->is_device) strbuf_add(out, STR("; <b class=\"no\">no figure here is a device's</b>"));
    strbuf_add(out,
               STR(".</p><div class=\"scroll\"><table><thead><tr><th>Gate</th><th>of</th><th></th>"
                   "<th>found</th></tr></thead><tbody>"));
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        for (size_t k = 0; k < run->gates[i].n; k++)
            write_result(out, device_gates[i].name, &run->gates[i].list[k]);
    strbuf_add(out, STR("</tbody></table></div>"));
}

bool page_device(Page *p) {
    for (size_t i = 0; i < p->report->n_device_runs; i++)
        write_run(p->out, &p->report->device_runs[i]);
    return p->report->n_device_runs > 0;
}

bool page_has_device(const Report *report) {
    for (size_t i = 0; i < report->n_device_runs; i++)
        if (report->device_runs[i].is_device) return true;
    return false;
}
