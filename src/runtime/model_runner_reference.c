// model_runner_reference.c — the fp32 reference as the model of a session. It embeds tokens, makes
// its own rotary tables and keeps its own cache: nothing of host and packages is used.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "runtime/model_runner.h"

enum { CHUNK = 64 }; // as many as a bundle's prefill takes

typedef struct {
    ModelRunner runner;
    Reference *reference;
    float *logits; // [CHUNK, n_vocab]; NULL until some rows of a chunk, not all, are asked for
} ReferenceRunner;

static Reference *reference_of(const ModelRunner *m) {
    return ((const ReferenceRunner *)m)->reference;
}

static void close_reference(ModelRunner *m) {
    ReferenceRunner *r = (ReferenceRunner *)m;
    reference_close(r->reference);
    free(r->logits);
    free(r);
}

static uint32_t chunk(const ModelRunner *m, size_t n_left) {
    (void)m;
    return (uint32_t)min_size(CHUNK, n_left);
}

// The reference gives logits of the last token or of all.
static bool feed(ModelRunner *m, const uint32_t *tokens, uint32_t n, uint32_t from, float *logits,
                 Err *err) {
    ReferenceRunner *r = (ReferenceRunner *)m;
    if (from + 1 >= n)
        return reference_feed(r->reference, tokens, n, from < n ? logits : NULL, false, err);
    if (from == 0) return reference_feed(r->reference, tokens, n, logits, true, err);
    if (!r->logits)
        r->logits = big_alloc((size_t)CHUNK * m->n_vocab * sizeof(float), "logits", err);
    if (!r->logits || !reference_feed(r->reference, tokens, n, r->logits, true, err)) return false;
    memcpy(logits, r->logits + (size_t)from * m->n_vocab,
           (size_t)(n - from) * m->n_vocab * sizeof *logits);
    return true;
}

static uint32_t position(const ModelRunner *m) {
    return reference_position(reference_of(m));
}

static bool is_long(const ModelRunner *m, size_t length) {
    return reference_is_long(reference_of(m), length);
}

static uint32_t n_stale(const ModelRunner *m, size_t length) {
    return reference_rereads(reference_of(m), length);
}

static bool expect(ModelRunner *m, uint32_t length, Err *err) {
    if (n_stale(m, length)) reference_rewind(reference_of(m), 0);
    return reference_expect(reference_of(m), length, NULL, err);
}

static void rewind_to(ModelRunner *m, uint32_t to) {
    reference_rewind(reference_of(m), to);
}

// Its caches hold every position.
static bool remembers(const ModelRunner *m, uint32_t at) {
    (void)m, (void)at;
    return true;
}

static void reset(ModelRunner *m) {
    reference_rewind(reference_of(m), 0);
}

static const ModelRunnerOps ops = {
    .close = close_reference,
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

ModelRunner *model_runner_open_reference(const Model *model, const ReferenceOptions *options,
                                         Pool *pool, Err *err) {
    const Contract *c = &model->contract;
    Reference *reference = reference_open(model, c, options, pool, err);
    if (!reference) return NULL;
    ReferenceRunner *r = calloc(1, sizeof *r);
    if (!r) die_out_of_memory(sizeof *r);
    r->runner = (ModelRunner){.ops = &ops,
                              .context = options->n_positions,
                              .n_vocab = c->n_vocab,
                              .widest = CHUNK,
                              .original_context = c->original_context};
    r->reference = reference;
    snprintf(r->runner.label, sizeof r->runner.label, "reference (fp32)");
    return &r->runner;
}
