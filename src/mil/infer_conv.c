// infer_conv.c — rules of ops that slide a window over the spatial dims of x [n, channels, *d].
//
// Sizes follow coremltools 9, coremltools/converters/mil/mil/ops/defs/_utils.py
// (spatial_dimensions_out_shape).
#include <inttypes.h>

#include "mil/infer.h"

typedef struct {
    InferInts strides, dilations, pad; // pad: [before0, after0, before1, …]
    Str pad_type;
    bool ceil_mode;
    int n_spatial;
} Window;

static bool is_one_of(Str s, const char *a, const char *b, const char *c, const char *d) {
    return str_is(s, a) || str_is(s, b) || str_is(s, c) || (d && str_is(s, d));
}

static bool all_at_least(MilInfer *i, const char *param, const InferInts *ints, int64_t least) {
    for (uint32_t k = 0; ints->known && k < ints->n; k++)
        if (ints->at[k] < least)
            return infer_fail(i, "%s[%u] is %" PRId64 ", expected at least %" PRId64, param, k,
                              ints->at[k], least);
    return true;
}

static bool read_window(MilInfer *i, Window *w) {
    const MilType *x = infer_type(i, "x");
    if (x->rank < 3 || x->rank > 5)
        return infer_fail(i, "x has rank %d, expected 3 to 5: [n, channels, 1 to 3 spatial dims]",
                          x->rank);
    w->n_spatial = x->rank - 2;
    uint32_t n = (uint32_t)w->n_spatial;
    if (!infer_ints_or(i, "strides", n, 1, &w->strides)) return false;
    if (!infer_ints_or(i, "pad", 2 * n, 0, &w->pad)) return false;
    if (!infer_text(i, "pad_type", &w->pad_type)) return false;
    if (!all_at_least(i, "strides", &w->strides, 1)) return false;
    return all_at_least(i, "pad", &w->pad, 0);
}

static bool is_same_padding(const Window *w) {
    return str_is(w->pad_type, "same") || str_is(w->pad_type, "same_lower");
}

// Size of spatial dim `k` after a window of `kernel` moved over `size`.
static bool slide(MilInfer *i, const Window *w, int k, int64_t size, int64_t kernel, int64_t *out) {
    *out = MIL_UNKNOWN_DIM;
    bool known = w->strides.known && w->dilations.known && w->pad.known;
    if (!known || size == MIL_UNKNOWN_DIM || kernel == MIL_UNKNOWN_DIM) return true;
    int64_t stride = w->strides.at[k];
    if (is_same_padding(w)) {
        *out = (size + stride - 1) / stride;
    } else {
        int64_t pad =
            str_is(w->pad_type, "custom") ? dim_add(w->pad.at[2 * k], w->pad.at[2 * k + 1]) : 0;
        int64_t reach = dim_add(dim_mul(kernel - 1, w->dilations.at[k]), 1);
        int64_t room = size + pad - reach;
        if (room >= 0 || w->ceil_mode) {
            *out = (room + (w->ceil_mode ? stride - 1 : 0)) / stride + 1;
            // The last window may not lie wholly in the padding after the input.
            if (w->ceil_mode && pad > 0 && 2 * (*out - 1) * stride >= 2 * size + pad) --*out;
        } else {
            *out = 0;
        }
    }
    if (*out <= 0)
        return infer_fail(
            i, "spatial dim %d of x is %" PRId64 ", too small for the kernel of %" PRId64, k, size,
            kernel);
    return true;
}

// bias: one number for each of `channels`.
static bool check_bias(MilInfer *i, int64_t channels) {
    const MilType *bias = infer_type(i, "bias");
    if (bias && (bias->rank != 1 || !dims_agree(bias->dims[0], channels)))
        return infer_fail(i,
                          "bias is %s, expected one number for each of %" PRId64 " output channels",
                          infer_shape_text(i, bias), channels);
    return true;
}

static bool read_groups(MilInfer *i, int64_t *groups) {
    if (!infer_int(i, "groups", groups)) return false;
    return *groups >= 1 || infer_fail(i, "groups is %" PRId64 ", expected at least 1", *groups);
}

static bool check_weight_rank(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *weight = infer_type(i, "weight");
    return weight->rank == x->rank ||
           infer_fail(i, "weight is %s for x %s, expected the same rank",
                      infer_shape_text(i, weight), infer_shape_text(i, x));
}

// What conv and conv_transpose have in common.
static bool read_conv(MilInfer *i, Window *w, int64_t *groups) {
    return read_window(i, w) && check_weight_rank(i) && read_groups(i, groups) &&
           infer_ints_or(i, "dilations", (uint32_t)w->n_spatial, 1, &w->dilations) &&
           all_at_least(i, "dilations", &w->dilations, 1);
}

