// infer_elementwise.c — ops that work element by element, reductions and normalisation.
#include <string.h>

#include "mil/infer.h"

bool infer_const(Infer *in) {
    return infer_refuse(in, "a const has no rule"); // its type is its value's
}

bool infer_same(Infer *in) {
    in->out[0] = *infer_type(in, "x");
    return true;
}

bool infer_cast(Infer *in) {
    Str name;
    if (!mil_const_str(in->f, infer_operand(in, "dtype"), &name))
        return infer_refuse(in, "dtype is no string");
    in->out[0] = *infer_type(in, "x");
    static const MilDtype targets[] = {MIL_F16, MIL_F32, MIL_I32, MIL_BOOL,
                                       MIL_I8,  MIL_U8,  MIL_I16, MIL_U16};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (!str_is(name, mil_dtypes[targets[i]].name)) continue;
        in->out[0].dtype = targets[i];
        return true;
    }
    return infer_refuse(in, "cannot cast to '%.*s'", STR_ARG(name));
}

// NumPy broadcasting; the result has `out`'s dtype.
static bool broadcast(Infer *in, const MilType *a, const MilType *b, MilType *out) {
    int rank = a->rank > b->rank ? a->rank : b->rank;
    MilType wide = {.dtype = a->dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        int64_t x = i < rank - a->rank ? 1 : a->dims[i - (rank - a->rank)];
        int64_t y = i < rank - b->rank ? 1 : b->dims[i - (rank - b->rank)];
        if (x != y && x != 1 && y != 1)
            return infer_refuse(in, "dimension %d is %lld in one operand and %lld in the other", i,
                                (long long)x, (long long)y);
        wide.dims[i] = x == 1 ? y : x;
    }
    *out = wide;
    return true;
}

bool infer_binary(Infer *in) {
    return broadcast(in, infer_type(in, "x"), infer_type(in, "y"), &in->out[0]);
}

bool infer_compare(Infer *in) {
    if (!infer_binary(in)) return false;
    in->out[0].dtype = MIL_BOOL;
    return true;
}

bool infer_select(Infer *in) {
    MilType both;
    if (!broadcast(in, infer_type(in, "a"), infer_type(in, "b"), &both)) return false;
    MilDtype dtype = both.dtype;
    if (!broadcast(in, &both, infer_type(in, "cond"), &in->out[0])) return false;
    in->out[0].dtype = dtype;
    return true;
}

bool infer_reduce(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t axes[MIL_MAX_RANK];
    size_t n = 0;
    bool keeps = infer_bool(in, "keep_dims", false), is_gone[MIL_MAX_RANK] = {false};
    bool has_axes = infer_ints(in, "axes", axes, MIL_MAX_RANK, &n);
    if (!has_axes && !value_is_none(infer_operand(in, "axes")))
        return infer_refuse(in, "axes are no list of at most %d integers", MIL_MAX_RANK);
    for (int i = 0; i < x->rank; i++) is_gone[i] = !has_axes;
    for (size_t i = 0; i < n; i++) {
        int axis;
        if (!infer_axis(in, axes[i], x->rank, &axis)) return false;
        is_gone[axis] = true;
    }
    MilType out = {.dtype = x->dtype};
    for (int i = 0; i < x->rank; i++)
        if (!is_gone[i] || keeps) out.dims[out.rank++] = is_gone[i] ? 1 : x->dims[i];
    in->out[0] = out;
    return true;
}

bool infer_softmax(Infer *in) {
    int axis;
    const MilType *x = infer_type(in, "x");
    in->out[0] = *x;
    return infer_axis(in, infer_int(in, "axis", -1), x->rank, &axis);
}

bool infer_layer_norm(Infer *in) {
    const MilType *x = infer_type(in, "x");
    int64_t axes[MIL_MAX_RANK];
    size_t n = 0;
    if (infer_ints(in, "axes", axes, MIL_MAX_RANK, &n)) {
        int axis;
        for (size_t i = 0; i < n; i++)
            if (!infer_axis(in, axes[i], x->rank, &axis)) return false;
    }
    in->out[0] = *x;
    return true;
}

bool infer_cumsum(Infer *in) {
    int axis;
    const MilType *x = infer_type(in, "x");
    in->out[0] = *x;
    return infer_axis(in, infer_int(in, "axis", 0), x->rank, &axis);
}

bool infer_reverse(Infer *in) {
    return infer_same(in);
}

bool infer_read_state(Infer *in) {
    in->out[0] = *infer_type(in, "input");
    in->out[0].is_state = false;
    return true;
}

bool infer_write_state(Infer *in) {
    MilType content = *infer_type(in, "input");
    content.is_state = false;
    if (!mil_type_eq(&content, infer_type(in, "data")))
        return infer_refuse(in, "the data's type is not the state's");
    in->n_out = 0;
    return true;
}

bool infer_blockwise(Infer *in) {
    const MilType *data = infer_type(in, "data"), *scale = infer_type(in, "scale");
    const MilType *offset = infer_type(in, "offset");
    if (data->rank < 1 || scale->rank != data->rank)
        return infer_refuse(in, "scale has rank %d, data %d", scale->rank, data->rank);
    for (int i = 0; i < data->rank; i++)
        if (scale->dims[i] < 1 || data->dims[i] % scale->dims[i])
            return infer_refuse(in, "dimension %d: %lld scales do not divide %lld codes", i,
                                (long long)scale->dims[i], (long long)data->dims[i]);
    if (offset) {
        MilType wanted = *scale;
        wanted.dtype = offset->dtype;
        if (!mil_type_eq(&wanted, offset) ||
            (offset->dtype != data->dtype && offset->dtype != MIL_F16 && offset->dtype != MIL_F32))
            return infer_refuse(in, "offset has not the shape of scale and the dtype of data");
    }
    in->out[0] = *data;
    in->out[0].dtype = scale->dtype;
    return true;
}

bool infer_affine(Infer *in) {
    const MilType *data = infer_type(in, "quantized_data"), *scale = infer_type(in, "scale");
    const MilType *zero = infer_type(in, "zero_point");
    int axis;
    if (!infer_axis(in, infer_int(in, "axis", 0), data->rank, &axis)) return false;
    const MilType *per_axis[] = {scale, zero};
    for (int i = 0; i < 2; i++)
        if (per_axis[i]->rank > 1 ||
            (per_axis[i]->rank == 1 && per_axis[i]->dims[0] != data->dims[axis]))
            return infer_refuse(in, "scale and zero_point are scalars or one an entry of the axis");
    in->out[0] = *data;
    in->out[0].dtype = scale->dtype;
    return true;
}
