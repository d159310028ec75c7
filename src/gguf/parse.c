// parse.c — header, keys and tensor table of one file. Every number is checked before it is used.
#include "gguf/parse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

typedef struct {
    const char *name;
    unsigned n_bytes; // of one item; 0: strings and arrays
} TypeRow;

// Type numbers and sizes: ggml docs/gguf.md, gguf_metadata_value_type.
static const TypeRow type_rows[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

const char *gguf_type_name(GgufType type) {
    return type < GGUF_TYPE_COUNT ? type_rows[type].name : "?";
}

Str gguf_read_str(Reader *r) {
    uint64_t n = read_u64(r);
    return read_str(r, n);
}

// ---- names

static int compare_rows(const void *a, const void *b) {
    const NameRow *x = a, *y = b;
    int order = str_compare(x->name, y->name);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

void name_rows_sort(NameRow *rows, size_t n) {
    if (n) qsort(rows, n, sizeof *rows, compare_rows);
}

const NameRow *name_rows_twins(const NameRow *rows, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (str_eq(rows[i - 1].name, rows[i].name)) return &rows[i - 1];
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

// ---- keys

static bool read_items(GgufKey *k, Reader *r, Arena *arena, Err *err) {
    if (k->item_type == GGUF_STRING) {
        enum { LEAST_STRING_BYTES = 8 };
        if (k->n_items > reader_left(r) / LEAST_STRING_BYTES) goto too_many;
        Str *strings = arena_array(arena, k->n_items, Str);
        for (size_t i = 0; i < k->n_items; i++) strings[i] = gguf_read_str(r);
        k->strings = strings;
        return true;
    }
    size_t n_bytes = type_rows[k->item_type].n_bytes;
    if (k->n_items > reader_left(r) / n_bytes) goto too_many;
    k->data = read_bytes(r, k->n_items * n_bytes);
    if (k->item_type == GGUF_BOOL)
        for (size_t i = 0; i < k->n_items; i++)
            if (k->data[i] > 1)
                return err_set(err, ERR_FORMAT, "key '%.*s': bool of value %u, expected 0 or 1",
                               STR_ARG(k->name), k->data[i]);
    return true;

too_many:
    return err_set(err, ERR_FORMAT, "key '%.*s': %zu items of %s do not fit in the file",
                   STR_ARG(k->name), k->n_items, gguf_type_name(k->item_type));
}

static bool read_type(Reader *r, Str name, GgufType *type, Err *err) {
    uint32_t id = read_u32(r);
    if (r->short_read) return true; // the caller reports it
    if (id >= GGUF_TYPE_COUNT)
        return err_set(err, ERR_FORMAT, "key '%.*s': value type %u, expected 0 to %d",
                       STR_ARG(name), id, GGUF_TYPE_COUNT - 1);
    *type = (GgufType)id;
    return true;
}

static bool read_key(GgufKey *k, Reader *r, Arena *arena, Err *err) {
    k->name = gguf_read_str(r);
    if (k->name.len > GGUF_MAX_KEY_BYTES || (!r->short_read && k->name.len == 0))
        return err_set(err, ERR_FORMAT, "a key name of %zu bytes, expected 1 to %d", k->name.len,
                       GGUF_MAX_KEY_BYTES);
    if (!read_type(r, k->name, &k->type, err)) return false;
    const uint8_t *start = r->at;
    k->item_type = k->type;
    k->n_items = 1;
    if (k->type == GGUF_ARRAY) {
        if (!read_type(r, k->name, &k->item_type, err)) return false;
        if (k->item_type == GGUF_ARRAY && !r->short_read)
            return err_set(err, ERR_FORMAT, "key '%.*s': an array of arrays; GGUF models use none",
                           STR_ARG(k->name));
        uint64_t n_items = read_u64(r);
        if (n_items > SIZE_MAX / 16)
            return err_set(err, ERR_FORMAT, "key '%.*s': %" PRIu64 " items do not fit in the file",
                           STR_ARG(k->name), n_items);
        k->n_items = (size_t)n_items;
    }
    if (r->short_read) return true;
    if (!read_items(k, r, arena, err)) return false;
    k->encoded = (Str){(const char *)start, (size_t)(r->at - start)};
    return true;
}

static bool check_unique(const GgufFile *file, bool of_keys, Err *err) {
    size_t n = of_keys ? file->n_keys : file->n_tensors;
    Arena scratch = {0};
    NameRow *rows = arena_array(&scratch, n, NameRow);
    for (size_t i = 0; i < n; i++)
        rows[i] = (NameRow){of_keys ? file->keys[i].name : file->tensors[i].name, i};
    name_rows_sort(rows, n);
    const NameRow *twins = name_rows_twins(rows, n);
    bool ok = !twins || err_set(err, ERR_FORMAT, "%s '%.*s' stands twice in the file",
                                of_keys ? "key" : "tensor", STR_ARG(twins->name));
    arena_free(&scratch);
    return ok;
}

static bool read_alignment(GgufFile *file, Err *err) {
    file->alignment = GGUF_DEFAULT_ALIGNMENT;
    for (size_t i = 0; i < file->n_keys; i++) {
        const GgufKey *k = &file->keys[i];
        if (!str_is(k->name, "general.alignment")) continue;
        uint64_t value;
        enum { MAX_ALIGNMENT = 1 << 24 };
        if (k->type == GGUF_ARRAY || !gguf_u64(k, 0, &value) || value == 0 || value % 8 ||
            value > MAX_ALIGNMENT || (value & (value - 1)))
            return err_set(err, ERR_FORMAT,
                           "key 'general.alignment': expected a power of two of 8 or more");
        file->alignment = (size_t)value;
    }
    return true;
}

bool gguf_parse_keys(GgufFile *file, Reader *r, Arena *arena, Err *err) {
    for (size_t i = 0; i < file->n_keys; i++) {
        if (!read_key(&file->keys[i], r, arena, err)) return false;
        if (r->short_read)
            return err_set(err, ERR_FORMAT, "the file ends inside key %zu of %zu", i + 1,
                           file->n_keys);
    }
    return check_unique(file, true, err) && read_alignment(file, err);
}

// ---- tensors

typedef struct {
    uint64_t offset;
    size_t row;
} Extent;

static bool check_shape(TensorInfo *t, uint32_t type_id, Err *err) {
    t->type = block_type(type_id);
    if (!t->type)
        return err_set(err, ERR_FORMAT, "tensor '%.*s': type %u, which no known ggml has",
                       STR_ARG(t->name), type_id);
    t->n_weights = 1;
    for (unsigned i = 0; i < t->n_dims; i++) {
        if (t->dims[i] == 0)
            return err_set(err, ERR_FORMAT, "tensor '%.*s': dimension %u is 0", STR_ARG(t->name),
                           i);
        if (!mul_size(t->n_weights, t->dims[i], &t->n_weights))
            return err_set(err, ERR_FORMAT, "tensor '%.*s': its shape overflows", STR_ARG(t->name));
    }
    if (t->dims[0] % t->type->n_weights)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': rows of %zu weights, but %s comes in blocks of %u",
                       STR_ARG(t->name), t->dims[0], t->type->name, t->type->n_weights);
    if (!mul_size(t->n_weights / t->type->n_weights, t->type->n_bytes, &t->n_bytes))
        return err_set(err, ERR_FORMAT, "tensor '%.*s': its size overflows", STR_ARG(t->name));
    return true;
}

static bool read_tensor(TensorInfo *t, uint64_t *offset, Reader *r, Err *err) {
    t->name = gguf_read_str(r);
    if (t->name.len > GGUF_MAX_NAME_BYTES || (!r->short_read && t->name.len == 0))
        return err_set(err, ERR_FORMAT, "a tensor name of %zu bytes, expected 1 to %d", t->name.len,
                       GGUF_MAX_NAME_BYTES);
    t->n_dims = read_u32(r);
    if (!r->short_read && (t->n_dims == 0 || t->n_dims > GGUF_MAX_DIMS))
        return err_set(err, ERR_FORMAT, "tensor '%.*s': %u dimensions, expected 1 to %d",
                       STR_ARG(t->name), t->n_dims, GGUF_MAX_DIMS);
    for (unsigned i = 0; i < GGUF_MAX_DIMS; i++) {
        uint64_t dim = !r->short_read && i < t->n_dims ? read_u64(r) : 1;
        if (dim > SIZE_MAX / 8)
            return err_set(err, ERR_FORMAT, "tensor '%.*s': dimension of %" PRIu64,
                           STR_ARG(t->name), dim);
        t->dims[i] = (size_t)dim;
    }
    uint32_t type_id = read_u32(r);
    *offset = read_u64(r);
    return r->short_read || check_shape(t, type_id, err);
}

static int compare_extents(const void *a, const void *b) {
    const Extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool check_overlaps(const GgufFile *file, Extent *extents, Err *err) {
    if (file->n_tensors == 0) return true;
    qsort(extents, file->n_tensors, sizeof *extents, compare_extents);
    for (size_t i = 1; i < file->n_tensors; i++) {
        const TensorInfo *before = &file->tensors[extents[i - 1].row];
        if (extents[i].offset - extents[i - 1].offset < before->n_bytes)
            return err_set(err, ERR_FORMAT, "tensors '%.*s' and '%.*s' overlap",
                           STR_ARG(before->name), STR_ARG(file->tensors[extents[i].row].name));
    }
    return true;
}

static bool place_tensor(const GgufFile *file, TensorInfo *t, uint64_t offset, const uint8_t *data,
                         size_t n_data, Err *err) {
    if (offset % file->alignment)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': offset %" PRIu64 " is no multiple of the alignment %zu",
                       STR_ARG(t->name), offset, file->alignment);
    if (offset > n_data || t->n_bytes > n_data - offset)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': %zu bytes at offset %" PRIu64
                       " of the data, which has %zu bytes; the file is cut off or damaged",
                       STR_ARG(t->name), t->n_bytes, offset, n_data);
    t->data = data + offset;
    return true;
}

bool gguf_parse_tensors(GgufFile *file, Reader *r, Arena *arena, const uint8_t *start, size_t n,
                        Err *err) {
    Extent *extents = arena_array(arena, file->n_tensors, Extent);
    for (size_t i = 0; i < file->n_tensors; i++) {
        if (!read_tensor(&file->tensors[i], &extents[i].offset, r, err)) return false;
        if (r->short_read)
            return err_set(err, ERR_FORMAT, "the file ends inside tensor record %zu of %zu", i + 1,
                           file->n_tensors);
        extents[i].row = i;
    }
    size_t data_at = (size_t)round_up((uint64_t)(r->at - start), file->alignment);
    size_t n_data = data_at <= n ? n - data_at : 0;
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!place_tensor(file, &file->tensors[i], extents[i].offset, start + data_at, n_data, err))
            return false;
    return check_unique(file, false, err) && check_overlaps(file, extents, err);
}