bool infer_conv(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *weight = infer_type(i, "weight");
    Window w = {0};
    int64_t groups;
    if (!read_conv(i, &w, &groups)) return false;
    if (!is_one_of(w.pad_type, "valid", "custom", "same", "same_lower"))
        return infer_fail(i, "pad_type is '%.*s', expected valid, custom, same or same_lower",
                          STR_ARG(w.pad_type));

    int64_t channels = x->dims[1];
    if (channels != MIL_UNKNOWN_DIM &&
        (channels % groups || !dims_agree(weight->dims[1], channels / groups)))
        return infer_fail(i,
                          "weight is %s, expected %" PRId64 " / %" PRId64
                          " groups input channels in its second dim",
                          infer_shape_text(i, weight), channels, groups);
    int64_t rows = weight->dims[0];
    if (rows != MIL_UNKNOWN_DIM && rows % groups)
        return infer_fail(i, "%" PRId64 " output channels cannot be split into %" PRId64 " groups",
                          rows, groups);
    if (!check_bias(i, rows)) return false;
    int weight_at = mil_param(i->op->info, "weight");
    bool run_time_weight = !mil_value(i->f, mil_operand(i->f, i->op, weight_at))->is_constant;
    for (int k = 0; run_time_weight && w.dilations.known && k < w.n_spatial; k++)
        if (w.dilations.at[k] > 1)
            return infer_fail(
                i, "dilations are above 1, which a weight computed at run time cannot have");

    MilType result = type_of(x->dtype);
    type_append(&result, x->dims[0]);
    type_append(&result, rows);
    for (int k = 0; k < w.n_spatial; k++) {
        int64_t size;
        if (!slide(i, &w, k, x->dims[2 + k], weight->dims[2 + k], &size)) return false;
        type_append(&result, size);
    }
    return infer_result(i, result);
}

// weight: [C_in, C_out / groups, *K]
bool infer_conv_transpose(MilInfer *i) {
    const MilType *x = infer_type(i, "x"), *weight = infer_type(i, "weight");
    Window w = {0};
    int64_t groups;
    if (!read_conv(i, &w, &groups)) return false;
    if (!is_one_of(w.pad_type, "valid", "custom", "same", NULL))
        return infer_fail(i, "pad_type is '%.*s', expected valid, custom or same",
                          STR_ARG(w.pad_type));
    if (!dims_agree(x->dims[1], weight->dims[0]))
        return infer_fail(i, "weight is %s for x %s, expected x's channels in its first dim",
                          infer_shape_text(i, weight), infer_shape_text(i, x));
    int64_t channels = dim_mul(weight->dims[1], groups);
    if (!check_bias(i, channels)) return false;

    MilType result = type_of(x->dtype);
    type_append(&result, x->dims[0]);
    type_append(&result, channels);
    for (int k = 0; k < w.n_spatial; k++) {
        int64_t size = x->dims[2 + k], kernel = weight->dims[2 + k], out = MIL_UNKNOWN_DIM;
        if (w.strides.known && w.dilations.known && w.pad.known && size > 0 && kernel > 0) {
            int64_t reach = dim_add(dim_mul(kernel - 1, w.dilations.at[k]), 1);
            if (str_is(w.pad_type, "same")) {
                out = dim_mul(w.strides.at[k], size);
            } else {
                out = dim_add(dim_mul(w.strides.at[k], size - 1), reach);
            }
            if (str_is(w.pad_type, "custom")) out -= w.pad.at[2 * k] + w.pad.at[2 * k + 1];
            if (out <= 0) return infer_fail(i, "spatial dim %d of the result is %" PRId64, k, out);
        }
        type_append(&result, out);
    }
    InferInts shape;
    if (!infer_ints(i, "output_shape", &shape)) return false;
    if (shape.given) {
        bool fits = shape.known && shape.n == (uint32_t)result.rank;
        for (int k = 0; fits && k < 2; k++) fits = dims_agree(shape.at[k], result.dims[k]);
        if (!fits)
            return infer_fail(
                i, "output_shape does not begin with n and the output channels of x and weight");
        for (int k = 0; k < result.rank; k++) result.dims[k] = shape.at[k];
    }
    return infer_result(i, result);
}

bool infer_pool(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    Window w = {0};
    InferInts kernel;
    if (!read_window(i, &w)) return false;
    uint32_t n = (uint32_t)w.n_spatial;
    if (!infer_bool(i, "ceil_mode", &w.ceil_mode)) return false;
    if (!infer_ints_or(i, "kernel_sizes", n, 1, &kernel)) return false;
    if (!all_at_least(i, "kernel_sizes", &kernel, 1)) return false;
    if (!is_one_of(w.pad_type, "valid", "custom", "same", "same_lower"))
        return infer_fail(i, "pad_type is '%.*s', expected valid, custom, same or same_lower",
                          STR_ARG(w.pad_type));
    if (i->op->info->opcode == MIL_OP_l2_pool && n > 2)
        return infer_fail(i, "x has %u spatial dims, expected 1 or 2", n);
    if (w.ceil_mode) {
        if (n > 2) return infer_fail(i, "ceil_mode with %u spatial dims, expected 1 or 2", n);
        if (str_is(w.pad_type, "same")) return infer_fail(i, "ceil_mode with pad_type same");
        for (uint32_t k = 0; w.pad.known && k < n; k++)
            if (w.pad.at[2 * k] != w.pad.at[2 * k + 1])
                return infer_fail(i, "ceil_mode with different padding before and after");
    }
    w.dilations = (InferInts){.given = true, .known = true, .n = n, .at = {1, 1, 1}};

    MilType result = type_of(x->dtype);
    type_append_dims(&result, x, 0, 2);
    for (int k = 0; k < w.n_spatial; k++) {
        int64_t size;
        if (!slide(i, &w, k, x->dims[2 + k], kernel.known ? kernel.at[k] : MIL_UNKNOWN_DIM, &size))
            return false;
        type_append(&result, size);
    }
    return infer_result(i, result);
}
