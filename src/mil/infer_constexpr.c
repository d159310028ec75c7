// infer_constexpr.c — rules of compressed constants and of quantize and dequantize.
#include <inttypes.h>

#include "base/reader.h"
#include "mil/infer.h"

static bool check_scalar_or_axis(MilInfer *i, const char *param, const MilType *data, int axis) {
    const MilType *t = infer_type(i, param);
    if (t->rank == 0 || (t->rank == 1 && axis >= 0 && dims_agree(t->dims[0], data->dims[axis])))
        return true;
    return infer_fail(i,
                      "%s is %s, expected a scalar or one number for each index of the axis of %s",
                      param, infer_shape_text(i, t), infer_shape_text(i, data));
}

bool infer_affine_dequantize(MilInfer *i) {
    const MilType *data = infer_type(i, "quantized_data");
    int axis;
    if (!infer_axis(i, "axis", data->rank, &axis)) return false;
    if (!check_scalar_or_axis(i, "scale", data, axis) ||
        !check_scalar_or_axis(i, "zero_point", data, axis))
        return false;
    MilType result = *data;
    result.dtype = infer_type(i, "scale")->dtype;
    return infer_result(i, result);
}

// scale (and offset) divide the dims of data into blocks of equal size.
static bool check_blocks(MilInfer *i, const MilType *data, MilDtype dtype) {
    const MilType *scale = infer_type(i, "scale"), *offset = infer_type(i, "offset");
    bool fits = data->rank == scale->rank && data->rank > 0;
    for (int k = 0; fits && k < data->rank; k++)
        fits = data->dims[k] == MIL_UNKNOWN_DIM || scale->dims[k] == MIL_UNKNOWN_DIM ||
               (scale->dims[k] > 0 && data->dims[k] % scale->dims[k] == 0);
    if (!fits)
        return infer_fail(
            i, "scale is %s for data %s, expected the same rank and dims that divide those of data",
            infer_shape_text(i, scale), infer_shape_text(i, data));
    if (!offset) return true;
    MilType in_shape = *scale;
    in_shape.dtype = offset->dtype;
    if (!mil_type_eq(&in_shape, offset))
        return infer_fail(i, "offset is %s but scale is %s", infer_shape_text(i, offset),
                          infer_shape_text(i, scale));
    bool is_float = offset->dtype == MIL_F16 || offset->dtype == MIL_F32;
    if (!is_float && offset->dtype != dtype)
        return infer_fail(
            i, "offset is %s but data is %s; they must have one type, or offset be a float",
            mil_dtypes[offset->dtype].name, mil_dtypes[dtype].name);
    return true;
}

bool infer_blockwise_shift_scale(MilInfer *i) {
    MilType result = *infer_type(i, "data");
    if (!check_blocks(i, &result, result.dtype)) return false;
    result.dtype = infer_type(i, "scale")->dtype;
    return infer_result(i, result);
}

// Number of ones of a mask in sight, or -1.
static int64_t count_ones(const MilInfer *i, const char *param) {
    ValueId v = mil_operand(i->f, i->op, mil_param(i->op->info, param));
    const MilValue *mask = mil_value(i->f, v);
    if (!mask->data || mask->data->is_blob) return -1;
    const uint8_t *bytes = mask->data->bytes;
    int64_t ones = 0;
    for (size_t k = 0; k < mask->data->n_bytes; k++) ones += __builtin_popcount(bytes[k]);
    return ones;
}

// `data`: the elements where `mask` is one, in order.
static bool check_sparse(MilInfer *i, const char *data_param, const char *mask_param) {
    const MilType *data = infer_type(i, data_param);
    if (data->rank != 1)
        return infer_fail(i, "%s has rank %d, expected a vector", data_param, data->rank);
    int64_t ones = count_ones(i, mask_param);
    if (ones >= 0 && !dims_agree(data->dims[0], ones))
        return infer_fail(i, "%s has %" PRId64 " items but %s has %" PRId64 " ones", data_param,
                          data->dims[0], mask_param, ones);
    return true;
}

bool infer_sparse_to_dense(MilInfer *i) {
    if (!check_sparse(i, "nonzero_data", "mask")) return false;
    MilType result = *infer_type(i, "mask");
    result.dtype = infer_type(i, "nonzero_data")->dtype;
    return infer_result(i, result);
}

// Outputs: the mask, the values.
bool infer_sparse_shift_scale(MilInfer *i) {
    const MilType *mask = infer_type(i, "data_mask"), *data = infer_type(i, "nonzero_data");
    if (!check_sparse(i, "nonzero_data", "data_mask") || !check_blocks(i, mask, data->dtype))
        return false;
    MilType values = *data;
    values.dtype = infer_type(i, "scale")->dtype;
    return infer_result(i, *mask) && infer_result(i, values);
}

// lut: [groups…, entries, vector]. Gives the vector size and the axis it is laid along (-1 when it
// is 1).
static bool check_lut(MilInfer *i, const MilType *indices, MilDtype code, int64_t *vector,
                      int *axis) {
    const MilType *lut = infer_type(i, "lut");
    uint32_t bits = mil_dtypes[code].bits;
    int rank = indices->rank;
    bool fits = rank > 0 && lut->rank == rank + 2 && lut->dims[rank] == (int64_t)1 << bits;
    for (int k = 0; fits && k < rank; k++)
        fits = lut->dims[k] > 0 && indices->dims[k] % lut->dims[k] == 0;
    if (!fits || lut->dims[rank + 1] < 1)
        return infer_fail(
            i,
            "lut is %s for indices %s of %s, expected [dims that divide theirs, %d, vector size]",
            infer_shape_text(i, lut), infer_shape_text(i, indices), mil_dtypes[code].name,
            1 << bits);
    *vector = lut->dims[rank + 1];
    *axis = -1;
    if (infer_has(i, "vector_axis")) return infer_axis(i, "vector_axis", rank, axis);
    return *vector == 1 || infer_fail(i, "vector_axis is missing for vectors of %" PRId64, *vector);
}

