// read_tensors.c — the tensor table of one file. Shapes and types are judged record by record;
// placement and overlaps of the data once all are read.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "gguf/parse.h"

typedef struct {
    uint64_t offset; // from the start of the data
    size_t row;
} Extent;

static bool check_shape(TensorInfo *t, Err *err) {
    t->n_weights = 1;
    for (unsigned i = 0; i < t->n_dims; i++) {
        if (t->dims[i] == 0)
            return err_set(err, ERR_FORMAT, "tensor '%.*s': dimension %u of %u is 0",
                           STR_ARG(t->name), i + 1, t->n_dims);
        if (!mul_size(t->n_weights, t->dims[i], &t->n_weights))
            return err_set(err, ERR_FORMAT,
                           "tensor '%.*s': its %u dimensions multiply to more than 2^64 weights",
                           STR_ARG(t->name), t->n_dims);
    }
    if (t->dims[0] % t->type->n_weights)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': rows of %zu weights, but %s comes in blocks of %" PRIu32,
                       STR_ARG(t->name), t->dims[0], t->type->name, t->type->n_weights);
    if (!mul_size(t->n_weights / t->type->n_weights, t->type->n_bytes, &t->n_bytes))
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': %zu weights of %s take more than 2^64 bytes",
                       STR_ARG(t->name), t->n_weights, t->type->name);
    return true;
}

// When the file ends inside the record, the caller finds r->short_read set.
static bool read_tensor(const GgufFile *file, TensorInfo *t, Extent *extent, Reader *r, Err *err) {
    char what[64];
    snprintf(what, sizeof what, "tensor %zu of %zu", extent->row + 1, file->n_tensors);
    if (!gguf_read_name(&t->name, r, GGUF_MAX_NAME_BYTES, what, err)) return false;
    t->n_dims = read_u32(r);
    if (r->short_read) return true;
    if (t->n_dims == 0 || t->n_dims > GGUF_MAX_DIMS)
        return err_set(err, ERR_FORMAT, "tensor '%.*s': %u dimensions, expected 1 to %d",
                       STR_ARG(t->name), t->n_dims, GGUF_MAX_DIMS);
    for (unsigned i = 0; i < GGUF_MAX_DIMS; i++) {
        uint64_t dim = i < t->n_dims ? read_u64(r) : 1;
        if (dim > SIZE_MAX / 8)
            return err_set(err, ERR_FORMAT,
                           "tensor '%.*s': dimension %u of %u is %" PRIu64
                           ", expected at most 2^61",
                           STR_ARG(t->name), i + 1, t->n_dims, dim);
        t->dims[i] = (size_t)dim;
    }
    while (t->n_dims > 1 && t->dims[t->n_dims - 1] == 1) t->n_dims--; // as ggml counts them
    uint32_t type_id = read_u32(r);
    extent->offset = read_u64(r);
    if (r->short_read) return true;
    t->type = block_type(type_id);
    if (!t->type)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': unknown weight type %" PRIu32
                       ", expected one of ggml's up to %" PRIu32
                       "; requantise the model, to Q8_0 or Q4_K for instance",
                       STR_ARG(t->name), type_id, block_type_at(block_type_count() - 1)->id);
    return check_shape(t, err);
}

static bool index_tensors(GgufFile *file, Arena *arena, Err *err) {
    file->tensor_rows = arena_array(arena, file->n_tensors, NameRow);
    for (size_t i = 0; i < file->n_tensors; i++)
        file->tensor_rows[i] = (NameRow){file->tensors[i].name, i};
    name_rows_sort(file->tensor_rows, file->n_tensors);
    const NameRow *duplicate = name_rows_find_duplicate(file->tensor_rows, file->n_tensors);
    return !duplicate || err_set(err, ERR_FORMAT, "tensor '%.*s' occurs twice in the file",
                                 STR_ARG(duplicate->name));
}

static bool place_tensor(const GgufFile *file, TensorInfo *t, uint64_t offset, const uint8_t *bytes,
                         size_t data_at, size_t n_data, Err *err) {
    if (offset % file->alignment)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': offset %" PRIu64
                       ", expected a multiple of the alignment %zu",
                       STR_ARG(t->name), offset, file->alignment);
    if (offset > n_data || t->n_bytes > n_data - offset)
        return err_set(err, ERR_FORMAT,
                       "tensor '%.*s': %zu bytes at offset %" PRIu64
                       " of %zu bytes of data; the file is cut off or damaged",
                       STR_ARG(t->name), t->n_bytes, offset, n_data);
    t->data = bytes + data_at + (size_t)offset;
    return true;
}

static int compare_extents(const void *a, const void *b) {
    const Extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool check_overlaps(const GgufFile *file, Extent *extents, Err *err) {
    if (file->n_tensors) qsort(extents, file->n_tensors, sizeof *extents, compare_extents);
    for (size_t i = 1; i < file->n_tensors; i++) {
        const TensorInfo *before = &file->tensors[extents[i - 1].row];
        const TensorInfo *after = &file->tensors[extents[i].row];
        if (extents[i].offset - extents[i - 1].offset < before->n_bytes)
            return err_set(err, ERR_FORMAT,
                           "tensors '%.*s' (%zu bytes at offset %" PRIu64
                           ") and '%.*s' (at %" PRIu64 ") overlap",
                           STR_ARG(before->name), before->n_bytes, extents[i - 1].offset,
                           STR_ARG(after->name), extents[i].offset);
    }
    return true;
}

bool gguf_read_tensors(GgufFile *file, Reader *r, Arena *arena, const uint8_t *bytes, size_t n,
                       Err *err) {
    Extent *extents = arena_array(arena, file->n_tensors, Extent);
    for (size_t i = 0; i < file->n_tensors; i++) {
        extents[i].row = i;
        if (!read_tensor(file, &file->tensors[i], &extents[i], r, err)) return false;
        if (r->short_read)
            return err_set(err, ERR_FORMAT, "the file ends inside tensor %zu of %zu", i + 1,
                           file->n_tensors);
    }
    size_t data_at = (size_t)round_up((uint64_t)(r->at - bytes), file->alignment);
    size_t n_data = data_at <= n ? n - data_at : 0;
    for (size_t i = 0; i < file->n_tensors; i++)
        if (!place_tensor(file, &file->tensors[i], extents[i].offset, bytes, data_at, n_data, err))
            return false;
    return index_tensors(file, arena, err) && check_overlaps(file, extents, err);
}
