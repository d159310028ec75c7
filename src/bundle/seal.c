#include "bundle/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/build.h"
#include "base/file.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/map.h"
#include "bundle/advice.h"
#include "bundle/bundle.h"
#include "bundle/device_record.h"
#include "bundle/gates.h"
#include "bundle/verdict.h"

enum { MAX_UNPROVED = 1000 };

static bool write_seal(const char *dir, json_t *seal, Err *err) {
    Arena scratch = {0};
    json_object_set_new(seal, "sha256", json_string(json_own_sha256(seal).hex));
    bool ok = json_write_file(seal, path_join(&scratch, dir, "seal.json"), err);
    arena_free(&scratch);
    return ok;
}

bool seal_write(const char *dir, const Chain *chain, const SealWords *words, Err *err) {
    json_t *schemas = json_object();
    for (int i = 0; i < GATE_COUNT; i++)
        json_object_set_new(schemas, gates[i].name, json_integer(gates[i].schema));
    json_t *seal = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s%, s:s%, s:o, s:o, s:o, s:o, s:O, s:O}", "schema",
        SEAL_SCHEMA, "tool", words->tool_version, "build", build_id, "kernels", words->kernels,
        "chain_sha256", chain->sha256.hex, "contract_sha256", chain->contract_digest.at,
        chain->contract_digest.len, "source_sha256", chain->source_sha256.at,
        chain->source_sha256.len, "device", device_record_summary(dir, chain), "use",
        use_to_json(&chain->use), "settings", gguf_settings_to_json(&chain->settings),
        "gate_schemas", schemas, "gates", words->results, "unproved", words->unproved);
    if (!seal) die_out_of_memory(0);
    bool ok = write_seal(dir, seal, err);
    json_decref(seal);
    return ok;
}

bool seal_state_devices(const char *dir, const Chain *chain, Err *err) {
    if (!seal_check(dir, NULL, NULL, NULL)) return true;
    Arena scratch = {0};
    json_t *seal = json_read_file(path_join(&scratch, dir, "seal.json"), err);
    arena_free(&scratch);
    if (!seal) return false;
    json_object_set_new(seal, "device", device_record_summary(dir, chain));
    bool ok = write_seal(dir, seal, err);
    json_decref(seal);
    return ok;
}

// ---- refusals

// The command that proves the bundle; chain.json is read where nobody has yet.
static const char *prove_command(Arena *scratch, const char *dir, const Chain *chain) {
    Chain read;
    if (!chain->source_name.len && chain_read(&read, scratch, dir, NULL)) chain = &read;
    return verify_command(scratch, dir, chain);
}

