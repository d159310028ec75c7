// golden.c — compares what a shard computes in fp16, layer by layer, with the reference, and finds
// where an error comes from. All start from the same rows, those of the model at the shard's
// beginning:
//
//     reference, weights of the package ─┐
//     program, fp16 ─────────────────────┤ error of the graph, as it will run
//     reference, weights of the source ──┘ error of the weights' form
//
// The gate judges the two errors separately and together, because in their sum a wrong op and a
// coarsely quantised weight look alike. A layer's figures include the errors of the layers before
// it in its shard. Gate graph (graph.c) judges each layer separately.
#include <stdio.h>

#include "gates/blame.h"
#include "gates/gates.h"
#include "gates/layer_errors.h"
#include "gates/weights.h"
#include "proof/execution.h"
#include "proof/trace.h"

// `scope` opens the line, `key` is the member of the gate's section. Every layer must keep to
// `least`, and no group of channels may be off by more than `most_off` of what it should be: a few
// wrong rows of a matrix hardly change a cosine over a thousand channels.
typedef struct {
    const char *gate, *scope, *section, *key;
    Bound least;
    double most_off;
} Comparison;

// fp16 rounds each result to 11 bits, 0.05 %; over the forty ops of a layer and the layers of a
// shard that came to 0.25 % of the quietest group and a cosine of 0.999998 on SmolLM2. Weights
// cannot excuse more: they are the same on both sides.
static const Comparison graph_fp16 = {"layer golden", "graph",         "golden_errors",
                                      "graph",        {0.9999, 0.999}, 0.05};
// Codes of 7 bits err by about 1 % of a row's rms, so a branch is off by some 1e-4 in cosine, and
// by a few times that where errors of thirty layers add up; single rows scatter around it. A row
// that took another position's place is below 0.9. Groups that are quiet beside a loud neighbour
// bear its error: 8.5 % at most on SmolLM2; one that is off by half has lost its meaning.
static const Comparison weights = {"layer golden", "weights",     "golden_errors",
                                   "weights",      {0.999, 0.99}, 0.5};
static const Comparison total = {"layer golden", "layers",      "golden_errors",
                                 "total",        {0.999, 0.99}, 0.5};

// ---- one shard

static bool is_within(const LayerError *e, const Comparison *c) {
    return e->m.n_rows > 0 && !e->m.has_bad && metrics_cos(&e->m) >= c->least.cos &&
           e->m.worst_cos >= c->least.worst && e->group.off <= c->most_off;
}

// Whether `a` is the layer to show rather than `b`: one that fails, then the lower cosine.
static bool is_worse(const LayerError *a, const LayerError *b, const Comparison *c) {
    bool a_passes = is_within(a, c), b_passes = is_within(b, c);
    return a_passes != b_passes ? b_passes : !(metrics_cos(&a->m) >= metrics_cos(&b->m));
}

// One line a shard: its worst layer. Every layer has to pass.
static bool report_shard(Proof *p, const ChainShard *s, const Comparison *c,
                         const LayerError *errors) {
    uint32_t n = s->end_layer - s->first_layer, worst = 0;
    bool has_passed = true;
    for (uint32_t i = 0; i < n; i++) {
        has_passed = has_passed && is_within(&errors[i], c);
        if (i && is_worse(&errors[i], &errors[worst], c)) worst = i;
        layer_error_record(p, c->section, c->key, &errors[i]);
    }
    const LayerError *e = &errors[worst];
    json_t *figures = layer_error_figures(e, s->first_layer + worst);
    json_object_set_new(figures, "least_cos", json_real(c->least.cos));
    json_object_set_new(figures, "least_worst", json_real(c->least.worst));
    json_object_set_new(figures, "most_off", json_real(c->most_off));
    char scope[48];
    snprintf(scope, sizeof scope, "%s %02u..%02u", c->scope, s->first_layer, s->end_layer - 1);
    proof_result(
        p, c->gate, has_passed, figures, scope,
        "cos=%.7f worst=%.7f rmse=%.3g max_abs=%.3g%s at layer %02u, channels %zu..%zu off "
        "by %.2g %%",
        metrics_cos(&e->m), e->m.worst_cos, metrics_rmse(&e->m), e->m.max_abs,
        e->m.has_bad ? " NOT FINITE" : "", s->first_layer + worst, e->group.first, e->group.end - 1,
        100 * e->group.off);
    return has_passed;
}

static bool compare(Proof *p, Arena *arena, const Watched *found, const Watched *wanted,
                    const Comparison *c) {
    const ChainShard *s = found->shard;
    size_t width = found->contract->d_model;
    LayerError *errors = arena_array(arena, s->end_layer - s->first_layer, LayerError);
    for (uint32_t layer = s->first_layer; layer < s->end_layer; layer++) {
        const float *a = watched_rows(found, layer, LANDMARK_stream);
        const float *b = watched_rows(wanted, layer, LANDMARK_stream);
        errors[layer - s->first_layer] = layer_error(a, b, found->n_tokens, width);
    }
    return report_shard(p, s, c, errors);
}

static bool judge_shard(Proof *p, Arena *arena, Shards *shards, size_t i, const Trace *trace,
                        Err *err) {
    enum { STREAM = WATCH_PLACE(stream) };
    Watched engine, packed, source;
    size_t n = trace->n_tokens;
    const float *rows = trace->rows[i];
    if (!watch_engine(&engine, arena, p, shards, i, STREAM, rows, n, err) ||
        !watch_reference(&packed, arena, p, true, i, STREAM, rows, n, err) ||
        !watch_reference(&source, arena, p, false, i, STREAM, rows, n, err))
        return false;
    bool has_passed = compare(p, arena, &engine, &source, &total);
    has_passed = compare(p, arena, &engine, &packed, &graph_fp16) && has_passed;
    has_passed = compare(p, arena, &packed, &source, &weights) && has_passed;
    if (has_passed || !p->job->blames) return true;
    return blame_shard(p, total.gate, i, rows, n, err);
}

static bool judge_layers(Proof *p, Err *err) {
    uint32_t *ids;
    size_t n;
    Trace trace;
    Shards shards;
    if (!proof_tokens(p, LAYER_TOKENS, &ids, &n, err) ||
        !trace_run(p, &trace, ids, n, false, err) ||
        !proof_open_shards(p, &shards, ARITHMETIC_FP16, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < p->bundle.chain.n_shards; i++) {
        const ChainShard *s = &p->bundle.chain.shards[i];
        if (s->end_layer == s->first_layer) continue;
        Arena arena = {0}; // of one shard's rows
        ok = judge_shard(p, &arena, &shards, i, &trace, err);
        arena_free(&arena);
    }
    shards_close(&shards);
    return ok;
}

bool gate_golden(Proof *p, Err *err) {
    WeightFault worst;
    if (!compare_weights(p, &worst, err) || !judge_layers(p, err)) return false;
    return !worst.is_found || !p->job->blames || blame_weight(p, total.gate, &worst, err);
}
