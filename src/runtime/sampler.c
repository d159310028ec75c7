// Top-k comes first, by selection: a vocabulary of 200,000 is read once and not sorted. Without
// top-k all candidates are sorted, because top-p and min-p need the probabilities of all.
#include "runtime/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/size.h"

typedef struct {
    float logit, share;
    uint32_t token;
} Candidate;

struct Sampler {
    SamplerOptions options;
    uint32_t n_vocab;
    uint64_t random;       // state of splitmix64
    Candidate *candidates; // [n_vocab]
    bool *is_seen;         // [n_vocab]
};

SamplerOptions sampler_options(const Use *use, uint64_t seed) {
    return (SamplerOptions){use->temperature, use->top_k,          use->top_p,
                            use->min_p,       use->repeat_penalty, seed};
}

Sampler *sampler_open(const SamplerOptions *options, uint32_t n_vocab, Err *err) {
    Candidate *candidates = big_alloc(n_vocab * sizeof *candidates, "candidate tokens", err);
    bool *is_seen =
        candidates ? big_alloc(n_vocab * sizeof *is_seen, "candidate tokens", err) : NULL;
    if (!is_seen) {
        free(candidates);
        return NULL;
    }
    Sampler *s = malloc(sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (Sampler){*options, n_vocab, options->seed, candidates, is_seen};
    return s;
}

void sampler_close(Sampler *s) {
    if (!s) return;
    free(s->candidates);
    free(s->is_seen);
    free(s);
}

uint32_t logits_argmax(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

// splitmix64 (Steele, Lea and Flood 2014); the upper 53 bits as a number in [0, 1).
static double next_random(Sampler *s) {
    uint64_t z = s->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

// Keskar et al. 2019 (arXiv 1909.05858), section 4.1; over the whole sequence and once a token, as
// transformers has it (generation/logits_process.py, RepetitionPenaltyLogitsProcessor).
static void penalise(Sampler *s, float *logits, const uint32_t *seen, size_t n) {
    float penalty = s->options.repeat_penalty;
    if (penalty == 1) return;
    memset(s->is_seen, 0, s->n_vocab * sizeof *s->is_seen);
    for (size_t i = 0; i < n; i++) {
        float *logit = &logits[seen[i]];
        if (!s->is_seen[seen[i]]) *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
        s->is_seen[seen[i]] = true;
    }
}

// The order of candidates: the larger logit first, of equals the smaller token.
static bool comes_before(const Candidate *x, const Candidate *y) {
    return x->logit != y->logit ? x->logit > y->logit : x->token < y->token;
}

static int compare_candidates(const void *a, const void *b) {
    return comes_before(a, b) ? -1 : comes_before(b, a);
}

// Moves heap[i] down until no child comes after its parent: the last in order is heap[0].
static void sift_down(Candidate *heap, size_t n, size_t i) {
    for (;;) {
        size_t last = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
            if (comes_before(&heap[last], &heap[child])) last = child;
        if (last == i) return;
        Candidate moved = heap[i];
        heap[i] = heap[last];
        heap[last] = moved;
        i = last;
    }
}

// The first `k` of all candidates in their order, into c[0, k). A heap holds the first k of those
// seen so far; nearly every logit of a vocabulary loses against its last one and costs a comparison.
static void select_candidates(Candidate *c, size_t k, const float *logits, uint32_t n_vocab) {
    for (uint32_t i = 0; i < k; i++) c[i] = (Candidate){logits[i], 0, i};
    if (k < n_vocab) {
        for (size_t i = k / 2; i-- > 0;) sift_down(c, k, i);
        for (uint32_t i = (uint32_t)k; i < n_vocab; i++) {
            if (!(logits[i] > c[0].logit)) continue; // of equals the smaller token is in already
            c[0] = (Candidate){logits[i], 0, i};
            sift_down(c, k, 0);
        }
    }
    qsort(c, k, sizeof *c, compare_candidates);
}

// Shares under the temperature, most likely first.
static void weigh(Candidate *c, size_t n, float temperature) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)(c[i].share = expf((c[i].logit - c[0].logit) / temperature));
    for (size_t i = 0; i < n; i++) c[i].share = (float)((double)c[i].share / sum);
}

// How many of the candidates that top-k left stay. In the order of transformers (5.24,
// generation/utils.py, _get_logits_processor): temperature first, then the likeliest, then shares of
// what is left.
static size_t cut_by_share(const SamplerOptions *o, Candidate *c, size_t n) {
    weigh(c, n, o->temperature);
    size_t kept = 0;
    for (double sum = 0; kept < n && (sum < (double)o->top_p || o->top_p >= 1); kept++)
        sum += (double)c[kept].share;
    n = max_size(kept, 1);
    for (kept = 1; kept < n && c[kept].share >= o->min_p * c[0].share;) kept++;
    return kept;
}

uint32_t sampler_next(Sampler *s, float *logits, const uint32_t *seen, size_t n_seen) {
    const SamplerOptions *o = &s->options;
    penalise(s, logits, seen, n_seen);
    if (o->temperature <= 0) return logits_argmax(logits, s->n_vocab);
    size_t k = o->top_k ? min_size(o->top_k, s->n_vocab) : s->n_vocab;
    select_candidates(s->candidates, k, logits, s->n_vocab);
    size_t n = cut_by_share(o, s->candidates, k);
    weigh(s->candidates, n, o->temperature);
    double point = next_random(s);
    for (size_t i = 0; i + 1 < n; i++) {
        point -= (double)s->candidates[i].share;
        if (point < 0) return s->candidates[i].token;
    }
    return s->candidates[n - 1].token;
}
