#include "bundle/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "bundle/bundle.h"
#include "bundle/gates.h"

static bool chain_sha256(Sha256 *digest, const char *dir, Err *err) {
    Arena scratch = {0};
    bool ok = sha256_file(digest, path_join(&scratch, dir, "chain.json"), err);
    arena_free(&scratch);
    return ok;
}

bool seal_write(const char *dir, const Chain *chain, const json_t *results, const json_t *unproved,
                const char *tool_version, Err *err) {
    Sha256 digest;
    if (!chain_sha256(&digest, dir, err)) return false;
    json_t *schemas = json_object();
    for (int i = 0; i < GATE_COUNT; i++)
        json_object_set_new(schemas, gates[i].name, json_integer(gates[i].schema));
    // Nothing is measured on a device yet; what will be counts for that chip and build alone.
    json_t *seal =
        json_pack("{s:i, s:s, s:s, s:s%, s:s%, s:n, s:o, s:O, s:O}", "schema", SEAL_SCHEMA, "tool",
                  tool_version, "chain_sha256", digest.hex, "contract_sha256",
                  chain->contract_digest.at, chain->contract_digest.len, "source_sha256",
                  chain->source_sha256.at, chain->source_sha256.len, "device", "gate_schemas",
                  schemas, "gates", results, "unproved", unproved);
    if (!seal) memory_is_out(0);
    json_object_set_new(seal, "sha256", json_string(json_own_sha256(seal).hex));
    Arena scratch = {0};
    bool ok = json_write_file(seal, path_join(&scratch, dir, "seal.json"), err);
    arena_free(&scratch);
    json_decref(seal);
    return ok;
}

enum { SEAL_MAX_UNPROVED = 1000 };

static bool refuse(Err *err, const char *dir, const char *why) {
    return err_set(err, ERR_GATE, "%s %s; prove it: lathe verify %s", dir, why, dir);
}

static bool refuse_broken(Err *err, const char *dir, const Err *why) {
    return err_set(err, ERR_GATE, "%s has a broken seal (%s); prove it: lathe verify %s", dir,
                   why->text, dir);
}

static bool check_seal(const char *dir, json_t *seal, Arena *scratch, Err *err) {
    Err why = {0};
    JsonNeed n = {.arena = scratch, .err = &why};
    uint32_t schema = need_u32(&n, seal, "schema");
    Str stated = need_str(&n, seal, "chain_sha256"), own = need_str(&n, seal, "sha256");
    const json_t *results = need_object(&n, seal, "gates");
    const json_t *schemas = need_object(&n, seal, "gate_schemas");
    size_t n_unproved;
    need_array(&n, seal, "unproved", SEAL_MAX_UNPROVED, &n_unproved);
    if (n.failed) return refuse_broken(err, dir, &why);
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
        return err_set(err, ERR_GATE,
                       "%s/chain.json is missing; convert the model again: lathe convert "
                       "MODEL.gguf -o %s --force",
                       dir, dir);
    Sha256 found;
    if (!chain_sha256(&found, dir, err)) return false;
    if (!str_is(stated, found.hex)) return refuse(err, dir, "has a seal over another chain.json");
    if (!str_is(own, json_own_sha256(seal).hex))
        return refuse(err, dir, "has a seal that was edited");
    return true;
}

// The text itself: spaces that are not as they were written are a sign that somebody was at it.
static bool check_text(const char *dir, const char *path, const json_t *seal, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    char *text = json_text(seal);
    bool same = strlen(text) == map.len && memcmp(text, map.at, map.len) == 0;
    free(text);
    unmap_file(&map);
    return same || refuse(err, dir, "has a seal that was edited");
}

// "A; B; and 3 more": a line that a person reads before each conversation.
static void print_unproved(const json_t *list, StrBuf *out) {
    enum { MOST = 2 };
    const json_t *item;
    size_t i, n = json_array_size(list);
    json_array_foreach(list, i, item) {
        const char *text = json_string_value(json_object_get(item, "text"));
        if (i < MOST && text) strbuf_printf(out, i ? "; %s" : "%s", text);
    }
    if (n > MOST) strbuf_printf(out, "; and %zu more", n - MOST);
}

// In this order nothing is parsed before its digest is known: chain.json by the seal, the rest by
// chain.json.
bool seal_check(const char *dir, StrBuf *unproved, const Progress *progress, Err *err) {
    Arena scratch = {0};
    Chain chain;
    const char *path = path_join(&scratch, dir, "seal.json");
    // What is no bundle at all is not called unproved.
    bool ok = path_exists(path) || (chain_read(&chain, &scratch, dir, err) &&
                                    refuse(err, dir, "is not sealed: no gate has passed it yet"));
    Err why = {0};
    json_t *seal = ok ? json_read_file(path, &why) : NULL;
    if (ok && !seal) refuse_broken(err, dir, &why);
    ok = seal && check_seal(dir, seal, &scratch, err) && check_text(dir, path, seal, err) &&
         chain_read(&chain, &scratch, dir, err) &&
         bundle_check_files(dir, &chain, false, progress, err);
    if (ok && unproved) print_unproved(json_object_get(seal, "unproved"), unproved);
    json_decref(seal);
    arena_free(&scratch);
    return ok;
}
