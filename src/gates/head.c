// head.c — compares logits with the reference, on rows of a real text and on rows for which a
// single token must win: every stop id and tokens from all over the vocabulary. A head with
// shifted, missing or exchanged rows gives another token.
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "gates/gates.h"
#include "gates/graph_bounds.h"
#include "gates/head_checks.h"
#include "proof/execution.h"
#include "proof/trace.h"
#include "quant/quant.h"
#include "runtime/sampler.h"

enum { N_TOKENS = 64, N_SPREAD = 32 };

// fp16 activations and int8 weights move logits of these models by a few hundredths; the KL of such
// noise is its variance halved.
#define MOST_KL 0.05
// Share of text rows whose most likely token agrees; near ties may flip.
#define LEAST_TOP1 0.9

// One output of a head function: logits [first, end) of the vocabulary, over all rows of the text.
typedef struct {
    size_t first, end;
    double dot, squares, off; // Σ found · expected, Σ expected², Σ (found - expected)²
} HeadSlice;

typedef struct {
    Reference *reference;
    Shards *shards;
    HeadSlice *slices;
    size_t n_slices;
    float *found, *wanted; // [n_vocab]
    double noise;          // rms difference of the two, once check_text() has run
} Heads;

static bool run_heads(Heads *h, const float *row, Err *err) {
    reference_head(h->reference, row, h->wanted);
    return shards_run_head(h->shards, row, h->found, err);
}

static void find_slices(Proof *p, Heads *h) {
    const Chain *c = &p->bundle.chain;
    h->slices = arena_array(p->arena, c->contract.n_vocab, HeadSlice);
    for (size_t i = 0; i < c->n_shards; i++) {
        const Shard *s = &h->shards->shards[i];
        size_t at = c->shards[i].first_logit;
        const Runner *head = s->head.runner;
        for (uint32_t k = 0; head && k < head->n_outputs; k++) {
            h->slices[h->n_slices++] = (HeadSlice){.first = at, .end = at + head->outputs[k].count};
            at += head->outputs[k].count;
        }
    }
}

static void add_to_slices(Heads *h) {
    for (size_t k = 0; k < h->n_slices; k++) {
        HeadSlice *s = &h->slices[k];
        for (size_t i = s->first; i < s->end; i++) {
            double found = (double)h->found[i], expected = (double)h->wanted[i];
            s->dot += found * expected;
            s->squares += expected * expected;
            s->off += (found - expected) * (found - expected);
        }
    }
}

// The scale of each slice: the least-squares factor between its logits and the source's. Each
// vocabulary row is rounded on its own, so what the weights' form does to a sum over n rows
// averages out as 1 / sqrt(n); the final norm and logit_scale each hold a constant of binary16.
static void report_scales(Proof *p, const Heads *h) {
    size_t worst = 0;
    double share = -1, scale = 1;
    for (size_t k = 0; k < h->n_slices; k++) {
        const HeadSlice *s = &h->slices[k];
        double gain = s->squares > 0 ? s->dot / s->squares : 1, before = share;
        double noise = s->squares > 0 ? sqrt(s->off / s->squares) : 0;
        double allowed = 2 * HALF_UNIT + SURE * noise / sqrt((double)(s->end - s->first));
        take_worse(&share, fabs(gain - 1) / allowed);
        if (share == before || isnan(before)) continue;
        worst = k;
        scale = gain;
    }
    const HeadSlice *s = &h->slices[worst];
    proof_result(p, "head", share <= 1,
                 json_pack("{s:I, s:o, s:o, s:[I,I]}", "slices", (json_int_t)h->n_slices, "scale",
                           json_of_real(scale), "share_of_bound", json_of_real(share), "slice",
                           (json_int_t)s->first, (json_int_t)s->end),
                 "scale", "%zu slices; worst: logits %zu..%zu, off by %+.2g: %.2g of the bound",
                 h->n_slices, s->first, s->end - 1, scale - 1, share);
}