// `why` follows the bundle's name. The command runs as it stands; `chain` is as far as it was read.
static bool refuse_unproved(Err *err, const char *dir, const Chain *chain, const char *why) {
    Arena scratch = {0};
    err_set(err, ERR_UNPROVED, "%s %s; prove it: %s", dir, why,
            prove_command(&scratch, dir, chain));
    arena_free(&scratch);
    return false;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// A file of verify/ that is as it was written and speaks of this chain.json, or NULL.
static json_t *read_record(const char *dir, const char *name, const Chain *chain, Arena *scratch) {
    const char *path = path_join(scratch, path_join(scratch, dir, "verify"), name);
    json_t *record = path_exists(path) ? json_read_file(path, NULL) : NULL;
    if (record && strcmp(text_of(record, "sha256"), json_own_sha256(record).hex) == 0 &&
        strcmp(text_of(record, "chain_sha256"), chain->sha256.hex) == 0)
        return record;
    json_decref(record);
    return NULL;
}

// The first result that failed, of the gates in `record`.
static const json_t *find_failure(const json_t *record, const char **gate) {
    const json_t *all = json_object_get(record, "gates"), *result;
    size_t k;
    for (int i = 0; i < GATE_COUNT; i++)
        json_array_foreach(json_object_get(all, gates[i].name), k, result) {
            *gate = gates[i].name;
            if (proof_verdict_of(result) == PROOF_FAILED) return result;
        }
    return NULL;
}

// How far the proof of a bundle without a seal has come.
static bool refuse_unsealed(const char *dir, const Chain *chain, Arena *scratch, Err *err) {
    json_t *progress = read_record(dir, "progress.json", chain, scratch);
    json_t *report = read_record(dir, "report.json", chain, scratch);
    const char *gate = NULL, *running = text_of(progress, "running");
    if (!*running) running = gates[0].name;
    const json_t *failure = find_failure(report, &gate);
    const char *command = prove_command(scratch, dir, chain);
    long process;
    if (dir_is_locked(dir, &process)) {
        Str who = process ? arena_printf(scratch, " by process %ld", process) : STR("");
        err_set(err, ERR_UNPROVED,
                "%s is not sealed: it is being verified%.*s%s%s; wait until that ends", dir,
                STR_ARG(who), progress ? ", now at gate " : " or converted",
                progress ? running : "");
    } else if (progress) {
        err_set(err, ERR_UNPROVED,
                "%s is not sealed: its verification was interrupted at gate '%s'; continue it: %s "
                "--resume",
                dir, running, command);
    } else if (failure) {
        err_set(err, ERR_GATE,
                "%s is not sealed: it failed gate '%s' (%s: %.500s); see %s/verify/report.html; to "
                "try again: %s",
                dir, gate, text_of(failure, "scope"), text_of(failure, "text"), dir, command);
    } else {
        refuse_unproved(err, dir, chain,
                        report ? "is not sealed: the gates that ran passed, others have not run"
                               : "is not sealed: it was never verified");
    }
    json_decref(progress);
    json_decref(report);
    return false;
}

static bool refuse_broken(Err *err, const char *dir, const Chain *chain, const Err *why) {
    Arena scratch = {0};
    err_set(err, ERR_UNPROVED, "%s has a seal that cannot be read (%s); prove it again: %s", dir,
            why->text, prove_command(&scratch, dir, chain));
    arena_free(&scratch);
    return false;
}

// ---- checks

// Every gate of this program has results there, of its present number, and none of them failed.
static bool check_gates(const char *dir, const Chain *chain, const json_t *seal, Arena *scratch,
                        Err *err) {
    const json_t *all = json_object_get(seal, "gates");
    const json_t *schemas = json_object_get(seal, "gate_schemas");
    const char *failed;
    for (int i = 0; i < GATE_COUNT; i++) {
        const json_t *number = json_object_get(schemas, gates[i].name);
        if (json_array_size(json_object_get(all, gates[i].name)) > 0 &&
            json_integer_value(number) >= gates[i].schema)
            continue;
        return refuse_unproved(
            err, dir, chain,
            arena_printf(scratch, "was sealed when gate '%s' was less strict", gates[i].name).at);
    }
    return !find_failure(seal, &failed) ||
           refuse_unproved(err, dir, chain, "has a seal with a gate that failed");
}

// What can be said before chain.json is parsed: `found` is the digest of its bytes.
static bool check_seal(const char *dir, const Chain *chain, json_t *seal, Sha256 found,
                       Arena *scratch, Err *err) {
    Err why = {0};
    JsonReader n = {.arena = scratch, .err = &why};
    uint32_t schema = need_u32(&n, seal, "schema");
    Str stated = need_str(&n, seal, "chain_sha256"), own = need_str(&n, seal, "sha256");
    size_t n_unproved;
    need_object(&n, seal, "gates");
    need_object(&n, seal, "gate_schemas");
    if (!n.failed && schema != SEAL_SCHEMA)
        return refuse_unproved(err, dir, chain,
                               "was sealed by a version of lathe that wrote another form of seal");
    Str build = need_str(&n, seal, "build");
    need_str(&n, seal, "kernels");
    need_str(&n, seal, "contract_sha256");
    need_str(&n, seal, "source_sha256");
    need_array(&n, seal, "unproved", MAX_UNPROVED, &n_unproved);
    if (n.failed) return refuse_broken(err, dir, chain, &why);
    if (!check_gates(dir, chain, seal, scratch, err)) return false;
    if (!str_is(stated, found.hex))
        return refuse_unproved(err, dir, chain, "has a seal over another chain.json");
    if (!str_is(own, json_own_sha256(seal).hex))
        return refuse_unproved(err, dir, chain, "has a seal that was edited");
    if (str_is(build, build_id)) return true;
    return refuse_unproved(
        err, dir, chain,
        arena_printf(scratch, "was proved by another build of lathe (%.12s…, this one is %.12s…)",
                     build.at, build_id)
            .at);
}

// The text itself, byte for byte: reformatting counts as tampering.
static bool check_text(const char *dir, const Chain *chain, const char *path, const json_t *seal,
                       Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    char *text = json_text(seal);
    bool same = strlen(text) == map.len && memcmp(text, map.at, map.len) == 0;
    free(text);
    unmap_file(&map);
    return same || refuse_unproved(err, dir, chain, "has a seal that was edited");
}

// The seal's own word on contract and source, against the chain's that it is over.
static bool check_same(const char *dir, const Chain *chain, const json_t *seal, Err *err) {
    const struct {
        const char *member, *why;
        Str expected;
    } rows[] = {
        {"contract_sha256", "has a seal over another contract", chain->contract_digest},
        {"source_sha256", "has a seal over another source", chain->source_sha256},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!str_is(rows[i].expected, text_of(seal, rows[i].member)))
            return refuse_unproved(err, dir, chain, rows[i].why);
    return true;
}

static bool check_chain_there(const char *dir, Arena *scratch, Err *err) {
    if (path_exists(path_join(scratch, dir, "chain.json"))) return true;
    const Chain unread = {0};
    return err_set(err, ERR_GATE, "%s/chain.json is missing; convert the model again: %s", dir,
                   convert_command(scratch, dir, &unread, NULL));
}

// "A; B; and 3 more": a line that a person reads before each conversation.
static void print_unproved(const json_t *list, StrBuf *out) {
    enum { MOST = 3 };
    const json_t *item;
    size_t i, n = json_array_size(list);
    json_array_foreach(list, i, item) {
        const char *scope = text_of(item, "scope");
        bool has_scope = *scope && strcmp(scope, "-") != 0;
        if (i < MOST)
            strbuf_printf(out, i ? "; %s" : "%s", has_scope ? scope : text_of(item, "text"));
    }
    if (n > MOST) strbuf_printf(out, "; and %zu more, which lathe verify names", n - MOST);
}

// In this order nothing is used before its digest is known: chain.json by the seal, the rest by
// chain.json.
bool seal_check(const char *dir, StrBuf *unproved, const Progress *progress, Err *err) {
    Arena scratch = {0};
    Chain chain = {0};
    Sha256 found = {{0}};
    const char *path = path_join(&scratch, dir, "seal.json");
    // A folder that is not a bundle gets chain_read()'s message, not "unproved".
    bool ok = path_exists(path) || (chain_read(&chain, &scratch, dir, err) &&
                                    refuse_unsealed(dir, &chain, &scratch, err));
    Err why = {0};
    json_t *seal = ok ? json_read_file(path, &why) : NULL;
    if (ok && !seal) refuse_broken(err, dir, &chain, &why);
    ok = seal && check_chain_there(dir, &scratch, err) &&
         sha256_file(&found, path_join(&scratch, dir, "chain.json"), err) &&
         check_seal(dir, &chain, seal, found, &scratch, err) &&
         check_text(dir, &chain, path, seal, err) && chain_read(&chain, &scratch, dir, err) &&
         (strcmp(chain.sha256.hex, found.hex) == 0 ||
          refuse_unproved(err, dir, &chain, "was changed while it was opened")) &&
         check_same(dir, &chain, seal, err) &&
         bundle_check_files(dir, &chain, false, progress, err);
    if (ok && unproved) print_unproved(json_object_get(seal, "unproved"), unproved);
    json_decref(seal);
    arena_free(&scratch);
    return ok;
}
