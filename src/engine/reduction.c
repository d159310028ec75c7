// Reduced and kept axes, and the pieces of work.
#include "engine/reduction.h"

static void axes_add(Axes *a, size_t dim, size_t stride) {
    a->count *= dim;
    if (dim == 1) return;
    if (a->rank && a->stride[a->rank - 1] == dim * stride) {
        a->dims[a->rank - 1] *= dim;
        a->stride[a->rank - 1] = stride;
        return;
    }
    a->dims[a->rank] = dim;
    a->stride[a->rank++] = stride;
}

Reduction reduction_of(const MilType *x, const bool is_reduced[MIL_MAX_RANK]) {
    Reduction r = {.kept.count = 1, .reduced.count = 1, .inner = 1};
    size_t strides[MIL_MAX_RANK];
    row_major_strides(x, strides);
    int end = x->rank; // axes from here on are inner
    while (end > 0 && !is_reduced[end - 1]) r.inner *= (size_t)x->dims[--end];
    for (int i = 0; i < end; i++)
        axes_add(is_reduced[i] ? &r.reduced : &r.kept, (size_t)x->dims[i], strides[i]);
    return r;
}

size_t axes_offset(const Axes *a, size_t i) {
    if (a->rank == 1) return i * a->stride[0]; // nearly always
    size_t offset = 0;
    for (int axis = a->rank - 1; axis >= 0; axis--) {
        offset += i % a->dims[axis] * a->stride[axis];
        i /= a->dims[axis];
    }
    return offset;
}

static size_t lane_pieces(const Reduction *r) {
    return (r->inner + REDUCTION_LANES - 1) / REDUCTION_LANES;
}

size_t reduction_pieces(const Reduction *r) {
    return r->kept.count * lane_pieces(r);
}

ReductionPiece reduction_piece(const Reduction *r, size_t i) {
    size_t kept = i / lane_pieces(r), column = i % lane_pieces(r) * REDUCTION_LANES;
    return (ReductionPiece){
        .base = axes_offset(&r->kept, kept) + column,
        .out = kept * r->inner + column,
        .lanes = min_size(REDUCTION_LANES, r->inner - column),
    };
}
