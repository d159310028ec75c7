// Normalisations. Means and variances are kept in double and only the result is rounded.
#include <math.h>
#include <string.h>

#include "engine/reduction.h"

// ---- layer_norm: (x - mean) / sqrt(variance + epsilon) gamma + beta over a set of axes

typedef struct {
    const EngineTensor *x, *gamma, *beta; // gamma and beta: the normalised axes, row-major
    EngineTensor *out;
    double epsilon;
    Reduction axes;
} LayerNormPlan;

bool prepare_layer_norm(Prepare *p) {
    LayerNormPlan *plan = prep_new(p, LayerNormPlan);
    plan->x = prep_in(p, "x");
    plan->gamma = prep_in(p, "gamma");
    plan->beta = prep_in(p, "beta");
    plan->out = prep_out(p, 0);
    bool is_reduced[MIL_MAX_RANK];
    if (!prep_axes(p, "axes", plan->x->type.rank, is_reduced)) return false;
    if (!prep_float(p, "epsilon", 1e-5, &plan->epsilon)) return false;
    plan->axes = reduction_of(&plan->x->type, is_reduced);
    prep_in_place(p, plan->x);
    return true;
}

static void layer_norm_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const LayerNormPlan *p = task->n->plan;
    const Axes *reduced = &p->axes.reduced;
    double n = (double)reduced->count;
    for (size_t i = first; i < end; i++) {
        ReductionPiece at = reduction_piece(&p->axes, i);
        double mean[REDUCTION_LANES] = {0}, spread[REDUCTION_LANES] = {0};
        for (size_t r = 0; r < reduced->count; r++) {
            const float *x = p->x->f32 + at.base + axes_offset(reduced, r);
            for (size_t c = 0; c < at.lanes; c++) mean[c] += (double)x[c];
        }
        for (size_t c = 0; c < at.lanes; c++) mean[c] /= n;
        for (size_t r = 0; r < reduced->count; r++) {
            const float *x = p->x->f32 + at.base + axes_offset(reduced, r);
            for (size_t c = 0; c < at.lanes; c++)
                spread[c] += ((double)x[c] - mean[c]) * ((double)x[c] - mean[c]);
        }
        for (size_t c = 0; c < at.lanes; c++) spread[c] = 1 / sqrt(spread[c] / n + p->epsilon);
        for (size_t r = 0; r < reduced->count; r++) {
            size_t from = at.base + axes_offset(reduced, r);
            double gamma = p->gamma ? (double)p->gamma->f32[r] : 1;
            double beta = p->beta ? (double)p->beta->f32[r] : 0;
            for (size_t c = 0; c < at.lanes; c++)
                p->out->f32[from + c] =
                    (float)(((double)p->x->f32[from + c] - mean[c]) * spread[c] * gamma + beta);
            node_round(task->e, task->n, p->out->f32 + from, at.lanes);
        }
    }
}

bool run_layer_norm(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const LayerNormPlan *p = n->plan;
    NodeTask task = {e, n};
    size_t work = p->axes.reduced.count * min_size(p->axes.inner, REDUCTION_LANES);
    pool_run(e->pool, reduction_pieces(&p->axes), 1 + ELEMENT_GRAIN / max_size(1, work),
             layer_norm_task, &task);
    return true;
}

// ---- l2_norm: x / sqrt(Σ over the last three axes x² + epsilon)

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    double epsilon;
    size_t group;
} L2NormPlan;

