// strided_copy.h — copies boxes of row-major tensors; slices, transposes, tiles and concatenations
// are such copies.
#ifndef LATHE_ENGINE_STRIDED_COPY_H
#define LATHE_ENGINE_STRIDED_COPY_H

#include "engine/prepare.h"

// `dims` elements from one tensor to another, with steps in elements (0 repeats, negative
// reverses).
typedef struct {
    int rank;
    size_t dims[MIL_MAX_RANK];
    ptrdiff_t to_step[MIL_MAX_RANK], from_step[MIL_MAX_RANK];
} Box;

// Elements are 4 bytes, float or int32. Source and destination do not overlap.
void box_copy(const Box *b, void *to, const void *from);

// The same in pieces of the outermost axis, over threads.
void box_copy_threaded(const Box *b, Pool *pool, void *to, const void *from);

static inline void *tensor_data(const EngineTensor *t) {
    return t->f32 ? (void *)t->f32 : (void *)t->i32;
}
static inline void *element_at(const EngineTensor *t, size_t i) {
    return (char *)tensor_data(t) + i * sizeof(float);
}

#endif
