#include "runtime/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "runtime/shards.h"

struct Session {
    const Contract *contract;
    uint32_t context, position;
    uint32_t *tokens;  // [context]: those fed
    uint32_t expected; // length that was announced; 0: none
    const char *engine;
    Reference *reference; // one of the two
    Shards shards;
    uint32_t prefill_rows;
    float *x;      // [d_model, prefill_rows]
    float *row;    // [d_model]
    float *logits; // of session_feed_each; NULL until it is called
};

Session *session_open_reference(const Model *model, const ReferenceOptions *options, Pool *pool,
                                Err *err) {
    Session *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (Session){
        .contract = &model->contract,
        .context = options->n_positions,
        .engine = "reference (fp32)",
    };
    s->tokens = big_alloc((s->context + 1) * sizeof *s->tokens, "tokens", err);
    if (s->tokens) s->reference = reference_open(model, &model->contract, options, pool, err);
    if (s->reference) return s;
    session_close(s);
    return NULL;
}

static const char *const engines[ARITHMETIC_COUNT] = {
    [ARITHMETIC_FP32] = "cpu (fp32)",
    [ARITHMETIC_FP16] = "cpu (fp16)",
    [ARITHMETIC_ANE] = "cpu (ane, a model)",
};

Session *session_open_bundle(const Bundle *bundle, Arithmetic arithmetic, Pool *pool, Err *err) {
    const Chain *c = &bundle->chain;
    Session *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (Session){
        .contract = &c->contract,
        .context = c->context,
        .engine = engines[arithmetic],
        .prefill_rows = c->prefill_rows,
    };
    size_t rows = max_size(1, c->prefill_rows);
    s->tokens = big_alloc((s->context + 1) * sizeof *s->tokens, "tokens", err);
    s->x = big_alloc(rows * c->contract.d_model * sizeof(float), "activations", err);
    s->row = big_alloc(c->contract.d_model * sizeof(float), "activations", err);
    if (s->tokens && s->x && s->row && shards_open(&s->shards, bundle, arithmetic, pool, err))
        return s;
    session_close(s);
    return NULL;
}

