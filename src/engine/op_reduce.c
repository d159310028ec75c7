// Reductions. Sums of floats are kept in double, so their order does not change results; int32 sums
// wrap.
#include <math.h>
#include <string.h>

#include "engine/reduction.h"

typedef enum {
    REDUCE_SUM,
    REDUCE_MEAN,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_PROD,
    REDUCE_SUM_SQUARE,
    REDUCE_L1,
    REDUCE_L2,
    REDUCE_LOG_SUM,
    REDUCE_LOG_SUM_EXP,
} ReduceKind;

static const struct {
    const char *op;
    ReduceKind kind;
} kinds[] = {
    {"reduce_sum", REDUCE_SUM},         {"reduce_mean", REDUCE_MEAN},
    {"reduce_max", REDUCE_MAX},         {"reduce_min", REDUCE_MIN},
    {"reduce_prod", REDUCE_PROD},       {"reduce_sum_square", REDUCE_SUM_SQUARE},
    {"reduce_l1_norm", REDUCE_L1},      {"reduce_l2_norm", REDUCE_L2},
    {"reduce_log_sum", REDUCE_LOG_SUM}, {"reduce_log_sum_exp", REDUCE_LOG_SUM_EXP},
};

typedef struct {
    ReduceKind kind;
    const EngineTensor *x;
    EngineTensor *out;
    Reduction axes;
} ReducePlan;

bool prepare_reduce(Prepare *p) {
    ReducePlan *plan = prep_new(p, ReducePlan);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(kinds[i].op, p->op->info->name) == 0) plan->kind = kinds[i].kind;
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    bool is_reduced[MIL_MAX_RANK];
    if (!prep_axes(p, "axes", plan->x->type.rank, is_reduced)) return false;
    plan->axes = reduction_of(&plan->x->type, is_reduced);
    return true;
}

static double start_of(ReduceKind kind) {
    switch (kind) {
    case REDUCE_MAX:
    case REDUCE_LOG_SUM_EXP: return -(double)INFINITY;
    case REDUCE_MIN: return (double)INFINITY;
    case REDUCE_PROD: return 1;
    default: return 0;
    }
}

// One row of `lanes` elements into the sums. NaN wins in max and min, as in NumPy.
static void add_row(ReduceKind kind, double *sum, const float *x, size_t lanes) {
    switch (kind) {
    case REDUCE_SUM:
    case REDUCE_MEAN:
    case REDUCE_LOG_SUM:
        for (size_t i = 0; i < lanes; i++) sum[i] += (double)x[i];
        return;
    case REDUCE_SUM_SQUARE:
    case REDUCE_L2:
        for (size_t i = 0; i < lanes; i++) sum[i] += (double)x[i] * (double)x[i];
        return;
    case REDUCE_L1:
        for (size_t i = 0; i < lanes; i++) sum[i] += fabs((double)x[i]);
        return;
    case REDUCE_PROD:
        for (size_t i = 0; i < lanes; i++) sum[i] *= (double)x[i];
        return;
    case REDUCE_MAX:
    case REDUCE_LOG_SUM_EXP:
        for (size_t i = 0; i < lanes; i++)
            sum[i] = sum[i] > (double)x[i] || sum[i] != sum[i] ? sum[i] : (double)x[i];
        return;
    case REDUCE_MIN:
        for (size_t i = 0; i < lanes; i++)
            sum[i] = sum[i] < (double)x[i] || sum[i] != sum[i] ? sum[i] : (double)x[i];
        return;
    }
}

static double finish(ReduceKind kind, double sum, size_t n) {
    switch (kind) {
    case REDUCE_MEAN: return sum / (double)n;
    case REDUCE_L2: return sqrt(sum);
    case REDUCE_LOG_SUM: return log(sum);
    default: return sum;
    }
}

static void reduce_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const ReducePlan *p = task->n->plan;
    const Axes *reduced = &p->axes.reduced;
    for (size_t i = first; i < end; i++) {
        ReductionPiece at = reduction_piece(&p->axes, i);
        const float *x = p->x->f32 + at.base;
        double sum[REDUCTION_LANES], most[REDUCTION_LANES];
        for (size_t c = 0; c < at.lanes; c++) sum[c] = start_of(p->kind);
        for (size_t r = 0; r < reduced->count; r++)
            add_row(p->kind, sum, x + axes_offset(reduced, r), at.lanes);
        if (p->kind == REDUCE_LOG_SUM_EXP) {
            memcpy(most, sum, sizeof most);
            memset(sum, 0, sizeof sum);
            for (size_t r = 0; r < reduced->count; r++)
                for (size_t c = 0; c < at.lanes; c++)
                    sum[c] += exp((double)x[axes_offset(reduced, r) + c] - most[c]);
            for (size_t c = 0; c < at.lanes; c++) sum[c] = log(sum[c]) + most[c];
        }
        float *out = p->out->f32 + at.out;
        for (size_t c = 0; c < at.lanes; c++)
            out[c] = (float)finish(p->kind, sum[c], reduced->count);
        node_round(task->e, task->n, out, at.lanes);
    }
}

