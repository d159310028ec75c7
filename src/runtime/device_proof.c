#include "runtime/device_proof.h"

#include <string.h>

#include "base/json.h"
#include "bundle/advice.h"
#include "bundle/device_gates.h"
#include "bundle/device_record.h"
#include "bundle/verdict.h"

json_t *device_machine_json(const RunnerMachine *m) {
    json_t *json =
        json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:i, s:b}", "is_device", (int)m->is_device,
                  "chip", json_of_str(str_of(m->chip)), "model", json_of_str(str_of(m->model)),
                  "system", json_of_str(str_of(m->system)), "build", json_of_str(str_of(m->build)),
                  "framework", json_of_str(str_of(m->framework)), "ane_cores", (int)m->n_ane_cores,
                  "is_virtual", (int)m->is_virtual);
    if (!json) die_out_of_memory(0);
    return json;
}

void device_machine_print(const RunnerMachine *m, StrBuf *out) {
    if (!m->is_device)
        strbuf_add(out, STR("a stand-in for the framework (no figure is a device's) on "));
    strbuf_printf(out, "%s, %s", m->chip, m->system);
    if (m->build[0]) strbuf_printf(out, " (%s)", m->build);
    if (m->framework[0]) strbuf_printf(out, ", Core ML %s", m->framework);
    if (m->is_virtual) strbuf_add(out, STR(", a virtual machine"));
    if (!m->has_ane) strbuf_add(out, STR(", no Neural Engine"));
}

// "passed", "failed", "unproved"; NULL for a gate that has not run here.
static const char *verdict_of(const json_t *run, DeviceGateId gate) {
    return json_string_value(
        json_object_get(json_object_get(run, "gates"), device_gates[gate].name));
}

// "failed: residency, drift", "; " before it when it is not the first. Returns how many there are.
static uint32_t print_gates(const json_t *run, const char *verdict, const char *title,
                            StrBuf *out) {
    uint32_t n = 0;
    for (int i = 0; i < DEVICE_GATE_COUNT; i++) {
        const char *v = verdict_of(run, (DeviceGateId)i);
        if (verdict ? !v || strcmp(v, verdict) != 0 : v != NULL) continue;
        if (n == 0) strbuf_printf(out, "%s%s: ", out->len ? "; " : "", title);
        strbuf_printf(out, "%s%s", n ? ", " : "", device_gates[i].name);
        n++;
    }
    return n;
}

DeviceProof device_proof_read(const Bundle *bundle, const RunnerMachine *m, Arena *arena) {
    json_t *machine = device_machine_json(m);
    json_t *run = device_record_of(bundle->dir, &bundle->chain, machine);
    StrBuf text = {0};
    DeviceProof proof = {0};
    print_gates(run, proof_verdict_name(PROOF_PASSED), "passed", &text);
    proof.has_failed = print_gates(run, proof_verdict_name(PROOF_FAILED), "FAILED", &text) > 0;
    print_gates(run, proof_verdict_name(PROOF_UNPROVED), "unproved", &text);
    if (print_gates(run, NULL, "not run", &text))
        strbuf_printf(&text, "; to run them: %s --engine coreml",
                      verify_command(arena, bundle->dir, &bundle->chain));
    if (proof.has_failed) strbuf_printf(&text, "; see %s/verify/device.json", bundle->dir);
    proof.text = arena_str(arena, (Str){text.at, text.len});
    strbuf_free(&text);
    json_decref(run);
    json_decref(machine);
    return proof;
}
