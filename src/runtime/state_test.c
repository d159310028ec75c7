#include "runtime/state_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_SLOTS = 3 }; // that are looked at: one a step

// What a state held after the step before.
typedef struct {
    Shards *shards;
    const Shard *shard;
    uint32_t state; // of the shard
    RunnerPort slot;
    float *before, *now; // [MOST_SLOTS, slot.count]
} Watched;

typedef struct {
    Watched *at;
    size_t n;
    float *x;
    size_t n_x;
} Watch;

static bool is_watched(const Shard *shard) {
    return shard->state && shard->state->ops->may_lose_states;
}

static void close_watch(Watch *w) {
    for (size_t i = 0; i < w->n; i++) {
        free(w->at[i].before);
        free(w->at[i].now);
    }
    free(w->at);
    free(w->x);
}

static bool add_states(Watch *w, Shards *s, const Shard *shard, Err *err) {
    for (uint32_t i = 0;; i++) {
        RunnerPort slot = shard->state->ops->state_at(shard->state, i);
        if (!slot.count) return true;
        w->at = realloc(w->at, (w->n + 1) * sizeof *w->at);
        if (!w->at) die_out_of_memory((w->n + 1) * sizeof *w->at);
        size_t n_bytes = MOST_SLOTS * slot.count * sizeof(float);
        Watched *new = &w->at[w->n++];
        *new = (Watched){.shards = s, .shard = shard, .state = i, .slot = slot};
        new->before = big_alloc(n_bytes, "slots of a state", err);
        new->now = big_alloc(n_bytes, "slots of a state", err);
        if (!new->before || !new->now) return false;
    }
}

static bool open_watch(Watch *w, Shards *s, Err *err) {
    const Chain *c = &s->bundle->chain;
    *w = (Watch){.n_x = (size_t)c->contract.d_model * (c->prefill_rows ? c->prefill_rows : 1)};
    w->x = big_alloc(w->n_x * sizeof *w->x, "activations", err);
    bool ok = w->x != NULL;
    for (size_t i = 0; ok && i < c->n_shards; i++)
        if (is_watched(&s->shards[i])) ok = add_states(w, s, &s->shards[i], err);
    return ok;
}

static bool is_zero(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (values[i] != 0) return false;
    return true;
}

static bool refuse(const Watched *w, Err *err, const char *what) {
    const Chain *c = &w->shards->bundle->chain;
    bool is_slice = str_is(c->kv, "slice"); // rows has no states to lose
    return err_set(err, ERR_SYSTEM,
                   "%.*s: state '%.*s': %s. On this system engine %s does not keep states written "
                   "in the form --kv %.*s; convert again with --kv %s",
                   STR_ARG(w->shard->chain->package), STR_ARG(w->slot.name), what,
                   w->shards->how.engine->name, STR_ARG(c->kv), is_slice ? "overwrite" : "rows");
}

// Slot `step` was just written; slots before it were by earlier steps.
static bool check_state(Watched *w, uint32_t step, Err *err) {
    char what[96];
    const RunnerState *state = w->shard->state;
    size_t n = w->slot.count;
    if (!state->ops->state_read(state, w->state, step + 1, w->now, err))
        return err_prefix(err, "%.*s", STR_ARG(w->shard->chain->package));
    for (uint32_t slot = 0; slot < step; slot++) {
        if (memcmp(w->before + slot * n, w->now + slot * n, n * sizeof *w->now) == 0) continue;
        snprintf(what, sizeof what, "slot %u changed when slot %u was written", slot, step);
        return refuse(w, err, what);
    }
    if (is_zero(w->now + step * n, n)) {
        snprintf(what, sizeof what, "slot %u is all zeros after it was written", step);
        return refuse(w, err, what);
    }
    memcpy(w->before, w->now, (step + 1) * n * sizeof *w->now);
    return true;
}

// Numbers between -1 and 1, others in each step: embedding rows may be zeros, as those of unused
// tokens are.
static void make_rows(Watch *w, uint32_t step) {
    uint32_t seed = step + 1;
    for (size_t i = 0; i < w->n_x; i++) {
        seed = seed * 1664525u + 1013904223u;
        w->x[i] = (float)(seed >> 16) / 32768.0f - 1;
    }
}

static bool take_step(Watch *w, Shards *s, uint32_t step, uint32_t n_rows, Err *err) {
    make_rows(w, step);
    bool ok = shards_run_layers(s, w->x, step, n_rows, err);
    for (size_t i = 0; ok && i < w->n; i++) ok = check_state(&w->at[i], step, err);
    return ok;
}

bool states_are_kept(Shards *s, Err *err) {
    const Chain *c = &s->bundle->chain;
    const uint32_t n_rows[MOST_SLOTS] = {1, 1, c->prefill_rows};
    Watch w;
    bool ok = open_watch(&w, s, err);
    for (uint32_t step = 0; ok && w.n && step < MOST_SLOTS; step++)
        if (n_rows[step] && step + n_rows[step] <= c->context)
            ok = take_step(&w, s, step, n_rows[step], err);
    if (w.n) shards_reset(s);
    close_watch(&w);
    return ok;
}
