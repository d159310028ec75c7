#include "gguf/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "gguf/parse.h"

typedef struct {
    NameRow *keys, *tensors; // sorted by name
} Index;

static NameRow *index_names(Arena *arena, size_t n, const void *rows, size_t row_bytes) {
    NameRow *names = arena_array(arena, n, NameRow);
    // GgufKey and TensorInfo both begin with their name.
    for (size_t i = 0; i < n; i++)
        names[i] = (NameRow){*(const Str *)(const void *)((const char *)rows + i * row_bytes), i};
    name_rows_sort(names, n);
    return names;
}

static bool build_index(Gguf *g, Arena *arena, Err *err) {
    Index *index = arena_new(arena, Index);
    index->keys = index_names(arena, g->n_keys, g->keys, sizeof(GgufKey));
    index->tensors = index_names(arena, g->n_tensors, g->tensors, sizeof(TensorInfo));
    g->index = index;
    const NameRow *twins = name_rows_twins(index->tensors, g->n_tensors);
    return !twins || err_set(err, ERR_FORMAT, "tensor '%.*s' stands in two parts of the model",
                             STR_ARG(twins->name));
}

const GgufKey *gguf_find_key(const Gguf *g, Str name) {
    const NameRow *row = name_rows_find(((const Index *)g->index)->keys, g->n_keys, name);
    return row ? &g->keys[row->row] : NULL;
}

const TensorInfo *gguf_find_tensor(const Gguf *g, Str name) {
    const NameRow *row = name_rows_find(((const Index *)g->index)->tensors, g->n_tensors, name);
    return row ? &g->tensors[row->row] : NULL;
}

// ---- split models: keys of the first part count, tensors of all

static bool split_value(const GgufFile *file, const char *name, uint64_t *value, Err *err) {
    for (size_t i = 0; i < file->n_keys; i++)
        if (str_is(file->keys[i].name, name) && gguf_u64(&file->keys[i], 0, value)) return true;
    return err_set(err, ERR_FORMAT, "%s: a part of a split model without '%s'", file->path, name);
}

// "NAME-00002-of-00005.gguf": where the part number starts, and both numbers.
static bool split_name(const char *path, size_t *stem, unsigned *number, unsigned *count) {
    static const char tail[] = "-00000-of-00000.gguf";
    size_t n = strlen(path), n_tail = sizeof tail - 1;
    if (n <= n_tail) return false;
    const char *at = path + n - n_tail;
    for (size_t i = 0; i < n_tail; i++)
        if (tail[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != tail[i]) return false;
    *stem = n - n_tail;
    return sscanf(at, "-%5u-of-%5u", number, count) == 2;
}

static bool open_part(Gguf *g, GgufFile *file, Arena *arena, const char *path, size_t part,
                      Err *err) {
    file->path = arena_cstr(arena, str_of(path));
    g->parts[part].path = arena_cstr(arena, str_of(path));
    if (!map_file(&g->parts[part].map, path, err)) return false;
    g->n_bytes += g->parts[part].map.len;
    return gguf_parse_file(file, arena, g->parts[part].map.at, g->parts[part].map.len, err) ||
           err_prefix(err, "%s", path);
}

static bool check_split(const GgufFile *file, size_t part, size_t n_parts, Err *err) {
    uint64_t number, count;
    if (!split_value(file, "split.no", &number, err) ||
        !split_value(file, "split.count", &count, err))
        return false;
    if (number == part && count == n_parts) return true;
    return err_set(err, ERR_FORMAT,
                   "%s: says it is part %" PRIu64 " of %" PRIu64 ", but its name says %zu of %zu",
                   file->path, number + 1, count, part + 1, n_parts);
}

static void adopt(Gguf *g, const GgufFile *first) {
    g->version = first->version;
    g->alignment = first->alignment;
    g->keys = first->keys;
    g->n_keys = first->n_keys;
    g->tensors = first->tensors;
    g->n_tensors = first->n_tensors;
}

static bool open_parts(Gguf *g, Arena *arena, const char *path, size_t stem, unsigned count,
                       Err *err) {
    GgufFile *files = arena_array(arena, count, GgufFile);
    g->parts = arena_array(arena, count, GgufPart);
    g->n_parts = count;
    size_t n_tensors = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *name =
            arena_printf(arena, "%.*s-%05u-of-%05u.gguf", (int)stem, path, i + 1, count).at;
        if (!path_exists(name))
            return err_set(err, ERR_FORMAT, "%s: part %u of the model is missing: %s", path, i + 1,
                           name);
        if (!open_part(g, &files[i], arena, name, i, err) || !check_split(&files[i], i, count, err))
            return false;
        n_tensors += files[i].n_tensors;
    }
    adopt(g, &files[0]);
    uint64_t stated;
    if (!split_value(&files[0], "split.tensors.count", &stated, err)) return false;
    if (stated != n_tensors)
        return err_set(err, ERR_FORMAT,
                       "%s: %zu tensors in all parts, 'split.tensors.count' says %" PRIu64, path,
                       n_tensors, stated);
    TensorInfo *all = arena_array(arena, n_tensors, TensorInfo);
    for (unsigned i = 0, at = 0; i < count; at += (unsigned)files[i++].n_tensors)
        if (files[i].n_tensors)
            memcpy(all + at, files[i].tensors, files[i].n_tensors * sizeof *all);
    g->tensors = all;
    g->n_tensors = n_tensors;
    return true;
}

