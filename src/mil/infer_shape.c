// infer_shape.c — rules of ops that give the elements of one tensor another shape or order.
#include <inttypes.h>

#include "mil/infer.h"

// An entry 0 of `shape` stands for the dim of x at the same place from the right (1 beyond x's
// rank); one entry may be -1, for the remaining elements. Where the older definition is valid (as
// many entries as x has dims) both mean the same.
bool infer_reshape(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *shape_type = infer_type(i, "shape");
    InferInts shape;
    if (shape_type->rank != 1)
        return infer_fail(i, "shape has rank %d, expected a vector", shape_type->rank);
    if (!infer_ints(i, "shape", &shape)) return false;
    if (shape_type->dims[0] == MIL_UNKNOWN_DIM)
        return infer_fail(i, "shape has an unknown length, so the rank of the result is unknown");
    MilType result = type_of(x->dtype);
    if (!shape.known) {
        for (uint32_t k = 0; k < shape.n; k++) type_append(&result, MIL_UNKNOWN_DIM);
        return infer_result(i, result);
    }
    if (shape.n > MIL_MAX_RANK)
        return infer_fail(i, "shape has %u entries, at most %d are possible", shape.n,
                          MIL_MAX_RANK);

    int rest = -1;
    for (uint32_t k = 0; k < shape.n; k++) {
        int64_t dim = shape.at[k];
        if (dim == 0) {
            int from_right = (int)(shape.n - k);
            dim = from_right <= x->rank ? x->dims[x->rank - from_right] : 1;
        } else if (dim == -1) {
            if (rest >= 0) return infer_fail(i, "shape has more than one -1");
            rest = (int)k;
            dim = 1;
        } else if (dim < 0) {
            return infer_fail(i, "shape[%u] is %" PRId64, k, dim);
        }
        type_append(&result, dim);
    }
    int64_t have = dims_product(x, 0, x->rank), want = dims_product(&result, 0, result.rank);
    if (rest >= 0) {
        bool known = have != MIL_UNKNOWN_DIM && want != MIL_UNKNOWN_DIM;
        result.dims[rest] = !known ? MIL_UNKNOWN_DIM : want ? have / want : 0;
        want = dims_product(&result, 0, result.rank);
    }
    if (!dims_agree(have, want) || have > MIL_MAX_DIM)
        return infer_fail(i, "x %s does not have the elements of shape %s", infer_shape_text(i, x),
                          infer_shape_text(i, &result));
    return infer_result(i, result);
}

bool infer_transpose(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts perm;
    if (!infer_ints(i, "perm", &perm)) return false;
    if (perm.n != (uint32_t)x->rank)
        return infer_fail(i, "perm has %u entries for x of rank %d", perm.n, x->rank);
    MilType result = type_of(x->dtype);
    bool is_used[MIL_MAX_RANK] = {0};
    for (int k = 0; k < x->rank; k++) {
        int axis = 0;
        if (perm.known && !infer_axis_of(i, "perm", perm.at[k], x->rank, &axis)) return false;
        if (perm.known && is_used[axis]) return infer_fail(i, "perm names axis %d twice", axis);
        is_used[axis] = true;
        type_append(&result, perm.known ? x->dims[axis] : MIL_UNKNOWN_DIM);
    }
    return infer_result(i, result);
}

// Marks the axes listed by `param`, counted in `rank` dims.
static bool mark_axes(MilInfer *i, const char *param, const InferInts *axes, int rank,
                      bool *marks) {
    for (uint32_t k = 0; k < axes->n; k++) {
        int axis;
        if (!infer_axis_of(i, param, axes->at[k], rank, &axis)) return false;
        if (marks[axis]) return infer_fail(i, "%s name axis %d twice", param, axis);
        marks[axis] = true;
    }
    return true;
}

bool infer_expand_dims(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts axes;
    bool is_new[MIL_MAX_RANK] = {0};
    if (!infer_ints(i, "axes", &axes)) return false;
    if (!axes.known) return infer_fail(i, "axes must be an immediate constant");
    if (axes.n > MIL_MAX_RANK || x->rank + (int)axes.n > MIL_MAX_RANK)
        return infer_fail(i, "x of rank %d with %u new axes has more than %d", x->rank, axes.n,
                          MIL_MAX_RANK);
    int rank = x->rank + (int)axes.n;
    if (!mark_axes(i, "axes", &axes, rank, is_new)) return false;
    MilType result = type_of(x->dtype);
    for (int k = 0, from = 0; k < rank; k++) type_append(&result, is_new[k] ? 1 : x->dims[from++]);
    return infer_result(i, result);
}

// Listed dims that are not 1 stay, as in coremltools.
bool infer_squeeze(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts axes;
    bool is_listed[MIL_MAX_RANK] = {0};
    if (!infer_ints(i, "axes", &axes)) return false;
    if (axes.given && !axes.known) return infer_fail(i, "axes must be an immediate constant");
    if (!mark_axes(i, "axes", &axes, x->rank, is_listed)) return false;
    MilType result = type_of(x->dtype);
    for (int k = 0; k < x->rank; k++)
        if (x->dims[k] != 1 || (axes.given && !is_listed[k])) type_append(&result, x->dims[k]);
    return infer_result(i, result);
}

