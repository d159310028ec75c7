// split.c — a model in several files, opened as one.
//
// llama.cpp's gguf-split writes NAME-00001-of-0000N.gguf …, each a whole GGUF file with its own
// share of the tensors. The first has the model's keys; all have
//
//     split.no             this part's number, from 0
//     split.count          N
//     split.tensors.count  tensors in all parts
//
// Source: ggml-org/llama.cpp tools/gguf-split, src/llama-model-loader.cpp.
#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "gguf/parse.h"

bool gguf_split_name(SplitName *name, const char *path) {
    static const char tail[] = "-00000-of-00000.gguf";
    size_t n = strlen(path), n_tail = sizeof tail - 1;
    if (n <= n_tail) return false;
    const char *at = path + n - n_tail;
    for (size_t i = 0; i < n_tail; i++)
        if (tail[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != tail[i]) return false;
    name->stem = (Str){path, n - n_tail};
    return sscanf(at, "-%5u-of-%5u", &name->number, &name->count) == 2;
}

static bool need_u64(const GgufFile *file, const char *key, uint64_t *value, Err *err) {
    return gguf_file_u64(file, key, value) ||
           err_set(err, ERR_FORMAT,
                   "key '%s': missing or not an integer, but the file name is that of a part of a "
                   "split model",
                   key);
}

static bool check_numbers(const GgufFile *file, size_t part, const SplitName *name, Err *err) {
    uint64_t number, count;
    if (!need_u64(file, "split.no", &number, err) || !need_u64(file, "split.count", &count, err))
        return false;
    if (number == part && count == name->count) return true;
    return err_set(err, ERR_FORMAT,
                   "keys 'split.no' and 'split.count': part %" PRIu64
                   " (counted from 0) of %" PRIu64
                   ", but the file name is part %zu (counted from 1) of %u",
                   number, count, part + 1, name->count);
}

// The model's keys are those of the first part. A key that a later part repeats must have the same
// value: lathe does not guess which of two holds.
static bool check_later_keys(const GgufFile *first, const GgufFile *later, Err *err) {
    for (size_t i = 0; i < later->n_keys; i++) {
        const GgufKey *k = &later->keys[i];
        if (str_starts(k->name, STR("split.")) || str_is(k->name, "general.alignment")) continue;
        const NameRow *row = name_rows_find(first->key_rows, first->n_keys, k->name);
        const GgufKey *same = row ? &first->keys[row->row] : NULL;
        if (!same || same->type != k->type || !str_eq(same->encoded, k->encoded))
            return err_set(
                err, ERR_FORMAT,
                "key '%.*s' %s in the model's first part; later parts may only repeat its keys",
                NAME_ARG(k->name), same ? "has another value" : "is missing");
    }
    return true;
}

static bool join_tensors(Gguf *g, Arena *arena, const GgufFile *files, Err *err) {
    uint64_t stated;
    if (!need_u64(&files[0], "split.tensors.count", &stated, err)) return false;
    size_t n = 0;
    for (size_t i = 0; i < g->n_parts; i++) n += files[i].n_tensors;
    if (stated != n)
        return err_set(err, ERR_FORMAT,
                       "key 'split.tensors.count': %" PRIu64 ", but the %zu parts hold %zu", stated,
                       g->n_parts, n);
    TensorInfo *all = arena_array(arena, n, TensorInfo);
    NameRow *rows = arena_array(arena, n, NameRow);
    size_t at = 0;
    for (size_t i = 0; i < g->n_parts; i++)
        for (size_t j = 0; j < files[i].n_tensors; j++, at++) {
            all[at] = files[i].tensors[j];
            rows[at] = (NameRow){all[at].name, at};
        }
    name_rows_sort(rows, n);
    const NameRow *duplicate = name_rows_find_duplicate(rows, n);
    if (duplicate)
        return err_set(err, ERR_FORMAT, "tensor '%.*s' occurs in two parts of the model",
                       STR_ARG(duplicate->name));
    g->tensors = all;
    g->n_tensors = n;
    gguf_set_index(g, arena, files[0].key_rows, rows);
    return true;
}

bool gguf_open_split(Gguf *g, Arena *arena, const char *path, const SplitName *name, Err *err) {
    if (name->count > GGUF_MAX_SPLITS || name->number < 1 || name->number > name->count)
        return err_set(err, ERR_FORMAT, "%s: part %u of %u, expected 1 to at most %d", path,
                       name->number, name->count, GGUF_MAX_SPLITS);
    GgufFile *files = arena_array(arena, name->count, GgufFile);
    g->parts = arena_array(arena, name->count, GgufPart);
    g->n_parts = name->count;
    for (unsigned i = 0; i < name->count; i++) {
        const char *part = arena_printf(arena, "%.*s-%05u-of-%05u.gguf", (int)name->stem.len,
                                        name->stem.at, i + 1, name->count)
                               .at;
        if (!path_exists(part))
            return err_set(err, ERR_FORMAT, "%s: missing; the model needs part %u of %u", part,
                           i + 1, name->count);
        if (!gguf_open_part(g, &files[i], arena, part, i, err)) return false;
        if (!check_numbers(&files[i], i, name, err) || !check_later_keys(&files[0], &files[i], err))
            return err_prefix(err, "%s", part);
    }
    gguf_adopt(g, arena, &files[0]);
    return join_tensors(g, arena, files, err) || err_prefix(err, "%s", g->parts[0].path);
}
