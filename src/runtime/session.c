#include "runtime/session.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct Session {
    ModelRunner *model;
    uint32_t *tokens;  // [context]: those fed
    uint32_t expected; // length that was announced; 0: none
    float *logits;     // [widest, n_vocab], of session_feed_each; NULL until it is called
};

Session *session_open(ModelRunner *model, Err *err) {
    if (!model) return NULL;
    Session *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    s->model = model;
    s->tokens = big_alloc(((size_t)model->context + 1) * sizeof *s->tokens, "tokens", err);
    if (s->tokens) return s;
    session_close(s);
    return NULL;
}

void session_close(Session *s) {
    if (!s) return;
    s->model->ops->close(s->model);
    free(s->tokens);
    free(s->logits);
    free(s);
}

const char *session_engine(const Session *s) {
    return s->model->label;
}

uint32_t session_context(const Session *s) {
    return s->model->context;
}

uint32_t session_n_vocab(const Session *s) {
    return s->model->n_vocab;
}

uint32_t session_position(const Session *s) {
    return s->model->ops->position(s->model);
}

const uint32_t *session_tokens(const Session *s) {
    return s->tokens;
}

uint32_t session_chunk(const Session *s) {
    return s->model->widest;
}

uint32_t session_reach(const Session *s, uint32_t position) {
    return s->model->ops->remembers(s->model, position) ? position : 0;
}

void session_rewind(Session *s, uint32_t position) {
    s->expected = 0;
    s->model->ops->rewind(s->model, position);
}

void session_reset(Session *s) {
    s->expected = 0;
    s->model->ops->reset(s->model);
}

// ---- chunks

// Who takes logits while tokens are fed: of token `from` and those after it. The last ones stay in
// `logits`.
typedef struct {
    size_t from;
    SessionLogits *take; // may be NULL
    void *context;
    float *logits; // NULL: nobody wants any; [n_vocab], with `take` [widest, n_vocab]
    const Progress *progress;
} LogitsSink;

static bool all_finite(const float *x, size_t n) {
    bool ok = true;
    for (size_t i = 0; i < n; i++) ok = ok && isfinite(x[i]);
    return ok;
}

// Feeds tokens [at, at + n) of the call and hands out the logits that are asked for.
static bool feed_chunk(Session *s, const uint32_t *tokens, size_t at, uint32_t n,
                       const LogitsSink *sink, Err *err) {
    ModelRunner *m = s->model;
    size_t position = session_position(s);
    uint32_t from = n;
    if (sink->logits) from = (uint32_t)min_size(n, sink->from > at ? sink->from - at : 0);
    if (!m->ops->feed(m, tokens + at, n, from, sink->logits, err)) return false;
    for (uint32_t k = from; k < n; k++) {
        const float *row = sink->logits + (size_t)(k - from) * m->n_vocab;
        if (!all_finite(row, m->n_vocab))
            return model_runner_not_finite(m, "logits", position + k, position + k, err);
        if (sink->take) sink->take(sink->context, at + k, row);
    }
    return true;
}

// A chunk that fails leaves nothing behind: states are undefined, or hold numbers that are not
// finite, and 0 times NaN is NaN, masked or not.
static bool feed_chunks(Session *s, const uint32_t *tokens, size_t n, const LogitsSink *sink,
                        Err *err) {
    ModelRunner *m = s->model;
    for (size_t at = 0; at < n;) {
        uint32_t count = m->ops->chunk(m, n - at);
        assert(0 < count && count <= min_size(n - at, m->widest));
        if (!progress_goes_on(sink->progress))
            return err_set(err, ERR_STOPPED, "stopped at position %u", session_position(s));
        if (!feed_chunk(s, tokens, at, count, sink, err)) {
            session_reset(s);
            return false;
        }
        at += count;
        // A single token is a step of an answer.
        if (n > 1) progress_report(sink->progress, "prefill: tokens", at, n);
    }
    return true;
}

// ---- what the states hold is that of a length

static void note_reading_again(const Session *s, size_t length, uint32_t n_again,
                               const Progress *progress) {
    char text[160];
    const ModelRunner *m = s->model;
    if (session_reach(s, n_again) < n_again) {
        snprintf(text, sizeof text,
                 "layers with a window no longer hold the rows before position %u; reading %u "
                 "tokens again",
                 n_again, n_again);
        progress_note(progress, text);
        return;
    }
    bool is_long = m->ops->is_long(m, length);
    size_t from = is_long ? min_size(length, (size_t)m->original_context + 1) : length;
    snprintf(text, sizeof text, "position %zu: the %s factors apply; reading %u tokens again", from,
             is_long ? "long" : "short", n_again);
    progress_note(progress, text);
}

// Makes what is in the caches that of a sequence of `length` tokens.
static bool settle_factors(Session *s, size_t length, const Progress *progress, Err *err) {
    ModelRunner *m = s->model;
    length = max_size(length, s->expected);
    uint32_t n_again = m->ops->n_stale(m, length);
    if (n_again) note_reading_again(s, length, n_again, progress);
    LogitsSink none = {.from = n_again, .progress = progress};
    return m->ops->expect(m, (uint32_t)length, err) &&
           feed_chunks(s, s->tokens, n_again, &none, err);
}

// ---- feeding

bool session_fits(const Session *s, size_t n, Err *err) {
    uint32_t context = s->model->context, position = session_position(s);
    if (n <= context - position) return true;
    return err_set(err, ERR_USAGE,
                   "%zu tokens at position %u do not fit into the context of %u: shorten the text, "
                   "start a new conversation, or use a larger --context (for a bundle: convert "
                   "again with it)",
                   n, position, context);
}

static bool check_tokens(const Session *s, const uint32_t *tokens, size_t n, Err *err) {
    if (!session_fits(s, n, err)) return false;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= s->model->n_vocab)
            return err_set(err, ERR_USAGE, "token id %u: the vocabulary has ids 0 to %u", tokens[i],
                           s->model->n_vocab - 1);
    return true;
}

static bool feed(Session *s, const uint32_t *tokens, size_t n, const LogitsSink *sink, Err *err) {
    size_t position = session_position(s);
    if (!check_tokens(s, tokens, n, err) || !settle_factors(s, position + n, sink->progress, err))
        return false;
    memmove(s->tokens + position, tokens, n * sizeof *tokens);
    return feed_chunks(s, tokens, n, sink, err);
}

bool session_expect(Session *s, uint32_t length, Err *err) {
    s->expected = length;
    return settle_factors(s, session_position(s), NULL, err);
}

bool session_feed(Session *s, const uint32_t *tokens, size_t n, float *logits,
                  const Progress *progress, Err *err) {
    LogitsSink last = {.from = n ? n - 1 : 0, .logits = logits, .progress = progress};
    return feed(s, tokens, n, &last, err);
}

bool session_feed_each(Session *s, const uint32_t *tokens, size_t n, size_t from,
                       SessionLogits *take, void *context, Err *err) {
    size_t n_logits = (size_t)s->model->widest * s->model->n_vocab;
    if (!s->logits) s->logits = big_alloc(n_logits * sizeof(float), "logits", err);
    LogitsSink sink = {from, take, context, s->logits, NULL};
    return s->logits && feed(s, tokens, n, &sink, err);
}
