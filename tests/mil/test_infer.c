// Every op of the table: one use of it whose type is known, and one that its rule refuses.
// tests/oracle/test_mil_ops.py compares many more with coremltools; here each promise of a rule has
// its words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/mil.h"

static const char inputs[] =
    "h: fp16, h3: fp16[3], h4: fp16[4], h12: fp16[12], h23: fp16[2, 3], h34: fp16[3, 4], h26: "
    "fp16[2, 6],"
    "h234: fp16[2, 3, 4], h243: fp16[2, 4, 3], hn3: fp16[?, 3], f23: fp32[2, 3],"
    "i: int32, i2: int32[2], i3: int32[3], i23: int32[2, 3], i31: int32[3, 1],"
    "b: bool, b23: bool[2, 3], q23: int8[2, 3],"
    "img: fp16[1, 4, 9, 8], row: fp16[1, 4, 9], w: fp16[8, 4, 3, 3], cache: state<fp16[2, 3]>";

#define UNARY(op)                                                                                  \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h23)", "fp16[2, 3]", #op "(x = i23)",                               \
            "x is int32, expected fp16 or fp32"                                                    \
    }
#define UNARY_INT(op)                                                                              \
    {                                                                                              \
        MIL_OP_##op, #op "(x = i23)", "int32[2, 3]", #op "(x = b23)",                              \
            "x is bool, expected fp16, fp32 or int32"                                              \
    }
#define BINARY(op)                                                                                 \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h23, y = h3)", "fp16[2, 3]", #op "(x = h23, y = h34)",              \
            "shapes [2, 3] and [3, 4] do not broadcast"                                            \
    }
#define COMPARE(op)                                                                                \
    {                                                                                              \
        MIL_OP_##op, #op "(x = i, y = i23)", "bool[2, 3]", #op "(x = h23, y = f23)",               \
            "x is fp16 but y is fp32"                                                              \
    }
#define LOGICAL(op)                                                                                \
    {                                                                                              \
        MIL_OP_##op, #op "(x = b23, y = b)", "bool[2, 3]", #op "(x = b23, y = h23)",               \
            "y is fp16, expected bool"                                                             \
    }
#define ALPHA(op)                                                                                  \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h23, alpha = fp32(1))", "fp16[2, 3]", #op "(x = h23, alpha = h)",   \
            "alpha is 'h', which is computed at run time"                                          \
    }
#define ALPHA_BETA(op)                                                                             \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h23, alpha = fp16(1), beta = fp16(2))", "fp16[2, 3]",               \
            #op "(x = h23, alpha = fp16(1), beta = fp32(2))", "alpha is fp16 but beta is fp32"     \
    }
#define REDUCE(op)                                                                                 \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h234, axes = int32[2]([-1, 0]), keep_dims = bool(true))",           \
            "fp16[1, 3, 1]", #op "(x = h234, axes = int32[1]([3]))", "axes is 3, expected -3 to 2" \
    }
#define REDUCE_ARG(op)                                                                             \
    {                                                                                              \
        MIL_OP_##op, #op "(x = h234, axis = int32(1), output_dtype = string(\"uint16\"))",         \
            "uint16[2, 4]", #op "(x = h234, output_dtype = string(\"fp16\"))",                     \
            "output_dtype is 'fp16', which is not a type this op can give"                         \
    }
#define POOL(op)                                                                                   \
    {                                                                                              \
        MIL_OP_##op,                                                                               \
            #op "(x = img, kernel_sizes = int32[2]([3, 2]), pad_type = string(\"valid\"))",        \
            "fp16[1, 4, 7, 7]",                                                                    \
            #op "(x = img, kernel_sizes = int32[2]([10, 2]), pad_type = string(\"valid\"))",       \
            "spatial dim 0 of x is 9, too small for the kernel of 10"                              \
    }

