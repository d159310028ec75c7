// Elementwise ops of one operand: functions, activations, cast, and those with one constant a
// channel.
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/columns.h"

static int32_t wrap_negate(int32_t x) {
    return (int32_t) - (uint32_t)x;
}

// 2^x; fractions are cut to 0, what does not fit wraps to 0.
static int32_t integer_exp2(int32_t x) {
    return x >= 0 && x < 32 ? (int32_t)(1u << x) : 0;
}

static float smaller_of(float x, float y) {
    return x < y ? x : y;
}

enum { PIECE = 512 };

// One stretch: `a` and `b` are the constants of curves; `k` for those that need e^x.
typedef void UnaryLoop(const Kernels *k, float *out, const float *in, size_t n, float a, float b);
typedef void IntLoop(int32_t *out, const int32_t *in, size_t n);

#define BODY(expression)                                                                           \
    for (size_t i = 0; i < n; i++) {                                                               \
        float x = in[i];                                                                           \
        out[i] = expression;                                                                       \
    }
#define FUNCTION(op, expression)                                                                   \
    static void op##_loop(const Kernels *k, float *out, const float *in, size_t n, float a,        \
                          float b) {                                                               \
        (void)k, (void)a, (void)b;                                                                 \
        BODY(expression)                                                                           \
    }
#define NUMERIC(op, expression, on_ints)                                                           \
    FUNCTION(op, expression)                                                                       \
    static void op##_ints(int32_t *out, const int32_t *in, size_t n) {                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            int32_t x = in[i];                                                                     \
            out[i] = on_ints;                                                                      \
        }                                                                                          \
    }
#define CURVE(op, alpha, beta, expression)                                                         \
    static void op##_loop(const Kernels *k, float *out, const float *in, size_t n, float a,        \
                          float b) {                                                               \
        (void)k, (void)b;                                                                          \
        BODY(expression)                                                                           \
    }
#define EXPONENTIAL(op, argument, expression)                                                      \
    static void op##_loop(const Kernels *k, float *out, const float *in, size_t n, float a,        \
                          float b) {                                                               \
        (void)a, (void)b;                                                                          \
        assert(n > 0 && n <= PIECE);                                                               \
        float powers[PIECE];                                                                       \
        for (size_t i = 0; i < n; i++) {                                                           \
            float x = in[i];                                                                       \
            powers[i] = argument;                                                                  \
        }                                                                                          \
        k->exp_f32(powers, powers, n);                                                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            float x = in[i], t = powers[i];                                                        \
            (void)x;                                                                               \
            out[i] = expression;                                                                   \
        }                                                                                          \
    }
#include "engine/unary.def"
#undef BODY

static void gelu_exact(const Kernels *k, float *out, const float *in, size_t n, float a, float b) {
    (void)k, (void)a, (void)b;
    for (size_t i = 0; i < n; i++) out[i] = 0.5f * in[i] * (1 + erff(in[i] * 0x1.6a09e6p-1f));
}

static void gelu_tanh(const Kernels *k, float *out, const float *in, size_t n, float a, float b) {
    (void)k, (void)a, (void)b;
    const float root_2_over_pi = 0x1.988454p-1f;
    for (size_t i = 0; i < n; i++) {
        float x = in[i];
        out[i] = 0.5f * x * (1 + tanhf(root_2_over_pi * (x + 0.044715f * x * x * x)));
    }
}

static void gelu_sigmoid(const Kernels *k, float *out, const float *in, size_t n, float a,
                         float b) {
    (void)k, (void)a, (void)b;
    for (size_t i = 0; i < n; i++) out[i] = in[i] / (1 + expf(-1.702f * in[i]));
}

typedef struct {
    const char *op;
    UnaryLoop *floats;
    IntLoop *ints; // NULL: floats only
    bool is_curve;
    double alpha, beta;
} UnaryRow;

