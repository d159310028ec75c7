// norm.c — RMSNorm, and LayerNorm, built from elementary ops, safe in fp16 for any input.
//
// y = w · x / sqrt(mean(x²) + eps). Squares of |x| > 255 leave fp16, and the row comes out as
// zeros, not NaN. So x is divided by its largest magnitude m first, which is what coremltools' own
// lowering does and stays on the ANE. With u = x / m and d channels:
//
//     y = w · u · sqrt(d) / sqrt(sum(u²) + (sqrt(d · eps) / m)²)
//
// The sum lies in [1, d], and eps is scaled by d so that it does not vanish among fp16's
// subnormals. A row that comes divided by 2^k takes eps / 4^k: its root is divided by 2^k. Plans
// whose root is not a normal fp16 number are refused (condition.h).
//
// The division stays even where measured ranges would allow squaring the row as it is. Once a model
// has its first massive activations (SmolLM2-135M: from its third layer on), rows of one norm
// differ by a factor of 100 and more. So few norms could do without the division, and they would
// turn a larger row, which no calibration text showed, into zeros.
//
// Under --norm l2 a call of one row has two ops instead: y = l2_norm(x; d · eps) · (sqrt(d) · w).
// The op sums in a wide float, safe up to Σx² of 6e9 on CPU, GPU and Neural Engine
// (kasper0406/gemma- coreml-chat: mil_passes/fp16_l2_norm), and reduces the last three axes, which
// are all of [1, d, 1, 1]; of [1, d, 1, T] they are not the channels alone, so prefill keeps the
// form above. The weights hold sqrt(d) for both. On the Neural Engine the op is reported to ignore
// its eps: rows come out larger by sqrt(1 + eps / mean(x²)), which is 5 % where the mean square is
// ten times eps, and below 0.01 % above 1e4 times eps; a row of zeros stays zeros. Arithmetic `ane`
// does the same, and conversion refuses the form where a measured row would be more than 1 % off.
#include <math.h>

#include "base/size.h"
#include "compile/graph.h"

// A row of zeros must stay zeros: m is at least fp16's smallest normal number.
#define LEAST_MAGNITUDE 0x1p-14f

#define NAME(part) graph_name(g, arena_printf(g->arena, "%s_%s", what, part).at)

// x / m, and m: the largest magnitude along `axis`.
static ValueId divide_by_largest(Graph *g, const char *what, ValueId x, int axis, ValueId *m) {
    Builder *b = &g->builder;
    ValueId magnitude = build_unary(b, NAME("abs"), MIL_OP_abs, x);
    ValueId max = build_reduce(b, NAME("max"), MIL_OP_reduce_max, magnitude, axis, true);
    ValueId least = build_const_f16(b, NAME("least"), LEAST_MAGNITUDE);
    *m = build_binary(b, NAME("m"), MIL_OP_maximum, max, least);
    return build_binary(b, NAME("u"), MIL_OP_real_div, x, *m);
}

// (root_eps / m)², what is added to the squares' sum or mean.
static ValueId scaled_eps(Graph *g, const char *what, float root_eps, ValueId m) {
    Builder *b = &g->builder;
    ValueId root = build_const_f16(b, NAME("root_eps"), root_eps);
    ValueId scaled = build_binary(b, NAME("scaled_eps"), MIL_OP_real_div, root, m);
    return build_binary(b, NAME("eps"), MIL_OP_mul, scaled, scaled);
}

// y = w · u / sqrt(mean(u²) + (root_eps / m)²). By the mean of squares, not their sum: it lies in
// [1 / width, 1], and no gain is left to multiply by, whose rounding would be a factor of the whole.
static ValueId by_mean(Graph *g, const char *what, ValueId u, ValueId m, int axis, int exp2) {
    Builder *b = &g->builder;
    ValueId squares = build_binary(b, NAME("squares"), MIL_OP_mul, u, u);
    ValueId mean = build_reduce(b, NAME("mean_square"), MIL_OP_reduce_mean, squares, axis, true);
    ValueId eps = scaled_eps(g, what, condition_root_eps(g->contract, 1, exp2), m);
    ValueId total = build_binary(b, NAME("total"), MIL_OP_add, mean, eps);
    ValueId inverse = build_rsqrt(b, NAME("rsqrt"), total, 0.0f);
    return build_binary(b, NAME("unit"), MIL_OP_mul, u, inverse);
}

