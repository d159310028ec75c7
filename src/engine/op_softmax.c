// softmax and scaled_dot_product_attention. Within the op all numbers are float; only its result is
// rounded.
#include <assert.h>
#include <math.h>

#include "engine/broadcast.h"
#include "engine/columns.h"
#include "engine/prepare.h"

enum { LANES = 64 }; // columns done together when the axis is not the last

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    AxisSplit split;
} SoftmaxPlan;

typedef struct {
    const Engine *e;
    const Node *n;
    size_t n_columns; // of a line over the last axis
} SoftmaxTask;

bool prepare_softmax(Prepare *p) {
    SoftmaxPlan *plan = prep_new(p, SoftmaxPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    int axis;
    if (plan->x->type.rank == 0) return prep_fail(p, "x is a scalar, expected at least one axis");
    if (!prep_axis(p, "axis", -1, plan->x->type.rank, &axis)) return false;
    plan->split = axis_split(&plan->x->type, axis);
    prep_in_place(p, plan->x);
    return true;
}

// Partial results side by side, so that one does not wait for the one before it.
enum { PARTS = 16 };

static float largest(const float *x, size_t n) {
    float most[PARTS];
    for (size_t c = 0; c < PARTS; c++) most[c] = -INFINITY;
    size_t i = 0;
    for (; n - i >= PARTS; i += PARTS)
        for (size_t c = 0; c < PARTS; c++) most[c] = x[i + c] > most[c] ? x[i + c] : most[c];
    for (; i < n; i++) most[0] = x[i] > most[0] ? x[i] : most[0];
    for (size_t c = 1; c < PARTS; c++) most[0] = most[c] > most[0] ? most[c] : most[0];
    return most[0];
}

static float sum_of(const float *x, size_t n) {
    double sum[PARTS] = {0};
    size_t i = 0;
    for (; n - i >= PARTS; i += PARTS)
        for (size_t c = 0; c < PARTS; c++) sum[c] += (double)x[i + c];
    for (; i < n; i++) sum[0] += (double)x[i];
    for (size_t c = 1; c < PARTS; c++) sum[0] += sum[c];
    return (float)sum[0];
}

// out = softmax of n neighbours; out may be x.
static void softmax_line(const Kernels *k, float *out, const float *x, size_t n) {
    float most = largest(x, n);
    for (size_t i = 0; i < n; i++) out[i] = x[i] - most;
    k->exp_f32(out, out, n);
    float total = sum_of(out, n);
    for (size_t i = 0; i < n; i++) out[i] /= total;
}

// The same down the columns of [size, inner], `lanes` of them.
static void softmax_columns(const Kernels *k, float *out, const float *x, size_t size, size_t inner,
                            size_t lanes) {
    float most[LANES];
    double sum[LANES] = {0};
    for (size_t c = 0; c < lanes; c++) most[c] = -INFINITY;
    for (size_t i = 0; i < size; i++)
        for (size_t c = 0; c < lanes; c++)
            most[c] = x[i * inner + c] > most[c] ? x[i * inner + c] : most[c];
    for (size_t i = 0; i < size; i++) {
        float *row = out + i * inner;
        for (size_t c = 0; c < lanes; c++) row[c] = x[i * inner + c] - most[c];
        k->exp_f32(row, row, lanes);
        for (size_t c = 0; c < lanes; c++) sum[c] += (double)row[c];
    }
    for (size_t i = 0; i < size; i++)
        for (size_t c = 0; c < lanes; c++) out[i * inner + c] /= (float)sum[c];
}

static void softmax_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const SoftmaxTask *task = context;
    const SoftmaxPlan *p = task->n->plan;
    size_t size = p->split.size, inner = p->split.inner, pieces = (inner + LANES - 1) / LANES;
    for (size_t i = first; i < end; i++) {
        size_t c0 = i % pieces * LANES, at = i / pieces * size * inner + c0;
        float *out = p->out->f32 + at;
        if (inner == 1)
            softmax_line(task->e->k, out, p->x->f32 + at, task->n_columns);
        else
            softmax_columns(task->e->k, out, p->x->f32 + at, size, inner,
                            min_size(LANES, inner - c0));
        for (size_t r = 0; inner > 1 && r < size; r++)
            node_round(task->e, task->n, out + r * inner, min_size(LANES, inner - c0));
        if (inner == 1) node_round(task->e, task->n, out, task->n_columns);
    }
}

bool run_softmax(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const SoftmaxPlan *p = n->plan;
    SoftmaxTask task = {e, n, p->split.size};
    size_t pieces = (p->split.inner + LANES - 1) / LANES;
    size_t work = p->split.size * min_size(LANES, p->split.inner);
    if (work) pool_run(e->pool, p->split.outer * pieces, 1 + 8192 / work, softmax_task, &task);
    return true;
}

