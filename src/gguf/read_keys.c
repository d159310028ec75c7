// read_keys.c — the metadata of one file. Every number is checked before it is used.
#include <inttypes.h>
#include <stdio.h>

#include "base/size.h"
#include "gguf/parse.h"

const GgufKey *gguf_file_key(const GgufFile *file, const char *name) {
    const NameRow *row = name_rows_find(file->key_rows, file->n_keys, str_of(name));
    return row ? &file->keys[row->row] : NULL;
}

bool gguf_file_u64(const GgufFile *file, const char *name, uint64_t *value) {
    const GgufKey *k = gguf_file_key(file, name);
    return k && k->type != GGUF_ARRAY && gguf_u64(k, 0, value);
}

static bool read_type(const GgufKey *k, Reader *r, GgufType *type, Err *err) {
    uint32_t id = read_u32(r); // 0, a valid type, when the file ends here
    if (id >= GGUF_TYPE_COUNT)
        return err_set(err, ERR_FORMAT, "key '%.*s': value type %" PRIu32 ", expected 0 to %d",
                       NAME_ARG(k->name), id, GGUF_TYPE_COUNT - 1);
    *type = (GgufType)id;
    return true;
}

static bool read_string(const GgufKey *k, Reader *r, Str *s, Err *err) {
    uint64_t n = read_u64(r);
    if (n > reader_left(r))
        return err_set(err, ERR_FORMAT,
                       "key '%.*s': a string of %" PRIu64 " bytes where the file has %zu left; it "
                       "is cut off or damaged",
                       NAME_ARG(k->name), n, reader_left(r));
    *s = read_str(r, n);
    return true;
}

static bool too_many_items(const GgufKey *k, uint64_t n_items, const Reader *r, Err *err) {
    return err_set(err, ERR_FORMAT,
                   "key '%.*s': %" PRIu64 " items of %s where the file has %zu bytes left; it is "
                   "cut off or damaged",
                   NAME_ARG(k->name), n_items, gguf_type_name(k->item_type), reader_left(r));
}

static bool read_strings(GgufFile *file, GgufKey *k, uint64_t n_items, Reader *r, Arena *arena,
                         Err *err) {
    enum { LEAST_STRING_BYTES = 8 };
    if (n_items > reader_left(r) / LEAST_STRING_BYTES) return too_many_items(k, n_items, r, err);
    if (n_items > GGUF_MAX_STRINGS - file->n_strings)
        return err_set(err, ERR_FORMAT, "key '%.*s': more than %d strings in the file",
                       NAME_ARG(k->name), GGUF_MAX_STRINGS);
    k->n_items = (size_t)n_items;
    file->n_strings += k->n_items;
    Str *strings = arena_array(arena, k->n_items, Str);
    k->strings = strings;
    for (size_t i = 0; i < k->n_items; i++)
        if (!read_string(k, r, &strings[i], err)) return false;
    return true;
}

static bool read_numbers(GgufKey *k, uint64_t n_items, Reader *r, Err *err) {
    size_t n_bytes = gguf_type_row(k->item_type)->n_bytes;
    if (n_items > reader_left(r) / n_bytes) return too_many_items(k, n_items, r, err);
    k->n_items = (size_t)n_items;
    k->data = read_bytes(r, k->n_items * n_bytes);
    if (k->item_type != GGUF_BOOL) return true;
    for (size_t i = 0; i < k->n_items; i++)
        if (k->data[i] > 1)
            return err_set(err, ERR_FORMAT, "key '%.*s': a bool of value %u, expected 0 or 1",
                           NAME_ARG(k->name), k->data[i]);
    return true;
}

// When the file ends inside the record, the caller finds r->short_read set.
static bool read_key(GgufFile *file, GgufKey *k, size_t row, Reader *r, Arena *arena, Err *err) {
    char what[64];
    snprintf(what, sizeof what, "key %zu of %zu", row + 1, file->n_keys);
    if (!gguf_read_name(&k->name, r, GGUF_MAX_KEY_BYTES, what, err) ||
        !read_type(k, r, &k->type, err))
        return false;
    const uint8_t *start = r->at;
    k->item_type = k->type;
    uint64_t n_items = 1;
    if (k->type == GGUF_ARRAY) {
        if (!read_type(k, r, &k->item_type, err)) return false;
        if (k->item_type == GGUF_ARRAY)
            return err_set(
                err, ERR_FORMAT,
                "key '%.*s': an array of arrays, expected an array of numbers or strings",
                NAME_ARG(k->name));
        n_items = read_u64(r);
    }
    if (r->short_read) return true;
    bool ok = k->item_type == GGUF_STRING ? read_strings(file, k, n_items, r, arena, err)
                                          : read_numbers(k, n_items, r, err);
    k->encoded = (Str){(const char *)start, (size_t)(r->at - start)};
    return ok;
}

static bool index_keys(GgufFile *file, Arena *arena, Err *err) {
    file->key_rows = arena_array(arena, file->n_keys, NameRow);
    for (size_t i = 0; i < file->n_keys; i++) file->key_rows[i] = (NameRow){file->keys[i].name, i};
    name_rows_sort(file->key_rows, file->n_keys);
    const NameRow *duplicate = name_rows_find_duplicate(file->key_rows, file->n_keys);
    return !duplicate || err_set(err, ERR_FORMAT, "key '%.*s' occurs twice in the file",
                                 NAME_ARG(duplicate->name));
}

// docs/gguf.md requires a multiple of 8; llama.cpp a power of two. Published files are both.
static bool read_alignment(GgufFile *file, Err *err) {
    file->alignment = GGUF_DEFAULT_ALIGNMENT;
    const GgufKey *k = gguf_file_key(file, "general.alignment");
    if (!k) return true;
    uint64_t value;
    if (!gguf_file_u64(file, "general.alignment", &value))
        return err_set(err, ERR_FORMAT, "key 'general.alignment': a value of type %s, expected u32",
                       gguf_type_name(k->type));
    if (value < 8 || value > GGUF_MAX_ALIGNMENT || (value & (value - 1)))
        return err_set(err, ERR_FORMAT,
                       "key 'general.alignment': %" PRIu64 ", expected a power of two from 8 to %d",
                       value, GGUF_MAX_ALIGNMENT);
    file->alignment = (size_t)value;
    return true;
}

bool gguf_read_keys(GgufFile *file, Reader *r, Arena *arena, Err *err) {
    for (size_t i = 0; i < file->n_keys; i++) {
        if (!read_key(file, &file->keys[i], i, r, arena, err)) return false;
        if (r->short_read)
            return err_set(err, ERR_FORMAT, "the file ends inside key %zu of %zu", i + 1,
                           file->n_keys);
    }
    return index_keys(file, arena, err) && read_alignment(file, err);
}