bool prepare_l2_norm(Prepare *p) {
    L2NormPlan *plan = prep_new(p, L2NormPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    if (!prep_float(p, "epsilon", 1e-6, &plan->epsilon)) return false;
    const MilType *x = &plan->x->type;
    plan->group = 1;
    for (int i = x->rank < 3 ? 0 : x->rank - 3; i < x->rank; i++) plan->group *= (size_t)x->dims[i];
    prep_in_place(p, plan->x);
    return true;
}

bool run_l2_norm(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const L2NormPlan *p = n->plan;
    for (size_t at = 0; at < p->out->count; at += p->group) {
        double sum = n->rules->drops_l2_eps ? 0 : p->epsilon;
        for (size_t i = at; i < at + p->group; i++) {
            double x = (double)p->x->f32[i];
            sum += x * x;
        }
        bool is_zero = n->rules->drops_l2_eps && sum == 0;
        double factor = is_zero ? 0 : 1 / sqrt(sum);
        for (size_t i = at; i < at + p->group; i++)
            p->out->f32[i] = (float)((double)p->x->f32[i] * factor);
    }
    node_round(e, n, p->out->f32, p->out->count);
    return true;
}

// ---- batch_norm, instance_norm: one mean and variance a channel (axis 1), given or measured

typedef struct {
    const EngineTensor *x, *mean, *variance, *gamma, *beta; // [channels]; the last two may be NULL
    EngineTensor *out;
    double epsilon;
    size_t channels, area; // elements of one channel
} ChannelNormPlan;

bool prepare_channel_norm(Prepare *p) {
    ChannelNormPlan *plan = prep_new(p, ChannelNormPlan);
    plan->x = prep_in(p, "x");
    plan->mean = prep_in(p, "mean"); // NULL for instance_norm, which has no such parameter
    plan->variance = prep_in(p, "variance");
    plan->gamma = prep_in(p, "gamma");
    plan->beta = prep_in(p, "beta");
    plan->out = prep_out(p, 0);
    if (!prep_float(p, "epsilon", 1e-5, &plan->epsilon)) return false;
    AxisSplit split = axis_split(&plan->x->type, 1);
    plan->channels = split.size;
    plan->area = split.inner;
    prep_in_place(p, plan->x);
    return true;
}

static void channel_norm_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const NodeTask *task = context;
    const ChannelNormPlan *p = task->n->plan;
    for (size_t i = first; i < end; i++) {
        size_t channel = i % p->channels;
        const float *x = p->x->f32 + i * p->area;
        float *out = p->out->f32 + i * p->area;
        double mean = 0, variance = 0;
        if (p->mean) {
            mean = (double)p->mean->f32[channel];
            variance = (double)p->variance->f32[channel];
        } else {
            for (size_t a = 0; a < p->area; a++) mean += (double)x[a];
            mean /= (double)p->area;
            for (size_t a = 0; a < p->area; a++)
                variance += ((double)x[a] - mean) * ((double)x[a] - mean);
            variance /= (double)p->area;
        }
        double factor = 1 / sqrt(variance + p->epsilon);
        if (p->gamma) factor *= (double)p->gamma->f32[channel];
        double beta = p->beta ? (double)p->beta->f32[channel] : 0;
        for (size_t a = 0; a < p->area; a++)
            out[a] = (float)(((double)x[a] - mean) * factor + beta);
        node_round(task->e, task->n, out, p->area);
    }
}

bool run_channel_norm(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const ChannelNormPlan *p = n->plan;
    NodeTask task = {e, n};
    size_t rows = (size_t)p->x->type.dims[0] * p->channels;
    pool_run(e->pool, rows, 1 + ELEMENT_GRAIN / max_size(1, p->area), channel_norm_task, &task);
    return true;
}

// ---- local_response_norm: x / (k + alpha / size Σ over neighbour channels x²)^beta

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    int64_t size;
    double alpha, beta, k;
    AxisSplit split;
} LocalNormPlan;

bool prepare_local_response_norm(Prepare *p) {
    LocalNormPlan *plan = prep_new(p, LocalNormPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    if (!prep_int(p, "size", 1, &plan->size)) return false;
    if (!prep_float(p, "alpha", 1e-4, &plan->alpha)) return false;
    if (!prep_float(p, "beta", 0.75, &plan->beta)) return false;
    if (!prep_float(p, "k", 1, &plan->k)) return false;
    if (plan->size < 1)
        return prep_fail(p, "size is %lld, expected 1 or more", (long long)plan->size);
    plan->split = axis_split(&plan->x->type, 1);
    return true;
}

bool run_local_response_norm(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const LocalNormPlan *p = n->plan;
    size_t size = p->split.size, inner = p->split.inner;
    int64_t before = (p->size - 1) / 2;
    for (size_t i = 0; i < p->out->count; i++) {
        int64_t channel = (int64_t)(i / inner % size);
        double sum = 0;
        for (int64_t c = channel - before; c < channel - before + p->size; c++) {
            if (c < 0 || c >= (int64_t)size) continue;
            double x = (double)p->x->f32[(ptrdiff_t)i + (c - channel) * (ptrdiff_t)inner];
            sum += x * x;
        }
        p->out->f32[i] =
            (float)((double)p->x->f32[i] / pow(p->k + p->alpha / (double)p->size * sum, p->beta));
    }
    node_round(e, n, p->out->f32, p->out->count);
    return true;
}