bool softmax_is_over_last_axis(const Node *n) {
    const SoftmaxPlan *p = n->plan;
    return p->split.inner == 1;
}

void softmax_run_columns(const Engine *e, const Node *n, size_t n_columns) {
    static_assert(SOFTMAX_COLUMNS % PARTS == 0, "each column adds to the same partial sum");
    const SoftmaxPlan *p = n->plan;
    assert(p->split.inner == 1 && (n_columns % SOFTMAX_COLUMNS == 0 || n_columns == p->split.size));
    SoftmaxTask task = {e, n, n_columns};
    pool_run(e->pool, p->split.outer, 1 + 8192 / max_size(n_columns, 1), softmax_task, &task);
}

// ---- scaled_dot_product_attention: softmax(q kᵀ / √E + mask) v, one query row at a time

typedef struct {
    const EngineTensor *query, *key, *value, *mask;
    EngineTensor *out;
    size_t rows, keys, dim, value_dim; // L, S, E, EV of one batch
    float scale;
    Broadcast mask_rows; // of query rows, over all batches
} AttentionPlan;

bool prepare_scaled_dot_product_attention(Prepare *p) {
    AttentionPlan *plan = prep_new(p, AttentionPlan);
    plan->query = prep_in(p, "query");
    plan->key = prep_in(p, "key");
    plan->value = prep_in(p, "value");
    plan->mask = prep_in(p, "attn_mask");
    plan->out = prep_out(p, 0);
    const MilType *q = &plan->query->type, *k = &plan->key->type, *v = &plan->value->type;
    plan->rows = (size_t)q->dims[q->rank - 2];
    plan->dim = (size_t)q->dims[q->rank - 1];
    plan->keys = (size_t)k->dims[k->rank - 2];
    plan->value_dim = (size_t)v->dims[v->rank - 1];
    plan->scale = 1 / sqrtf((float)plan->dim);
    MilType rows = *q;
    rows.rank--;
    if (plan->mask) {
        MilType mask_rows = plan->mask->type;
        mask_rows.rank--;
        const MilType *operands[] = {&mask_rows};
        plan->mask_rows = broadcast_of(&rows, operands, 1);
    }
    prep_scratch(p, plan->keys);
    return true;
}

static void add_mask(const AttentionPlan *p, size_t row, float *scores) {
    size_t at = broadcast_run(&p->mask_rows, row, row + 1).from[0] * p->keys;
    for (size_t s = 0; s < p->keys; s++) {
        if (p->mask->f32)
            scores[s] += p->mask->f32[at + s];
        else if (!p->mask->i32[at + s])
            scores[s] = -INFINITY;
    }
}

static void attention_task(void *context, size_t first, size_t end, unsigned worker) {
    const NodeTask *task = context;
    const AttentionPlan *p = task->n->plan;
    const Kernels *k = task->e->k;
    SumKernel *sum = task->n->rules->sum_products;
    float *scores = engine_scratch(task->e, worker);
    for (size_t row = first; row < end; row++) {
        size_t batch = row / p->rows;
        const float *keys = p->key->f32 + batch * p->keys * p->dim;
        const float *values = p->value->f32 + batch * p->keys * p->value_dim;
        const float *query = p->query->f32 + row * p->dim;
        for (size_t s = 0; s < p->keys; s++) {
            if (sum)
                sum(NULL, k, &scores[s], query, keys + s * p->dim, 1, p->dim, 1, NULL, 0);
            else
                scores[s] = k->dot_f32_f32(query, keys + s * p->dim, p->dim);
            scores[s] *= p->scale;
        }
        if (p->mask) add_mask(p, row, scores);
        softmax_line(k, scores, scores, p->keys);
        float *out = p->out->f32 + row * p->value_dim;
        if (sum) { // its inside is not published: two products with a softmax between
            node_round(task->e, task->n, scores, p->keys);
            sum(NULL, k, out, scores, values, p->value_dim, p->keys, p->value_dim, NULL, 0);
            continue;
        }
        for (size_t i = 0; i < p->value_dim; i++) out[i] = 0;
        k->gemm_f32(out, p->value_dim, scores, p->keys, values, p->value_dim, 1, p->keys,
                    p->value_dim);
        node_round(task->e, task->n, out, p->value_dim);
    }
}

bool run_scaled_dot_product_attention(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const AttentionPlan *p = n->plan;
    NodeTask task = {e, n};
    size_t rows = p->value_dim ? p->out->count / p->value_dim : 0;
    pool_run(e->pool, rows, 1 + 16384 / max_size(1, p->keys * p->dim), attention_task, &task);
    return true;
}
