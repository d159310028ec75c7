// weight_form.c — every weight of the packages beside the source's: none is further away than its
// form's rounding may take it.
//
// A norm over a whole layer hardly moves when one output channel has a wrong scale, or one code a
// wrong sign; rounding has a bound for each single weight, so nothing is too small to be seen here.
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "quant/quant.h"
#include "verify/proof.h"

// Weights of a layer by role.
static const struct {
    WeightRole role;
    const char *name;
    size_t at; // in LayerWeights
} parts[] = {
    {WEIGHT_ATTN_NORM, "attn_norm", offsetof(LayerWeights, attn_norm)},
    {WEIGHT_Q, "q", offsetof(LayerWeights, q)},
    {WEIGHT_K, "k", offsetof(LayerWeights, k)},
    {WEIGHT_V, "v", offsetof(LayerWeights, v)},
    {WEIGHT_Q_BIAS, "q_bias", offsetof(LayerWeights, q_bias)},
    {WEIGHT_K_BIAS, "k_bias", offsetof(LayerWeights, k_bias)},
    {WEIGHT_V_BIAS, "v_bias", offsetof(LayerWeights, v_bias)},
    {WEIGHT_ATTN_OUT, "attn_out", offsetof(LayerWeights, attn_out)},
    {WEIGHT_ATTN_OUT_BIAS, "attn_out_bias", offsetof(LayerWeights, attn_out_bias)},
    {WEIGHT_FFN_NORM, "ffn_norm", offsetof(LayerWeights, ffn_norm)},
    {WEIGHT_GATE, "gate", offsetof(LayerWeights, gate)},
    {WEIGHT_UP, "up", offsetof(LayerWeights, up)},
    {WEIGHT_DOWN, "down", offsetof(LayerWeights, down)},
};

// What one worker saw: errors in units of what rounding may do, 1 at most when all is right.
typedef struct {
    double worst, squares;
    size_t n_weights, n_bad_rows, worst_row;
} Tally;

typedef struct {
    PackedWeights *packed;
    WeightRole role;
    uint32_t layer;
    Rows rows;
    float *found, *wanted; // [threads][n_cols]
    size_t n_cols;
    Tally *tallies; // [threads]
} Comparison;

static void add_row(Tally *t, const Comparison *c, size_t row, const float *found,
                    const float *wanted, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = c->n_cols ? row : i; // of a vector each weight is a row
        double slack = packed_weight_slack(c->packed, c->role, c->layer, at, found[i]);
        double error = fabs((double)found[i] - (double)wanted[i]) / slack;
        if (!(error <= worst)) worst = error; // a NaN wins
        t->squares += error * error;
    }
    t->n_weights += n;
    // Dividing and rounding in float leave a few millionths.
    t->n_bad_rows += !(worst <= 1.0001);
    if (!(worst <= t->worst)) {
        t->worst = worst;
        t->worst_row = row;
    }
}

static void compare_rows(void *context, size_t first, size_t end, unsigned worker) {
    const Comparison *c = context;
    float *found = c->found + worker * c->n_cols, *wanted = c->wanted + worker * c->n_cols;
    for (size_t row = first; row < end; row++) {
        packed_weight_row(c->packed, c->role, c->layer, row, found, c->n_cols);
        decode_row(c->rows.tensor, c->rows.first_row + row, wanted);
        add_row(&c->tallies[worker], c, row, found, wanted, c->n_cols);
    }
}

static void compare_vector(const Comparison *c, float *found, float *wanted) {
    decode_row(c->rows.tensor, 0, wanted);
    packed_weight_row(c->packed, c->role, c->layer, 0, found, c->rows.n_rows);
    add_row(&c->tallies[0], c, 0, found, wanted + c->rows.first_row, c->rows.n_rows);
}

typedef struct {
    Proof *p;
    PackedWeights *packed;
    Tally *tallies; // [threads]
    Tally all;
    char where[80]; // the worst row
} Sum;

static bool compare(Sum *sum, WeightRole role, uint32_t layer, const char *name, Rows rows,
                    Err *err) {
    if (!rows.tensor) return true;
    unsigned threads = pool_threads(sum->p->job->pool);
    bool is_matrix = rows.tensor->n_dims > 1;
    size_t width = is_matrix ? rows.tensor->dims[0] : max_size(rows.n_rows, rows.tensor->n_weights);
    size_t n = threads * width;
    Comparison c = {
        sum->packed, role, layer, rows, .tallies = sum->tallies, .n_cols = is_matrix ? width : 0};
    c.found = big_alloc(n * sizeof(float), "rows of weights", err);
    c.wanted = big_alloc(n * sizeof(float), "rows of weights", err);
    bool ok = c.found && c.wanted;
    memset(c.tallies, 0, threads * sizeof *c.tallies);
    if (ok && is_matrix) pool_run(sum->p->job->pool, rows.n_rows, 16, compare_rows, &c);
    if (ok && !is_matrix) compare_vector(&c, c.found, c.wanted);
    for (unsigned w = 0; ok && w < threads; w++) {
        const Tally *t = &c.tallies[w];
        sum->all.squares += t->squares;
        sum->all.n_weights += t->n_weights;
        sum->all.n_bad_rows += t->n_bad_rows;
        if (t->worst <= sum->all.worst) continue;
        sum->all.worst = t->worst;
        if (layer < sum->p->model.contract.n_layers)
            snprintf(sum->where, sizeof sum->where, "layer %u %s row %zu", layer, name,
                     t->worst_row);
        else
            snprintf(sum->where, sizeof sum->where, "%s row %zu", name, t->worst_row);
    }
    free(c.found);
    free(c.wanted);
    return ok;
}

static void report(Sum *sum) {
    const Tally *t = &sum->all;
    double rms = sqrt(t->squares / (double)max_size(1, t->n_weights));
    json_t *figures =
        json_pack("{s:I, s:f, s:f, s:I}", "weights", (json_int_t)t->n_weights, "worst", t->worst,
                  "rms", rms, "bad_rows", (json_int_t)t->n_bad_rows);
    if (!figures) figures = json_pack("{s:s}", "error", "not finite");
    if (t->n_bad_rows == 0)
        proof_result(sum->p, "layer golden", true, figures, "weights",
                     "%zu weights, each within its rounding of the source's (rms %.2f of it)",
                     t->n_weights, rms);
    else
        proof_result(sum->p, "layer golden", false, figures, "weights",
                     "%zu rows further from the source than rounding takes them; %s by %.3g times",
                     t->n_bad_rows, sum->where, t->worst);
}

bool compare_weights(Proof *p, Err *err) {
    const ModelWeights *m = &p->model.weights;
    uint32_t n_layers = p->model.contract.n_layers;
    Sum sum = {.p = p, .packed = packed_weights_open(p, err)};
    sum.tallies = arena_array(p->arena, pool_threads(p->job->pool), Tally);
    bool ok = sum.packed != NULL;
    for (uint32_t layer = 0; ok && layer < n_layers; layer++) {
        for (size_t i = 0; ok && i < COUNT_OF(parts); i++) {
            Rows rows;
            memcpy(&rows, (const char *)&m->layers[layer] + parts[i].at, sizeof rows);
            ok = compare(&sum, parts[i].role, layer, parts[i].name, rows, err);
        }
        progress_report(p->job->progress, "weights", layer + 1, n_layers + 1);
    }
    ok = ok && compare(&sum, WEIGHT_OUTPUT_NORM, n_layers, "output_norm", m->output_norm, err) &&
         compare(&sum, WEIGHT_HEAD, n_layers, "head", m->head, err);
    if (ok) report(&sum);
    return ok;
}