static bool open_single(Gguf *g, Arena *arena, const char *path, Err *err) {
    GgufFile file = {0};
    g->parts = arena_array(arena, 1, GgufPart);
    g->n_parts = 1;
    if (!open_part(g, &file, arena, path, 0, err)) return false;
    adopt(g, &file);
    uint64_t count;
    if (split_value(&file, "split.count", &count, NULL) && count > 1)
        return err_set(err, ERR_FORMAT,
                       "%s: one of %" PRIu64 " parts, but not named NAME-00001-of-%05" PRIu64
                       ".gguf, so the others cannot be found",
                       path, count, count);
    return true;
}

bool gguf_open(Gguf *g, Arena *arena, const char *path, Err *err) {
    *g = (Gguf){0};
    size_t stem;
    unsigned number, count;
    bool ok;
    if (split_name(path, &stem, &number, &count) && count > 1) {
        ok = (count <= GGUF_MAX_SPLITS && number >= 1 && number <= count) ||
             err_set(err, ERR_FORMAT, "%s: part %u of %u, expected at most %d parts", path, number,
                     count, GGUF_MAX_SPLITS);
        ok = ok && open_parts(g, arena, path, stem, count, err);
    } else {
        ok = open_single(g, arena, path, err);
    }
    ok = ok && (build_index(g, arena, err) || err_prefix(err, "%s", path));
    if (!ok) gguf_close(g);
    return ok;
}

bool gguf_open_bytes(Gguf *g, Arena *arena, const void *bytes, size_t n, const char *name,
                     Err *err) {
    *g = (Gguf){0};
    GgufFile file = {.path = name};
    bool ok = gguf_parse_file(&file, arena, bytes, n, err) || err_prefix(err, "%s", name);
    if (ok) {
        adopt(g, &file);
        g->n_bytes = n;
        ok = build_index(g, arena, err);
    }
    if (!ok) gguf_close(g);
    return ok;
}

void gguf_close(Gguf *g) {
    for (size_t i = 0; i < g->n_parts; i++) unmap_file(&g->parts[i].map);
    *g = (Gguf){0};
}

Sha256 gguf_digest(const Gguf *g, const Progress *progress) {
    enum { STEP = 16 << 20 };
    Hasher *hasher = hasher_new();
    uint64_t done = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        const FileMap *map = &g->parts[i].map;
        for (size_t at = 0; at < map->len; at += STEP) {
            size_t n = min_size(STEP, map->len - at);
            hasher_add(hasher, map->at + at, n);
            done += n;
            progress_report(progress, "source digest", done, g->n_bytes);
        }
    }
    return hasher_end(hasher);
}
