// model_runner_bundle.c — a bundle's packages as the model of a session: the host embeds tokens and
// says where the sequence is, the packages run one after the other, the head gives logits.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "runtime/device_plan.h"
#include "runtime/model_runner.h"
#include "runtime/state_test.h"

typedef struct {
    ModelRunner runner;
    Shards shards;
    uint32_t prefill_rows;
    float *x;   // [d_model, prefill_rows]
    float *row; // [d_model]
} BundleRunner;

static Host *host_of(const ModelRunner *m) {
    return &((BundleRunner *)(uintptr_t)m)->shards.host;
}

static void close_bundle(ModelRunner *m) {
    BundleRunner *b = (BundleRunner *)m;
    if (b->shards.bundle) shards_close(&b->shards);
    free(b->x);
    free(b->row);
    free(b);
}

// A chunk goes through prefill when enough tokens are left and the padded rows still fit into the
// state; a short rest is padded, since one wide call costs less than several narrow ones: less than
// two, where a single token goes through a call as wide. Padding behind the end of a ring is lost, as it
// may be.
static uint32_t chunk(const ModelRunner *m, size_t n_left) {
    enum { WORTH_PADDING = 4 };
    const BundleRunner *b = (const BundleRunner *)m;
    uint32_t rows = b->prefill_rows, least = b->shards.wide.n_rows ? 2 : WORTH_PADDING;
    uint32_t position = host_of(m)->position, room = host_room(host_of(m), position);
    size_t n = min_size(min_size(rows, room), n_left);
    return rows && position + rows <= m->context && n >= least ? (uint32_t)n : 1;
}

// Rows of one chunk see each other's values, masked or not: one that is not finite spoils them all.
static bool check_rows(const BundleRunner *b, uint32_t n, uint32_t n_rows, Err *err) {
    size_t count = (size_t)n_rows * b->shards.bundle->chain.contract.d_model;
    bool is_finite = true;
    for (size_t i = 0; i < count; i++) is_finite = is_finite && isfinite(b->x[i]);
    size_t at = b->shards.host.position;
    return is_finite || model_runner_not_finite(&b->runner, "rows", at, at + n - 1, err);
}

static bool feed(ModelRunner *m, const uint32_t *tokens, uint32_t n, uint32_t from, float *logits,
                 Err *err) {
    BundleRunner *b = (BundleRunner *)m;
    Host *host = &b->shards.host;
    uint32_t n_rows = n == 1 ? 1 : b->prefill_rows;
    host->ops->embed(host, tokens, n, b->x, n_rows);
    if (!shards_run_layers(&b->shards, b->x, host->position, n_rows, err) ||
        !check_rows(b, n, n_rows, err))
        return false;
    for (uint32_t k = from; k < n; k++) {
        host->ops->take_row(host, b->x, n_rows, k, b->row);
        if (!shards_run_head(&b->shards, b->row, logits + (size_t)(k - from) * m->n_vocab, err))
            return false;
    }
    host->ops->advance(host, n, n_rows);
    return true;
}

static uint32_t position(const ModelRunner *m) {
    return host_of(m)->position;
}

static bool is_long(const ModelRunner *m, size_t length) {
    return host_of(m)->ops->is_long(host_of(m), length);
}

static uint32_t n_stale(const ModelRunner *m, size_t length) {
    return host_of(m)->ops->n_stale(host_of(m), length);
}

static bool expect(ModelRunner *m, uint32_t length, Err *err) {
    (void)err;
    Host *host = host_of(m);
    if (n_stale(m, length)) host->ops->rewind(host, 0);
    host_take_factors(host, is_long(m, length));
    return true;
}

// Slots that hold forgotten rows are hidden by the mask until they are written again.
static void rewind_to(ModelRunner *m, uint32_t to) {
    host_of(m)->ops->rewind(host_of(m), to);
}

static bool remembers(const ModelRunner *m, uint32_t at) {
    return host_of(m)->ops->remembers(host_of(m), at);
}

static void reset(ModelRunner *m) {
    host_of(m)->ops->rewind(host_of(m), 0);
    shards_reset(&((BundleRunner *)m)->shards);
}

static const ModelRunnerOps ops = {
    .close = close_bundle,
    .chunk = chunk,
    .feed = feed,
    .position = position,
    .is_long = is_long,
    .n_stale = n_stale,
    .expect = expect,
    .rewind = rewind_to,
    .reset = reset,
    .remembers = remembers,
};

ModelRunner *model_runner_open_bundle(const Bundle *bundle, const Execution *how, Err *err) {
    const Chain *c = &bundle->chain;
    size_t most_rows = max_size(1, c->prefill_rows);
    BundleRunner *b = calloc(1, sizeof *b);
    if (!b) die_out_of_memory(sizeof *b);
    b->runner = (ModelRunner){.ops = &ops,
                              .context = c->context,
                              .n_vocab = c->contract.n_vocab,
                              .widest = (uint32_t)most_rows,
                              .original_context = c->contract.original_context};
    b->prefill_rows = c->prefill_rows;
    b->x = big_alloc(most_rows * c->contract.d_model * sizeof(float), "activations", err);
    b->row = big_alloc(c->contract.d_model * sizeof(float), "activations", err);
    bool ok = b->x && b->row && shards_open(&b->shards, bundle, how, err);
    if (ok && how->plan) device_plan_make(how->plan, &b->shards);
    if (!ok || !states_are_kept(&b->shards, err)) {
        close_bundle(&b->runner);
        return NULL;
    }
    engine_label(b->shards.how.engine, how->arithmetic, b->runner.label, sizeof b->runner.label);
    return &b->runner;
}
