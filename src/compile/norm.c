// norm.c — RMSNorm out of elementary ops, safe in fp16 for any input.
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
// The division stays where ranges were measured and would allow squares of the row as it is: rows
// of one norm differ by a factor of 100 and more once a model has its first massive token
// (SmolLM2-135M: from its third layer on), so few norms could go without, and one that could would
// turn an unmeasured loud row into zeros.
//
// Under --norm l2 a call of one row has two ops instead: y = l2_norm(x; d · eps) · (sqrt(d) · w). The
// op sums in a wide float, safe up to Σx² of 6e9 on CPU, GPU and Neural Engine (kasper0406/gemma-
// coreml-chat: mil_passes/fp16_l2_norm), and reduces the last three axes, which are all of
// [1, d, 1, 1]; of [1, d, 1, T] they are not the channels alone, so prefill keeps the form above. The
// weights hold sqrt(d) for both. On the Neural Engine the op is reported to ignore its eps: rows come
// out larger by sqrt(1 + eps / mean(x²)), which is 5 % where the mean square is ten times eps and
// // nothing to speak of above 1e4 times it, and a row of zeros stays one. Arithmetic `ane` does the
// same, and conversion refuses the form where a measured row would be more than 1 % off.
#include <math.h>

#include "base/size.h"
#include "compile/graph.h"

// A row of zeros must stay one: m is kept at fp16's smallest normal number or above.
#define LEAST_MAGNITUDE 0x1p-14f

ValueId graph_norm(Graph *g, const char *what, ValueId x, const PackedTensor *weight) {
    Builder *b = &g->builder;
    uint32_t width = weight->n_rows;
    float d = (float)width;
    bool is_l2 = g->plan->options.norm == NORM_L2;
#define NAME(part) graph_name(g, arena_printf(g->arena, "%s_%s", what, part).at)
    if (is_l2 && g->n_rows == 1) {
        ValueId eps = build_const_f16(b, NAME("l2_eps"),
                                      condition_l2_eps(g->contract, width, g->residual_exp2));
        BuildArg args[] = {{"x", &x, 1}, {"epsilon", &eps, 1}};
        ValueId unit = build_op(b, NAME("unit"), MIL_OP_l2_norm, args, COUNT_OF(args));
        return build_binary(b, NAME("y"), MIL_OP_mul, unit, graph_vector(g, weight));
    }
    ValueId magnitude = build_unary(b, NAME("abs"), MIL_OP_abs, x);
    ValueId max = build_reduce(b, NAME("max"), MIL_OP_reduce_max, magnitude, 1, true);
    ValueId least = build_const_f16(b, NAME("least"), LEAST_MAGNITUDE);
    ValueId m = build_binary(b, NAME("m"), MIL_OP_maximum, max, least);
    ValueId u = build_binary(b, NAME("u"), MIL_OP_real_div, x, m);
    ValueId squares = build_binary(b, NAME("squares"), MIL_OP_mul, u, u);
    ValueId sum = build_reduce(b, NAME("sum"), MIL_OP_reduce_sum, squares, 1, true);
    ValueId root_eps = build_const_f16(b, NAME("root_eps"),
                                       condition_root_eps(g->contract, width, g->residual_exp2));
    ValueId scaled_eps = build_binary(b, NAME("scaled_eps"), MIL_OP_real_div, root_eps, m);
    ValueId eps = build_binary(b, NAME("eps"), MIL_OP_mul, scaled_eps, scaled_eps);
    ValueId total = build_binary(b, NAME("total"), MIL_OP_add, sum, eps);
    ValueId inverse = build_rsqrt(b, NAME("rsqrt"), total, 0.0f);
    ValueId gain =
        graph_scale(g, arena_printf(g->arena, "%s_gain", what).at, inverse, is_l2 ? 1 : sqrtf(d));
    ValueId unit = build_binary(b, NAME("unit"), MIL_OP_mul, u, gain);
    return build_binary(b, NAME("y"), MIL_OP_mul, unit, graph_vector(g, weight));
#undef NAME
}