bool infer_reverse(MilInfer *i) {
    InferInts axes;
    bool is_listed[MIL_MAX_RANK] = {0};
    return infer_ints(i, "axes", &axes) &&
           mark_axes(i, "axes", &axes, infer_type(i, "x")->rank, is_listed) && infer_same(i);
}

bool infer_flatten2d(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    int64_t value;
    if (!infer_int(i, "axis", &value)) return false;
    if (value < -x->rank || value > x->rank)
        return infer_fail(i, "axis is %" PRId64 ", expected %d to %d", value, -x->rank, x->rank);
    int axis = (int)(value < 0 ? value + x->rank : value);
    MilType result = type_of(x->dtype);
    type_append(&result, dims_product(x, 0, axis));
    type_append(&result, dims_product(x, axis, x->rank));
    return infer_result(i, result);
}

bool infer_tile(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts reps;
    if (!infer_ints_or(i, "reps", (uint32_t)x->rank, 1, &reps)) return false;
    if (x->rank == 0) return infer_fail(i, "x is a scalar");
    MilType result = *x;
    for (int k = 0; k < x->rank; k++) {
        if (reps.known && reps.at[k] < 1)
            return infer_fail(i, "reps[%d] is %" PRId64 ", expected at least 1", k, reps.at[k]);
        result.dims[k] = reps.known ? dim_mul(x->dims[k], reps.at[k]) : MIL_UNKNOWN_DIM;
    }
    return infer_result(i, result);
}

// Pairs of before and after for the last dims of x.
bool infer_pad(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts pad;
    Str mode;
    if (!infer_ints(i, "pad", &pad) || !infer_text(i, "mode", &mode)) return false;
    if (!str_is(mode, "constant") && !str_is(mode, "reflect") && !str_is(mode, "replicate"))
        return infer_fail(i, "mode is '%.*s', expected constant, reflect or replicate",
                          STR_ARG(mode));
    uint32_t n_dims = pad.n / 2, rank = (uint32_t)x->rank;
    if (pad.n % 2 || n_dims > rank || (!pad.known && n_dims != rank))
        return infer_fail(i, "pad has %u items for x of rank %d", pad.n, x->rank);
    MilType result = *x;
    for (uint32_t k = 0; k < n_dims; k++) {
        int64_t *dim = &result.dims[rank - n_dims + k];
        if (!pad.known) {
            *dim = MIL_UNKNOWN_DIM;
            continue;
        }
        if (pad.at[2 * k] < 0 || pad.at[2 * k + 1] < 0)
            return infer_fail(i, "pad has a negative item");
        *dim = dim_add(*dim, pad.at[2 * k] + pad.at[2 * k + 1]);
    }
    return infer_result(i, result);
}

// ---- blocks of space against channels, x [n, channels, height, width]

static bool read_block(MilInfer *i, int64_t *block) {
    const MilType *x = infer_type(i, "x");
    if (x->rank != 4) return infer_fail(i, "x has rank %d, expected 4", x->rank);
    const char *param = i->op->info->params[1].name;
    if (!infer_int(i, param, block)) return false;
    if (*block < 1 || *block > INT32_MAX)
        return infer_fail(i, "%s is %" PRId64 ", expected at least 1", param, *block);
    return true;
}

bool infer_depth_to_space(MilInfer *i) {
    int64_t block;
    if (!read_block(i, &block)) return false;
    MilType result = *infer_type(i, "x");
    int64_t area = dim_mul(block, block);
    if (result.dims[1] > 0) {
        if (result.dims[1] % area)
            return infer_fail(i, "x has %" PRId64 " channels, not a multiple of %" PRId64,
                              result.dims[1], area);
        result.dims[1] /= area;
    }
    result.dims[2] = dim_mul(result.dims[2], block);
    result.dims[3] = dim_mul(result.dims[3], block);
    return infer_result(i, result);
}

bool infer_space_to_depth(MilInfer *i) {
    int64_t block;
    if (!read_block(i, &block)) return false;
    MilType result = *infer_type(i, "x");
    result.dims[1] = dim_mul(result.dims[1], dim_mul(block, block));
    for (int k = 2; k < 4; k++) {
        if (result.dims[k] <= 0) continue;
        if (result.dims[k] % block)
            return infer_fail(i, "dim %d of x is %" PRId64 ", not a multiple of %" PRId64, k,
                              result.dims[k], block);
        result.dims[k] /= block;
    }
    return infer_result(i, result);
}

bool infer_sliding_windows(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    int axis;
    int64_t size, stride;
    if (!infer_axis(i, "axis", x->rank, &axis) || !infer_int(i, "size", &size)) return false;
    if (!infer_int(i, "stride", &stride)) return false;
    int64_t length = x->dims[axis];
    if (size < 1 || stride < 1 || (length != MIL_UNKNOWN_DIM && size > length))
        return infer_fail(i,
                          "size %" PRId64 ", stride %" PRId64 " for an axis of %" PRId64
                          ", expected both from 1 on and a size that fits",
                          size, stride, length);
    MilType result = type_of(x->dtype);
    type_append_dims(&result, x, 0, axis);
    type_append(&result, length == MIL_UNKNOWN_DIM ? length : (length - size) / stride + 1);
    type_append(&result, size);
    type_append_dims(&result, x, axis + 1, x->rank);
    return infer_result(i, result);
}
