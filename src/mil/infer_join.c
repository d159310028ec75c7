// infer_join.c — rules of ops that join or split tensors.
#include <inttypes.h>

#include "mil/infer.h"

// Checks that all of `values` have the dtype and rank of the first.
static bool check_alike(MilInfer *i) {
    const MilType *first = infer_type(i, "values");
    for (uint32_t k = 1; k < infer_count(i, "values"); k++) {
        const MilType *t = infer_type_at(i, "values", k);
        if (t->dtype != first->dtype || t->rank != first->rank)
            return infer_fail(
                i, "values[%u] is %s%s but values[0] is %s%s; they must have one type and rank", k,
                mil_dtypes[t->dtype].name, infer_shape_text(i, t), mil_dtypes[first->dtype].name,
                infer_shape_text(i, first));
    }
    return true;
}

bool infer_concat(MilInfer *i) {
    bool interleave;
    if (!infer_bool(i, "interleave", &interleave) || !check_alike(i)) return false;
    const MilType *first = infer_type(i, "values");
    uint32_t n = infer_count(i, "values");
    MilType result = *first;
    if (first->rank == 0) { // scalars become a vector
        int64_t axis;
        if (!infer_int(i, "axis", &axis)) return false;
        if (axis != 0 && axis != -1)
            return infer_fail(i, "axis is %" PRId64 " for scalars, expected 0", axis);
        type_append(&result, n);
        return infer_result(i, result);
    }
    int axis;
    if (!infer_axis(i, "axis", first->rank, &axis)) return false;
    for (uint32_t k = 1; k < n; k++) {
        const MilType *t = infer_type_at(i, "values", k);
        for (int d = 0; d < first->rank; d++) {
            if (!dims_agree(d == axis ? first->dims[d] : result.dims[d], t->dims[d]) &&
                (d != axis || interleave))
                return infer_fail(i, "values[%u] is %s but values[0] is %s, joined along axis %d",
                                  k, infer_shape_text(i, t), infer_shape_text(i, first), axis);
            if (d != axis) result.dims[d] = dim_known_of(result.dims[d], t->dims[d]);
        }
        result.dims[axis] = dim_add(result.dims[axis], t->dims[axis]);
    }
    return infer_result(i, result);
}

bool infer_stack(MilInfer *i) {
    if (!check_alike(i)) return false;
    const MilType *first = infer_type(i, "values");
    uint32_t n = infer_count(i, "values");
    MilType shape = *first, result = type_of(first->dtype);
    int axis;
    if (!infer_axis(i, "axis", first->rank + 1, &axis)) return false;
    for (uint32_t k = 1; k < n; k++) {
        const MilType *t = infer_type_at(i, "values", k);
        for (int d = 0; d < first->rank; d++) {
            if (!dims_agree(shape.dims[d], t->dims[d]))
                return infer_fail(i, "values[%u] is %s but values[0] is %s", k,
                                  infer_shape_text(i, t), infer_shape_text(i, first));
            shape.dims[d] = dim_known_of(shape.dims[d], t->dims[d]);
        }
    }
    type_append_dims(&result, &shape, 0, axis);
    type_append(&result, n);
    type_append_dims(&result, &shape, axis, shape.rank);
    return infer_result(i, result);
}

bool infer_split(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    InferInts sizes;
    int axis;
    int64_t n = 0;
    if (!infer_axis(i, "axis", x->rank, &axis) || !infer_ints(i, "split_sizes", &sizes))
        return false;
    if (infer_has(i, "num_splits")) {
        if (!infer_int(i, "num_splits", &n)) return false;
        if (n < 1 || n > MIL_MAX_OUTPUTS)
            return infer_fail(i, "num_splits is %" PRId64 ", expected 1 to %d", n, MIL_MAX_OUTPUTS);
    } else if (!sizes.given) {
        return infer_fail(i, "neither num_splits nor split_sizes is given");
    }
    if (sizes.given && (sizes.n == 0 || (n && n != sizes.n)))
        return infer_fail(i, "split_sizes has %u items for %" PRId64 " parts", sizes.n, n);

    int64_t length = x->dims[axis], sum = 0;
    if (!sizes.given && length != MIL_UNKNOWN_DIM && length % n)
        return infer_fail(
            i, "axis %d of x is %" PRId64 ", which does not split into %" PRId64 " equal parts",
            axis, length, n);
    MilType part = *x;
    uint32_t n_parts = sizes.given ? sizes.n : (uint32_t)n;
    for (uint32_t k = 0; k < n_parts; k++) {
        if (sizes.given) {
            part.dims[axis] = sizes.known ? sizes.at[k] : MIL_UNKNOWN_DIM;
            if (sizes.known && sizes.at[k] < 0)
                return infer_fail(i, "split_sizes[%u] is negative", k);
            sum = dim_add(sum, part.dims[axis]);
        } else {
            part.dims[axis] = length == MIL_UNKNOWN_DIM ? length : length / n;
        }
        if (!infer_result(i, part)) return false;
    }
    if (sizes.given && !dims_agree(sum, length))
        return infer_fail(i, "split_sizes sum to %" PRId64 " but axis %d of x is %" PRId64, sum,
                          axis, length);
    return true;
}