// LayerNorm takes the mean away first. What is left may be small beside it, so it is divided by its
// own largest magnitude again.
static ValueId layer_norm_unit(Graph *g, const char *what, ValueId x) {
    Builder *b = &g->builder;
    const char *inner = arena_printf(g->arena, "%s_inner", what).at;
    ValueId m, m_inner, u = divide_by_largest(g, what, x, 1, &m);
    ValueId mean = build_reduce(b, NAME("mean"), MIL_OP_reduce_mean, u, 1, true);
    ValueId centred = build_binary(b, NAME("centred"), MIL_OP_sub, u, mean);
    ValueId unit = divide_by_largest(g, inner, centred, 1, &m_inner);
    ValueId both = build_binary(b, NAME("m_both"), MIL_OP_mul, m, m_inner);
    return by_mean(g, what, unit, both, 1, g->residual_exp2);
}

static ValueId rms_norm_unit(Graph *g, const char *what, ValueId x, uint32_t width) {
    Builder *b = &g->builder;
    float d = (float)width;
    bool is_l2 = g->plan->options.norm == NORM_L2;
    if (is_l2 && g->n_rows == 1) {
        ValueId eps = build_const_f16(b, NAME("l2_eps"),
                                      condition_l2_eps(g->contract, width, g->residual_exp2));
        BuildArg args[] = {{"x", &x, 1}, {"epsilon", &eps, 1}};
        return build_op(b, NAME("unit"), MIL_OP_l2_norm, args, COUNT_OF(args));
    }
    ValueId m, u = divide_by_largest(g, what, x, 1, &m);
    ValueId squares = build_binary(b, NAME("squares"), MIL_OP_mul, u, u);
    ValueId sum = build_reduce(b, NAME("sum"), MIL_OP_reduce_sum, squares, 1, true);
    ValueId eps = scaled_eps(g, what, condition_root_eps(g->contract, width, g->residual_exp2), m);
    ValueId total = build_binary(b, NAME("total"), MIL_OP_add, sum, eps);
    ValueId inverse = build_rsqrt(b, NAME("rsqrt"), total, 0.0f);
    ValueId gain =
        graph_scale(g, arena_printf(g->arena, "%s_gain", what).at, inverse, is_l2 ? 1 : sqrtf(d));
    return build_binary(b, NAME("unit"), MIL_OP_mul, u, gain);
}

ValueId graph_norm(Graph *g, const char *what, ValueId x, const PackedTensor *weight,
                   const PackedTensor *bias) {
    Builder *b = &g->builder;
    bool is_layer = g->contract->norm == NORM_LAYER;
    ValueId unit =
        is_layer ? layer_norm_unit(g, what, x) : rms_norm_unit(g, what, x, weight->n_rows);
    if (bias->n_parts == 0)
        return build_binary(b, NAME("y"), MIL_OP_mul, unit, graph_vector(g, weight));
    ValueId scaled = build_binary(b, NAME("scaled"), MIL_OP_mul, unit, graph_vector(g, weight));
    return build_binary(b, NAME("y"), MIL_OP_add, scaled, graph_vector(g, bias));
}

ValueId graph_inner_norm(Graph *g, const char *what, ValueId x, int axis, int exp2,
                         ValueId weight) {
    ValueId m, u = divide_by_largest(g, what, x, axis, &m);
    ValueId unit = by_mean(g, what, u, m, axis, exp2);
    return build_binary(&g->builder, NAME("y"), MIL_OP_mul, unit, weight);
}

#undef NAME
