// graph_eps.c — checks eps of every norm of a layer, on rows where eps matters.
//
// Rows of a text are far larger than eps, so a wrong eps would have no visible effect. Therefore
// each norm gets rows as small as the root of eps: while a function runs, they replace the norm's
// input, and its result is compared with the right one (graph_norm.h). Only the norm is between
// input and result, so the bound covers its constants and one sum, whatever the depth of the model
// and the order in which kernels add. The head's norm: graph_head.c.
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "gates/graph_bounds.h"
#include "gates/graph_checks.h"
#include "gates/graph_norm.h"
#include "gates/layer_probe.h"
#include "proof/execution.h"
#include "proof/packed.h"

// The norms of a function while it runs.
typedef struct {
    Proof *p;
    const ChainShard *shard;
    PackedWeights *weights;
    const float *small; // [n_rows, d_model]
    size_t n_rows, n_norms;
    float *weight, *bias; // [d_model], scratch
    double *expected;     // [d_model], scratch
    double *worst;        // the norm that is off most, over all functions of the shard…
    char *worst_name;     // … and its name
    size_t n_name;
} NormCheck;

static void put_small_rows(const NormCheck *check, const ChainLandmark *mark,
                           const EngineTensor *t) {
    size_t width = check->p->model.contract.d_model, n = check->n_rows;
    for (size_t i = 0; i < width; i++)
        for (size_t k = 0; k < n; k++)
            t->f32[(mark->first_channel + i) * n + k] = check->small[k * width + i] / mark->factor;
}

static void judge_normed_rows(NormCheck *check, const ChainLandmark *mark, const EngineTensor *t) {
    const Contract *c = &check->p->model.contract;
    size_t width = c->d_model, n = check->n_rows;
    bool is_attention = mark->place == LANDMARK_attn_normed;
    WeightRole role = is_attention ? WEIGHT_attn_norm : WEIGHT_ffn_norm;
    packed_weight_row(check->weights, role, mark->layer, 0, check->weight, width);
    bool has_bias = contract_layer(c, mark->layer)->has_norm_bias;
    if (has_bias)
        packed_weight_row(check->weights,
                          is_attention ? WEIGHT_attn_norm_bias : WEIGHT_ffn_norm_bias, mark->layer,
                          0, check->bias, width);
    for (size_t k = 0; k < n; k++) {
        double off = 0, all = 0;
        norm_row(c, check->weight, check->small + k * width, check->expected);
        for (size_t i = 0; i < width; i++) {
            double expected = check->expected[i];
            double found =
                (double)t->f32[(mark->first_channel + i) * n + k] * (double)mark->factor -
                (has_bias ? (double)check->bias[i] : 0);
            off += (found - expected) * (found - expected);
            all += expected * expected;
        }
        double before = *check->worst;
        take_worse(check->worst, off == 0 ? 0 : sqrt(off / all));
        if (before == *check->worst || isnan(before)) continue;
        snprintf(check->worst_name, check->n_name, "%s of layer %u",
                 is_attention ? "attention norm" : "feed-forward norm", mark->layer);
    }
    check->n_norms++;
}

static void see_op(void *context, const MilOp *op, const EngineTensor *output) {
    NormCheck *check = context;
    (void)op;
    for (size_t m = 0; m < check->shard->n_landmarks; m++) {
        const ChainLandmark *mark = &check->shard->landmarks[m];
        if (!str_eq(mark->value, output->name)) continue;
        bool is_before =
            mark->place == LANDMARK_post_attn_residual || mark->place == LANDMARK_stream;
        bool is_after = mark->place == LANDMARK_attn_normed || mark->place == LANDMARK_ffn_normed;
        if (is_before) put_small_rows(check, mark, output);
        if (is_after) judge_normed_rows(check, mark, output);
    }
}

static bool run_function(NormCheck *check, Shards *shards, size_t i, const ShardFunction *f,
                         float *x, Err *err) {
    Engine *e = runner_tapped(f->runner);
    size_t width = check->p->model.contract.d_model;
    uint32_t n_rows = f->n_rows;
    if (!e) return true;
    check->n_rows = n_rows;
    for (size_t k = 0; k < n_rows; k++)
        for (size_t c = 0; c < width; c++) x[c * n_rows + k] = check->small[k * width + c];
    engine_set_tap(e, see_op, check);
    bool ok = shard_run(shards, i, x, x, 0, n_rows, err);
    engine_set_tap(e, NULL, NULL);
    return ok;
}

// Before the branches of a shard's layers.
static size_t count_norms(const Contract *c, const ChainShard *s) {
    size_t n = 0;
    for (uint32_t layer = s->first_layer; layer < s->end_layer; layer++)
        n += (size_t)has_attn_norm(contract_layer(c, layer)) +
             (size_t)has_ffn_norm(contract_layer(c, layer));
    return n;
}

bool check_norm_eps(Proof *p, Err *err) {
    const Chain *c = &p->bundle.chain;
    size_t most_rows = max_size(1, c->prefill_rows), floats = most_rows * c->contract.d_model;
    Shards shards;
    float *small = arena_array(p->arena, floats, float), *x = arena_array(p->arena, floats, float);
    make_small_rows(small, most_rows, &p->model.contract);
    PackedWeights *weights = packed_weights_open(p, err);
    if (!weights || !proof_open_shards(p, &shards, ARITHMETIC_FP32, err)) return false;
    // Two constants, gain and root of eps, and the sum of squares.
    double allowed = HALF_UNIT + eps_error(1, 1) + sum_error(c->contract.d_model);
    bool ok = true;
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        if (s->end_layer == s->first_layer) continue;
        double worst = 0;
        char name[64] = "none", scope[64];
        NormCheck check = {p,
                           s,
                           weights,
                           small,
                           0,
                           0,
                           arena_array(p->arena, c->contract.d_model, float),
                           arena_array(p->arena, c->contract.d_model, float),
                           arena_array(p->arena, c->contract.d_model, double),
                           &worst,
                           name,
                           sizeof name};
        ok = run_function(&check, &shards, i, &shards.shards[i].decode, x, err) &&
             run_function(&check, &shards, i, &shards.shards[i].prefill, x, err);
        if (!ok) break;
        size_t n_functions = 1 + (size_t)(chain_function(s, FUNCTION_PREFILL) != NULL);
        size_t n_expected = n_functions * count_norms(&c->contract, s);
        bool has_passed = check.n_norms == n_expected && worst <= allowed;
        snprintf(scope, sizeof scope, "eps %02u..%02u", s->first_layer, s->end_layer - 1);
        proof_result(p, "graph", has_passed,
                     json_pack("{s:I, s:I, s:o, s:f}", "norms", (json_int_t)check.n_norms,
                               "norms_expected", (json_int_t)n_expected, "off", json_of_real(worst),
                               "most_off", allowed),
                     scope,
                     "%zu of %zu norms, run on rows as small as eps, are off by at most %.2g (%s), "
                     "allowed %.2g",
                     check.n_norms, n_expected, worst, name, allowed);
    }
    shards_close(&shards);
    return ok;
}
