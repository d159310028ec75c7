// small_rows.c — rows so small that eps decides what a norm makes of them.
//
// Rows of a text are far larger than eps, and a norm takes any eps for right. On rows as small as
// the root of it, the first norm of each shard makes of them what eps says; behind that norm the
// stream is large again, so later ones cannot be asked.
#include <math.h>
#include <stdio.h>

#include "verify/proof.h"

// As gate graph's: fp32 with equal weights. An eps that is wrong by a tenth turns a branch by 5 %.
static const Bound small_bound = {0.999999, 0.999999};

// Scales each row to a mean square of eps.
static void make_small(const float *rows, float *out, size_t n, const Contract *c) {
    for (size_t t = 0; t < n; t++, rows += c->d_model, out += c->d_model) {
        double squares = 0;
        for (uint32_t i = 0; i < c->d_model; i++) squares += (double)rows[i] * (double)rows[i];
        double scale = sqrt((double)c->norm_eps * c->d_model / fmax(squares, 1e-30));
        for (uint32_t i = 0; i < c->d_model; i++) out[i] = (float)((double)rows[i] * scale);
    }
}

bool compare_small_rows(Proof *p, Err *err) {
    enum { N_SMALL = 8 };
    const Chain *c = &p->bundle.chain;
    uint32_t *ids, width = c->contract.d_model;
    size_t n;
    Trace trace;
    Shards shards;
    if (!proof_tokens(p, N_SMALL, &ids, &n, err) || !trace_run(p, &trace, ids, n, true, err))
        return false;
    ReferenceOptions options = {.rope_factors = c->use.rope_factors,
                                .n_positions = N_SMALL,
                                .weights = packed_weight_row,
                                .weights_context = packed_weights_open(p, err)};
    if (!options.weights_context) return false;
    Reference *r = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    if (!r) return false;
    bool ok = shards_open(&shards, &p->bundle, ARITHMETIC_FP32, p->job->pool, err);
    float *rows = arena_array(p->arena, n * width, float);
    float *out = arena_array(p->arena, n * width, float);
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        if (s->end_layer == s->first_layer) continue;
        make_small(trace.rows[i], rows, n, &p->model.contract);
        ok = proof_run_shard(p, &shards, i, rows, n, out, err) &&
             reference_run_layers(r, s->first_layer, s->end_layer, rows, n, err);
        if (!ok) break;
        Metrics m = {0};
        for (size_t t = 0; t < n; t++) metrics_add(&m, out + t * width, rows + t * width, width);
        char scope[48];
        snprintf(scope, sizeof scope, "layer %02u, small rows", s->first_layer);
        proof_compare(p, "graph", scope, &m, small_bound);
    }
    if (shards.bundle) shards_close(&shards);
    reference_close(r);
    return ok;
}
