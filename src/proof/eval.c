#include "proof/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/size.h"
#include "runtime/sampler.h"

// Tokens fed to each model before the next model gets them; the logits of such a piece are kept for
// all models.
enum { PIECE = 64 };

typedef struct {
    double sum, squares;
} Sum;

static EvalScore score(const Sum *s, size_t count) {
    double n = (double)count, mean = s->sum / n, variance = s->squares / n - mean * mean;
    EvalScore e = {.nll = mean, .perplexity = exp(mean)};
    if (variance > 0 && count > 1) e.error = sqrt(variance / (n - 1)) * e.perplexity;
    return e;
}

typedef struct {
    const EvalJob *job;
    Eval *eval;
    const uint32_t *ids; // of the chunk
    uint32_t n_vocab;
    size_t first, end; // places whose logits are scored
    size_t at, model;  // the piece, and who is being fed it
    float *logits;     // [n_models, PIECE, n_vocab]
    Sum nll[EVAL_MAX_MODELS];
    double *kl[EVAL_MAX_MODELS][EVAL_MAX_MODELS]; // of each scored place
} Walk;

static float *row_of(const Walk *w, size_t model, size_t i) {
    return w->logits + (model * PIECE + i) * w->n_vocab;
}

static void keep(void *context, size_t i, const float *logits) {
    Walk *w = context;
    float *row = row_of(w, w->model, i);
    for (uint32_t k = 0; k < w->n_vocab; k++) row[k] = logits[k];
}

// How many of `logits` are not known to be smaller than that of `id`: a NaN agrees with nothing.
static size_t rank_of(const float *logits, uint32_t n, uint32_t id) {
    size_t rank = 0;
    for (uint32_t i = 0; i < n; i++) rank += !(logits[i] <= logits[id]);
    return rank;
}

static void compare(Walk *w, size_t a, size_t b, const float *found, const float *wanted) {
    EvalPair *pair = &w->eval->pairs[a][b];
    uint32_t n = w->n_vocab, best = logits_argmax(wanted, n);
    w->kl[a][b][w->eval->n_scored] = logits_kl(found, wanted, n);
    pair->top1 += logits_argmax(found, n) == best && !isnan(found[best]);
    pair->top5 += rank_of(found, n, best) < 5;
    metrics_add(&pair->logits, found, wanted, n);
}

// The logits of place `at + i`, by what they say of the token after it.
static void score_place(Walk *w, size_t i) {
    uint32_t next = w->ids[w->at + i + 1];
    for (size_t a = 0; a < w->job->n_models; a++) {
        const float *found = row_of(w, a, i);
        double nll = logits_nll(found, w->n_vocab, next);
        w->nll[a].sum += nll;
        w->nll[a].squares += nll * nll;
        for (size_t b = a + 1; b < w->job->n_models; b++) compare(w, a, b, found, row_of(w, b, i));
    }
    w->eval->n_scored++;
}

static bool walk_chunk(Walk *w, Err *err) {
    const EvalJob *job = w->job;
    // One forward pass a chunk, as the publisher's code would score it.
    for (size_t m = 0; m < job->n_models; m++) {
        session_rewind(job->models[m], 0);
        if (!session_expect(job->models[m], job->chunk, err)) return false;
    }
    for (w->at = 0; w->at < job->chunk; w->at += PIECE) {
        size_t n = min_size(PIECE, job->chunk - w->at);
        size_t from = w->first > w->at ? min_size(w->first - w->at, n) : 0;
        for (w->model = 0; w->model < job->n_models; w->model++)
            if (!session_feed_each(job->models[w->model], w->ids + w->at, n, from, keep, w, err))
                return false;
        for (size_t i = from; i < n && w->at + i < w->end; i++) score_place(w, i);
    }
    return true;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void finish_pair(EvalPair *pair, double *kl, size_t n) {
    for (size_t i = 0; i < n; i++) pair->kl_mean += kl[i] / (double)n;
    qsort(kl, n, sizeof *kl, compare_doubles);
    pair->kl_99 = kl[(n - 1) * 99 / 100];
    pair->kl_max = kl[n - 1];
    pair->top1 /= (double)n;
    pair->top5 /= (double)n;
}

static void finish(Walk *w) {
    Eval *e = w->eval;
    for (size_t a = 0; a < w->job->n_models; a++) {
        e->scores[a] = score(&w->nll[a], e->n_scored);
        for (size_t b = a + 1; b < w->job->n_models; b++)
            finish_pair(&e->pairs[a][b], w->kl[a][b], e->n_scored);
    }
}

static bool walk_text(Walk *w, uint32_t *ids, Err *err) {
    const EvalJob *job = w->job;
    Arena arena = {0};
    for (size_t a = 0; a < job->n_models; a++)
        for (size_t b = a + 1; b < job->n_models; b++)
            w->kl[a][b] = arena_array(&arena, w->eval->n_chunks * job->chunk, double);
    size_t n_rows = job->n_models * PIECE;
    w->logits = big_alloc(n_rows * w->n_vocab * sizeof(float), "logits", err);
    bool ok = w->logits != NULL;
    for (size_t i = 0; ok && i < w->eval->n_chunks; i++) {
        w->ids = ids + i * job->chunk;
        if (tokenizer_adds_bos(job->tokenizer)) ids[i * job->chunk] = tokenizer_bos(job->tokenizer);
        ok = walk_chunk(w, err);
        progress_report(job->progress, "eval: chunks", i + 1, w->eval->n_chunks);
    }
    if (ok) finish(w);
    free(w->logits);
    arena_free(&arena);
    return ok;
}

static bool check_chunk(const EvalJob *job, Err *err) {
    enum { LEAST = 4 };
    if (job->chunk < LEAST)
        return err_set(err, ERR_USAGE, "--context %u: expected %d or more tokens", job->chunk,
                       LEAST);
    for (size_t m = 0; m < job->n_models; m++)
        if (job->chunk > session_context(job->models[m]))
            return err_set(err, ERR_USAGE, "--context %u: expected %d to %u", job->chunk, LEAST,
                           session_context(job->models[m]));
    return true;
}

bool eval_text(Eval *e, const EvalJob *job, Err *err) {
    *e = (Eval){0};
    TokenList ids = {0};
    unsigned flags = TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS;
    if (job->parses_control) flags |= TOKENIZER_PARSE_SPECIAL;
    bool ok = check_chunk(job, err);
    for (size_t i = 0; job->ids && i < job->n_ids; i++) token_list_add(&ids, job->ids[i]);
    if (ok && !job->ids) ok = tokenizer_encode(job->tokenizer, job->text, flags, &ids, err);
    e->n_tokens = ids.count;
    if (ok) e->n_chunks = ids.count / job->chunk;
    if (job->most_chunks) e->n_chunks = min_size(e->n_chunks, job->most_chunks);
    if (ok && e->n_chunks == 0)
        ok = err_set(err, ERR_FORMAT,
                     "a text of %zu tokens does not fill a chunk of %u; give a longer one or a "
                     "smaller --context",
                     ids.count, job->chunk);
    Walk w = {
        .job = job,
        .eval = e,
        .n_vocab = session_n_vocab(job->models[0]),
        .first = job->chunk / 2,
        .end = job->chunk - 1,
    };
    ok = ok && walk_text(&w, ids.at, err);
    token_list_free(&ids);
    return ok;
}