static bool check_text(Proof *p, Heads *h, Err *err) {
    uint32_t *ids, n_vocab = p->bundle.chain.contract.n_vocab;
    size_t n, n_equal = 0;
    Trace trace;
    double kl = 0;
    Metrics m = {0};
    if (!proof_tokens(p, N_TOKENS, &ids, &n, err) || !trace_run(p, &trace, ids, n, false, err))
        return false;
    const float *rows = trace.rows[p->bundle.chain.n_shards];
    for (size_t t = 0; t < n; t++) {
        if (!run_heads(h, rows + t * p->bundle.chain.contract.d_model, err)) return false;
        metrics_add(&m, h->found, h->wanted, n_vocab);
        add_to_slices(h);
        double here = logits_kl(h->found, h->wanted, n_vocab);
        if (!(here <= kl) && !isnan(kl)) kl = here; // a NaN is worse than any number, and stays
        n_equal += logits_argmax(h->found, n_vocab) == logits_argmax(h->wanted, n_vocab);
        progress_report(p->job->progress, "head: tokens", t + 1, n);
    }
    double share = (double)n_equal / (double)n;
    bool ok = share >= LEAST_TOP1 && kl <= MOST_KL && !m.has_bad;
    h->noise = metrics_rmse(&m);
    proof_result(p, "head", ok,
                 json_pack("{s:f, s:o, s:o}", "top1", share, "kl_max", json_of_real(kl), "rmse",
                           json_of_real(metrics_rmse(&m))),
                 "text", "top-1 %zu/%zu kl_max=%.3g rmse=%.3g max_abs=%.3g%s", n_equal, n, kl,
                 metrics_rmse(&m), m.max_abs, m.has_bad ? " NOT FINITE" : "");
    report_scales(p, h);
    return true;
}

// The head's row of token `id`, at unit rms: what the final norm passes on unchanged in direction.
static void pointing_row(const Proof *p, uint32_t id, float *row) {
    Rows head = p->model.weights.head;
    uint32_t n = p->model.contract.d_model;
    double squares = 0;
    decode_row(head.tensor, head.first_row + id, row);
    for (uint32_t i = 0; i < n; i++) squares += (double)row[i] * (double)row[i];
    float scale = (float)(1 / sqrt(squares / n + 1e-12));
    for (uint32_t i = 0; i < n; i++) row[i] *= scale;
}

static bool check_reach(Proof *p, Heads *h, Err *err) {
    const Contract *c = &p->model.contract;
    size_t n = c->stop_ids.count + N_SPREAD, n_equal = 0;
    uint32_t missed = NO_TOKEN;
    float *row = arena_array(p->arena, c->d_model, float);
    for (size_t i = 0; i < n; i++) {
        uint32_t id =
            i < c->stop_ids.count
                ? c->stop_ids.at[i]
                : (uint32_t)((uint64_t)(i - c->stop_ids.count) * (c->n_vocab - 1) / (N_SPREAD - 1));
        pointing_row(p, id, row);
        if (!run_heads(h, row, err)) return false;
        uint32_t wanted = logits_argmax(h->wanted, c->n_vocab);
        // Rows of unused tokens are near copies of each other: a tie does not mean a shift.
        float gap = fabsf(h->found[logits_argmax(h->found, c->n_vocab)] - h->found[wanted]);
        bool is_same =
            gap <= 8 * (float)h->noise && fabsf(h->found[id] - h->wanted[id]) <=
                                              16 * (float)h->noise + 0.05f * fabsf(h->wanted[id]);
        n_equal += is_same;
        if (!is_same && missed == NO_TOKEN) missed = id;
    }
    char detail[64] = "";
    if (missed != NO_TOKEN) snprintf(detail, sizeof detail, ", but not token %u", missed);
    proof_result(p, "head", n_equal == n, NULL, "reach",
                 "the head can produce %zu of %zu tokens tested (%zu stop ids among them)%s",
                 n_equal, n, c->stop_ids.count, detail);
    return true;
}

bool gate_head(Proof *p, Err *err) {
    Shards shards;
    if (!proof_open_shards(p, &shards, ARITHMETIC_FP16, err)) return false;
    ReferenceOptions options = {.n_positions = 1};
    uint32_t n_vocab = p->model.contract.n_vocab;
    Heads h = {
        .reference = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err),
        .shards = &shards,
        .found = arena_array(p->arena, n_vocab, float),
        .wanted = arena_array(p->arena, n_vocab, float),
    };
    find_slices(p, &h);
    bool ok = h.reference && check_embedding(p, &shards.host, err) &&
              check_tokens(p, &shards, err) && check_text(p, &h, err) && check_reach(p, &h, err);
    reference_close(h.reference);
    shards_close(&shards);
    return ok;
}
