// names.c — finds keys and tensors by name: rows are sorted by name, so that equal names are
// neighbours and lookups are binary searches.
#include <inttypes.h>
#include <stdlib.h>

#include "gguf/parse.h"

static int compare_rows(const void *a, const void *b) {
    const NameRow *x = a, *y = b;
    int order = str_compare(x->name, y->name);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

void name_rows_sort(NameRow *rows, size_t n) {
    if (n) qsort(rows, n, sizeof *rows, compare_rows);
}

const NameRow *name_rows_find_duplicate(const NameRow *rows, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (str_eq(rows[i - 1].name, rows[i].name)) return &rows[i];
    return NULL;
}

const NameRow *name_rows_find(const NameRow *rows, size_t n, Str name) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(rows[middle].name, name);
        if (order == 0) return &rows[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool gguf_read_name(Str *name, Reader *r, size_t max, const char *what, Err *err) {
    uint64_t n = read_u64(r);
    if (r->short_read) return true;
    if (n == 0 || n > max)
        return err_set(err, ERR_FORMAT, "%s has a name of %" PRIu64 " bytes, expected 1 to %zu",
                       what, n, max);
    *name = read_str(r, n);
    for (size_t i = 0; i < name->len; i++) {
        unsigned char c = (unsigned char)name->at[i];
        if (c < 0x20 || c > 0x7E)
            return err_set(err, ERR_FORMAT,
                           "%s has byte 0x%02x in its name (byte %zu of %zu), expected printable "
                           "ASCII",
                           what, c, i + 1, name->len);
    }
    return true;
}

// Names to rows, both sorted by name.
typedef struct {
    NameRow *keys, *tensors;
} Index;

void gguf_set_index(Gguf *g, Arena *arena, NameRow *key_rows, NameRow *tensor_rows) {
    Index *index = arena_new(arena, Index);
    *index = (Index){key_rows, tensor_rows};
    g->index = index;
}

void gguf_replace_keys(Gguf *g, Arena *arena, const GgufKey *keys, size_t n) {
    const Index *index = g->index;
    NameRow *rows = arena_array(arena, n, NameRow);
    for (size_t i = 0; i < n; i++) rows[i] = (NameRow){keys[i].name, i};
    name_rows_sort(rows, n);
    g->keys = keys;
    g->n_keys = n;
    gguf_set_index(g, arena, rows, index ? index->tensors : NULL);
}

void gguf_replace_tensors(Gguf *g, Arena *arena, const TensorInfo *tensors, size_t n,
                          NameRow *rows) {
    const Index *index = g->index;
    g->tensors = tensors;
    g->n_tensors = n;
    gguf_set_index(g, arena, index ? index->keys : NULL, rows);
}

const GgufKey *gguf_find_key(const Gguf *g, Str name) {
    const Index *index = g->index;
    const NameRow *row = index ? name_rows_find(index->keys, g->n_keys, name) : NULL;
    return row ? &g->keys[row->row] : NULL;
}

const TensorInfo *gguf_find_tensor(const Gguf *g, Str name) {
    const Index *index = g->index;
    const NameRow *row = index ? name_rows_find(index->tensors, g->n_tensors, name) : NULL;
    return row ? &g->tensors[row->row] : NULL;
}
