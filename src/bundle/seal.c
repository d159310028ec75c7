#include "bundle/seal.h"

#include "base/file.h"
#include "bundle/bundle.h"
#include "bundle/json_need.h"

const char *const seal_gates[] = {"contract",  "structure", "graph", "layer golden",
                                  "positions", "head",      "text",  NULL};

static bool chain_sha256(Sha256 *digest, const char *dir, Err *err) {
    Arena scratch = {0};
    bool ok = sha256_file(digest, path_join(&scratch, dir, "chain.json"), err);
    arena_free(&scratch);
    return ok;
}

bool seal_write(const char *dir, const json_t *gates, const char *tool_version, Err *err) {
    Sha256 digest;
    if (!chain_sha256(&digest, dir, err)) return false;
    json_t *seal = json_pack("{s:i, s:s, s:s, s:O}", "schema", SEAL_SCHEMA, "tool", tool_version,
                             "chain_sha256", digest.hex, "gates", gates);
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
    const json_t *gates = need_object(&n, seal, "gates");
    if (n.failed) return err_prefix(err, "%s/seal.json", dir);
    if (schema != SEAL_SCHEMA)
        return refuse(err, dir, "was sealed by a lathe whose gates have changed since");
    for (size_t i = 0; seal_gates[i]; i++)
        if (!json_object_get(gates, seal_gates[i]))
            return refuse(err, dir, "has a seal that lacks a gate");
    Sha256 found;
    if (!chain_sha256(&found, dir, err)) return false;
    if (!str_is(stated, found.hex)) return refuse(err, dir, "has a seal over another chain.json");
    return true;
}

bool seal_check(const char *dir, const Chain *chain, const Progress *progress, Err *err) {
    Arena scratch = {0};
    const char *path = path_join(&scratch, dir, "seal.json");
    bool ok = path_exists(path) || refuse(err, dir, "is not sealed: no gate has passed it yet");
    json_t *seal = ok ? json_read_file(path, err) : NULL;
    ok = seal && check_seal(dir, seal, &scratch, err) &&
         bundle_check_files(dir, chain, false, progress, err);
    json_decref(seal);
    arena_free(&scratch);
    return ok;
}
