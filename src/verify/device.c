#include "verify/device.h"

#include <string.h>
#include <time.h>

#include "base/build.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/usage.h"
#include "bundle/device_gates.h"
#include "bundle/device_record.h"
#include "bundle/seal.h"
#include "bundle/source.h"
#include "gates/device_gates.h"
#include "runtime/device_proof.h"
#include "runtime/engines.h"
#include "verify/open.h"

static Gate *const runs[DEVICE_GATE_COUNT] = {
#define DEVICE_GATE(id, name, function, doc) [DEVICE_GATE_##id] = function,
#include "bundle/device_gates.def"
#undef DEVICE_GATE
};

static void note_machine(const Proof *p, const RunnerMachine *m) {
    StrBuf text = {0};
    strbuf_add(&text, STR("the results below hold for "));
    device_machine_print(m, &text);
    if (p->job->note) p->job->note(p->job->line_context, text.at);
    if (p->job->machine) device_machine_print(m, p->job->machine);
    strbuf_free(&text);
}

// ---- the gates

static bool run_gate(Proof *p, DeviceGateId id, Err *err) {
    const char *name = device_gates[id].name;
    p->gate_failed = false;
    p->running = name;
    if (!progress_step(p->job->progress, name, 0, 0, err)) return false;
    Err why = {0};
    double started = now_seconds();
    bool has_run = runs[id](p, &why);
    json_object_set_new(p->seconds, name, json_real(now_seconds() - started));
    if (!has_run && why.kind != ERR_GATE) {
        if (err) *err = why;
        return err_prefix(err, "gate '%s' could not run", name);
    }
    if (!has_run) proof_result(p, name, false, NULL, "-", "%s", why.text);
    if (p->job->gate_ended)
        p->job->gate_ended(p->job->line_context, name, json_object_get(p->gates, name), false);
    return true;
}

static bool run_gates(Proof *p, Err *err) {
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        if (gate_is_listed(p->job->gates, device_gates[i].name) &&
            !run_gate(p, (DeviceGateId)i, err))
            return false;
    p->running = NULL;
    Err why = {0};
    if (bundle_holds(&p->bundle, &why) && source_holds(&p->source, &why)) return true;
    return err_set(err, ERR_GATE,
                   "%s while the gates ran on %s: nothing is recorded; run the command again",
                   why.text, p->bundle.dir);
}

// ---- the record

static json_t *run_json(const Proof *p, const RunnerMachine *m) {
    char started[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const char *name;
    json_t *results;
    bool has_passed = true;
    json_object_foreach(p->gates, name, results) {
        if (proof_any_failed(results)) has_passed = false;
    }
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:b, s:O, s:O}", "machine", device_machine_json(m),
                     "tool", p->job->tool_version, "build", build_id, "engine",
                     p->job->engine->name, "ended", started, "passed", (int)has_passed, "gates",
                     p->gates, "seconds", p->seconds);
}

// What the framework wrote while it loaded, kept beside the record: verify/device-logs/NAME. One
// that cannot be read is left out.
static bool keep_log(const Proof *p, const char *path, json_t *logs, Err *err) {
    Arena scratch = {0};
    FileMap map;
    const char *name = path_file_name(path);
    bool ok = true;
    if (!json_object_get(logs, name) && map_file(&map, path, NULL)) {
        Str text = arena_str(&scratch, (Str){(const char *)map.at, map.len});
        unmap_file(&map);
        const char *dir = path_join(&scratch, p->bundle.dir, "verify/device-logs");
        ok = dir_make(path_join(&scratch, p->bundle.dir, "verify"), err) && dir_make(dir, err) &&
             file_replace(path_join(&scratch, dir, name), text.at, text.len, err);
        json_object_set_new(logs, name, json_integer((json_int_t)text.len));
    }
    arena_free(&scratch);
    return ok;
}

static bool keep_logs(const Proof *p, json_t *run, Err *err) {
    json_t *loads = json_object_get(p->sections, "loads"), *row, *logs = json_object();
    size_t i;
    bool ok = true;
    json_array_foreach(loads, i, row) {
        const char *path = json_string_value(json_object_get(row, "log"));
        if (!path) continue;
        ok = ok && keep_log(p, path, logs, err);
        json_object_set_new(row, "log", json_string(path_file_name(path)));
    }
    json_object_set_new(run, "logs", logs);
    json_object_set_new(run, "loads", loads ? json_incref(loads) : json_array());
    return ok;
}

static bool write_run(const Proof *p, const RunnerMachine *m, Err *err) {
    json_t *run = run_json(p, m);
    if (!run) die_out_of_memory(0);
    bool ok = keep_logs(p, run, err) &&
              device_record_add(p->bundle.dir, &p->bundle.chain, run, err) &&
              seal_state_devices(p->bundle.dir, &p->bundle.chain, err);
    json_decref(run);
    return ok;
}

static bool say_failure(const Proof *p, const RunnerMachine *m, Err *err) {
    StrBuf names = {0}, machine = {0};
    device_machine_print(m, &machine);
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        if (proof_any_failed(json_object_get(p->gates, device_gates[i].name)))
            strbuf_printf(&names, names.len ? ", %s" : "%s", device_gates[i].name);
    err_set(err, ERR_GATE,
            "%s: a gate failed on %s: %s; %s/verify/device.json has the figures. The proof in the "
            "seal did not change: it is about lathe's own engine",
            p->bundle.dir, machine.at, names.at, p->bundle.dir);
    strbuf_free(&names);
    strbuf_free(&machine);
    return false;
}

static bool judge(Proof *p, Err *err) {
    RunnerMachine machine;
    p->job->engine->runner->machine(&machine);
    note_machine(p, &machine);
    if (!run_gates(p, err) || !write_run(p, &machine, err)) return false;
    return !p->has_failed || say_failure(p, &machine, err);
}

bool verify_device(const VerifyJob *job, Err *err) {
    Arena arena = {0};
    Proof p = {.job = job,
               .arena = &arena,
               .has_bundle = true,
               .is_on_device = true,
               .gates = json_object(),
               .sections = json_object(),
               .section_gates = json_object(),
               .seconds = json_object(),
               .started = now_seconds()};
    DirLock lock = {0};
    bool ok = device_gate_check_list(job->gates, err) && proof_lock_bundle(&lock, job, err) &&
              proof_open(&p, err) && judge(&p, err);
    proof_close(&p);
    dir_unlock(&lock);
    arena_free(&arena);
    return ok;
}