// clang-format off
static const struct {
    MilOpcode opcode;
    const char *good, *types, *bad, *words;
} cases[] = {
    BINARY(add), BINARY(sub), BINARY(mul), BINARY(real_div), BINARY(floor_div), BINARY(mod), BINARY(pow),
    BINARY(maximum), BINARY(minimum),
    COMPARE(equal), COMPARE(not_equal), COMPARE(less), COMPARE(less_equal), COMPARE(greater), COMPARE(greater_equal),
    LOGICAL(logical_and), LOGICAL(logical_or), LOGICAL(logical_xor),
    {MIL_OP_select, "select(cond = b23, a = h23, b = h)", "fp16[2, 3]",
     "select(cond = b23, a = h, b = h3)", "cond is [2, 3], larger than a and b, which are [3] together"},
    UNARY_INT(abs), UNARY_INT(exp2), UNARY_INT(sign), UNARY_INT(square),
    UNARY(acos), UNARY(asin), UNARY(atan), UNARY(atanh), UNARY(ceil), UNARY(cos), UNARY(cosh), UNARY(erf), UNARY(exp),
    UNARY(floor), UNARY(round), UNARY(sin), UNARY(sinh), UNARY(sqrt), UNARY(tan), UNARY(tanh), UNARY(rsqrt),
    UNARY(inverse), UNARY(log), UNARY(relu), UNARY(relu6), UNARY(sigmoid), UNARY(silu), UNARY(softplus),
    UNARY(softsign),
    {MIL_OP_logical_not, "logical_not(x = b23)", "bool[2, 3]", "logical_not(x = h23)", "x is fp16, expected bool"},
    {MIL_OP_identity, "identity(x = q23)", "int8[2, 3]", "identity(x = cache)", "x is a state"},
    {MIL_OP_clip, "clip(x = h23, alpha = fp16(0), beta = fp16(6))", "fp16[2, 3]",
     "clip(x = h23, alpha = fp16(6), beta = fp16(6))", "alpha is 6 and beta 6"},
    {MIL_OP_threshold, "threshold(x = i23, alpha = int32(1))", "int32[2, 3]",
     "threshold(x = i23, alpha = fp16(1))", "x is int32 but alpha is fp16"},
    {MIL_OP_cast, "cast(x = h23, dtype = string(\"uint8\"))", "uint8[2, 3]",
     "cast(x = h23, dtype = string(\"int64\"))", "dtype is 'int64', which is not a type this op can give"},
    {MIL_OP_gelu, "gelu(x = h23)", "fp16[2, 3]", "gelu(x = h23, mode = string(\"exact\"))", "mode is 'exact'"},
    ALPHA(elu), ALPHA(leaky_relu), ALPHA(thresholded_relu),
    ALPHA_BETA(clamped_relu), ALPHA_BETA(linear_activation), ALPHA_BETA(scaled_tanh), ALPHA_BETA(sigmoid_hard),
    {MIL_OP_prelu, "prelu(x = row, alpha = fp16[4]([1, 1, 1, 1]))", "fp16[1, 4, 9]",
     "prelu(x = row, alpha = fp16[2]([1, 1]))", "alpha is [2] for x [1, 4, 9], expected one number a channel"},
    {MIL_OP_softplus_parametric,
     "softplus_parametric(x = row, alpha = fp16[4]([1, 1, 1, 1]), beta = fp16[4]([1, 1, 1, 1]))", "fp16[1, 4, 9]",
     "softplus_parametric(x = h23, alpha = fp16[4]([1, 1, 1, 1]), beta = fp16[4]([1, 1, 1, 1]))", "x has rank 2, expected 3 to 5"},
    {MIL_OP_softmax, "softmax(x = h23)", "fp16[2, 3]", "softmax(x = h23, axis = int32(2))", "axis is 2, expected -2 to 1"},

    {MIL_OP_conv, "conv(x = img, weight = w, strides = int32[2]([2, 1]), pad_type = string(\"custom\"), pad = int32[4]([1, 0, 0, 0]))",
     "fp16[1, 8, 4, 6]", "conv(x = img, weight = w, groups = int32(2))", "weight is [8, 4, 3, 3], expected 4 / 2 groups"},
    {MIL_OP_conv_transpose, "conv_transpose(x = img, weight = fp16[4, 2, 1, 1]([1, 1, 1, 1, 1, 1, 1, 1]), strides = int32[2]([2, 2]))",
     "fp16[1, 2, 17, 15]", "conv_transpose(x = img, weight = w)", "weight is [8, 4, 3, 3] for x [1, 4, 9, 8]"},
    {MIL_OP_linear, "linear(x = h23, weight = fp16[1, 3]([1, 2, 3]))", "fp16[2, 1]",
     "linear(x = h34, weight = fp16[1, 3]([1, 2, 3]))", "weight is [1, 3], expected [rows, last dim of x], x is [3, 4]"},
    {MIL_OP_matmul, "matmul(x = h234, y = h34, transpose_y = bool(true))", "fp16[2, 3, 3]",
     "matmul(x = h23, y = h34, transpose_y = bool(true))", "x [2, 3] and y [3, 4] transposed do not multiply"},
    {MIL_OP_einsum, "einsum(values = (h234, fp16[4, 3, 1]([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])), equation = string(\"chw,whr->chr\"))",
     "fp16[2, 3, 1]", "einsum(values = (h23, h34), equation = string(\"ij,jk->ik\"))", "equation 'ij,jk->ik' for rank 2"},
    {MIL_OP_scaled_dot_product_attention, "scaled_dot_product_attention(query = h234, key = h234, value = h234, attn_mask = h3)",
     "fp16[2, 3, 4]", "scaled_dot_product_attention(query = h234, key = h243, value = h243)", "query [2, 3, 4], key [2, 4, 3]"},
    {MIL_OP_layer_norm, "layer_norm(x = h234, axes = int32[1]([-1]), gamma = fp16[4]([1, 1, 1, 1]))", "fp16[2, 3, 4]",
     "layer_norm(x = h234, axes = int32[1]([-1]), gamma = fp16[1]([1]))", "gamma is [1], expected [4], the dims of x that are normalised"},
    {MIL_OP_l2_norm, "l2_norm(x = h234)", "fp16[2, 3, 4]", "l2_norm(x = h23)", "x has rank 2, expected at least 3"},
    {MIL_OP_batch_norm, "batch_norm(x = row, mean = fp16[4]([1, 1, 1, 1]), variance = fp16[4]([1, 1, 1, 1]))", "fp16[1, 4, 9]",
     "batch_norm(x = row, mean = fp16[4]([1, 1, 1, 1]), variance = fp16[1]([1]))", "variance is [1] for x [1, 4, 9]"},
    {MIL_OP_instance_norm, "instance_norm(x = img)", "fp16[1, 4, 9, 8]", "instance_norm(x = h23)", "x has rank 2, expected 3 to 5"},
    {MIL_OP_local_response_norm, "local_response_norm(x = img, size = int32(3))", "fp16[1, 4, 9, 8]",
     "local_response_norm(x = img)", "size is missing"},
    POOL(avg_pool), POOL(max_pool), POOL(l2_pool),

    REDUCE(reduce_sum), REDUCE(reduce_mean), REDUCE(reduce_max), REDUCE(reduce_min), REDUCE(reduce_prod),
    REDUCE(reduce_sum_square), REDUCE(reduce_l1_norm), REDUCE(reduce_l2_norm), REDUCE(reduce_log_sum),
    REDUCE(reduce_log_sum_exp), REDUCE_ARG(reduce_argmax), REDUCE_ARG(reduce_argmin),
    {MIL_OP_argsort, "argsort(x = h23)", "int32[2, 3]", "argsort(x = h)", "axis is -1, expected 0 to -1"},
    {MIL_OP_topk, "topk(x = h23, k = int32(2))", "fp16[2, 2], int32[2, 2]", "topk(x = h23, k = int32(4))", "k is 4, expected 1 to 3"},
    {MIL_OP_cumsum, "cumsum(x = h23, axis = int32(-1))", "fp16[2, 3]", "cumsum(x = h23, axis = int32(-2))", "axis is -2, expected at least -1"},

    {MIL_OP_reshape, "reshape(x = h234, shape = int32[3]([-1, 0, 2]))", "fp16[4, 3, 2]",
     "reshape(x = h234, shape = int32[2]([5, -1]))", "x [2, 3, 4] does not have the elements of shape"},
    {MIL_OP_transpose, "transpose(x = h234, perm = int32[3]([2, 0, 1]))", "fp16[4, 2, 3]",
     "transpose(x = h234, perm = int32[3]([0, 1, 1]))", "perm names axis 1 twice"},
    {MIL_OP_expand_dims, "expand_dims(x = h23, axes = int32[2]([0, -1]))", "fp16[1, 2, 3, 1]",
     "expand_dims(x = h23, axes = int32[2]([0, 0]))", "axes name axis 0 twice"},
    {MIL_OP_squeeze, "squeeze(x = img, axes = int32[2]([0, 1]))", "fp16[4, 9, 8]", "squeeze(x = img, axes = int32[1]([4]))", "axes is 4, expected -4 to 3"},
    {MIL_OP_reverse, "reverse(x = h23, axes = int32[1]([1]))", "fp16[2, 3]", "reverse(x = h23, axes = int32[1]([2]))", "axes is 2, expected -2 to 1"},
    {MIL_OP_flatten2d, "flatten2d(x = h234, axis = int32(2))", "fp16[6, 4]", "flatten2d(x = h234, axis = int32(4))", "axis is 4, expected -3 to 3"},
    {MIL_OP_shape, "shape(x = h234)", "int32[3]", "shape(x = q23)", "x is int8, expected bool, fp16, fp32 or int32"},
    {MIL_OP_tile, "tile(x = h23, reps = int32[2]([1, 4]))", "fp16[2, 12]", "tile(x = h23, reps = int32[2]([1, 0]))", "reps[1] is 0, expected at least 1"},
    {MIL_OP_pad, "pad(x = h234, pad = int32[2]([1, 2]))", "fp16[2, 3, 7]", "pad(x = h234, pad = int32[2]([1, -2]))", "pad has a negative item"},
    {MIL_OP_concat, "concat(values = (h23, h23, h26), axis = int32(-1))", "fp16[2, 12]",
     "concat(values = (h23, h34), axis = int32(0))", "values[1] is [3, 4] but values[0] is [2, 3], joined along axis 0"},
    {MIL_OP_stack, "stack(values = (h23, h23), axis = int32(1))", "fp16[2, 2, 3]",
     "stack(values = (h23, h26), axis = int32(1))", "values[1] is [2, 6] but values[0] is [2, 3]"},
    {MIL_OP_split, "split(x = h26, split_sizes = int32[2]([2, 4]), axis = int32(1))", "fp16[2, 2], fp16[2, 4]",
     "split(x = h26, split_sizes = int32[2]([2, 3]), axis = int32(1))", "split_sizes sum to 5 but axis 1 of x is 6"},
    {MIL_OP_band_part, "band_part(x = h23, lower = int32(-1), upper = int32(0))", "fp16[2, 3]",
     "band_part(x = q23)", "x is int8"},
    {MIL_OP_depth_to_space, "depth_to_space(x = img, block_size = int32(2))", "fp16[1, 1, 18, 16]",
     "depth_to_space(x = img, block_size = int32(3))", "x has 4 channels, not a multiple of 9"},
    {MIL_OP_pixel_shuffle, "pixel_shuffle(x = img, upscale_factor = int32(2))", "fp16[1, 1, 18, 16]",
     "pixel_shuffle(x = row, upscale_factor = int32(2))", "x has rank 3, expected 4"},
    {MIL_OP_space_to_depth, "space_to_depth(x = w, block_size = int32(3))", "fp16[8, 36, 1, 1]",
     "space_to_depth(x = img, block_size = int32(2))", "dim 2 of x is 9, not a multiple of 2"},
    {MIL_OP_sliding_windows, "sliding_windows(x = h26, axis = int32(1), size = int32(3), stride = int32(2))", "fp16[2, 2, 3]",
     "sliding_windows(x = h26, axis = int32(1), size = int32(7))", "size 7, stride 1 for an axis of 6"},

    {MIL_OP_slice_by_index, "slice_by_index(x = h26, begin = int32[2]([0, -4]), end = int32[2]([1, 6]), stride = int32[2]([1, 2]))", "fp16[1, 2]",
     "slice_by_index(x = h26, begin = int32[2]([0, 4]), end = int32[2]([1, 2]))", "begin 4, end 2, stride 1 on axis 1 runs backwards"},
    {MIL_OP_slice_update, "slice_update(x = h26, update = h23, begin = i2, end = i2)", "fp16[2, 6]",
     "slice_update(x = h26, update = h23, begin = int32[2]([0, 0]), end = int32[2]([2, 4]))",
     "update is [2, 3] but the slice of x [2, 6] it replaces is [2, 4]"},
    {MIL_OP_slice_by_size, "slice_by_size(x = h26, begin = int32[2]([0, 1]), size = int32[2]([2, -1]))", "fp16[2, 5]",
     "slice_by_size(x = h26, begin = int32[2]([0, 4]), size = int32[2]([2, 3]))", "size[1] reaches beyond x, which is [2, 6]"},

    {MIL_OP_gather, "gather(x = h34, indices = i23, axis = int32(1))", "fp16[3, 2, 3]",
     "gather(x = h34, indices = i3, axis = int32(2))", "axis is 2, expected -2 to 1"},
    {MIL_OP_gather_along_axis, "gather_along_axis(x = h26, indices = i23, axis = int32(1))", "fp16[2, 3]",
     "gather_along_axis(x = h34, indices = i23, axis = int32(0))", "indices are [2, 3] for [3, 4]"},
    {MIL_OP_gather_nd, "gather_nd(x = h234, indices = i31)", "fp16[3, 3, 4]", "gather_nd(x = h26, indices = i23)", "indices are [2, 3]; their last dim"},
    {MIL_OP_scatter, "scatter(data = h234, indices = i2, updates = h234, mode = string(\"update\"))", "fp16[2, 3, 4]",
     "scatter(data = h23, indices = i3, updates = h23)", "updates are [2, 3], expected [3, 3]"},
    {MIL_OP_scatter_along_axis, "scatter_along_axis(data = h26, indices = i23, updates = h23, axis = int32(1))", "fp16[2, 6]",
     "scatter_along_axis(data = h26, indices = i23, updates = h23, axis = int32(1), mode = string(\"set\"))", "mode is 'set', expected update"},
    {MIL_OP_scatter_nd, "scatter_nd(data = h34, indices = i31, updates = h34)", "fp16[3, 4]",
     "scatter_nd(data = h34, indices = i31, updates = h23)", "updates are [2, 3], expected [3, 4]"},

    {MIL_OP_fill, "fill(shape = i3, value = fp16(1))", "fp16[?, ?, ?]", "fill(shape = int32[1]([-2]))", "shape[0] is -2"},
    {MIL_OP_fill_like, "fill_like(ref_tensor = h23, value = int32(1))", "int32[2, 3]", "fill_like(ref_tensor = q23)", "ref_tensor is int8"},
    {MIL_OP_range_1d, "range_1d(start = int32(1), end = int32(8), step = int32(2))", "int32[4]",
     "range_1d(start = int32(1), end = int32(8), step = int32(0))", "start 1, end 8, step 0: not a finite range"},
    {MIL_OP_non_zero, "non_zero(x = h23)", "int32[?, 2]", "non_zero(x = q23)", "x is int8"},
    {MIL_OP_one_hot, "one_hot(indices = i3, one_hot_vector_size = int32(5), axis = int32(0))", "int32[5, 3]",
     "one_hot(indices = i3, one_hot_vector_size = int32(5), on_value = fp16(1))", "on_value is fp16 but off_value is int32"},

    {MIL_OP_read_state, "read_state(input = cache)", "fp16[2, 3]", "read_state(input = h23)", "input is a tensor, expected a state"},
    {MIL_OP_write_state, "write_state(input = cache, data = h23)", "", "write_state(input = cache, data = h26)",
     "data is fp16[2, 6] but the state holds fp16[2, 3]"},

    {MIL_OP_quantize, "quantize(input = h23, scale = fp16(1), output_dtype = string(\"int8\"))", "int8[2, 3]",
     "quantize(input = h23, scale = fp16[3]([1, 1, 1]), output_dtype = string(\"int8\"))", "scale is [3] without axis"},
    {MIL_OP_dequantize, "dequantize(input = q23, scale = fp16[3]([1, 1, 1]), axis = int32(1))", "fp16[2, 3]",
     "dequantize(input = q23, scale = fp16[3]([1, 1, 1]), axis = int32(0))", "scale is [3], expected a scalar or one number"},

    {MIL_OP_constexpr_affine_dequantize,
     "constexpr_affine_dequantize(quantized_data = int8[2]([1, 2]), zero_point = int8(0), scale = fp16[2]([1, 1]), axis = int32(0))", "fp16[2]",
     "constexpr_affine_dequantize(quantized_data = q23, zero_point = int8(0), scale = fp16(1), axis = int32(0))",
     "quantized_data is 'q23', expected a literal"},
    {MIL_OP_constexpr_blockwise_shift_scale,
     "constexpr_blockwise_shift_scale(data = int4[1, 4]([1, 2, 3, 4]), scale = fp16[1, 2]([1, 1]))", "fp16[1, 4]",
     "constexpr_blockwise_shift_scale(data = int8[1, 4]([1, 2, 3, 4]), scale = fp16[1, 3]([1, 1, 1]))", "scale is [1, 3] for data [1, 4]"},
    {MIL_OP_constexpr_lut_to_dense, "constexpr_lut_to_dense(indices = uint1[4]([0, 1, 1, 0]), lut = fp16[1, 2, 1]([1, 2]))", "fp16[4]",
     "constexpr_lut_to_dense(indices = uint2[4]([0, 1, 1, 0]), lut = fp16[1, 2, 1]([1, 2]))", "lut is [1, 2, 1] for indices [4] of uint2"},
    {MIL_OP_constexpr_sparse_to_dense, "constexpr_sparse_to_dense(nonzero_data = fp16[2]([1, 2]), mask = uint1[3]([1, 0, 1]))", "fp16[3]",
     "constexpr_sparse_to_dense(nonzero_data = fp16[2]([1, 2]), mask = uint1[3]([1, 1, 1]))", "nonzero_data has 2 items but mask has 3 ones"},
    {MIL_OP_constexpr_lut_to_sparse,
     "constexpr_lut_to_sparse(indices_mask = uint1[3]([1, 0, 1]), indices_nonzero_data = uint1[2]([1, 0]), lut = fp16[1, 2, 2]([1, 2, 3, 4]), vector_axis = int32(0))",
     "uint1[6], fp16[4]",
     "constexpr_lut_to_sparse(indices_mask = uint1[3]([1, 0, 1]), indices_nonzero_data = uint1[2]([1, 0]), lut = fp16[1, 2, 2]([1, 2, 3, 4]))",
     "vector_axis is missing for vectors of 2"},
    {MIL_OP_constexpr_sparse_blockwise_shift_scale,
     "constexpr_sparse_blockwise_shift_scale(data_mask = uint1[3]([1, 0, 1]), nonzero_data = int8[2]([1, 2]), scale = fp16[1]([1]))", "uint1[3], fp16[2]",
     "constexpr_sparse_blockwise_shift_scale(data_mask = uint1[3]([1, 0, 1]), nonzero_data = int8[2]([1, 2]), scale = fp16[2]([1, 1]))", "scale is [2] for data [3]"},
    {MIL_OP_constexpr_cast, "constexpr_cast(source_val = fp16[2]([1, 2]), output_dtype = string(\"fp32\"))", "fp32[2]",
     "constexpr_cast(source_val = fp16[2]([1, 2]), output_dtype = string(\"fp16\"))", "output_dtype is 'fp16', which is not a type this op can give"},
    {MIL_OP_constexpr_lut_to_dense_v7,
     "constexpr_lut_to_dense(indices = uint8[1]([6]), lut = fp16[2]([1, 2]), shape = uint32[2]([2, 3]))", "fp16[2, 3]",
     "constexpr_lut_to_dense(indices = uint8[2]([6, 6]), lut = fp16[2]([1, 2]), shape = uint32[2]([2, 3]))", "indices is [2] for the shape [2, 3] at 1 bits each"},
    {MIL_OP_constexpr_sparse_to_dense_v7,
     "constexpr_sparse_to_dense(nonzero_data = fp16[2]([1, 2]), mask = uint8[1]([33]), shape = uint32[2]([2, 3]))", "fp16[2, 3]",
     "constexpr_sparse_to_dense(nonzero_data = fp16[1]([1]), mask = uint8[1]([33]), shape = uint32[2]([2, 3]))", "nonzero_data has 1 items but mask has 2 ones"},
    {MIL_OP_constexpr_cast_v7, "constexpr_cast(source_val = fp16[2]([1, 2]), output_dtype = string(\"fp32\"))", "fp32[2]",
     "constexpr_cast(source_val = fp32[2]([1, 2]), output_dtype = string(\"fp32\"))", "source_val is fp32, expected fp16"},
};
// clang-format on

