#include "bundle/seal.h"

#include "base/file.h"
#include "bundle/bundle.h"
#include "bundle/gates.h"
#include "bundle/json_need.h"

static bool chain_sha256(Sha256 *digest, const char *dir, Err *err) {
    Arena scratch = {0};
    bool ok = sha256_file(digest, path_join(&scratch, dir, "chain.json"), err);
    arena_free(&scratch);
    return ok;
}

bool seal_write(const char *dir, const json_t *results, const char *tool_version, Err *err) {
    Sha256 digest;
    if (!chain_sha256(&digest, dir, err)) return false;
    json_t *schemas = json_object();
    for (int i = 0; i < GATE_COUNT; i++)
        json_object_set_new(schemas, gates[i].name, json_integer(gates[i].schema));
    json_t *seal =
        json_pack("{s:i, s:s, s:s, s:o, s:O}", "schema", SEAL_SCHEMA, "tool", tool_version,
                  "chain_sha256", digest.hex, "gate_schemas", schemas, "gates", results);
    if (!seal) memory_is_out(0);
    Arena scratch = {0};
    bool ok = json_write_file(seal, path_join(&scratch, dir, "seal.json"), err);
    arena_free(&scratch);
    json_decref(seal);
    return ok;
}

static bool refuse(Err *err, const char *dir, const char *why) {
    return err_set(err, ERR_GATE, "%s %s; prove it: lathe verify %s", dir, why, dir);
}

static bool check_seal(const char *dir, const json_t *seal, Arena *scratch, Err *err) {
    JsonNeed n = {.arena = scratch, .err = err};
    uint32_t schema = need_u32(&n, seal, "schema");
    Str stated = need_str(&n, seal, "chain_sha256");
    const json_t *results = need_object(&n, seal, "gates");
    const json_t *schemas = need_object(&n, seal, "gate_schemas");
    if (n.failed) return err_prefix(err, "%s/seal.json", dir);
    if (schema != SEAL_SCHEMA)
        return refuse(err, dir, "was sealed by a lathe whose gates have changed since");
    for (int i = 0; i < GATE_COUNT; i++) {
        const json_t *number = json_object_get(schemas, gates[i].name);
        if (!json_object_get(results, gates[i].name) ||
            json_integer_value(number) < gates[i].schema)
            return err_set(err, ERR_GATE,
                           "%s was sealed before gate '%s' became what it is now; prove it again: "
                           "lathe verify %s",
                           dir, gates[i].name, dir);
    }
    if (!path_exists(path_join(scratch, dir, "chain.json")))
        return err_set(err, ERR_GATE, "%s/chain.json is missing; convert the model again", dir);
    Sha256 found;
    if (!chain_sha256(&found, dir, err)) return false;
    if (!str_is(stated, found.hex)) return refuse(err, dir, "has a seal over another chain.json");
    return true;
}

// In this order nothing is parsed before its digest is known: chain.json by the seal, the rest by
// chain.json.
bool seal_check(const char *dir, const Progress *progress, Err *err) {
    Arena scratch = {0};
    Chain chain;
    const char *path = path_join(&scratch, dir, "seal.json");
    // What is no bundle at all is not called unproved.
    bool ok = path_exists(path) || (chain_read(&chain, &scratch, dir, err) &&
                                    refuse(err, dir, "is not sealed: no gate has passed it yet"));
    json_t *seal = ok ? json_read_file(path, err) : NULL;
    ok = seal && check_seal(dir, seal, &scratch, err) && chain_read(&chain, &scratch, dir, err) &&
         bundle_check_files(dir, &chain, false, progress, err);
    json_decref(seal);
    arena_free(&scratch);
    return ok;
}
