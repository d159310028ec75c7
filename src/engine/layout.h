// layout.h — the geometry of row-major tensors.
#ifndef LATHE_ENGINE_LAYOUT_H
#define LATHE_ENGINE_LAYOUT_H

#include "mil/mil.h"

static inline bool is_float(MilDtype dtype) {
    return dtype == MIL_F16 || dtype == MIL_F32 || dtype == MIL_F64 || dtype == MIL_BF16;
}

// A tensor as [outer, size, inner] around `axis`.
typedef struct {
    size_t outer, size, inner;
} AxisSplit;
AxisSplit axis_split(const MilType *t, int axis);

// Elements between neighbours along each axis of a row-major tensor.
void row_major_strides(const MilType *t, size_t strides[MIL_MAX_RANK]);

#endif
