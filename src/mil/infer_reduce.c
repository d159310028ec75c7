// infer_reduce.c — rules of ops along axes: reductions, sorting, running sums.
#include <inttypes.h>

#include "mil/infer.h"

static MilType without_axes(const MilType *x, const bool *is_reduced, bool keep_dims) {
    MilType result = type_of(x->dtype);
    for (int k = 0; k < x->rank; k++) {
        if (!is_reduced[k]) {
            type_append(&result, x->dims[k]);
        } else if (keep_dims) {
            type_append(&result, 1);
        }
    }
    return result;
}

bool infer_reduce(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    bool is_reduced[MIL_MAX_RANK] = {0}, keep_dims;
    InferInts axes;
    if (!infer_ints(i, "axes", &axes) || !infer_bool(i, "keep_dims", &keep_dims)) return false;
    if (axes.given && !axes.known) return infer_fail(i, "axes must be an immediate constant");
    for (int k = 0; k < x->rank; k++) is_reduced[k] = !axes.given;
    for (uint32_t k = 0; k < axes.n; k++) {
        int axis;
        if (!infer_axis_of(i, "axes", axes.at[k], x->rank, &axis)) return false;
        if (is_reduced[axis]) return infer_fail(i, "axes name axis %d twice", axis);
        is_reduced[axis] = true;
    }
    return infer_result(i, without_axes(x, is_reduced, keep_dims));
}

bool infer_reduce_arg(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    bool is_reduced[MIL_MAX_RANK] = {0}, keep_dims;
    int axis;
    MilDtype dtype;
    if (!infer_axis(i, "axis", x->rank, &axis) || !infer_bool(i, "keep_dims", &keep_dims))
        return false;
    if (!infer_dtype(i, "output_dtype", 1u << MIL_I32 | 1u << MIL_U16, &dtype)) return false;
    is_reduced[axis] = true;
    MilType result = without_axes(x, is_reduced, keep_dims);
    result.dtype = dtype;
    return infer_result(i, result);
}

bool infer_argsort(MilInfer *i) {
    MilType result = *infer_type(i, "x");
    int axis;
    if (!infer_axis(i, "axis", result.rank, &axis)) return false;
    result.dtype = MIL_I32;
    return infer_result(i, result);
}

bool infer_cumsum(MilInfer *i) {
    int axis;
    int64_t value;
    if (!infer_int(i, "axis", &value)) return false;
    if (value < -1) return infer_fail(i, "axis is %" PRId64 ", expected at least -1", value);
    return infer_axis_of(i, "axis", value, infer_type(i, "x")->rank, &axis) && infer_same(i);
}

// Outputs: values, and their indices unless return_indices is false.
bool infer_topk(MilInfer *i) {
    MilType result = *infer_type(i, "x");
    int axis;
    int64_t k;
    bool return_indices;
    MilDtype dtype;
    if (!infer_axis(i, "axis", result.rank, &axis) || !infer_int(i, "k", &k)) return false;
    if (!infer_bool(i, "return_indices", &return_indices)) return false;
    int64_t size = result.dims[axis];
    if (k < 1 || (size != MIL_UNKNOWN_DIM && k > size))
        return infer_fail(i, "k is %" PRId64 ", expected 1 to %" PRId64 ", the size of axis %d", k,
                          size, axis);
    if (!return_indices && infer_has(i, "output_indices_dtype"))
        return infer_fail(i, "output_indices_dtype without return_indices");
    if (!infer_dtype(i, "output_indices_dtype", 1u << MIL_I32 | 1u << MIL_U16, &dtype))
        return false;
    result.dims[axis] = k;
    if (!infer_result(i, result)) return false;
    result.dtype = dtype;
    return !return_indices || infer_result(i, result);
}
