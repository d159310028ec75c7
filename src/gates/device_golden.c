// device_golden.c — compares what a device computes in fp16 with lathe's own engine in fp16,
// package by package, from the same rows: those of the reference at the package's beginning.
//
// A device has no taps, so layers are judged by their outputs: the rows after the package's last
// layer, and the keys and values that each layer wrote into the states. The keys of layer n are
// computed from the layers before it, so an error of a layer shows in the next one's keys.
//
// Beside each figure it reports the prediction by the model of the Neural Engine's arithmetic.
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "gates/device_gates.h"
#include "gates/device_loads.h"
#include "gates/layer_errors.h"
#include "gates/layer_names.h"
#include "proof/execution.h"
#include "proof/trace.h"

// Gate layer golden allows each of two fp16 engines 1e-4 (a row: 1e-3) from the reference. Errors of
// two add up, and 1 - cos goes by their square: four times that between the two, and twice of a
// group of channels.
static const Bound least = {0.9996, 0.996};
#define MOST_OFF 0.1
// A cosine is blind to a factor. The least-squares factor between two engines averages the roundings
// of thousands of numbers; what is left is their bias. The model of the Neural Engine, which rounds
// away from 0, gives 0.0008 a layer (hello-phi3): three times that, and never more than 0.02.
#define GAIN_OF_LAYER 0.0025
#define MOST_GAIN     0.02

enum { GROUP_MOST = 96 }; // characters of a group's name

// ---- keys and values

// Rows of state `of` after a run: [n, count of a slot]; NULL and `err` when they cannot be read.
static float *read_rows(Arena *arena, const RunnerState *state, uint32_t i, uint32_t n, Err *err) {
    size_t count = state->ops->state_at(state, i).count;
    float *rows = arena_array(arena, n * count, float);
    return state->ops->state_read(state, i, n, rows, err) ? rows : NULL;
}

static bool find_state(const RunnerState *state, Str name, uint32_t *at) {
    RunnerPort port;
    for (*at = 0; (port = state->ops->state_at(state, *at)).count; ++*at)
        if (str_eq(port.name, name)) return true;
    return false;
}

static bool can_read(const RunnerState *state) {
    return state && state->ops->state_at && state->ops->state_read;
}

typedef struct {
    Proof *p;
    Arena *arena;
    const ChainShard *shard;
    uint32_t n_tokens;
    double predicted; // the lowest cosine that the model of the arithmetic gives
    LayerError worst;
    char where[GROUP_MOST]; // of `worst`
    size_t n_groups;
} States;

static double gain_of(const Metrics *m) {
    return m->norm_wanted > 0 ? m->dot / m->norm_wanted : 1;
}

static double most_gain(const ChainShard *s) {
    return fmin(MOST_GAIN, GAIN_OF_LAYER * (s->end_layer - s->first_layer));
}

static bool is_within(const LayerError *e, const ChainShard *s) {
    return !e->m.has_bad && fabs(gain_of(&e->m) - 1) <= most_gain(s) &&
           metrics_cos(&e->m) >= least.cos && e->m.worst_cos >= least.worst &&
           e->group.off <= MOST_OFF;
}

// Whether `a` is the group to show rather than `b`: one that fails, then the lower cosine.
static bool is_worse(const LayerError *a, const LayerError *b, const ChainShard *s) {
    if (is_within(a, s) != is_within(b, s)) return is_within(b, s);
    return !(metrics_cos(&a->m) >= metrics_cos(&b->m));
}

// A slot holds the heads of one layer, or keys and values of all: [2 layers, heads] when `of_all`.
static void compare_state(States *s, Str name, size_t count, const float *found,
                          const float *wanted, const float *model) {
    uint32_t n_layers = s->shard->end_layer - s->shard->first_layer;
    bool of_all = count % (2 * (size_t)n_layers) == 0 && str_is(name, "kv");
    size_t n_parts = of_all ? 2 * (size_t)n_layers : 1, width = count / n_parts;
    for (size_t k = 0; k < n_parts; k++) {
        LayerError e = {.group = {0}};
        Metrics predicted = {0};
        for (uint32_t t = 0; t < s->n_tokens; t++) {
            size_t at = t * count + k * width;
            metrics_add(&e.m, found + at, wanted + at, width);
            metrics_add(&predicted, model + at, wanted + at, width);
        }
        if (metrics_cos(&predicted) < s->predicted) s->predicted = metrics_cos(&predicted);
        if (s->n_groups++ && !is_worse(&e, &s->worst, s->shard)) continue;
        s->worst = e;
        if (of_all)
            snprintf(s->where, sizeof s->where, "%s of layer %02zu", k % 2 ? "values" : "keys",
                     s->shard->first_layer + k / 2);
        else
            snprintf(s->where, sizeof s->where, "state '%.60s'", name.at);
    }
}

