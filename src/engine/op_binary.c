// Elementwise ops of two operands, and select.
#include <math.h>
#include <string.h>

#include "engine/broadcast.h"
#include "engine/columns.h"
#include "engine/prepare.h"

// ---- what the rows of binary.def use

static int32_t wrap_add(int32_t x, int32_t y) {
    return (int32_t)((uint32_t)x + (uint32_t)y);
}
static int32_t wrap_sub(int32_t x, int32_t y) {
    return (int32_t)((uint32_t)x - (uint32_t)y);
}
static int32_t wrap_mul(int32_t x, int32_t y) {
    return (int32_t)((uint32_t)x * (uint32_t)y);
}

// int32 real_div: the quotient cut towards zero, as a cast of the real quotient cuts it.
static int32_t divide(int32_t x, int32_t y) {
    return y ? (int32_t)((int64_t)x / y) : 0;
}

static int32_t floor_divide(int32_t x, int32_t y) {
    if (y == 0) return 0;
    int64_t quotient = (int64_t)x / y;
    return (int32_t)(quotient - ((int64_t)x % y != 0 && (x < 0) != (y < 0)));
}

static int32_t floor_remainder(int32_t x, int32_t y) {
    if (y == 0) return 0;
    int64_t rest = (int64_t)x % y;
    return (int32_t)(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
}

// The remainder has the sign of the divisor, a zero too.
static float floor_mod(float x, float y) {
    float rest = fmodf(x, y);
    if (rest == 0) return copysignf(0, y);
    return (rest < 0) != (y < 0) ? rest + y : rest;
}

// x^y; 0 for what would be a fraction, as rounding towards zero would give.
static int32_t integer_power(int32_t x, int32_t y) {
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint32_t result = 1, base = (uint32_t)x;
    for (uint32_t n = (uint32_t)y; n; n >>= 1) {
        if (n & 1) result *= base;
        base *= base;
    }
    return (int32_t)result;
}

// NaN wins, as in NumPy.
static float larger(float x, float y) {
    return x > y || x != x ? x : y;
}
static float smaller(float x, float y) {
    return x < y || x != x ? x : y;
}

// ---- one function a row and kind of number, over stretches of dense operands

typedef void FloatLoop(float *out, const float *a, const float *b, size_t n);
typedef void IntLoop(int32_t *out, const int32_t *a, const int32_t *b, size_t n);
typedef void CompareLoop(int32_t *out, const float *a, const float *b, size_t n);

#define ARITHMETIC(op, on_floats, on_ints)                                                         \
    static void float_##op(float *out, const float *a, const float *b, size_t n) {                 \
        for (size_t i = 0; i < n; i++) {                                                           \
            float x = a[i], y = b[i];                                                              \
            out[i] = on_floats;                                                                    \
        }                                                                                          \
    }                                                                                              \
    static void int_##op(int32_t *out, const int32_t *a, const int32_t *b, size_t n) {             \
        for (size_t i = 0; i < n; i++) {                                                           \
            int32_t x = a[i], y = b[i];                                                            \
            out[i] = on_ints;                                                                      \
        }                                                                                          \
    }
#define COMPARISON(op, expression)                                                                 \
    static void compare_##op(int32_t *out, const float *a, const float *b, size_t n) {             \
        for (size_t i = 0; i < n; i++) {                                                           \
            float x = a[i], y = b[i];                                                              \
            out[i] = expression;                                                                   \
        }                                                                                          \
    }                                                                                              \
    static void int_##op(int32_t *out, const int32_t *a, const int32_t *b, size_t n) {             \
        for (size_t i = 0; i < n; i++) {                                                           \
            int32_t x = a[i], y = b[i];                                                            \
            out[i] = expression;                                                                   \
        }                                                                                          \
    }
#include "engine/binary.def"

typedef struct {
    const char *op;
    FloatLoop *floats;
    CompareLoop *compare;
    IntLoop *ints;
} BinaryRow;

static const BinaryRow rows[] = {
#define ARITHMETIC(op, on_floats, on_ints) {#op, float_##op, NULL, int_##op},
#define COMPARISON(op, expression)         {#op, NULL, compare_##op, int_##op},
#include "engine/binary.def"
};

// ---- the op

enum { PIECE = 512 };

typedef struct {
    const BinaryRow *row;
    const EngineTensor *x, *y;
    EngineTensor *out;
    Broadcast broadcast;
} BinaryPlan;

