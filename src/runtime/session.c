#include "runtime/session.h"

#include <stdlib.h>

#include "base/size.h"
#include "runtime/shards.h"

struct Session {
    const Contract *contract;
    uint32_t context, position;
    const char *engine;
    Reference *reference; // one of the two
    Shards shards;
    uint32_t prefill_rows;
    float *x;      // [d_model, prefill_rows]
    float *row;    // [d_model]
    float *logits; // of session_feed_each; NULL until it is called
};

Session *session_open_reference_as(const Model *model, const ReferenceOptions *options, Pool *pool,
                                   Err *err) {
    Session *s = calloc(1, sizeof *s);
    if (!s) memory_is_out(sizeof *s);
    *s = (Session){
        .contract = &model->contract,
        .context = options->n_positions ? options->n_positions : options->context,
        .engine = "reference (fp32)",
    };
    s->reference = reference_open(model, &model->contract, options, pool, err);
    if (s->reference) return s;
    session_close(s);
    return NULL;
}

Session *session_open_reference(const Model *model, uint32_t context, Pool *pool, Err *err) {
    return session_open_reference_as(model, &(ReferenceOptions){.context = context}, pool, err);
}

static const char *const engines[ARITHMETIC_COUNT] = {
    [ARITHMETIC_FP32] = "cpu (fp32)",
    [ARITHMETIC_FP16] = "cpu (fp16)",
    [ARITHMETIC_ANE] = "cpu (ane, a model)",
};

Session *session_open_bundle(const Bundle *bundle, Arithmetic arithmetic, Pool *pool, Err *err) {
    const Chain *c = &bundle->chain;
    Session *s = calloc(1, sizeof *s);
    if (!s) memory_is_out(sizeof *s);
    *s = (Session){
        .contract = &c->contract,
        .context = c->context,
        .engine = engines[arithmetic],
        .prefill_rows = c->prefill_rows,
    };
    size_t rows = max_size(1, c->prefill_rows);
    s->x = big_alloc(rows * c->contract.d_model * sizeof(float), "activations", err);
    s->row = big_alloc(c->contract.d_model * sizeof(float), "activations", err);
    if (s->x && s->row && shards_open(&s->shards, bundle, arithmetic, pool, err)) return s;
    session_close(s);
    return NULL;
}

void session_close(Session *s) {
    if (!s) return;
    reference_close(s->reference);
    if (s->shards.bundle) shards_close(&s->shards);
    free(s->x);
    free(s->row);
    free(s->logits);
    free(s);
}

const char *session_engine(const Session *s) {
    return s->engine;
}

uint32_t session_context(const Session *s) {
    return s->context;
}

uint32_t session_n_vocab(const Session *s) {
    return s->contract->n_vocab;
}

uint32_t session_position(const Session *s) {
    return s->position;
}

void session_rewind(Session *s, uint32_t position) {
    if (position && position < s->position) position += s->shards.host.faults.keeps_stale_slot;
    if (position < s->position) s->position = position;
    // A bundle's stale slots are hidden by the mask until they are written again.
    if (s->reference) reference_rewind(s->reference, position);
}

enum { REFERENCE_ROWS = 64 }; // as many as a bundle's prefill takes

uint32_t session_chunk(const Session *s) {
    return s->reference ? REFERENCE_ROWS : s->prefill_rows ? s->prefill_rows : 1;
}

static bool feed_reference(Session *s, const uint32_t *tokens, size_t n, float *logits,
                           const Progress *progress, Err *err) {
    for (size_t at = 0; at < n; at += REFERENCE_ROWS) {
        size_t count = min_size(REFERENCE_ROWS, n - at);
        bool is_last = at + count == n;
        if (!reference_feed(s->reference, tokens + at, count, is_last ? logits : NULL, false, err))
            return false;
        s->position += (uint32_t)count;
        progress_report(progress, "prefill", at + count, n);
    }
    return true;
}

// A chunk goes through prefill when enough tokens are left and the padded rows still fit into the
// state; a short rest is padded, since one wide call costs less than several narrow ones.
static uint32_t chunk_rows(const Session *s, size_t left) {
    enum { WORTH_PADDING = 4 };
    bool fits = s->prefill_rows && s->position + s->prefill_rows <= s->context;
    return fits && left >= WORTH_PADDING ? s->prefill_rows : 1;
}

