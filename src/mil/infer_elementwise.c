// infer_elementwise.c — rules of elementwise ops, and of other ops whose result has the shape of an
// operand.
#include <inttypes.h>

#include "mil/infer.h"

// The type of the first parameter.
bool infer_same(MilInfer *i) {
    return infer_result(i, *infer_type(i, i->op->info->params[0].name));
}

bool infer_broadcast(MilInfer *i) {
    MilType result;
    return infer_broadcast_shapes(i, infer_type(i, "x"), infer_type(i, "y"), &result) &&
           infer_result(i, result);
}

bool infer_compare(MilInfer *i) {
    MilType result;
    if (!infer_broadcast_shapes(i, infer_type(i, "x"), infer_type(i, "y"), &result)) return false;
    result.dtype = MIL_BOOL;
    return infer_result(i, result);
}

// The shape is that of a and b alone, as coremltools has it; a reader that trusts
// that shape would read a larger `cond` out of its bounds, so it is refused.
bool infer_select(MilInfer *i) {
    const MilType *cond = infer_type(i, "cond");
    MilType chosen, with_cond;
    if (!infer_broadcast_shapes(i, infer_type(i, "a"), infer_type(i, "b"), &chosen)) return false;
    if (!infer_broadcast_shapes(i, &chosen, cond, &with_cond)) return false;
    bool grows = with_cond.rank > chosen.rank;
    for (int k = 0; !grows && k < chosen.rank; k++)
        grows = !dims_agree(with_cond.dims[k], chosen.dims[k]);
    if (grows)
        return infer_fail(
            i, "cond is %s, larger than a and b, which are %s together; make one of them full size",
            infer_shape_text(i, cond), infer_shape_text(i, &chosen));
    return infer_result(i, chosen);
}

bool infer_clip(MilInfer *i) {
    double alpha, beta;
    if (mil_arg_float(i->f, i->op, "alpha", &alpha) && mil_arg_float(i->f, i->op, "beta", &beta) &&
        !(alpha < beta))
        return infer_fail(i, "alpha is %g and beta %g; alpha must be the smaller", alpha, beta);
    return infer_same(i);
}

bool infer_cast(MilInfer *i) {
    MilType result = *infer_type(i, "x");
    int dtype = mil_param(i->op->info, "x");
    return infer_dtype(i, "dtype", i->op->info->params[dtype].dtypes, &result.dtype) &&
           infer_result(i, result);
}

bool infer_gelu(MilInfer *i) {
    Str mode;
    if (!infer_text(i, "mode", &mode)) return false;
    if (!str_is(mode, "EXACT") && !str_is(mode, "TANH_APPROXIMATION") &&
        !str_is(mode, "SIGMOID_APPROXIMATION"))
        return infer_fail(
            i, "mode is '%.*s', expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION",
            STR_ARG(mode));
    return infer_same(i);
}

bool infer_softmax(MilInfer *i) {
    int axis;
    return infer_axis(i, "axis", infer_type(i, "x")->rank, &axis) && infer_same(i);
}

// One number a channel: the parameters that are given, of [C] each, for x [n, C, *d].
static bool check_per_channel(MilInfer *i, const char *const *params, size_t n_params) {
    const MilType *x = infer_type(i, "x");
    if (x->rank < 3 || x->rank > 5)
        return infer_fail(i, "x has rank %d, expected 3 to 5: [n, channels, …]", x->rank);
    for (size_t k = 0; k < n_params; k++) {
        const MilType *t = infer_type(i, params[k]);
        if (t && (t->rank != 1 || !dims_agree(t->dims[0], x->dims[1])))
            return infer_fail(i, "%s is %s for x %s, expected one number a channel", params[k],
                              infer_shape_text(i, t), infer_shape_text(i, x));
    }
    return true;
}

bool infer_prelu(MilInfer *i) {
    const char *const params[] = {"alpha", "beta"};
    size_t n = mil_param(i->op->info, "beta") < 0 ? 1 : 2;
    return check_per_channel(i, params, n) && infer_same(i);
}

bool infer_channel_norm(MilInfer *i) {
    const char *const params[] = {"gamma", "beta", "mean", "variance"};
    size_t n = mil_param(i->op->info, "mean") < 0 ? 2 : 4;
    return check_per_channel(i, params, n) && infer_same(i);
}

bool infer_l2_norm(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    if (x->rank < 3) return infer_fail(i, "x has rank %d, expected at least 3", x->rank);
    return infer_same(i);
}

bool infer_layer_norm(MilInfer *i) {
    const MilType *x = infer_type(i, "x");
    bool is_normed[MIL_MAX_RANK] = {0};
    InferInts axes;
    if (!infer_ints(i, "axes", &axes)) return false;
    if (axes.given && !axes.known) return infer_same(i);
    for (int k = 0; !axes.given && k < x->rank; k++) is_normed[k] = true;
    for (uint32_t k = 0; k < axes.n; k++) {
        int axis;
        if (!infer_axis_of(i, "axes", axes.at[k], x->rank, &axis)) return false;
        is_normed[axis] = true;
    }
    MilType normed = type_of(x->dtype);
    for (int k = 0; k < x->rank; k++)
        if (is_normed[k]) type_append(&normed, x->dims[k]);

    const char *const params[] = {"gamma", "beta"};
    for (int p = 0; p < 2; p++) {
        const MilType *t = infer_type(i, params[p]);
        if (!t) continue;
        bool fits = t->rank == normed.rank;
        for (int k = 0; fits && k < t->rank; k++) fits = dims_agree(t->dims[k], normed.dims[k]);
        if (!fits)
            return infer_fail(i, "%s is %s, expected %s, the dims of x that are normalised",
                              params[p], infer_shape_text(i, t), infer_shape_text(i, &normed));
    }
    return infer_same(i);
}
