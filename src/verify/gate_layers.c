// gate_layers.c — what a shard computes, layer by layer, against the reference, and where an error
// comes from. All start from the same rows, those that the model has where the shard begins:
//
//     program, fp32 ─┐ graph: nothing but errors of the graph is left
//     reference, weights of the package ─┐
//     program, fp16 ─────────────────────┤ graph error, as it will run
//     reference, weights of the source ──┘ error of the weights' form
//
// `layer golden` judges the two apart and together: a broken op and a coarse weight look alike in
// their sum. A layer's figures hold what the layers before it in its shard have added up.
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "verify/blame.h"

enum { N_TOKENS = 96 }; // one full chunk of prefill and 32 single steps after it

// Two sets of rows at the end of a layer.
typedef struct {
    Metrics m;
    WorstGroup group;
} LayerError;

// `scope` opens the line, `key` is the member of the gate's section. Every layer must keep to
// `least`, and no group of channels may be off by more than `most_off` of what it should be: a few
// wrong rows of a matrix hide in a cosine over a thousand channels.
typedef struct {
    const char *gate, *scope, *section, *key;
    Bound least;
    double most_off;
} Comparison;

// fp32 with equal weights differs in the order of sums, and in the few constants that a program
// holds as fp16 (the score scale among them, 2^-12 relative): 0.03 % of a group on hello-phi3. A
// misplaced mask, a swapped head or one wrong slot costs cosines of 1e-4 and more.
static const Comparison graph = {
    "graph", "layers", "graph_errors", "graph_fp32", {0.999999, 0.999999}, 0.005};
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

// ---- the report's arrays, a number a layer

static json_t *arrays_of(Proof *p, const Comparison *c) {
    json_t *section = json_object_get(p->sections, c->section);
    if (!section) {
        section = json_pack("{s:i}", "group_channels", GROUP_CHANNELS);
        proof_section(p, c->section, section);
    }
    json_t *arrays = json_object_get(section, c->key);
    if (!arrays) {
        arrays = json_pack("{s:[], s:[], s:[], s:[], s:[], s:[]}", "cos", "worst_cos", "rmse",
                           "max_abs", "group_off", "group_first");
        json_object_set_new(section, c->key, arrays);
    }
    return arrays;
}

static void note_layer(Proof *p, const Comparison *c, const LayerError *e) {
    const struct {
        const char *name;
        json_t *value;
    } items[] = {
        {"cos", json_of_real(metrics_cos(&e->m))},
        {"worst_cos", json_of_real(e->m.worst_cos)},
        {"rmse", json_of_real(metrics_rmse(&e->m))},
        {"max_abs", json_of_real(e->m.max_abs)},
        {"group_off", json_of_real(e->group.off)},
        {"group_first", json_integer((json_int_t)e->group.first)},
    };
    json_t *arrays = arrays_of(p, c);
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        json_array_append_new(json_object_get(arrays, items[i].name), items[i].value);
}

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
static bool say(Proof *p, const ChainShard *s, const Comparison *c, const LayerError *errors) {
    uint32_t n = s->end_layer - s->first_layer, worst = 0;
    bool has_passed = true;
    for (uint32_t i = 0; i < n; i++) {
        has_passed = has_passed && is_within(&errors[i], c);
        if (i && is_worse(&errors[i], &errors[worst], c)) worst = i;
        note_layer(p, c, &errors[i]);
    }
    const LayerError *e = &errors[worst];
    json_t *figures = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:f, s:f, s:f, s:i, s:o, s:[i,i]}", "cos",
        json_of_real(metrics_cos(&e->m)), "worst_cos", json_of_real(e->m.worst_cos), "rmse",
        json_of_real(metrics_rmse(&e->m)), "max_abs", json_of_real(e->m.max_abs), "rows",
        (json_int_t)e->m.n_rows, "least_cos", c->least.cos, "least_worst", c->least.worst,
        "most_off", c->most_off, "layer", (int)(s->first_layer + worst), "group_off",
        json_of_real(e->group.off), "group", (int)e->group.first, (int)e->group.end);
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
        LayerError *e = &errors[layer - s->first_layer];
        for (size_t t = 0; t < found->n_tokens; t++)
            metrics_add(&e->m, a + t * width, b + t * width, width);
        e->group = metrics_worst_group(a, b, found->n_tokens, width);
    }
    return say(p, s, c, errors);
}

static bool judge_shard(Proof *p, Arena *arena, Shards *shards, size_t i, bool is_golden,
                        const Trace *trace, Err *err) {
    enum { STREAM = WATCH_PLACE(stream) };
    Watched engine, packed, source;
    size_t n = trace->n_tokens;
    const float *rows = trace->rows[i];
    if (!watch_engine(&engine, arena, p, shards, i, STREAM, rows, n, err) ||
        !watch_reference(&packed, arena, p, true, i, STREAM, rows, n, err))
        return false;
    bool has_passed;
    if (is_golden) {
        if (!watch_reference(&source, arena, p, false, i, STREAM, rows, n, err)) return false;
        has_passed = compare(p, arena, &engine, &source, &total);
        has_passed = compare(p, arena, &engine, &packed, &graph_fp16) && has_passed;
        has_passed = compare(p, arena, &packed, &source, &weights) && has_passed;
    } else {
        has_passed = compare(p, arena, &engine, &packed, &graph);
    }
    if (has_passed || !p->job->blames) return true;
    return blame_shard(p, is_golden ? total.gate : graph.gate, i, rows, n, err);
}

static bool judge_layers(Proof *p, bool is_golden, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t *ids;
    size_t n;
    Trace trace;
    Shards shards;
    Arithmetic arithmetic = is_golden ? ARITHMETIC_FP16 : ARITHMETIC_FP32;
    if (!proof_tokens(p, N_TOKENS, &ids, &n, err) || !trace_run(p, &trace, ids, n, false, err) ||
        !shards_open(&shards, &p->bundle, arithmetic, p->job->pool, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        if (c->shards[i].end_layer == c->shards[i].first_layer) continue;
        Arena arena = {0}; // of one shard's rows
        ok = judge_shard(p, &arena, &shards, i, is_golden, &trace, err);
        arena_free(&arena);
    }
    shards_close(&shards);
    return ok;
}

bool gate_graph(Proof *p, Err *err) {
    return judge_layers(p, false, err) && compare_small_rows(p, err);
}

bool gate_golden(Proof *p, Err *err) {
    WeightFault worst;
    if (!compare_weights(p, &worst, err) || !judge_layers(p, true, err)) return false;
    return !worst.is_found || !p->job->blames || blame_weight(p, total.gate, &worst, err);
}
