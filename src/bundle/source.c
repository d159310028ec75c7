#include "bundle/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"

// ---- where it is

static const char *memory_path(Arena *arena, const char *dir) {
    return path_join(arena, dir, "verify/source.json");
}

// As it was written, or NULL.
static json_t *read_memory(const char *dir, Arena *arena) {
    const char *path = memory_path(arena, dir);
    json_t *memory = path_exists(path) ? json_read_file(path, NULL) : NULL;
    const char *own = json_string_value(json_object_get(memory, "sha256"));
    if (own && strcmp(own, json_own_sha256(memory).hex) == 0) return memory;
    json_decref(memory);
    return NULL;
}

static const char *remembered_path(const char *dir, Arena *arena) {
    json_t *memory = read_memory(dir, arena);
    const char *path = json_string_value(json_object_get(memory, "path"));
    const char *kept = path && path_exists(path) ? arena_cstr(arena, str_of(path)) : NULL;
    json_decref(memory);
    return kept;
}

static const char *find_by_name(const char *dir, const Chain *chain, Arena *arena) {
    if (!chain->source_name.len) return NULL; // chain.json was not read
    const char *name = arena_cstr(arena, chain->source_name);
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--; // "OUT.lathe/", as shells complete it
    while (end > 0 && dir[end - 1] != '/') end--;
    const char *parent = end ? arena_printf(arena, "%.*s", (int)max_size(end - 1, 1), dir).at : ".";
    const char *beside = path_join(arena, parent, name);
    return path_exists(beside) ? beside : path_exists(name) ? name : NULL;
}

const char *source_find(const char *dir, const Chain *chain, const char *given, Arena *arena) {
    if (given) return given;
    const char *named = find_by_name(dir, chain, arena);
    return named ? named : remembered_path(dir, arena);
}

// ---- whether it is the same

// Tokenizer and head of the tensor table lie at the beginning, and every tensor of a model is
// larger than the space between two pages of its file.
enum { END_BYTES = 1 << 20, PAGE_BYTES = 4096, N_PAGES = 256 };

static Xxh128 sample(const Gguf *g) {
    uint8_t *bytes = malloc((2 * END_BYTES + N_PAGES * PAGE_BYTES + 8) * g->n_parts);
    if (!bytes) die_out_of_memory(END_BYTES);
    size_t n = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        const FileMap *map = &g->parts[i].map;
        size_t ends = min_size(map->len, END_BYTES), step = map->len / N_PAGES;
        memcpy(bytes + n, map->at, ends), n += ends;
        memcpy(bytes + n, map->at + map->len - ends, ends), n += ends;
        for (size_t p = 0; p < N_PAGES && step > PAGE_BYTES; p++)
            memcpy(bytes + n, map->at + p * step, PAGE_BYTES), n += PAGE_BYTES;
    }
    Xxh128 digest = xxh128_bytes(bytes, n);
    free(bytes);
    return digest;
}

static json_t *parts_json(const Gguf *g) {
    json_t *parts = json_array();
    for (size_t i = 0; i < g->n_parts; i++) {
        const FileStamp *s = &g->parts[i].map.stamp;
        json_array_append_new(
            parts, json_pack("{s:I, s:I, s:I, s:I}", "bytes", (json_int_t)s->n_bytes, "inode",
                             (json_int_t)s->inode, "modified_ns", (json_int_t)s->modified_ns,
                             "changed_ns", (json_int_t)s->changed_ns));
    }
    return parts;
}

static json_t *memory_json(const Chain *chain, const Gguf *g) {
    char *path = realpath(g->path, NULL);
    json_t *memory =
        json_pack("{s:o, s:s%, s:o, s:s}", "path", path ? json_of_str(str_of(path)) : json_null(),
                  "source_sha256", chain->source_sha256.at, chain->source_sha256.len, "parts",
                  parts_json(g), "quick", sample(g).hex);
    if (!memory) die_out_of_memory(0);
    json_object_set_new(memory, "sha256", json_string(json_own_sha256(memory).hex));
    free(path);
    return memory;
}

bool source_remember(const char *dir, const Chain *chain, const Gguf *source, Err *err) {
    Arena scratch = {0};
    json_t *memory = memory_json(chain, source);
    const char *folder = path_join(&scratch, dir, "verify");
    bool ok = dir_make(folder, err) && json_write_file(memory, memory_path(&scratch, dir), err) &&
              dir_sync(folder, err);
    json_decref(memory);
    arena_free(&scratch);
    return ok;
}

// Path and digest of itself apart, the memory says the same as one made now.
static bool is_remembered(const char *dir, const Chain *chain, const Gguf *source) {
    static const char *const members[] = {"source_sha256", "parts", "quick"};
    Arena scratch = {0};
    json_t *memory = read_memory(dir, &scratch), *now = memory ? memory_json(chain, source) : NULL;
    bool is_same = memory != NULL;
    for (size_t i = 0; is_same && i < COUNT_OF(members); i++)
        is_same = json_equal(json_object_get(memory, members[i]), json_object_get(now, members[i]));
    json_decref(memory);
    json_decref(now);
    arena_free(&scratch);
    return is_same;
}

bool source_check(const char *dir, const Chain *chain, const Gguf *source, const Progress *progress,
                  Err *err) {
    if (is_remembered(dir, chain, source)) return true;
    Sha256 found = gguf_digest(source, progress);
    if (!str_is(chain->source_sha256, found.hex))
        return err_set(err, ERR_GATE,
                       "%s is not the file %s was converted from: its sha256 is %.16s…, expected "
                       "%.16s…",
                       source->path, dir, found.hex, chain->source_sha256.at);
    if (source_holds(source, NULL)) source_remember(dir, chain, source, NULL);
    return true;
}

bool source_holds(const Gguf *source, Err *err) {
    for (size_t i = 0; i < source->n_parts; i++)
        if (!stamp_holds(&source->parts[i].map.stamp, source->parts[i].path, err)) return false;
    return true;
}
