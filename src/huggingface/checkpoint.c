#include "huggingface/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/reader.h"
#include "base/size.h"

#define CONVERT_FIRST                                                                              \
    "lathe reads F32, F16 and BF16; for a quantised model use its GGUF, or save the original "     \
    "anew "                                                                                        \
    "in one of these"

static bool fail(const TensorInfo *t, const char *what, Err *err) {
    return err_set(err, ERR_FORMAT, "tensor '%.*s': %s", STR_ARG(str_cut(t->name, 100)), what);
}

static bool read_type(TensorInfo *t, const json_t *dtype, Err *err) {
    static const char *const known[] = {"F32", "F16", "BF16"};
    const char *name = json_string_value(dtype);
    for (size_t i = 0; name && i < COUNT_OF(known); i++)
        if (strcmp(name, known[i]) == 0) t->type = block_type_named(name);
    if (t->type) return true;
    return err_set(err, ERR_FORMAT, "tensor '%.*s': dtype %.20s; " CONVERT_FIRST,
                   STR_ARG(str_cut(t->name, 100)), name ? name : "is not a text");
}

static bool read_shape(TensorInfo *t, const json_t *shape, Err *err) {
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > GGUF_MAX_DIMS || n == 0)
        return fail(t, "shape: expected a list of 1 to 4 sizes", err);
    for (size_t d = 0; d < GGUF_MAX_DIMS; d++) t->dims[d] = 1;
    t->n_weights = 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(shape, i);
        json_int_t size = json_integer_value(item);
        if (!json_is_integer(item) || size < 1 || (uint64_t)size > SIZE_MAX ||
            !mul_size(t->n_weights, (size_t)size, &t->n_weights))
            return fail(t, "shape: expected sizes of 1 or more whose product fits in memory", err);
        t->dims[n - 1 - i] = (size_t)size;
    }
    t->n_dims = (unsigned)n;
    while (t->n_dims > 1 && t->dims[t->n_dims - 1] == 1) t->n_dims--;
    return mul_size(t->n_weights, t->type->n_bytes, &t->n_bytes) ||
           fail(t, "shape: its bytes do not fit in memory", err);
}

// Of the `n` bytes after the header.
static bool read_place(TensorInfo *t, const json_t *offsets, const uint8_t *data, size_t n,
                       Err *err) {
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return fail(t, "data_offsets: expected [begin, end]", err);
    uint64_t from = (uint64_t)json_integer_value(begin), to = (uint64_t)json_integer_value(end);
    if (to > n)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': bytes %" PRIu64 " to %" PRIu64
                       " of %zu bytes of data; the file is cut off or damaged",
                       STR_ARG(str_cut(t->name, 100)), from, to, n);
    if (to - from != t->n_bytes)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': %" PRIu64 " bytes, but its shape and dtype take %zu",
                       STR_ARG(str_cut(t->name, 100)), to - from, t->n_bytes);
    t->data = data + from;
    return true;
}

static int by_place(const void *a, const void *b) {
    const TensorInfo *x = a, *y = b;
    return (x->data > y->data) - (x->data < y->data);
}

// In the order of their places each begins where the one before it ends.
static bool check_places(const Checkpoint *c, const uint8_t *data, size_t n, Err *err) {
    const uint8_t *at = data;
    for (size_t i = 0; i < c->count; i++) {
        const TensorInfo *t = &c->at[i];
        if (t->data != at)
            return fail(t,
                        t->data < at ? "overlaps the one before it"
                                     : "bytes before it belong to no tensor",
                        err);
        at += t->n_bytes;
    }
    if (at == data + n) return true;
    return err_set(err, ERR_FORMAT, "%zu bytes at the end belong to no tensor",
                   (size_t)(data + n - at));
}

static bool read_tensor(TensorInfo *t, const json_t *row, const uint8_t *data, size_t n, Err *err) {
    static const char *const members[] = {"dtype", "shape", "data_offsets"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, key, value) {
        size_t i = 0;
        while (i < COUNT_OF(members) && strcmp(key, members[i]) != 0) i++;
        if (i == COUNT_OF(members)) return fail(t, "a member that the format does not have", err);
    }
    return read_type(t, json_object_get(row, members[0]), err) &&
           read_shape(t, json_object_get(row, members[1]), err) &&
           read_place(t, json_object_get(row, members[2]), data, n, err);
}

// Fit for any message.
static bool check_name(Str name, Err *err) {
    enum { MAX_NAME = 256 };
    bool is_plain = name.len > 0 && name.len <= MAX_NAME;
    for (size_t i = 0; is_plain && i < name.len; i++)
        is_plain = name.at[i] > 0x20 && name.at[i] < 0x7F;
    return is_plain ||
           err_set(err, ERR_FORMAT, "a tensor's name: expected 1 to %d printable ASCII characters",
                   MAX_NAME);
}

static bool read_all(Checkpoint *c, Arena *arena, const json_t *header, const uint8_t *data,
                     size_t n, Err *err) {
    const char *name;
    json_t *row;
    if (json_object_size(header) > CHECKPOINT_MAX_TENSORS)
        return err_set(err, ERR_FORMAT, "%zu tensors, expected at most %d",
                       json_object_size(header), CHECKPOINT_MAX_TENSORS);
    c->at = arena_array(arena, json_object_size(header), TensorInfo);
    json_object_foreach((json_t *)(uintptr_t)header, name, row) {
        if (strcmp(name, "__metadata__") == 0) continue; // who wrote it
        if (!check_name(str_of(name), err)) return false;
        TensorInfo *t = &c->at[c->count++];
        t->name = arena_str(arena, str_of(name));
        if (!json_is_object(row)) return fail(t, "expected an object", err);
        if (!read_tensor(t, row, data, n, err)) return false;
    }
    qsort(c->at, c->count, sizeof *c->at, by_place);
    return check_places(c, data, n, err);
}

bool checkpoint_read(Checkpoint *c, Arena *arena, const void *bytes, size_t n, Err *err) {
    *c = (Checkpoint){0};
    Reader r = reader_over(bytes, n);
    uint64_t n_header = read_u64(&r);
    if (r.short_read || n_header > CHECKPOINT_MAX_HEADER || n_header > reader_left(&r))
        return err_set(err, ERR_FORMAT,
                       "not a safetensors file, or cut off: a header of %" PRIu64
                       " bytes in a file of %zu, expected at most %d",
                       n_header, n, CHECKPOINT_MAX_HEADER);
    Str text = read_str(&r, n_header);
    json_t *header = json_parse(text, "its header", err);
    if (!header) return false;
    bool ok = json_is_object(header) || err_set(err, ERR_FORMAT, "its header: expected an object");
    ok = ok && read_all(c, arena, header, (const uint8_t *)bytes + 8 + n_header,
                        n - 8 - (size_t)n_header, err);
    json_decref(header);
    return ok;
}
