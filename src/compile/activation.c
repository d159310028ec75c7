// activation.c — the activations of feed-forward blocks as ops.
#include "base/size.h"
#include "compile/graph.h"

static ValueId gelu_tanh(Graph *g, ValueId x) {
    Builder *b = &g->builder;
    ValueId mode = build_const_str(b, graph_name(g, "gelu_mode"), "TANH_APPROXIMATION");
    BuildArg args[] = {{"x", &x, 1}, {"mode", &mode, 1}};
    return build_op(b, graph_name(g, "gelu"), MIL_OP_gelu, args, COUNT_OF(args));
}

static ValueId relu_squared(Graph *g, ValueId x) {
    Builder *b = &g->builder;
    ValueId positive = build_unary(b, graph_name(g, "relu"), MIL_OP_relu, x);
    ValueId scaled = graph_scale(g, "relu_scaled", positive, g->up_factor);
    return build_binary(b, graph_name(g, "relu_squared"), MIL_OP_mul, positive, scaled);
}

// Both sides in one sum, without a choice between them:
//
//     alpha_p · relu(x)² + alpha_n · (elu(x) - x) + beta · x
//
// since elu(x) is expm1(x) below 0 and x above. elu and x have the same leading digits near 0, so the rounding of either to fp16
// is a share of x, as that of beta · x is; exp(x) - 1 would lose all but the thousandths. The square is taken of a factor that the
// constant has already made small. What divides the result is in the constants.
static ValueId xielu(Graph *g, ValueId x) {
    const Contract *c = g->contract;
    Builder *b = &g->builder;
    float alpha_p = c->xielu_alpha_p.at[g->layer] * g->up_factor;
    float alpha_n = c->xielu_alpha_n.at[g->layer] * g->up_factor;
    float beta = c->xielu_beta.at[g->layer] * g->up_factor;
    ValueId one = build_const_f16(b, graph_name(g, "xielu_one"), 1);
    BuildArg args[] = {{"x", &x, 1}, {"alpha", &one, 1}};
    ValueId positive = build_unary(b, graph_name(g, "xielu_relu"), MIL_OP_relu, x);
    ValueId scaled = graph_scale(g, "xielu_relu_scaled", positive, alpha_p);
    ValueId squared = build_binary(b, graph_name(g, "xielu_square"), MIL_OP_mul, positive, scaled);
    ValueId elu = build_op(b, graph_name(g, "xielu_elu"), MIL_OP_elu, args, COUNT_OF(args));
    ValueId bent = build_binary(b, graph_name(g, "xielu_bend"), MIL_OP_sub, elu, x);
    ValueId below = graph_scale(g, "xielu_below", bent, alpha_n);
    ValueId line = graph_scale(g, "xielu_line", x, beta);
    ValueId curve = build_binary(b, graph_name(g, "xielu_curve"), MIL_OP_add, squared, below);
    return build_binary(b, graph_name(g, "xielu"), MIL_OP_add, curve, line);
}

ValueId graph_activate(Graph *g, ValueId x) {
    switch (graph_kind(g)->activation) {
    case ACTIVATION_SILU: return build_unary(&g->builder, graph_name(g, "silu"), MIL_OP_silu, x);
    case ACTIVATION_GELU_TANH: return gelu_tanh(g, x);
    case ACTIVATION_RELU_SQUARED: return relu_squared(g, x);
    case ACTIVATION_XIELU: return xielu(g, x);
    }
    return MIL_NO_VALUE;
}
