// head_tokens.c — tokens that no built-in text holds, through all packages in fp16 as they
// will run, against the reference with the packages' weights: the loudest rows of the embedding
// table, and pseudo-random ids over the whole vocabulary. Each chunk begins at position 0.
//
// Such sequences are noise to a model, and how much rounding changes the result depends on the
// model. So the bound is measured: the reference runs again with every result of every layer
// changed by SHAKE. Changing only the embedding rows would not be enough: the scores of
// Qwen2.5-Coder-0.5B reach 9,489, as its keys have biases up to 211, and rounding nothing but them
// to fp16 turns the second of 16 such tokens by 9 % in transformers; rounding the embedding rows
// turns it by 0.05 %.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/graph_bounds.h"
#include "gates/head_checks.h"
#include "proof/packed.h"

enum {
    CHUNK = 64,
    N_TOKENS = 4 * CHUNK,
    N_PASSES = 3, // one exact, the others shaken
};

// fp16 rounds some forty results of a layer and seven matrices of weights, each by HALF_UNIT at most
// and evenly below it: by HALF_UNIT / sqrt(3) in the mean of squares. Roundings are independent, so
// their effects add up as squares, as those of the `n_shaken` results do that a second run has shaken.
// One direction may take most of it; what comes out there is normal, and four times its standard
// deviation comes by chance once in 16,000 tokens.
enum { ROUNDINGS_PER_LAYER = 47, DEVIATIONS = 4 };
static double rounding_share(uint32_t n_layers, size_t n_shaken) {
    return DEVIATIONS * HALF_UNIT / sqrt(3) / SHAKE *
           sqrt((double)ROUNDINGS_PER_LAYER * n_layers / (double)n_shaken);
}

typedef struct {
    const Model *model;
    PackedWeights *packed;
    float *rows; // that leave the last layer: [N_TOKENS, d_model]
    size_t n_rows;
    bool is_shaken;
    uint64_t signs;  // of this run
    size_t n_shaken; // results, of all chunks
} TokenPass;

static bool token_weight_row(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                             size_t n) {
    const TokenPass *pass = context;
    return packed_weight_row(pass->packed, role, layer, row, out, n);
}

static void shake_results(void *context, uint64_t which, float *rows, size_t n) {
    TokenPass *pass = context;
    shake_on(which + pass->signs, rows, n);
    if ((uint32_t)which == 0) pass->n_shaken++; // no other thread is at such a call
}

static void see_last_rows(void *context, TapPlace place, uint32_t layer, const float *rows,
                          size_t width, size_t n) {
    TokenPass *pass = context;
    if (place != TAP_STREAM || layer != pass->model->contract.n_layers) return;
    memcpy(pass->rows + pass->n_rows * width, rows, n * width * sizeof *rows);
    pass->n_rows += n;
}

static bool run_reference(Proof *p, TokenPass *pass, const uint32_t *ids, size_t n, size_t chunk,
                          Err *err) {
    ReferenceOptions options = {.rope_factors = p->use.rope_factors,
                                .n_positions = (uint32_t)chunk,
                                .weights = token_weight_row,
                                .weights_context = pass,
                                .tap = see_last_rows,
                                .tap_context = pass,
                                .nudge = pass->is_shaken ? shake_results : NULL,
                                .nudge_context = pass};
    Reference *r = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    bool ok = r != NULL;
    for (size_t at = 0; ok && at < n; at += chunk) {
        reference_rewind(r, 0);
        ok = reference_feed(r, ids + at, min_size(chunk, n - at), NULL, false, err);
        progress_report(p->job->progress, "head: tokens", at + chunk, n);
    }
    reference_close(r);
    return ok;
}

static bool run_packages(Proof *p, Shards *shards, const uint32_t *ids, size_t n, size_t chunk,
                         float *out, Err *err) {
    size_t width = p->bundle.chain.contract.d_model, prefill = p->bundle.chain.prefill_rows;
    float *x = arena_array(p->arena, width * max_size(1, prefill), float);
    for (size_t at = 0; at < n; at += chunk) {
        size_t end = min_size(n, at + chunk);
        shards_reset(shards);
        for (size_t from = at; from < end;) {
            uint32_t rows = shards_step_rows(shards, (uint32_t)(from - at), end - from);
            shards->host.ops->embed(&shards->host, ids + from, rows, x, rows);
            if (!shards_run_layers(shards, x, (uint32_t)(from - at), rows, err)) return false;
            for (uint32_t t = 0; t < rows; t++)
                for (size_t k = 0; k < width; k++) out[(from + t) * width + k] = x[k * rows + t];
            from += rows;
        }
    }
    shards_reset(shards);
    return true;
}

