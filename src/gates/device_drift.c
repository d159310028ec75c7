// device_drift.c — compares some hundred single steps on a device with lathe's own engine. Both are
// fed the same tokens of a text, not their own answers.
//
// Each step reads what all steps before it wrote, so an engine that rounds a state each time it is
// passed on, or sometimes loses a row, drifts away slowly; a single step cannot show that. Others
// heard such drift in an audio model with 23 states on a device.
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/device_gates.h"
#include "gates/device_loads.h"
#include "gates/text_perplexity.h"
#include "proof/execution.h"
#include "proof/trace.h"
#include "runtime/sampler.h"

enum {
    N_STEPS = 320,
    LEAST_STEPS = 64, // fewer say nothing of a drift
    N_PARTS = 4,
    HEAD_AFTER = 8, // steps between two comparisons of logits
};

// Both engines are within TEXT_MOST_FP16_KL of their weights in fp32 at every place; the noise of the
// two adds up, and KL goes by its square.
#define MOST_KL (4 * TEXT_MOST_FP16_KL)
// 1 - cos of a hidden row, the last quarter against the first: twice the error. lathe's own engine
// in fp16 against fp32, and against the model of the Neural Engine: 1.0 and 0.9 (hello-phi3).
#define MOST_GROWTH 4.0
// Below this, what grows is rounding of the comparison itself.
#define QUIET 1e-6

typedef struct {
    Proof *p;
    Shards *shards[2]; // the device, lathe's own engine
    float *x[2], *logits[2];
    Metrics parts[N_PARTS];
    double kl_max;
    size_t n_heads, n_equal;
    size_t bad_step; // the first whose row is not finite; n_steps: none
} Drift;

static bool compare_heads(Drift *d, Err *err) {
    uint32_t n = d->p->bundle.chain.contract.n_vocab;
    for (size_t k = 0; k < 2; k++)
        if (!shards_run_head(d->shards[k], d->x[k], d->logits[k], err)) return false;
    double kl = logits_kl(d->logits[0], d->logits[1], n);
    if (!(kl <= d->kl_max)) d->kl_max = kl;
    d->n_equal += logits_argmax(d->logits[0], n) == logits_argmax(d->logits[1], n);
    d->n_heads++;
    return true;
}

static bool take_step(Drift *d, uint32_t id, size_t step, size_t n_steps, Err *err) {
    size_t width = d->p->bundle.chain.contract.d_model;
    for (size_t k = 0; k < 2; k++) {
        Shards *s = d->shards[k];
        s->host.ops->embed(&s->host, &id, 1, d->x[k], 1);
        if (!shards_run_layers(s, d->x[k], (uint32_t)step, 1, err)) return false;
    }
    Metrics *part = &d->parts[step * N_PARTS / n_steps];
    bool was_bad = part->has_bad;
    metrics_add(part, d->x[0], d->x[1], width);
    if (part->has_bad && !was_bad && d->bad_step == n_steps) d->bad_step = step;
    if (!progress_step(d->p->job->progress, "drift: steps", step + 1, n_steps, err)) return false;
    return step % HEAD_AFTER || compare_heads(d, err);
}

static void report(const Drift *d, size_t n_steps) {
    double off[N_PARTS];
    json_t *parts = json_array();
    bool is_close = true;
    for (size_t k = 0; k < N_PARTS; k++) {
        off[k] = 1 - metrics_cos(&d->parts[k]);
        is_close = is_close && !d->parts[k].has_bad;
        json_array_append_new(parts, json_of_real(off[k]));
    }
    double growth = off[N_PARTS - 1] / fmax(off[0], QUIET);
    bool ok = is_close && growth <= MOST_GROWTH && d->kl_max <= MOST_KL;
    char bad[48] = "";
    if (d->bad_step < n_steps) snprintf(bad, sizeof bad, ", NOT FINITE at step %zu", d->bad_step);
    json_t *figures =
        json_pack("{s:I, s:o, s:o, s:f, s:o, s:f, s:I, s:I}", "steps", (json_int_t)n_steps, "off",
                  parts, "growth", json_of_real(growth), "most_growth", MOST_GROWTH, "kl_max",
                  json_of_real(d->kl_max), "most_kl", MOST_KL, "top1", (json_int_t)d->n_equal,
                  "heads", (json_int_t)d->n_heads);
    proof_result(d->p, "drift", ok, figures, "steps",
                 "%zu steps: 1-cos %.2g in the first quarter, %.2g in the last (at most %.0f times "
                 "as much), kl_max=%.3g, top-1 %zu/%zu%s",
                 n_steps, off[0], off[N_PARTS - 1], MOST_GROWTH, d->kl_max, d->n_equal, d->n_heads,
                 bad);
}

static bool run(Drift *d, const uint32_t *ids, size_t n, Err *err) {
    Proof *p = d->p;
    for (size_t k = 0; k < 2; k++) {
        d->x[k] = arena_array(p->arena, p->bundle.chain.contract.d_model, float);
        d->logits[k] = arena_array(p->arena, p->bundle.chain.contract.n_vocab, float);
        shards_follow_length(d->shards[k], n);
    }
    d->bad_step = n;
    for (size_t step = 0; step < n; step++)
        if (!take_step(d, ids[step], step, n, err)) return false;
    report(d, n);
    return true;
}

bool gate_device_drift(Proof *p, Err *err) {
    uint32_t *ids;
    size_t n;
    Shards device, own;
    if (!proof_tokens(p, N_STEPS, &ids, &n, err)) return false;
    if (n < LEAST_STEPS) {
        proof_unproved(p, "drift", "a context of %zu tokens is too short to show a drift", n);
        return true;
    }
    if (!proof_open_shards(p, &device, ARITHMETIC_FP16, err)) return false;
    bool ok = proof_open_own_shards(p, &own, ARITHMETIC_FP16, err);
    if (ok) {
        Drift d = {.p = p, .shards = {&device, &own}};
        ok = run(&d, ids, n, err);
        if (ok) device_loads_add(p, &device);
        shards_close(&own);
    }
    shards_close(&device);
    return ok;
}