static const UnaryRow rows[] = {
#define FUNCTION(op, expression)              {#op, op##_loop, NULL, false, 0, 0},
#define NUMERIC(op, expression, on_ints)      {#op, op##_loop, op##_ints, false, 0, 0},
#define CURVE(op, alpha, beta, expression)    {#op, op##_loop, NULL, true, alpha, beta},
#define EXPONENTIAL(op, argument, expression) {#op, op##_loop, NULL, false, 0, 0},
#include "engine/unary.def"
    // clang-format off
    {"gelu EXACT",                 gelu_exact,   NULL, false, 0, 0},
    {"gelu TANH_APPROXIMATION",    gelu_tanh,    NULL, false, 0, 0},
    {"gelu SIGMOID_APPROXIMATION", gelu_sigmoid, NULL, false, 0, 0},
    // clang-format on
};

typedef struct {
    const UnaryRow *row;
    const EngineTensor *x;
    EngineTensor *out;
    float a, b;
    const AneCurve *curve; // in place of the row's floats, where the arithmetic has one
} UnaryPlan;

static UnaryPlan *unary_plan(Prepare *p, const char *row) {
    UnaryPlan *plan = prep_new(p, UnaryPlan);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].op, row) == 0) plan->row = &rows[i];
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    if (p->node->rules->curve_of) plan->curve = p->node->rules->curve_of(p->op->info->name);
    prep_in_place(p, plan->x);
    return plan;
}

// An epsilon of 1e-12 or 1e-45 given as default takes x's dtype: nothing in binary16.
static double default_in(const Prepare *p, const UnaryPlan *plan, double number) {
    if (!p->e->rules->round || plan->x->type.dtype != MIL_F16) return number;
    float half = (float)number;
    p->e->k->round_half(&half, 1);
    return (double)half;
}

bool prepare_unary(Prepare *p) {
    UnaryPlan *plan = unary_plan(p, p->op->info->name);
    if (!plan->row->is_curve) return true;
    double a = default_in(p, plan, plan->row->alpha), b = plan->row->beta;
    const char *first = mil_param(p->op->info, "epsilon") >= 0 ? "epsilon" : "alpha";
    if (!prep_float(p, first, a, &a)) return false;
    if (!prep_float(p, "beta", b, &b)) return false;
    plan->a = (float)a;
    plan->b = (float)b;
    return true;
}

bool prepare_gelu(Prepare *p) {
    Str mode;
    if (!prep_str(p, "mode", "EXACT", &mode)) return false;
    char row[64];
    snprintf(row, sizeof row, "gelu %.*s", STR_ARG(mode));
    return unary_plan(p, row)->row ||
           prep_fail(p, "mode '%.*s': expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION",
                     STR_ARG(mode));
}

static void unary_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const UnaryPlan *p = task->n->plan;
    if (p->x->i32 && p->row->ints) {
        p->row->ints(p->out->i32 + first, p->x->i32 + first, end - first);
        return;
    }
    for (size_t at = first; at < end; at += PIECE) {
        size_t n = min_size(end - at, PIECE);
        if (p->x->i32) { // threshold takes integers too
            for (size_t i = at; i < at + n; i++)
                p->out->i32[i] = p->x->i32[i] < (int32_t)p->a ? (int32_t)p->a : p->x->i32[i];
            continue;
        }
        if (p->curve)
            ane_curve_apply(p->curve, p->out->f32 + at, p->x->f32 + at, n, p->a);
        else
            p->row->floats(task->e->k, p->out->f32 + at, p->x->f32 + at, n, p->a, p->b);
        node_round(task->e, task->n, p->out->f32 + at, n);
    }
}

bool run_unary(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const UnaryPlan *p = n->plan;
    NodeTask task = {e, n};
    pool_run(e->pool, p->out->count, ELEMENT_GRAIN, unary_task, &task);
    return true;
}

void unary_run_columns(const Engine *e, const Node *n, Columns c) {
    columns_run(e, n, c, unary_task);
}

// ---- logical_not, identity, cast

