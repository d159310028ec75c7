// infer_index.c — rules of gather and scatter.
#include <inttypes.h>

#include "mil/infer.h"

bool infer_gather(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *indices = infer_type(i, "indices");
    int axis;
    int64_t batch;
    if (!infer_axis(i, "axis", x->rank, &axis) || !infer_int(i, "batch_dims", &batch)) return false;
    if (batch < 0 || batch >= x->rank || batch > indices->rank || batch > axis)
        return infer_fail(
            i, "batch_dims is %" PRId64 " for x of rank %d, indices of rank %d and axis %d", batch,
            x->rank, indices->rank, axis);
    for (int k = 0; k < batch; k++)
        if (!dims_agree(x->dims[k], indices->dims[k]))
            return infer_fail(i, "x %s and indices %s differ in batch dim %d",
                              infer_shape_text(i, x), infer_shape_text(i, indices), k);
    MilType result = type_of(x->dtype);
    type_append_dims(&result, x, 0, axis);
    type_append_dims(&result, indices, (int)batch, indices->rank);
    type_append_dims(&result, x, axis + 1, x->rank);
    return infer_result(i, result);
}

// indices like x but for `axis`.
static bool check_along_axis(MilInfer *i, const MilType *x, int axis) {
    const MilType *indices = infer_type(i, "indices");
    bool fits = indices->rank == x->rank;
    for (int k = 0; fits && k < x->rank; k++)
        fits = k == axis || dims_agree(x->dims[k], indices->dims[k]);
    return fits || infer_fail(i, "indices are %s for %s, expected the same dims but for axis %d",
                              infer_shape_text(i, indices), infer_shape_text(i, x), axis);
}

bool infer_gather_along_axis(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    int axis;
    if (!infer_axis(i, "axis", x->rank, &axis) || !check_along_axis(i, x, axis)) return false;
    MilType result = *infer_type(i, "indices");
    result.dtype = x->dtype;
    return infer_result(i, result);
}

// How many dims of a tensor one index of [..., depth] names.
static bool index_depth(MilInfer *i, int most, int *depth) {
    const MilType *indices = infer_type(i, "indices");
    int64_t d = indices->rank ? indices->dims[indices->rank - 1] : 0;
    if (indices->rank == 0 || d == MIL_UNKNOWN_DIM || d > most)
        return infer_fail(i, "indices are %s; their last dim must be known and at most %d",
                          infer_shape_text(i, indices), most);
    *depth = (int)d;
    return true;
}

bool infer_gather_nd(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *indices = infer_type(i, "indices");
    int64_t batch;
    int depth = 0;
    if (!infer_int(i, "batch_dims", &batch)) return false;
    if (batch < 0 || batch > x->rank || batch >= indices->rank)
        return infer_fail(i, "batch_dims is %" PRId64 " for x of rank %d and indices of rank %d",
                          batch, x->rank, indices->rank);
    if (!index_depth(i, x->rank - (int)batch, &depth)) return false;
    MilType result = type_of(x->dtype);
    type_append_dims(&result, indices, 0, indices->rank - 1);
    type_append_dims(&result, x, (int)batch + depth, x->rank);
    return infer_result(i, result);
}

static bool check_mode(MilInfer *i) {
    static const char *const modes[] = {"update", "add", "sub", "mul", "div", "max", "min"};
    Str mode;
    if (!infer_text(i, "mode", &mode)) return false;
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
        if (str_is(mode, modes[k])) return true;
    return infer_fail(i, "mode is '%.*s', expected update, add, sub, mul, div, max or min",
                      STR_ARG(mode));
}

static bool check_updates(MilInfer *i, const MilType *expected) {
    const MilType *updates = infer_type(i, "updates");
    bool fits = updates->rank == expected->rank;
    for (int k = 0; fits && k < expected->rank; k++)
        fits = dims_agree(updates->dims[k], expected->dims[k]);
    return fits || infer_fail(i, "updates are %s, expected %s", infer_shape_text(i, updates),
                              infer_shape_text(i, expected));
}

bool infer_scatter(MilInfer *i) {
    const MilType *data = infer_type(i, "data"), *indices = infer_type(i, "indices");
    int axis;
    if (!infer_axis(i, "axis", data->rank, &axis) || !check_mode(i)) return false;
    MilType expected = type_of(data->dtype);
    type_append_dims(&expected, data, 0, axis);
    type_append_dims(&expected, indices, 0, indices->rank);
    type_append_dims(&expected, data, axis + 1, data->rank);
    if (expected.rank > MIL_MAX_RANK)
        return infer_fail(i, "updates would have rank %d", expected.rank);
    return check_updates(i, &expected) && infer_same(i);
}

bool infer_scatter_along_axis(MilInfer *i) {
    const MilType *data = infer_type(i, "data");
    int axis;
    return infer_axis(i, "axis", data->rank, &axis) && check_mode(i) &&
           check_along_axis(i, data, axis) && check_updates(i, infer_type(i, "indices")) &&
           infer_same(i);
}

bool infer_scatter_nd(MilInfer *i) {
    const MilType *data = infer_type(i, "data"), *indices = infer_type(i, "indices");
    int depth = 0;
    if (!check_mode(i) || !index_depth(i, data->rank, &depth)) return false;
    MilType expected = type_of(data->dtype);
    type_append_dims(&expected, indices, 0, indices->rank - 1);
    type_append_dims(&expected, data, depth, data->rank);
    if (expected.rank > MIL_MAX_RANK)
        return infer_fail(i, "updates would have rank %d", expected.rank);
    return check_updates(i, &expected) && infer_same(i);
}