// Who takes logits while tokens are fed: of token `from` and after.
typedef struct {
    size_t from;
    SessionLogits *take;
    void *context;
} Taker;

// Logits of the rows of a chunk, column by column, that somebody wants.
static bool give_logits(Session *s, const Taker *t, size_t at, size_t count, uint32_t rows,
                        float *logits, Err *err) {
    uint32_t d_model = s->contract->d_model;
    for (size_t k = t->from > at ? t->from - at : 0; k < count; k++) {
        size_t column = s->shards.host.faults.reads_last_row ? rows - 1 : k;
        for (uint32_t i = 0; i < d_model; i++) s->row[i] = s->x[(size_t)i * rows + column];
        if (!shards_run_head(&s->shards, s->row, logits, err)) return false;
        if (t->take) t->take(t->context, at + k, logits);
    }
    return true;
}

static bool feed_bundle(Session *s, const uint32_t *tokens, size_t n, const Taker *t, float *logits,
                        const Progress *progress, Err *err) {
    const HostFaults *faults = &s->shards.host.faults;
    for (size_t at = 0; at < n;) {
        uint32_t rows = chunk_rows(s, n - at);
        size_t count = min_size(rows, n - at);
        host_embed(&s->shards.host, tokens + at, count, s->x, rows);
        if (!shards_run_layers(&s->shards, s->x, s->position, rows, err)) return false;
        if (!give_logits(s, t, at, count, rows, logits, err)) return false;
        at += count;
        s->position += (uint32_t)count;
        if (faults->counts_padding)
            s->position = (uint32_t)min_size(s->position + (rows - count), s->context);
        progress_report(progress, "prefill", at, n);
    }
    return true;
}

bool session_fits(const Session *s, size_t n, Err *err) {
    if (n <= s->context - s->position) return true;
    return err_set(err, ERR_USAGE,
                   "%zu tokens at position %u do not fit into the context of %u; say less, start "
                   "afresh or take a larger --context (a bundle's is fixed by convert)",
                   n, s->position, s->context);
}

static bool check_tokens(const Session *s, const uint32_t *tokens, size_t n, Err *err) {
    if (!session_fits(s, n, err)) return false;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= s->contract->n_vocab)
            return err_set(err, ERR_USAGE, "token %u of a vocabulary of %u", tokens[i],
                           s->contract->n_vocab);
    return true;
}

bool session_feed(Session *s, const uint32_t *tokens, size_t n, float *logits,
                  const Progress *progress, Err *err) {
    if (!check_tokens(s, tokens, n, err)) return false;
    if (s->reference) return feed_reference(s, tokens, n, logits, progress, err);
    Taker last = {.from = logits && n ? n - 1 : n};
    return feed_bundle(s, tokens, n, &last, logits, progress, err);
}

// Chunks in which nobody wants logits are fed without the head.
static bool feed_reference_each(Session *s, const uint32_t *tokens, size_t n, const Taker *t,
                                Err *err) {
    for (size_t at = 0; at < n; at += REFERENCE_ROWS) {
        size_t count = min_size(REFERENCE_ROWS, n - at);
        bool is_wanted = at + count > t->from;
        if (!reference_feed(s->reference, tokens + at, count, is_wanted ? s->logits : NULL,
                            is_wanted, err))
            return false;
        s->position += (uint32_t)count;
        for (size_t k = t->from > at ? t->from - at : 0; k < count; k++)
            t->take(t->context, at + k, s->logits + k * s->contract->n_vocab);
    }
    return true;
}

bool session_feed_each(Session *s, const uint32_t *tokens, size_t n, size_t from,
                       SessionLogits *take, void *context, Err *err) {
    Taker t = {from, take, context};
    size_t rows = s->reference ? REFERENCE_ROWS : 1;
    if (!check_tokens(s, tokens, n, err)) return false;
    if (!s->logits)
        s->logits = big_alloc(rows * s->contract->n_vocab * sizeof(float), "logits", err);
    if (!s->logits) return false;
    return s->reference ? feed_reference_each(s, tokens, n, &t, err)
                        : feed_bundle(s, tokens, n, &t, s->logits, NULL, err);
}