bool prepare_logical_not(Prepare *p) {
    UnaryPlan *plan = prep_new(p, UnaryPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    prep_in_place(p, plan->x);
    return true;
}

bool run_logical_not(const Engine *e, const Node *n, Err *err) {
    (void)e, (void)err;
    const UnaryPlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) p->out->i32[i] = !p->x->i32[i];
    return true;
}

bool prepare_identity(Prepare *p) {
    const EngineTensor *x = prep_in(p, "x");
    prep_view(p, 0, x, 0);
    return true;
}

bool prepare_cast(Prepare *p) {
    UnaryPlan *plan = prep_new(p, UnaryPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    MilDtype from = plan->x->type.dtype, to = plan->out->type.dtype;
    bool same_kind = is_float(from) == is_float(to);
    bool keeps_all = from == to || from == MIL_BOOL || (is_float(from) && !p->node->rules->round) ||
                     (!is_float(to) && to == MIL_I32);
    if (same_kind && keeps_all)
        prep_view(p, 0, plan->x, 0);
    else if (same_kind)
        prep_in_place(p, plan->x);
    return true;
}

// Integers wrap into narrower types.
static int32_t wrap_int(MilDtype to, int32_t x) {
    switch (to) {
    case MIL_BOOL: return x != 0;
    case MIL_I8: return (int8_t)(uint8_t)x;
    case MIL_U8: return (uint8_t)x;
    case MIL_I16: return (int16_t)(uint16_t)x;
    case MIL_U16: return (uint16_t)x;
    default: return x;
    }
}

// Towards zero; what does not fit an int32 becomes its nearest end, NaN becomes 0.
static int32_t cut_float(MilDtype to, float x) {
    if (to == MIL_BOOL) return x != 0;
    if (x != x) return 0;
    if (x >= 0x1p31f) return wrap_int(to, INT32_MAX);
    if (x < -0x1p31f) return wrap_int(to, INT32_MIN);
    return wrap_int(to, (int32_t)x);
}

bool run_cast(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const UnaryPlan *p = n->plan;
    const EngineTensor *x = p->x;
    EngineTensor *out = p->out;
    MilDtype to = out->type.dtype;
    for (size_t i = 0; i < out->count; i++) {
        if (out->f32)
            out->f32[i] = x->f32 ? x->f32[i] : (float)x->i32[i];
        else
            out->i32[i] = x->f32 ? cut_float(to, x->f32[i]) : wrap_int(to, x->i32[i]);
    }
    if (out->f32) node_round(e, n, out->f32, out->count);
    return true;
}

// ---- prelu and softplus_parametric: constants a channel (axis 1)

typedef struct {
    const EngineTensor *x, *alpha, *beta;
    EngineTensor *out;
    AxisSplit split;
} ChannelPlan;

static ChannelPlan *channel_plan(Prepare *p) {
    ChannelPlan *plan = prep_new(p, ChannelPlan);
    plan->x = prep_in(p, "x");
    plan->alpha = prep_in(p, "alpha");
    plan->out = prep_out(p, 0);
    plan->split = axis_split(&plan->x->type, 1);
    prep_in_place(p, plan->x);
    return plan;
}

bool prepare_prelu(Prepare *p) {
    channel_plan(p);
    return true;
}

bool prepare_softplus_parametric(Prepare *p) {
    channel_plan(p)->beta = prep_in(p, "beta");
    return true;
}

bool run_prelu(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const ChannelPlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) {
        float x = p->x->f32[i], alpha = p->alpha->f32[i / p->split.inner % p->split.size];
        p->out->f32[i] = x > 0 ? x : alpha * x;
    }
    node_round(e, n, p->out->f32, p->out->count);
    return true;
}

bool run_softplus_parametric(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const ChannelPlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) {
        size_t channel = i / p->split.inner % p->split.size;
        float x = p->x->f32[i] * p->beta->f32[channel];
        p->out->f32[i] = p->alpha->f32[channel] * ((x > 0 ? x : 0) + log1pf(expf(-fabsf(x))));
    }
    node_round(e, n, p->out->f32, p->out->count);
    return true;
}