void session_close(Session *s) {
    if (!s) return;
    reference_close(s->reference);
    if (s->shards.bundle) shards_close(&s->shards);
    free(s->tokens);
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

const uint32_t *session_tokens(const Session *s) {
    return s->tokens;
}

void session_rewind(Session *s, uint32_t position) {
    s->expected = 0;
    if (position && position < s->position) position += s->shards.host.faults.keeps_stale_slot;
    if (position < s->position) s->position = position;
    // A bundle's stale slots are hidden by the mask until they are written again.
    if (s->reference) reference_rewind(s->reference, position);
}

void session_reset(Session *s) {
    session_rewind(s, 0);
    if (!s->reference) shards_reset(&s->shards);
}

enum { REFERENCE_ROWS = 64 }; // as many as a bundle's prefill takes

uint32_t session_chunk(const Session *s) {
    return s->reference ? REFERENCE_ROWS : s->prefill_rows ? s->prefill_rows : 1;
}

// Who takes logits while tokens are fed: of token `from` and after. The last ones stay in `logits`.
typedef struct {
    size_t from;
    SessionLogits *take; // may be NULL
    void *context;
    float *logits; // [n_vocab], of the reference [REFERENCE_ROWS, n_vocab] when `take` is set
    const Progress *progress;
} LogitsSink;

// ---- what is not finite

static bool all_finite(const float *x, size_t n) {
    bool ok = true;
    for (size_t i = 0; i < n; i++) ok = ok && isfinite(x[i]);
    return ok;
}

// What lies in the states is spoilt: 0 times NaN is NaN, masked or not.
static bool refuse_rows(Session *s, const char *what, size_t first, size_t last, Err *err) {
    session_reset(s);
    return err_set(err, ERR_FORMAT,
                   "the %s of positions %zu to %zu are not finite in %s: a token among them is too "
                   "loud for the format, and no answer after it would mean anything. The "
                   "conversation's cache was cleared; leave that text out, or convert again with "
                   "--range auto and that text as --calibration",
                   what, first, last, s->engine);
}

static bool check_logits(Session *s, const float *logits, size_t position, Err *err) {
    return all_finite(logits, s->contract->n_vocab) ||
           refuse_rows(s, "logits", position, position, err);
}

// ---- the reference

// Chunks in which nobody wants logits are fed without the head.
static bool feed_reference(Session *s, const uint32_t *tokens, size_t n, const LogitsSink *sink,
                           Err *err) {
    size_t n_vocab = s->contract->n_vocab;
    for (size_t at = 0; at < n; at += REFERENCE_ROWS) {
        size_t count = min_size(REFERENCE_ROWS, n - at);
        bool is_wanted = sink->logits && at + count > sink->from, wants_all = sink->take != NULL;
        if (!progress_goes_on(sink->progress))
            return err_set(err, ERR_STOPPED, "stopped at position %u", s->position);
        bool ok = reference_feed(s->reference, tokens + at, count, is_wanted ? sink->logits : NULL,
                                 is_wanted && wants_all, err);
        if (!ok) return false;
        s->position = reference_position(s->reference);
        size_t first = wants_all && sink->from > at ? sink->from - at : wants_all ? 0 : count - 1;
        for (size_t k = first; is_wanted && k < count; k++) {
            const float *row = sink->logits + (wants_all ? k * n_vocab : 0);
            size_t position = s->position - count + k;
            if (!check_logits(s, row, position, err)) return false;
            if (wants_all) sink->take(sink->context, at + k, row);
        }
        progress_report(sink->progress, "prefill", at + count, n);
    }
    return true;
}

// ---- a bundle

// A chunk goes through prefill when enough tokens are left and the padded rows still fit into the
// state; a short rest is padded, since one wide call costs less than several narrow ones.
static uint32_t chunk_rows(const Session *s, size_t left) {
    enum { WORTH_PADDING = 4 };
    bool fits = s->prefill_rows && s->position + s->prefill_rows <= s->context;
    return fits && left >= WORTH_PADDING ? s->prefill_rows : 1;
}

static void copy_column(Session *s, size_t column, uint32_t rows) {
    for (uint32_t i = 0; i < s->contract->d_model; i++) s->row[i] = s->x[(size_t)i * rows + column];
}

// Logits of the rows of a chunk, column by column, that somebody wants.
static bool give_logits(Session *s, const LogitsSink *sink, size_t at, size_t count, uint32_t rows,
                        Err *err) {
    for (size_t k = sink->from > at ? sink->from - at : 0; sink->logits && k < count; k++) {
        copy_column(s, s->shards.host.faults.reads_last_row ? rows - 1 : k, rows);
        if (!shards_run_head(&s->shards, s->row, sink->logits, err) ||
            !check_logits(s, sink->logits, s->position + k, err))
            return false;
        if (sink->take) sink->take(sink->context, at + k, sink->logits);
    }
    return true;
}

// Rows of one chunk see each other's values, masked or not: one that is not finite spoils them all.
static bool check_rows(Session *s, size_t count, uint32_t rows, Err *err) {
    return all_finite(s->x, (size_t)rows * s->contract->d_model) ||
           refuse_rows(s, "rows", s->position, s->position + count - 1, err);
}

static bool feed_bundle(Session *s, const uint32_t *tokens, size_t n, const LogitsSink *sink,
                        Err *err) {
    const HostFaults *faults = &s->shards.host.faults;
    for (size_t at = 0; at < n;) {
        uint32_t rows = chunk_rows(s, n - at);
        size_t count = min_size(rows, n - at);
        if (!progress_goes_on(sink->progress))
            return err_set(err, ERR_STOPPED, "stopped at position %u", s->position);
        host_embed(&s->shards.host, tokens + at, count, s->x, rows);
        if (!shards_run_layers(&s->shards, s->x, s->position, rows, err) ||
            !check_rows(s, count, rows, err) || !give_logits(s, sink, at, count, rows, err))
            return false;
        at += count;
        s->position += (uint32_t)count;
        if (faults->counts_padding || (faults->counts_later_padding && s->position > count))
            s->position = (uint32_t)min_size(s->position + (rows - count), s->context);
        progress_report(sink->progress, "prefill", at, n);
    }
    return true;
}

// ---- the factor set of a length

static void note_crossing(const Session *s, size_t length, bool is_long, const Progress *progress) {
    char text[128];
    size_t from = is_long ? min_size(length, (size_t)s->contract->original_context + 1) : length;
    snprintf(text, sizeof text, "position %zu: the %s factors apply; reading %u tokens again", from,
             is_long ? "long" : "short", s->position);
    progress_note(progress, text);
}

// Makes what is in the caches that of a sequence of `length` tokens.
static bool settle_factors(Session *s, size_t length, const Progress *progress, Err *err) {
    length = max_size(length, s->expected);
    if (s->reference) {
        uint32_t n_again = reference_rereads(s->reference, (uint32_t)length);
        if (n_again) note_crossing(s, length, reference_is_long(s->reference, length), progress);
        bool ok = reference_expect(s->reference, (uint32_t)length, progress, err);
        s->position = reference_position(s->reference);
        return ok;
    }
    Host *h = &s->shards.host;
    bool is_long = host_is_long(h, length);
    if (is_long == h->is_long) return true;
    host_take_factors(h, is_long);
    uint32_t n = s->position;
    if (n == 0 || h->faults.keeps_cache) return true;
    note_crossing(s, length, is_long, progress);
    s->position = 0;
    LogitsSink none = {.from = n, .progress = progress};
    return feed_bundle(s, s->tokens, n, &none, err);
}

// ---- feeding

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

static bool feed(Session *s, const uint32_t *tokens, size_t n, const LogitsSink *sink, Err *err) {
    if (!check_tokens(s, tokens, n, err) ||
        !settle_factors(s, s->position + n, sink->progress, err))
        return false;
    memmove(s->tokens + s->position, tokens, n * sizeof *tokens);
    return s->reference ? feed_reference(s, tokens, n, sink, err)
                        : feed_bundle(s, tokens, n, sink, err);
}

bool session_expect(Session *s, uint32_t length, Err *err) {
    s->expected = length;
    return settle_factors(s, s->position, NULL, err);
}

bool session_feed(Session *s, const uint32_t *tokens, size_t n, float *logits,
                  const Progress *progress, Err *err) {
    LogitsSink last = {.from = n ? n - 1 : 0, .logits = logits, .progress = progress};
    return feed(s, tokens, n, &last, err);
}

bool session_feed_each(Session *s, const uint32_t *tokens, size_t n, size_t from,
                       SessionLogits *take, void *context, Err *err) {
    size_t rows = s->reference ? REFERENCE_ROWS : 1;
    if (!s->logits)
        s->logits = big_alloc(rows * s->contract->n_vocab * sizeof(float), "logits", err);
    LogitsSink sink = {from, take, context, s->logits, NULL};
    return s->logits && feed(s, tokens, n, &sink, err);
}