// The function with `statement` in it, its outputs named y0, y1, …; NULL and `err` when refused.
static const MilFunction *parse(Arena *arena, MilOpcode opcode, uint32_t n_outputs,
                                const char *statement, Err *err) {
    StrBuf text = {0};
    int spec = mil_op(opcode)->until;
    strbuf_printf(&text, "program %d\nfunc main(%s) {\n", spec > 9 ? 9 : spec, inputs);
    for (uint32_t i = 0; i < n_outputs; i++) strbuf_printf(&text, "%sy%u", i ? ", " : "", i);
    strbuf_printf(&text, "%s%s\n} -> ()", n_outputs ? " = " : "", statement);
    MilProgram *p = mil_parse(arena, strbuf_str(&text), err);
    strbuf_free(&text);
    return p ? p->functions[0] : NULL;
}

static uint32_t count_types(const char *types) {
    uint32_t n = *types != 0;
    for (const char *at = types; (at = strstr(at, "], ")); at++) n++;
    return n;
}

static void test_every_op_gives_its_types(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Err err = {0};
        const MilFunction *f =
            parse(&arena, cases[i].opcode, count_types(cases[i].types), cases[i].good, &err);
        if (!f) print_message("%s: %s\n", cases[i].good, err.text);
        assert_non_null(f);
        const MilOp *op = &f->ops[f->n_ops - 1];
        assert_int_equal(op->info->opcode, cases[i].opcode);
        // without outputs nothing had to be inferred yet
        MilType types[MIL_MAX_OUTPUTS];
        uint32_t n;
        assert_true(mil_infer(f, op, types, &n, &err));
        StrBuf got = {0};
        strbuf_add(&got, STR(""));
        for (uint32_t k = 0; k < n; k++) {
            if (k) strbuf_add(&got, STR(", "));
            mil_type_print(&types[k], &got);
        }
        if (strcmp(got.at, cases[i].types) != 0) print_message("%s\n", cases[i].good);
        assert_string_equal(got.at, cases[i].types);
        strbuf_free(&got);
        arena_free(&arena);
    }
}

