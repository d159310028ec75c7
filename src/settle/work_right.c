// work_right.c — the same text through Core ML and through the CPU engine, token by token: a chunk by
// prefill, then some hundred steps of decode, whose errors must not grow.
#include <stdlib.h>

#include "base/size.h"
#include "proof/metrics.h"
#include "runtime/session.h"
#include "settle/work.h"

// Mean divergence from the CPU engine. Sums in fp16 were seen to give 0.002 to 0.03 nats on a CPU
// and sums in fp32 1e-4 (kasper0406/gemma-coreml-chat); 0.02 lies where the answers of a 4-bit
// palette would (rcarback/qwen-3.8-mtp-challenge: 4 to 10 % of perplexity are 0.04 to 0.1 nats).
#define MOST_KL 0.02
// Later tokens may be off by as much more than all of them: a drift, not noise, is what remains.
#define MOST_GROWTH 3.0
enum { N_TOKENS = 320 };

typedef struct {
    size_t n, n_same, n_late;
    double kl, kl_late, most;
} Sums;

typedef struct {
    Work *work;
    Session *device, *cpu;
    const uint32_t *tokens;
    size_t n, n_vocab, n_kept, late_from;
    float *wanted; // [widest chunk, n_vocab], of the CPU engine
    Sums sums;
} Comparing;

static size_t top(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static void keep(void *context, size_t i, const float *logits) {
    Comparing *c = context;
    (void)i;
    memcpy(c->wanted + c->n_kept++ * c->n_vocab, logits, c->n_vocab * sizeof *logits);
}

static void compare(void *context, size_t i, const float *logits) {
    Comparing *c = context;
    const float *wanted = c->wanted + c->n_kept++ * c->n_vocab;
    double kl = logits_kl(logits, wanted, c->n_vocab);
    (void)i;
    c->sums.kl += kl;
    if (!(kl <= c->sums.most)) c->sums.most = kl;
    c->sums.n_same += top(logits, c->n_vocab) == top(wanted, c->n_vocab);
    if (c->sums.n++ < c->late_from) return;
    c->sums.kl_late += kl;
    c->sums.n_late++;
}

// The CPU engine takes a chunk at once; the device the first one, and the rest token by token.
static bool feed_both(Comparing *c, size_t at, size_t n, Err *err) {
    c->n_kept = 0;
    if (!session_feed_each(c->cpu, c->tokens + at, n, 0, keep, c, err)) return false;
    c->n_kept = 0;
    if (at == 0) return session_feed_each(c->device, c->tokens, n, 0, compare, c, err);
    for (size_t i = 0; i < n; i++)
        if (!session_feed_each(c->device, c->tokens + at + i, 1, 0, compare, c, err)) return false;
    return true;
}

static bool tell(Comparing *c, Err *err) {
    const Sums *s = &c->sums;
    double kl = s->kl / (double)s->n, late = s->kl_late / (double)s->n_late;
    bool is_right = kl <= MOST_KL && late <= MOST_GROWTH * kl + MOST_KL / 10;
    work_detail(c->work, "tokens", json_integer((json_int_t)s->n));
    work_detail(c->work, "kl_most", json_real(s->most));
    work_detail(c->work, "kl_bound", json_real(MOST_KL));
    return work_figure(c->work, FIGURE_kl, kl, err) &&
           work_figure(c->work, FIGURE_kl_late, late, err) &&
           work_figure(c->work, FIGURE_top1, (double)s->n_same / (double)s->n, err) &&
           work_figure(c->work, FIGURE_right, is_right, err);
}

static bool open_both(Comparing *c, Pool *pool, Err *err) {
    Work *w = c->work;
    const EngineInfo *cpu;
    if (!engine_choose(&cpu, "cpu", ENGINE_RUNS_BUNDLES, err)) return false;
    Execution plain = {.engine = cpu, .arithmetic = ARITHMETIC_FP16, .pool = pool};
    c->device = session_open(model_runner_open_bundle(&w->bundle, &w->how, err), err);
    c->cpu =
        c->device ? session_open(model_runner_open_bundle(&w->bundle, &plain, err), err) : NULL;
    return c->cpu != NULL;
}

static bool compare_all(Comparing *c, Err *err) {
    size_t chunk = session_chunk(c->cpu);
    c->n_vocab = session_n_vocab(c->cpu);
    c->n = min_size(N_TOKENS, session_context(c->cpu));
    c->late_from = c->n - c->n / 4;
    c->tokens = work_tokens(c->work, c->n, err);
    c->wanted = big_alloc(chunk * c->n_vocab * sizeof *c->wanted, "logits of a chunk", err);
    bool ok = c->tokens && c->wanted;
    for (size_t at = 0; ok && at < c->n; at += chunk)
        ok = feed_both(c, at, min_size(chunk, c->n - at), err);
    return ok && tell(c, err);
}

bool work_right(Work *w, Err *err) {
    Comparing c = {.work = w};
    Pool *pool = pool_open(0, err);
    bool ok = pool && work_begin(w, FIGURE_right, err) && open_both(&c, pool, err) &&
              compare_all(&c, err);
    session_close(c.device);
    session_close(c.cpu);
    pool_close(pool);
    free(c.wanted);
    return ok;
}
