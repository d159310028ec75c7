#include "verify/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/size.h"
#include "runtime/sampler.h"
#include "verify/metrics.h"

// Tokens that both models are fed in turn: the source's logits of one piece are kept.
enum { PIECE = 64 };

typedef struct {
    double sum, squares;
    size_t count;
} Sum;

static void sum_add(Sum *s, double x) {
    s->sum += x;
    s->squares += x * x;
    s->count++;
}

static EvalScore score(const Sum *s) {
    double n = (double)s->count, mean = s->sum / n, variance = s->squares / n - mean * mean;
    EvalScore e = {.nll = mean, .perplexity = exp(mean)};
    if (variance > 0 && s->count > 1) e.error = sqrt(variance / (n - 1)) * e.perplexity;
    return e;
}

typedef struct {
    Session *model, *source;
    const uint32_t *ids; // of the chunk
    uint32_t n_vocab;
    size_t first, end; // places whose logits are scored
    size_t at;         // of the piece
    float *wanted;     // [PIECE, n_vocab] of the source
    Sum nll_model, nll_source;
    double *kl; // of each scored place
    size_t n_kl, n_top1, n_top5;
} Walk;

static bool is_scored(const Walk *w, size_t place) {
    return place >= w->first && place < w->end;
}

static void take_source(void *context, size_t i, const float *logits) {
    Walk *w = context;
    size_t place = w->at + i;
    if (!is_scored(w, place)) return;
    for (uint32_t k = 0; k < w->n_vocab; k++) w->wanted[i * w->n_vocab + k] = logits[k];
    sum_add(&w->nll_source, logits_nll(logits, w->n_vocab, w->ids[place + 1]));
}

// How many of `logits` are larger than that of `id`.
static size_t rank_of(const float *logits, uint32_t n, uint32_t id) {
    size_t rank = 0;
    for (uint32_t i = 0; i < n; i++) rank += logits[i] > logits[id];
    return rank;
}

static void take_model(void *context, size_t i, const float *logits) {
    Walk *w = context;
    size_t place = w->at + i;
    if (!is_scored(w, place)) return;
    sum_add(&w->nll_model, logits_nll(logits, w->n_vocab, w->ids[place + 1]));
    if (!w->source) return;
    const float *wanted = w->wanted + i * w->n_vocab;
    uint32_t best = logits_argmax(wanted, w->n_vocab);
    w->kl[w->n_kl++] = logits_kl(logits, wanted, w->n_vocab);
    w->n_top1 += logits_argmax(logits, w->n_vocab) == best;
    w->n_top5 += rank_of(logits, w->n_vocab, best) < 5;
}

static bool walk_chunk(Walk *w, uint32_t chunk, Err *err) {
    session_rewind(w->model, 0);
    if (w->source) session_rewind(w->source, 0);
    for (w->at = 0; w->at < chunk; w->at += PIECE) {
        size_t n = min_size(PIECE, chunk - w->at);
        size_t from = w->first > w->at ? min_size(w->first - w->at, n) : 0;
        const uint32_t *ids = w->ids + w->at;
        if (w->source && !session_feed_each(w->source, ids, n, from, take_source, w, err))
            return false;
        if (!session_feed_each(w->model, ids, n, from, take_model, w, err)) return false;
    }
    return true;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void finish(Eval *e, Walk *w) {
    e->n_scored = w->nll_model.count;
    e->model = score(&w->nll_model);
    if (!w->source) return;
    e->source = score(&w->nll_source);
    double n = (double)w->n_kl;
    for (size_t i = 0; i < w->n_kl; i++) e->kl_mean += w->kl[i] / n;
    qsort(w->kl, w->n_kl, sizeof *w->kl, compare_doubles);
    e->kl_99 = w->kl[(w->n_kl - 1) * 99 / 100];
    e->kl_max = w->kl[w->n_kl - 1];
    e->top1 = (double)w->n_top1 / n;
    e->top5 = (double)w->n_top5 / n;
}

static bool walk_text(Eval *e, Walk *w, uint32_t *ids, const Tokenizer *tokenizer, uint32_t chunk,
                      const Progress *progress, Err *err) {
    w->kl = calloc(e->n_chunks * chunk, sizeof *w->kl);
    if (!w->kl) memory_is_out(e->n_chunks * chunk * sizeof *w->kl);
    if (w->source) w->wanted = big_alloc((size_t)PIECE * w->n_vocab * sizeof(float), "logits", err);
    bool ok = !w->source || w->wanted;
    for (size_t i = 0; ok && i < e->n_chunks; i++) {
        w->ids = ids + i * chunk;
        if (tokenizer_adds_bos(tokenizer)) ids[i * chunk] = tokenizer_bos(tokenizer);
        ok = walk_chunk(w, chunk, err);
        progress_report(progress, "eval", i + 1, e->n_chunks);
    }
    if (ok) finish(e, w);
    free(w->kl);
    free(w->wanted);
    return ok;
}

bool eval_text(Eval *e, Session *model, Session *source, const Tokenizer *tokenizer, Str text,
               uint32_t chunk, const Progress *progress, Err *err) {
    enum { LEAST = 4 };
    *e = (Eval){0};
    if (chunk < LEAST || chunk > session_context(model) ||
        (source && chunk > session_context(source)))
        return err_set(err, ERR_USAGE, "--context %u: expected %d to %u", chunk, LEAST,
                       session_context(model));
    TokenList ids = {0};
    unsigned flags = TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS;
    bool ok = tokenizer_encode(tokenizer, text, flags, &ids, err);
    e->n_tokens = ids.count;
    e->n_chunks = ids.count / chunk;
    if (ok && e->n_chunks == 0)
        ok = err_set(err, ERR_FORMAT,
                     "a text of %zu tokens does not fill a chunk of %u; give a longer one or a "
                     "smaller --context",
                     ids.count, chunk);
    // Place j is scored by what it says of token j + 1.
    Walk w = {
        .model = model,
        .source = source,
        .n_vocab = session_n_vocab(model),
        .first = chunk / 2,
        .end = chunk - 1,
    };
    ok = ok && walk_text(e, &w, ids.at, tokenizer, chunk, progress, err);
    token_list_free(&ids);
    return ok;
}