// The loudest tokens, then ids all over the vocabulary: steps of a share of it that no cycle of
// tokens has, the golden section.
static size_t choose_tokens(Proof *p, const Host *host, uint32_t *ids) {
    LoudToken loud[N_LOUD];
    uint32_t n_vocab = p->model.contract.n_vocab;
    size_t n = find_loud_tokens(p, host, loud);
    for (size_t i = 0; i < n; i++) ids[i] = loud[i].id;
    for (; n < N_TOKENS; n++)
        ids[n] = (uint32_t)((uint64_t)n * 2654435769u % 4294967296u * n_vocab >> 32);
    return n;
}

static size_t count_distinct(Proof *p, const uint32_t *ids, size_t n) {
    bool *is_seen = arena_array(p->arena, p->model.contract.n_vocab, bool);
    size_t n_seen = 0;
    for (size_t i = 0; i < n; i++) {
        n_seen += !is_seen[ids[i]];
        is_seen[ids[i]] = true;
    }
    return n_seen;
}

static double distance(const float *a, const float *b, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(squares);
}

static double length_of(const float *a, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)a[i] * (double)a[i];
    return sqrt(squares);
}

// How far the shaken runs are from the exact one at token `t`, as a share of its row: root of the
// mean square over the runs.
static double carried_at(const TokenPass *passes, size_t t, size_t width) {
    const float *row = passes[0].rows + t * width;
    double all = length_of(row, width), squares = 0;
    for (size_t i = 1; i < N_PASSES; i++) {
        double own = all > 0 ? distance(passes[i].rows + t * width, row, width) / all : 0;
        squares += own * own;
    }
    return sqrt(squares / (N_PASSES - 1));
}

static void judge_tokens(Proof *p, const uint32_t *ids, size_t n, size_t n_chunks,
                         const float *found, const TokenPass *passes) {
    size_t width = p->model.contract.d_model, worst = 0, n_distinct = count_distinct(p, ids, n);
    double carried = 0, share = -1, share_off = 0,
           limit = rounding_share(p->model.contract.n_layers, passes[1].n_shaken / n_chunks);
    for (size_t t = 0; t < n; t++) {
        double own = carried_at(passes, t, width);
        carried += own * own;
    }
    carried = sqrt(carried / (double)n);
    for (size_t t = 0; t < n; t++) {
        const float *row = passes[0].rows + t * width;
        double off = distance(found + t * width, row, width) / length_of(row, width);
        double before = share;
        take_worse(&share, off / (limit * fmax(carried, carried_at(passes, t, width))));
        if (share == before || isnan(before)) continue;
        worst = t;
        share_off = off;
    }
    json_t *figures =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:I}", "tokens_run", (json_int_t)n_distinct, "tokens",
                  (json_int_t)p->model.contract.n_vocab, "off", json_of_real(share_off), "carried",
                  json_of_real(carried / SHAKE), "share_of_bound", json_of_real(share),
                  "worst_token", (json_int_t)ids[worst]);
    proof_result(p, "head", share <= 1, figures, "tokens",
                 "%zu of %u tokens run, those with the largest rows among them; worst: token %u, "
                 "off by %.2g: %.2g of the bound",
                 n_distinct, p->model.contract.n_vocab, ids[worst], share_off, share);
    proof_coverage(p, "head", n_distinct, p->model.contract.n_vocab,
                   "tokens run through the packages");
}

bool check_tokens(Proof *p, Shards *shards, Err *err) {
    size_t width = p->model.contract.d_model, floats = N_TOKENS * width;
    size_t chunk = min_size(CHUNK, p->bundle.chain.context);
    uint32_t ids[N_TOKENS];
    float *found = arena_array(p->arena, floats, float);
    TokenPass passes[N_PASSES];
    PackedWeights *packed = packed_weights_open(p, err);
    size_t n = choose_tokens(p, &shards->host, ids);
    for (size_t i = 0; i < N_PASSES; i++) {
        passes[i] = (TokenPass){.model = &p->model,
                                .packed = packed,
                                .rows = arena_array(p->arena, floats, float),
                                .is_shaken = i > 0,
                                .signs = (uint64_t)i << 56};
        if (!packed || !run_reference(p, &passes[i], ids, n, chunk, err)) return false;
    }
    if (!run_packages(p, shards, ids, n, chunk, found, err)) return false;
    judge_tokens(p, ids, n, (n + chunk - 1) / chunk, found, passes);
    return true;
}
