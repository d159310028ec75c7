// listing.c — reads the API's responses; every member that is used must be present and have the
// right type.
#include "hub/listing.h"

#include <string.h>

#include "base/json.h"
#include "hub/name.h"

// 2^50: no real file is larger, and sums of HUB_MAX_FILES such sizes fit in 64 bits.
#define MAX_FILE_BYTES (UINT64_C(1) << 50)

static bool is_hex(Str s, size_t n_digits) {
    if (s.len != n_digits) return false;
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789abcdef", s.at[i]) || !s.at[i]) return false;
    return true;
}

// ---- the repository

static Str text_of(Arena *arena, const json_t *value) {
    return arena_str(arena, (Str){json_string_value(value), json_string_length(value)});
}

// The only repository that `value`, a text or a list of them, names; NULL: none, or several.
static const json_t *only_one(const json_t *value) {
    if (json_is_array(value)) value = json_array_size(value) == 1 ? json_array_get(value, 0) : NULL;
    return json_is_string(value) ? value : NULL;
}

// The hub's own word on how a model came from its base, where the card leaves it open, is a tag:
// "base_model:finetune:USER/REPO".
static bool is_trained_further(const json_t *tags, Str relation) {
    static const char *const kinds[] = {"finetune", "adapter", "merge"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (str_is(relation, kinds[k])) return true;
        const json_t *tag;
        size_t i;
        json_array_foreach(tags, i, tag) {
            const char *text = json_string_value(tag);
            size_t n = strlen("base_model:");
            if (text && !relation.len && strncmp(text, "base_model:", n) == 0 &&
                strncmp(text + n, kinds[k], strlen(kinds[k])) == 0 &&
                text[n + strlen(kinds[k])] == ':')
                return true;
        }
    }
    return false;
}

bool hub_read_repo(HubRepo *repo, Arena *arena, Str json, Err *err) {
    *repo = (HubRepo){0};
    json_t *answer = json_parse(json, "the hub's answer", err);
    if (!answer) return false;
    JsonReader need = {.arena = arena, .err = err};
    repo->commit = need_str(&need, answer, "sha");
    if (need.failed) err_prefix(err, "the hub's answer");
    bool ok = !need.failed;
    if (ok && !is_hex(repo->commit, 40))
        ok = err_set(err, ERR_FORMAT, "the hub's answer: member \"sha\": expected 40 hex digits");
    const json_t *card = json_object_get(answer, "cardData");
    const json_t *base = only_one(json_object_get(card, "base_model"));
    const json_t *relation = only_one(json_object_get(card, "base_model_relation"));
    Str kind = relation ? text_of(arena, relation) : (Str){"", 0};
    if (ok && base && !is_trained_further(json_object_get(answer, "tags"), kind)) {
        Str name = text_of(arena, base);
        if (hub_is_repo(name)) repo->base = name;
    }
    json_decref(answer);
    return ok;
}

// ---- the files

static HubFile *add_file(HubListing *l, Arena *arena) {
    l->files = arena_grow(arena, l->files, l->count, &l->cap, sizeof *l->files);
    return &l->files[l->count++];
}

static bool read_file(HubFile *f, Arena *arena, const json_t *entry, Err *err) {
    JsonReader need = {.arena = arena, .err = err};
    *f = (HubFile){.path = need_str(&need, entry, "path"),
                   .git_id = need_str(&need, entry, "oid"),
                   .n_bytes = need_u64(&need, entry, "size", MAX_FILE_BYTES)};
    if (json_object_get(entry, "lfs")) {
        const json_t *lfs = need_object(&need, entry, "lfs");
        f->sha256 = need_str(&need, lfs, "oid");
        f->n_bytes = need_u64(&need, lfs, "size", MAX_FILE_BYTES);
    }
    if (need.failed) return false;
    if (!hub_is_path(f->path))
        return err_set(err, ERR_FORMAT, "a file called %.*s, expected a path inside the repository",
                       STR_ARG(str_cut(json_quoted(arena, f->path), 200)));
    if (!is_hex(f->git_id, 40) || (f->sha256.len && !is_hex(f->sha256, 64)))
        return err_set(err, ERR_FORMAT, "file %.*s: member \"oid\" is no digest",
                       STR_ARG(json_quoted(arena, f->path)));
    return true;
}

bool hub_read_tree(HubListing *l, Arena *arena, Str json, Err *err) {
    json_t *page = json_parse(json, "the hub's list of files", err);
    if (!page) return false;
    bool ok = json_is_array(page) ||
              err_set(err, ERR_FORMAT, "the hub's list of files: expected a JSON array");
    const json_t *entry;
    size_t i;
    json_array_foreach(page, i, entry) {
        const char *type = json_string_value(json_object_get(entry, "type"));
        if (!ok || (type && strcmp(type, "directory") == 0)) continue;
        if (l->count == HUB_MAX_FILES)
            ok = err_set(err, ERR_FORMAT, "the hub's list of files: more than %d", HUB_MAX_FILES);
        else if (!read_file(add_file(l, arena), arena, entry, err))
            ok = err_prefix(err, "the hub's list of files");
    }
    json_decref(page);
    return ok;
}

const HubFile *hub_find_file(const HubListing *l, Str path) {
    for (size_t i = 0; i < l->count; i++)
        if (str_eq(l->files[i].path, path)) return &l->files[i];
    return NULL;
}
