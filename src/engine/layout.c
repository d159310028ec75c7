// Strides and splits of row-major shapes.
#include "engine/layout.h"

AxisSplit axis_split(const MilType *t, int axis) {
    AxisSplit s = {1, (size_t)t->dims[axis], 1};
    for (int i = 0; i < axis; i++) s.outer *= (size_t)t->dims[i];
    for (int i = axis + 1; i < t->rank; i++) s.inner *= (size_t)t->dims[i];
    return s;
}

void row_major_strides(const MilType *t, size_t strides[MIL_MAX_RANK]) {
    size_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= (size_t)t->dims[i];
    }
}
