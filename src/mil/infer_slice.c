// infer_slice.c — rules of slices: x[begin:end:stride] with masks.
//
// Follows coremltools 9, coremltools/converters/mil/mil/ops/defs/_utils.py
// (solve_slice_by_index_shape), which decides some sizes without knowing the dim of x. begin and
// end may be computed at run time.
#include <inttypes.h>

#include "mil/infer.h"

typedef struct {
    bool has_begin, has_end; // their content is known
    bool begin_mask, end_mask;
    int64_t begin, end, stride;
} AxisSlice;

static int64_t ceil_div(int64_t a, int64_t b) { // b > 0, a >= 0
    return (a + b - 1) / b;
}

static int64_t magnitude(int64_t n) {
    return n < 0 ? -n : n;
}

// Size of the slice of an axis of `dim`.
static bool slice_size(MilInfer *i, const AxisSlice *s, int axis, int64_t dim, int64_t *size) {
    bool forward = s->stride > 0;
    bool bounded = s->has_begin && s->has_end && !s->begin_mask && !s->end_mask;
    if (s->begin_mask && s->end_mask) {
        bool whole = s->stride == 1 || s->stride == -1;
        *size = whole || dim == MIL_UNKNOWN_DIM ? (whole ? dim : MIL_UNKNOWN_DIM)
                                                : ceil_div(dim, magnitude(s->stride));
        return true;
    }
    if (bounded) {
        bool from_front = s->begin >= 0 && s->end >= 0 && forward;
        bool from_back = s->begin < 0 && s->end < 0 && !forward;
        int64_t span = forward ? s->end - s->begin : s->begin - s->end;
        if ((from_front || from_back) && span < 0)
            return infer_fail(i,
                              "begin %" PRId64 ", end %" PRId64 ", stride %" PRId64
                              " on axis %d runs backwards",
                              s->begin, s->end, s->stride, axis);
        if ((from_front || from_back) && ceil_div(span, magnitude(s->stride)) <= 1) {
            *size = ceil_div(span, magnitude(s->stride));
            return true;
        }
    }
    if (!s->begin_mask && s->end_mask && s->has_begin && s->begin == (forward ? -1 : 0)) {
        *size = 1;
        return true;
    }
    *size = MIL_UNKNOWN_DIM;
    if (dim == MIL_UNKNOWN_DIM) return true;
    if (dim == 1) {
        *size = 1;
        return true;
    }
    if ((!s->begin_mask && !s->has_begin) || (!s->end_mask && !s->has_end)) return true;

    int64_t begin = s->begin, end = s->end;
    if (begin < 0) begin = begin + dim > 0 ? begin + dim : 0;
    if (end < 0) end = end + dim > 0 ? end + dim : 0;
    int64_t low = forward ? (s->begin_mask ? 0 : begin) : (s->end_mask ? -1 : end);
    int64_t high = forward ? (s->end_mask ? dim : end) : (s->begin_mask ? dim - 1 : begin);
    int64_t most = forward ? dim : dim - 1;
    if (high > most) high = most;
    *size = high > low ? ceil_div(high - low, magnitude(s->stride)) : 0;
    return true;
}

// The shape of x[begin:end:stride], axes of squeeze_mask dropped.
static bool slice_shape(MilInfer *i, MilType *out) {
    const MilType *x = infer_type(i, "x");
    uint32_t rank = (uint32_t)x->rank;
    InferInts begin, end, stride, begin_mask, end_mask, squeeze_mask;
    if (!infer_ints_or(i, "begin", rank, 0, &begin) || !infer_ints_or(i, "end", rank, 0, &end) ||
        !infer_ints_or(i, "stride", rank, 1, &stride) ||
        !infer_ints_or(i, "begin_mask", rank, 0, &begin_mask) ||
        !infer_ints_or(i, "end_mask", rank, 0, &end_mask) ||
        !infer_ints_or(i, "squeeze_mask", rank, 0, &squeeze_mask))
        return false;
    if (!stride.known || !begin_mask.known || !end_mask.known || !squeeze_mask.known)
        return infer_fail(i, "stride and masks must be immediate constants");

    *out = type_of(x->dtype);
    for (uint32_t k = 0; k < rank; k++) {
        if (stride.at[k] == 0) return infer_fail(i, "stride[%u] is 0", k);
        if (squeeze_mask.at[k]) continue;
        AxisSlice s = {begin.known, end.known, begin_mask.at[k] != 0, end_mask.at[k] != 0,
                       begin.at[k], end.at[k], stride.at[k]};
        int64_t size;
        if (!slice_size(i, &s, (int)k, x->dims[k], &size)) return false;
        type_append(out, size);
    }
    return true;
}

bool infer_slice_by_index(MilInfer *i) {
    MilType result;
    return slice_shape(i, &result) && infer_result(i, result);
}

bool infer_slice_update(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *update = infer_type(i, "update");
    MilType slice;
    if (!slice_shape(i, &slice)) return false;
    bool fits = update->rank == slice.rank;
    for (int k = 0; fits && k < slice.rank; k++) fits = dims_agree(update->dims[k], slice.dims[k]);
    if (!fits)
        return infer_fail(i, "update is %s but the slice of x %s it replaces is %s",
                          infer_shape_text(i, update), infer_shape_text(i, x),
                          infer_shape_text(i, &slice));
    if (update->rank == 0) return infer_fail(i, "update is a scalar, which Core ML refuses");
    return infer_result(i, *x);
}

// size -1 is the rest.
bool infer_slice_by_size(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    uint32_t rank = (uint32_t)x->rank;
    InferInts begin, size;
    if (!infer_ints_or(i, "begin", rank, 0, &begin) || !infer_ints_or(i, "size", rank, 0, &size))
        return false;
    MilType result = *x;
    for (uint32_t k = 0; k < rank; k++) {
        int64_t dim = size.known ? size.at[k] : MIL_UNKNOWN_DIM;
        bool to_end = size.known && dim == -1;
        if (to_end)
            dim = begin.known && x->dims[k] != MIL_UNKNOWN_DIM ? x->dims[k] - begin.at[k]
                                                               : MIL_UNKNOWN_DIM;
        bool inside =
            dim == MIL_UNKNOWN_DIM ||
            (dim >= 0 && (x->dims[k] == MIL_UNKNOWN_DIM ||
                          (begin.known ? begin.at[k] >= 0 && begin.at[k] + dim <= x->dims[k]
                                       : dim <= x->dims[k])));
        if (!inside && !(to_end && dim == MIL_UNKNOWN_DIM))
            return infer_fail(i, "size[%u] reaches beyond x, which is %s", k,
                              infer_shape_text(i, x));
        result.dims[k] = dim;
    }
    return infer_result(i, result);
}
