// infer_product.c — convolution and matrix products.
#include "mil/infer.h"

enum { MAX_SPATIAL = 3 };

// A list with one entry a spatial axis (or two, for padding), or `otherwise` in each.
static bool spatial_list(Infer *in, const char *param, int64_t otherwise, int64_t *out, size_t n,
                         int64_t least) {
    size_t count = n;
    for (size_t i = 0; i < n; i++) out[i] = otherwise;
    if (!value_is_none(infer_operand(in, param)) &&
        (!infer_ints(in, param, out, n, &count) || count != n))
        return infer_refuse(in, "%s: expected %zu integers", param, n);
    for (size_t i = 0; i < n; i++)
        if (out[i] < least || out[i] > INT32_MAX)
            return infer_refuse(in, "%s: entry of %lld", param, (long long)out[i]);
    return true;
}

bool infer_conv(Infer *in) {
    const MilType *x = infer_type(in, "x"), *w = infer_type(in, "weight");
    const MilType *bias = infer_type(in, "bias");
    int n_spatial = x->rank - 2;
    if (n_spatial < 1 || n_spatial > MAX_SPATIAL || w->rank != x->rank)
        return infer_refuse(in, "x of rank %d and weight of rank %d", x->rank, w->rank);
    int64_t groups = infer_int(in, "groups", 1);
    if (groups < 1 || x->dims[1] % groups || w->dims[0] % groups ||
        w->dims[1] != x->dims[1] / groups)
        return infer_refuse(
            in, "weight [%lld, %lld, …] does not fit %lld input channels in %lld groups",
            (long long)w->dims[0], (long long)w->dims[1], (long long)x->dims[1], (long long)groups);
    if (bias && (bias->rank != 1 || bias->dims[0] != w->dims[0]))
        return infer_refuse(in, "bias is not a vector of %lld", (long long)w->dims[0]);

    Str pad_type = STR("valid");
    mil_const_str(in->f, infer_operand(in, "pad_type"), &pad_type);
    bool is_custom = str_is(pad_type, "custom"), is_valid = str_is(pad_type, "valid");
    bool is_same = str_is(pad_type, "same") || str_is(pad_type, "same_lower");
    if (!is_custom && !is_valid && !is_same)
        return infer_refuse(in, "pad_type '%.*s'", STR_ARG(pad_type));
    int64_t strides[MAX_SPATIAL], dilations[MAX_SPATIAL], pads[2 * MAX_SPATIAL];
    size_t n = (size_t)n_spatial;
    if (!spatial_list(in, "strides", 1, strides, n, 1) ||
        !spatial_list(in, "dilations", 1, dilations, n, 1) ||
        !spatial_list(in, "pad", 0, pads, 2 * n, 0))
        return false;
    MilType out = {.dtype = x->dtype, .rank = x->rank, .dims = {x->dims[0], w->dims[0]}};
    for (int i = 0; i < n_spatial; i++) {
        int64_t d = x->dims[i + 2], kernel = (w->dims[i + 2] - 1) * dilations[i] + 1;
        int64_t padded = d + (is_custom ? pads[2 * i] + pads[2 * i + 1] : 0);
        out.dims[i + 2] = is_same           ? (d + strides[i] - 1) / strides[i]
                          : padded < kernel ? 0
                                            : (padded - kernel) / strides[i] + 1;
        if (out.dims[i + 2] < 1)
            return infer_refuse(in, "a kernel of %lld over %lld positions leaves none",
                                (long long)kernel, (long long)padded);
    }
    in->out[0] = out;
    return true;
}

bool infer_linear(Infer *in) {
    const MilType *x = infer_type(in, "x"), *w = infer_type(in, "weight");
    const MilType *bias = infer_type(in, "bias");
    if (x->rank < 1 || w->rank != 2 || x->dims[x->rank - 1] != w->dims[1])
        return infer_refuse(in, "the last dimension of x is not the second of weight");
    if (bias && (bias->rank != 1 || bias->dims[0] != w->dims[0]))
        return infer_refuse(in, "bias is not a vector of %lld", (long long)w->dims[0]);
    in->out[0] = *x;
    in->out[0].dims[x->rank - 1] = w->dims[0];
    return true;
}

static bool is_const_op(const Infer *in, const char *param) {
    return mil_value(in->f, infer_operand(in, param))->data != NULL;
}

bool infer_matmul(Infer *in) {
    MilType x = *infer_type(in, "x"), y = *infer_type(in, "y");
    bool tx = infer_bool(in, "transpose_x", false), ty = infer_bool(in, "transpose_y", false);
    // Different dtypes only when exactly one operand is a const op; the other's dtype is the
    // result's.
    bool cx = is_const_op(in, "x"), cy = is_const_op(in, "y");
    if (x.dtype != y.dtype && cx == cy)
        return infer_refuse(in, "x is %s and y %s", mil_dtypes[x.dtype].name,
                            mil_dtypes[y.dtype].name);
    if (x.rank < 2 || y.rank < 2)
        return infer_refuse(in, "operands of rank %d and %d; lathe takes 2 and more", x.rank,
                            y.rank);
    int64_t rows = x.dims[x.rank - (tx ? 1 : 2)], inner_x = x.dims[x.rank - (tx ? 2 : 1)];
    int64_t inner_y = y.dims[y.rank - (ty ? 1 : 2)], cols = y.dims[y.rank - (ty ? 2 : 1)];
    if (inner_x != inner_y)
        return infer_refuse(in, "inner dimensions %lld and %lld differ", (long long)inner_x,
                            (long long)inner_y);
    int rank = x.rank > y.rank ? x.rank : y.rank;
    MilType out = {.dtype = cx && !cy ? y.dtype : x.dtype, .rank = rank};
    for (int i = 0; i < rank - 2; i++) {
        int64_t a = i < rank - x.rank ? 1 : x.dims[i - (rank - x.rank)];
        int64_t b = i < rank - y.rank ? 1 : y.dims[i - (rank - y.rank)];
        if (a != b && a != 1 && b != 1)
            return infer_refuse(in, "batch dimension %d is %lld and %lld", i, (long long)a,
                                (long long)b);
        out.dims[i] = a == 1 ? b : a;
    }
    out.dims[rank - 2] = rows;
    out.dims[rank - 1] = cols;
    in->out[0] = out;
    return true;
}