// ---- the file

bool gguf_parse_file(GgufFile *file, Arena *arena, const void *bytes, size_t n, Err *err) {
    Reader r = reader_over(bytes, n);
    Str magic = read_str(&r, 4);
    if (r.short_read || !str_is(magic, "GGUF"))
        return err_set(err, ERR_FORMAT, "not a GGUF file: it does not begin with \"GGUF\"");
    file->version = read_u32(&r);
    if (!r.short_read && (file->version == 0x02000000 || file->version == 0x03000000))
        return err_set(err, ERR_FORMAT,
                       "a big-endian GGUF file; lathe reads little-endian ones (llama.cpp's "
                       "gguf_convert_endian.py turns it)");
    if (!r.short_read && file->version != 2 && file->version != 3)
        return err_set(err, ERR_FORMAT, "GGUF version %u, expected 2 or 3", file->version);
    uint64_t n_tensors = read_u64(&r), n_keys = read_u64(&r);
    if (r.short_read)
        return err_set(err, ERR_FORMAT, "%zu bytes, shorter than a GGUF header (%d)", n,
                       GGUF_HEADER_BYTES);
    // A record takes at least so many bytes, so a lying count cannot make us allocate.
    enum { LEAST_KEY_BYTES = 8 + 4 + 1, LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8 };
    if (n_keys > reader_left(&r) / LEAST_KEY_BYTES)
        return err_set(err, ERR_FORMAT, "%" PRIu64 " keys cannot fit in a file of %zu bytes",
                       n_keys, n);
    if (n_tensors > reader_left(&r) / LEAST_TENSOR_BYTES)
        return err_set(err, ERR_FORMAT, "%" PRIu64 " tensors cannot fit in a file of %zu bytes",
                       n_tensors, n);
    file->n_keys = (size_t)n_keys;
    file->n_tensors = (size_t)n_tensors;
    file->keys = arena_array(arena, file->n_keys, GgufKey);
    file->tensors = arena_array(arena, file->n_tensors, TensorInfo);
    return gguf_parse_keys(file, &r, arena, err) &&
           gguf_parse_tensors(file, &r, arena, bytes, n, err);
}
