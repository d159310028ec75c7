// infer_make.c — rules of ops that make tensors from numbers, and of states.
#include <inttypes.h>
#include <math.h>

#include "mil/infer.h"

bool infer_fill(MilInfer *i) {
    const MilType *shape_type = infer_type(i, "shape"), *value = infer_type(i, "value");
    InferInts shape;
    if (!infer_ints(i, "shape", &shape)) return false;
    if (shape_type->rank != 1 || shape_type->dims[0] == MIL_UNKNOWN_DIM || shape.n > MIL_MAX_RANK)
        return infer_fail(i, "shape is %s, expected a vector of at most %d items",
                          infer_shape_text(i, shape_type), MIL_MAX_RANK);
    MilType result = type_of(value ? value->dtype : MIL_F32);
    for (uint32_t k = 0; k < shape.n; k++) {
        if (shape.known && shape.at[k] < 0)
            return infer_fail(i, "shape[%u] is %" PRId64, k, shape.at[k]);
        type_append(&result, shape.known ? shape.at[k] : MIL_UNKNOWN_DIM);
    }
    return infer_result(i, result);
}

bool infer_fill_like(MilInfer *i) {
    const MilType *value = infer_type(i, "value");
    MilType result = *infer_type(i, "ref_tensor");
    result.dtype = value ? value->dtype : MIL_F32;
    return infer_result(i, result);
}

static bool scalar_number(const MilInfer *i, const char *param, double *out) {
    ValueId v = mil_operand(i->f, i->op, mil_param(i->op->info, param));
    int64_t integer;
    if (mil_const_float(i->f, v, out)) return true;
    if (!mil_const_int(i->f, v, &integer)) return false;
    *out = (double)integer;
    return true;
}

bool infer_range_1d(MilInfer *i) {
    double start, end, step;
    MilType result = type_of(infer_type(i, "start")->dtype);
    bool known = scalar_number(i, "start", &start) && scalar_number(i, "end", &end) &&
                 scalar_number(i, "step", &step);
    if (!known) {
        type_append(&result, MIL_UNKNOWN_DIM);
        return infer_result(i, result);
    }
    double n = ceil((end - start) / step);
    if (!(n >= 0 && n <= (double)MIL_MAX_DIM))
        return infer_fail(i,
                          "start %g, end %g, step %g: not a finite range, expected steps that lead "
                          "from start to end",
                          start, end, step);
    type_append(&result, (int64_t)n);
    return infer_result(i, result);
}

bool infer_shape(MilInfer *i) {
    MilType result = type_of(MIL_I32);
    type_append(&result, infer_type(i, "x")->rank);
    return infer_result(i, result);
}

bool infer_non_zero(MilInfer *i) {
    MilType result = type_of(MIL_I32);
    type_append(&result, MIL_UNKNOWN_DIM);
    type_append(&result, infer_type(i, "x")->rank);
    return infer_result(i, result);
}

bool infer_one_hot(MilInfer *i) {
    const MilType *indices = infer_type(i, "indices"), *on = infer_type(i, "on_value"),
                  *off = infer_type(i, "off_value");
    int axis;
    if (!infer_axis(i, "axis", indices->rank + 1, &axis)) return false;
    MilDtype on_dtype = on ? on->dtype : MIL_I32, off_dtype = off ? off->dtype : MIL_I32;
    if (on_dtype != off_dtype)
        return infer_fail(i, "on_value is %s but off_value is %s; they must have one type",
                          mil_dtypes[on_dtype].name, mil_dtypes[off_dtype].name);
    ValueId v = mil_operand(i->f, i->op, mil_param(i->op->info, "one_hot_vector_size"));
    int64_t size = MIL_UNKNOWN_DIM;
    if (mil_const_int(i->f, v, &size) && size < 0)
        return infer_fail(i, "one_hot_vector_size is %" PRId64, size);
    MilType result = type_of(on_dtype);
    type_append_dims(&result, indices, 0, axis);
    type_append(&result, size);
    type_append_dims(&result, indices, axis, indices->rank);
    return infer_result(i, result);
}

bool infer_read_state(MilInfer *i) {
    MilType result = *infer_type(i, "input");
    result.is_state = false;
    return infer_result(i, result);
}

// No output: what is read afterwards is the new content.
bool infer_write_state(MilInfer *i) {
    MilType wrapped = *infer_type(i, "input");
    wrapped.is_state = false;
    const MilType *data = infer_type(i, "data");
    if (!mil_type_eq(&wrapped, data))
        return infer_fail(i, "data is %s%s but the state holds %s%s", mil_dtypes[data->dtype].name,
                          infer_shape_text(i, data), mil_dtypes[wrapped.dtype].name,
                          infer_shape_text(i, &wrapped));
    return true;
}
