#include "bundle/device_record.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "bundle/device_gates.h"
#include "bundle/verdict.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool device_is_same(const json_t *a, const json_t *b) {
    static const char *const keys[] = {"chip", "model", "build", "framework"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(text_of(a, keys[i]), text_of(b, keys[i])) != 0) return false;
    return json_equal(json_object_get(a, "is_device"), json_object_get(b, "is_device"));
}

// The runs over this chain.json; a new list.
static json_t *read_runs(const char *dir, const Chain *chain) {
    Arena scratch = {0};
    const char *path = path_join(&scratch, dir, "verify/device.json");
    json_t *record = path_exists(path) ? json_read_file(path, NULL) : NULL;
    json_t *runs = NULL;
    if (record && strcmp(text_of(record, "sha256"), json_own_sha256(record).hex) == 0 &&
        strcmp(text_of(record, "chain_sha256"), chain->sha256.hex) == 0 &&
        json_array_size(json_object_get(record, "runs")) <= DEVICE_MOST_RUNS)
        runs = json_incref(json_object_get(record, "runs"));
    json_decref(record);
    arena_free(&scratch);
    return runs ? runs : json_array();
}

static bool write_runs(const char *dir, const Chain *chain, json_t *runs, Err *err) {
    json_t *record = json_pack("{s:i, s:s, s:O}", "schema", DEVICE_SCHEMA, "chain_sha256",
                               chain->sha256.hex, "runs", runs);
    if (!record) die_out_of_memory(0);
    json_object_set_new(record, "sha256", json_string(json_own_sha256(record).hex));
    Arena scratch = {0};
    bool ok = dir_make(path_join(&scratch, dir, "verify"), err) &&
              json_write_file(record, path_join(&scratch, dir, "verify/device.json"), err);
    arena_free(&scratch);
    json_decref(record);
    return ok;
}

bool device_record_add(const char *dir, const Chain *chain, json_t *run, Err *err) {
    json_t *runs = read_runs(dir, chain), *machine = json_object_get(run, "machine");
    for (size_t i = json_array_size(runs); i-- > 0;)
        if (device_is_same(json_object_get(json_array_get(runs, i), "machine"), machine))
            json_array_remove(runs, i);
    while (json_array_size(runs) >= DEVICE_MOST_RUNS) json_array_remove(runs, 0);
    json_array_append(runs, run);
    bool ok = write_runs(dir, chain, runs, err);
    json_decref(runs);
    return ok;
}

// The worst verdict of a gate's results.
static ProofVerdict verdict_of(const json_t *results) {
    ProofVerdict worst = PROOF_PASSED;
    const json_t *result;
    size_t i;
    json_array_foreach(results, i, result) {
        ProofVerdict v = proof_verdict_of(result);
        if (v == PROOF_FAILED || (v == PROOF_UNPROVED && worst != PROOF_FAILED)) worst = v;
    }
    return worst;
}

static json_t *summary_of(const json_t *run) {
    json_t *verdicts = json_object(), *results = json_object_get(run, "gates"), *summary;
    for (int i = 0; i < DEVICE_GATE_COUNT; i++) {
        const json_t *list = json_object_get(results, device_gates[i].name);
        if (json_array_size(list))
            json_object_set_new(verdicts, device_gates[i].name,
                                json_string(proof_verdict_name(verdict_of(list))));
    }
    summary = json_object();
    static const char *const kept[] = {"machine", "tool", "build", "passed"};
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        json_object_set(summary, kept[i], json_object_get(run, kept[i]));
    json_object_set_new(summary, "gates", verdicts);
    return summary;
}

json_t *device_record_summary(const char *dir, const Chain *chain) {
    json_t *runs = read_runs(dir, chain), *list = json_array(), *run;
    size_t i;
    json_array_foreach(runs, i, run) json_array_append_new(list, summary_of(run));
    json_decref(runs);
    if (json_array_size(list)) return list;
    json_decref(list);
    return json_null();
}

json_t *device_record_of(const char *dir, const Chain *chain, const json_t *machine) {
    json_t *runs = read_runs(dir, chain), *found = NULL, *run;
    size_t i;
    json_array_foreach(runs, i, run) {
        if (!found && device_is_same(json_object_get(run, "machine"), machine))
            found = summary_of(run);
    }
    json_decref(runs);
    return found ? found : json_null();
}