bool prepare_binary(Prepare *p) {
    BinaryPlan *plan = prep_new(p, BinaryPlan);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].op, p->op->info->name) == 0) plan->row = &rows[i];
    plan->x = prep_in(p, "x");
    plan->y = prep_in(p, "y");
    plan->out = prep_out(p, 0);
    const MilType *operands[] = {&plan->x->type, &plan->y->type};
    plan->broadcast = broadcast_of(&plan->out->type, operands, 2);
    if (is_float(plan->x->type.dtype) == is_float(plan->out->type.dtype)) {
        prep_in_place(p, plan->x);
        prep_in_place(p, plan->y);
    }
    return true;
}

// `n` elements of an operand: in place when it moves, spread into `piece` when it stands still.
static const float *floats_of(const EngineTensor *t, size_t from, size_t step, size_t n,
                              float *piece) {
    if (step) return t->f32 + from;
    for (size_t i = 0; i < n; i++) piece[i] = t->f32[from];
    return piece;
}

static const int32_t *ints_of(const EngineTensor *t, size_t from, size_t step, size_t n,
                              int32_t *piece) {
    if (step) return t->i32 + from;
    for (size_t i = 0; i < n; i++) piece[i] = t->i32[from];
    return piece;
}

static void binary_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const BinaryPlan *p = task->n->plan;
    for (size_t at = first; at < end;) {
        BroadcastRun run = broadcast_run(&p->broadcast, at, end);
        for (size_t done = 0; done < run.n; done += PIECE) {
            size_t n = min_size(run.n - done, PIECE), to = at + done;
            size_t a_at = run.from[0] + done * run.step[0], b_at = run.from[1] + done * run.step[1];
            if (p->x->i32) {
                int32_t a[PIECE], b[PIECE];
                p->row->ints(p->out->i32 + to, ints_of(p->x, a_at, run.step[0], n, a),
                             ints_of(p->y, b_at, run.step[1], n, b), n);
                continue;
            }
            float a[PIECE], b[PIECE];
            const float *x = floats_of(p->x, a_at, run.step[0], n, a);
            const float *y = floats_of(p->y, b_at, run.step[1], n, b);
            if (p->row->compare) {
                p->row->compare(p->out->i32 + to, x, y, n);
            } else {
                const ArithmeticRules *rules = task->n->rules;
                if (rules->decode_operands) {
                    x = rules->decode_operands(x, a, n);
                    y = rules->decode_operands(y, b, n);
                }
                p->row->floats(p->out->f32 + to, x, y, n);
                node_round(task->e, task->n, p->out->f32 + to, n);
            }
        }
        at += run.n;
    }
}

bool run_binary(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const BinaryPlan *p = n->plan;
    NodeTask task = {e, n};
    pool_run(e->pool, p->broadcast.count, ELEMENT_GRAIN, binary_task, &task);
    return true;
}

void binary_run_columns(const Engine *e, const Node *n, Columns c) {
    columns_run(e, n, c, binary_task);
}

// ---- select

typedef struct {
    const EngineTensor *condition, *a, *b;
    EngineTensor *out;
    Broadcast broadcast;
} SelectPlan;

bool prepare_select(Prepare *p) {
    SelectPlan *plan = prep_new(p, SelectPlan);
    plan->condition = prep_in(p, "cond");
    plan->a = prep_in(p, "a");
    plan->b = prep_in(p, "b");
    plan->out = prep_out(p, 0);
    // The declared shape comes from a and b alone.
    const MilType *cond = &plan->condition->type, *out = &plan->out->type;
    bool fits = cond->rank <= out->rank;
    for (int i = 0; fits && i < cond->rank; i++) {
        int64_t dim = cond->dims[i];
        fits = dim == 1 || dim == out->dims[out->rank - cond->rank + i];
    }
    if (!fits)
        return prep_fail(p, "cond has a larger shape than a and b together, expected one that "
                            "broadcasts to theirs");
    const MilType *operands[] = {cond, &plan->a->type, &plan->b->type};
    plan->broadcast = broadcast_of(out, operands, 3);
    prep_in_place(p, plan->a);
    prep_in_place(p, plan->b);
    return true;
}

static void select_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const SelectPlan *p = task->n->plan;
    for (size_t at = first; at < end;) {
        BroadcastRun run = broadcast_run(&p->broadcast, at, end);
        for (size_t i = 0; i < run.n; i++) {
            bool yes = p->condition->i32[run.from[0] + i * run.step[0]] != 0;
            const EngineTensor *from = yes ? p->a : p->b;
            size_t source = yes ? run.from[1] + i * run.step[1] : run.from[2] + i * run.step[2];
            if (p->out->f32)
                p->out->f32[at + i] = from->f32[source];
            else
                p->out->i32[at + i] = from->i32[source];
        }
        at += run.n;
    }
}

bool run_select(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const SelectPlan *p = n->plan;
    NodeTask task = {e, n};
    pool_run(e->pool, p->broadcast.count, ELEMENT_GRAIN, select_task, &task);
    return true;
}