static bool compare_states(States *s, const RunnerState *device, const RunnerState *own,
                           const RunnerState *model, Err *err) {
    RunnerPort port;
    for (uint32_t i = 0; (port = device->ops->state_at(device, i)).count; i++) {
        uint32_t k;
        if (!find_state(own, port.name, &k))
            return err_set(err, ERR_GATE, "the device has a state '%.*s', the program has none",
                           STR_ARG(port.name));
        const float *found = read_rows(s->arena, device, i, s->n_tokens, err);
        const float *wanted = found ? read_rows(s->arena, own, k, s->n_tokens, err) : NULL;
        const float *predicted = wanted ? read_rows(s->arena, model, k, s->n_tokens, err) : NULL;
        if (!predicted) return false;
        compare_state(s, str_of(arena_cstr(s->arena, port.name)), port.count, found, wanted,
                      predicted);
    }
    return true;
}

// ---- results

static json_t *figures_of(const LayerError *e, const ChainShard *s, double predicted) {
    return json_pack("{s:o, s:f, s:o, s:o, s:o, s:o, s:I, s:o, s:f, s:f, s:f, s:o}", "gain",
                     json_of_real(gain_of(&e->m)), "most_gain", most_gain(s), "cos",
                     json_of_real(metrics_cos(&e->m)), "worst_cos", json_of_real(e->m.worst_cos),
                     "rmse", json_of_real(metrics_rmse(&e->m)), "max_abs",
                     json_of_real(e->m.max_abs), "rows", (json_int_t)e->m.n_rows, "group_off",
                     json_of_real(e->group.off), "least_cos", least.cos, "least_worst", least.worst,
                     "most_off", MOST_OFF, "predicted_cos", json_of_real(predicted));
}

static void say(Proof *p, const char *what, size_t shard, const LayerError *e, double predicted,
                const char *where) {
    const ChainShard *s = &p->bundle.chain.shards[shard];
    char scope[48];
    snprintf(scope, sizeof scope, "shard %02zu %s", shard, what);
    proof_result(p, "layer golden", is_within(e, s), figures_of(e, s, predicted), scope,
                 "cos=%.7f worst=%.7f gain=%+.2g rmse=%.3g max_abs=%.3g%s%s%s; predicted cos=%.7f",
                 metrics_cos(&e->m), e->m.worst_cos, gain_of(&e->m) - 1, metrics_rmse(&e->m),
                 e->m.max_abs, e->m.has_bad ? " NOT FINITE" : "", *where ? " at " : "", where,
                 predicted);
}

// The same rows through the package on three engines.
typedef struct {
    Shards device, own, model;
} Engines;

static bool judge_rows(Proof *p, Arena *arena, Engines *e, size_t i, const Trace *trace, Err *err) {
    size_t n = trace->n_tokens, width = p->bundle.chain.contract.d_model;
    Shards *shards[] = {&e->device, &e->own, &e->model};
    float *rows[3];
    for (size_t k = 0; k < 3; k++) {
        rows[k] = arena_array(arena, n * width, float);
        if (!proof_run_shard(p, shards[k], i, trace->rows[i], n, rows[k], err)) return false;
    }
    LayerError found = layer_error(rows[0], rows[1], n, width);
    LayerError predicted = layer_error(rows[2], rows[1], n, width);
    say(p, "rows", i, &found, metrics_cos(&predicted.m), "");
    return true;
}

static bool judge_states(Proof *p, Arena *arena, Engines *e, size_t i, size_t n_tokens, Err *err) {
    const RunnerState *device = e->device.shards[i].state, *own = e->own.shards[i].state;
    if (!can_read(device) || !can_read(own)) return true; // the host keeps the rows
    States s = {.p = p,
                .arena = arena,
                .shard = &p->bundle.chain.shards[i],
                .n_tokens = (uint32_t)n_tokens,
                .predicted = 1};
    if (!compare_states(&s, device, own, e->model.shards[i].state, err)) return false;
    if (s.n_groups) say(p, "states", i, &s.worst, s.predicted, s.where);
    return true;
}

static bool open_engines(const Proof *p, Engines *e, Err *err) {
    *e = (Engines){0};
    return proof_open_shards(p, &e->device, ARITHMETIC_FP16, err) &&
           proof_open_own_shards(p, &e->own, ARITHMETIC_FP16, err) &&
           proof_open_own_shards(p, &e->model, ARITHMETIC_ANE, err);
}

static void close_engines(Engines *e) {
    Shards *all[] = {&e->device, &e->own, &e->model};
    for (size_t k = 0; k < 3; k++)
        if (all[k]->bundle) shards_close(all[k]);
}

bool gate_device_golden(Proof *p, Err *err) {
    uint32_t *ids;
    size_t n;
    Trace trace;
    Engines all;
    if (!proof_tokens(p, LAYER_TOKENS, &ids, &n, err) || !trace_run(p, &trace, ids, n, true, err))
        return false;
    bool ok = open_engines(p, &all, err);
    for (size_t i = 0; ok && i < p->bundle.chain.n_shards; i++) {
        const ChainShard *s = &p->bundle.chain.shards[i];
        if (s->end_layer == s->first_layer) continue;
        Arena arena = {0}; // of one package's rows
        ok =
            judge_rows(p, &arena, &all, i, &trace, err) && judge_states(p, &arena, &all, i, n, err);
        arena_free(&arena);
    }
    if (ok) device_loads_add(p, &all.device);
    close_engines(&all);
    return ok;
}