static void reduce_ints(const ReducePlan *p) {
    const Axes *reduced = &p->axes.reduced;
    for (size_t i = 0; i < reduction_pieces(&p->axes); i++) {
        ReductionPiece at = reduction_piece(&p->axes, i);
        for (size_t c = 0; c < at.lanes; c++) {
            int64_t most = INT32_MIN, least = INT32_MAX, sum = 0, squares = 0, sizes = 0;
            uint32_t product = 1;
            for (size_t r = 0; r < reduced->count; r++) {
                int64_t x = p->x->i32[at.base + c + axes_offset(reduced, r)];
                most = x > most ? x : most;
                least = x < least ? x : least;
                sum += x;
                squares = (int64_t)((uint64_t)squares + (uint64_t)(x * x));
                sizes += x < 0 ? -x : x;
                product *= (uint32_t)x;
            }
            int64_t result = 0;
            switch (p->kind) {
            case REDUCE_SUM: result = sum; break;
            case REDUCE_MEAN: result = reduced->count ? sum / (int64_t)reduced->count : 0; break;
            case REDUCE_MAX: result = most; break;
            case REDUCE_MIN: result = least; break;
            case REDUCE_PROD: result = product; break;
            case REDUCE_SUM_SQUARE: result = squares; break;
            case REDUCE_L1: result = sizes; break;
            case REDUCE_L2: result = (int64_t)sqrt((double)squares); break;
            case REDUCE_LOG_SUM: result = sum > 0 ? (int64_t)log((double)sum) : 0; break;
            case REDUCE_LOG_SUM_EXP: {
                double total = 0;
                for (size_t r = 0; r < reduced->count; r++)
                    total += exp((double)p->x->i32[at.base + c + axes_offset(reduced, r)] -
                                 (double)most);
                result = (int64_t)(log(total) + (double)most);
                break;
            }
            }
            p->out->i32[at.out + c] = (int32_t)(uint32_t)(uint64_t)result;
        }
    }
}

bool run_reduce(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const ReducePlan *p = n->plan;
    if (p->out->i32) {
        reduce_ints(p);
        return true;
    }
    NodeTask task = {e, n};
    size_t work = p->axes.reduced.count * min_size(p->axes.inner, REDUCTION_LANES);
    pool_run(e->pool, reduction_pieces(&p->axes), 1 + ELEMENT_GRAIN / max_size(1, work),
             reduce_task, &task);
    return true;
}

// ---- reduce_argmax, reduce_argmin: the first of equals

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    AxisSplit split;
    bool wants_largest;
} ArgPlan;

bool prepare_reduce_arg(Prepare *p) {
    ArgPlan *plan = prep_new(p, ArgPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    plan->wants_largest = strcmp(p->op->info->name, "reduce_argmax") == 0;
    int axis;
    if (plan->x->type.rank == 0) return prep_fail(p, "x is a scalar, expected at least one axis");
    if (!prep_axis(p, "axis", -1, plan->x->type.rank, &axis)) return false;
    plan->split = axis_split(&plan->x->type, axis);
    return true;
}

static double number_at(const EngineTensor *t, size_t i) {
    return t->f32 ? (double)t->f32[i] : (double)t->i32[i];
}

bool run_reduce_arg(const Engine *e, const Node *n, Err *err) {
    (void)e, (void)err;
    const ArgPlan *p = n->plan;
    size_t inner = p->split.inner;
    for (size_t i = 0; i < p->split.outer * inner; i++) {
        size_t base = i / inner * p->split.size * inner + i % inner, best = 0;
        for (size_t a = 1; a < p->split.size; a++) {
            double x = number_at(p->x, base + a * inner), y = number_at(p->x, base + best * inner);
            if (p->wants_largest ? x > y : x < y) best = a;
        }
        p->out->i32[i] = (int32_t)best;
    }
    return true;
}