static void test_every_op_refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Err err = {0};
        const MilFunction *f =
            parse(&arena, cases[i].opcode, *cases[i].types != 0, cases[i].bad, &err);
        if (f && !*cases[i].types) { // no output asked for its type
            MilType types[MIL_MAX_OUTPUTS];
            uint32_t n;
            if (!mil_infer(f, &f->ops[f->n_ops - 1], types, &n, &err)) f = NULL;
        }
        if (f || !strstr(err.text, cases[i].words))
            print_message("%s: %s\n", cases[i].bad, f ? "accepted" : err.text);
        assert_null(f);
        assert_non_null(strstr(err.text, cases[i].words));
        arena_free(&arena);
    }
}

static void test_the_table_has_every_op(void **state) {
    (void)state;
    bool is_tested[MIL_OP_COUNT] = {[MIL_OP_const] = true};
    for (size_t i = 0; i < COUNT_OF(cases); i++) is_tested[cases[i].opcode] = true;
    for (int op = 0; op < MIL_OP_COUNT; op++) {
        if (!is_tested[op]) print_message("%s is not tested\n", mil_op((MilOpcode)op)->name);
        assert_true(is_tested[op]);
    }
}

static void test_forms_of_an_op_by_version(void **state) {
    (void)state;
    Str lut = STR("constexpr_lut_to_dense");
    assert_null(mil_op_for(lut, 6));
    assert_int_equal(mil_op_for(lut, 8)->opcode, MIL_OP_constexpr_lut_to_dense_v7);
    assert_int_equal(mil_op_for(lut, 9)->opcode, MIL_OP_constexpr_lut_to_dense);
    assert_int_equal(mil_op_named(lut)->opcode, MIL_OP_constexpr_lut_to_dense);
    assert_null(mil_op_for(STR("slice_update"), 8));
    assert_null(mil_op_named(STR("coreml_update_state")));
}

static void test_dims_too_large_are_refused(void **state) {
    (void)state;
    static const char *const statements[] = {
        "reshape(x = x, shape = int32[1]([-1]))",
        "tile(x = x, reps = int32[4]([2, 2, 2, 2]))",
        "concat(values = (x, x), axis = int32(0))",
        "expand_dims(x = x, axes = int32[3]([0, 1, 2]))",
    };
    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        Arena arena = {0};
        Str text = arena_printf(&arena,
                                "program 9 func main(x: fp16[1099511627776, 1099511627776, "
                                "1099511627776, 1099511627776]) {\n"
                                "y = %s } -> (y)",
                                statements[i]);
        assert_null(mil_parse(&arena, text, NULL));
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op_gives_its_types),
        cmocka_unit_test(test_every_op_refuses),
        cmocka_unit_test(test_the_table_has_every_op),
        cmocka_unit_test(test_forms_of_an_op_by_version),
        cmocka_unit_test(test_dims_too_large_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