bool infer_lut_to_dense(MilInfer *i) {
    MilType result = *infer_type(i, "indices");
    int64_t vector;
    int axis;
    if (!check_lut(i, &result, result.dtype, &vector, &axis)) return false;
    result.dtype = infer_type(i, "lut")->dtype;
    if (axis >= 0) result.dims[axis] = dim_mul(result.dims[axis], vector);
    return infer_result(i, result);
}

// Outputs: the mask, the values.
bool infer_lut_to_sparse(MilInfer *i) {
    MilType mask = *infer_type(i, "indices_mask"), values = *infer_type(i, "indices_nonzero_data");
    int64_t vector;
    int axis;
    if (!check_sparse(i, "indices_nonzero_data", "indices_mask")) return false;
    if (!check_lut(i, &mask, values.dtype, &vector, &axis)) return false;
    if (axis >= 0) mask.dims[axis] = dim_mul(mask.dims[axis], vector);
    values.dims[0] = dim_mul(values.dims[0], vector);
    values.dtype = infer_type(i, "lut")->dtype;
    return infer_result(i, mask) && infer_result(i, values);
}

bool infer_constexpr_cast(MilInfer *i) {
    MilType result = *infer_type(i, "source_val");
    return infer_dtype(i, "output_dtype", 1u << MIL_F32, &result.dtype) && infer_result(i, result);
}

// ---- the forms of specification versions 7 and 8: packed bytes and a shape

static bool packed_result(MilInfer *i, const char *packed, int64_t bits, MilType *result) {
    const MilType *t = infer_type(i, packed);
    InferInts shape;
    if (!infer_ints(i, "shape", &shape)) return false;
    if (!shape.known || shape.n > MIL_MAX_RANK)
        return infer_fail(i, "shape is not a short vector of numbers");
    for (uint32_t k = 0; k < shape.n; k++) type_append(result, shape.at[k]);
    int64_t n = dim_mul(dims_product(result, 0, result->rank), bits);
    if (t->rank != 1 || n > MIL_MAX_DIM || !dims_agree(t->dims[0], (n + 7) / 8))
        return infer_fail(i, "%s is %s for the shape %s at %" PRId64 " bits each", packed,
                          infer_shape_text(i, t), infer_shape_text(i, result), bits);
    return true;
}

bool infer_lut_to_dense_v7(MilInfer *i) {
    const MilType *lut = infer_type(i, "lut");
    MilType result = type_of(lut->dtype);
    int64_t bits = 0;
    for (int64_t b = 1; lut->rank == 1 && b <= 8; b = b == 1 ? 2 : b == 2 ? 4 : b == 4 ? 6 : b + 2)
        if (lut->dims[0] == (int64_t)1 << b) bits = b;
    if (!bits)
        return infer_fail(i, "lut is %s, expected 2, 4, 16, 64 or 256 entries",
                          infer_shape_text(i, lut));
    return packed_result(i, "indices", bits, &result) && infer_result(i, result);
}

bool infer_sparse_to_dense_v7(MilInfer *i) {
    MilType result = type_of(infer_type(i, "nonzero_data")->dtype);
    return check_sparse(i, "nonzero_data", "mask") && packed_result(i, "mask", 1, &result) &&
           infer_result(i, result);
}

// ---- quantize, dequantize

// A scalar scale goes without axis, a vector with one; zero_point is like scale.
static bool check_scale(MilInfer *i) {
    const MilType *input = infer_type(i, "input"), *scale = infer_type(i, "scale"),
                  *zero_point = infer_type(i, "zero_point");
    int axis = -1;
    if (infer_has(i, "axis") && !infer_axis(i, "axis", input->rank, &axis)) return false;
    if ((scale->rank == 0) != (axis < 0))
        return infer_fail(i, "scale is %s %s axis", infer_shape_text(i, scale),
                          axis < 0 ? "without" : "with");
    if (zero_point && zero_point->rank != scale->rank)
        return infer_fail(i, "zero_point is %s but scale is %s", infer_shape_text(i, zero_point),
                          infer_shape_text(i, scale));
    return check_scalar_or_axis(i, "scale", input, axis) &&
           (!zero_point || check_scalar_or_axis(i, "zero_point", input, axis));
}

bool infer_quantize(MilInfer *i) {
    MilType result = *infer_type(i, "input");
    const MilType *zero_point = infer_type(i, "zero_point");
    if (!infer_dtype(i, "output_dtype", 1u << MIL_I8 | 1u << MIL_U8, &result.dtype)) return false;
    if (zero_point && zero_point->dtype != result.dtype)
        return infer_fail(i, "output_dtype is %s but zero_point is %s",
                          mil_dtypes[result.dtype].name, mil_dtypes[zero_point->dtype].name);
    return check_scale(i) && infer_result(i, result);
}

bool infer_dequantize(MilInfer *i) {
    MilType result = *infer_type(i, "input");
    result.dtype = infer_type(i, "scale")->dtype;
    return check_scale(i) && infer_result(i, result);
}
