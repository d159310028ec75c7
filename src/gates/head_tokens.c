// head_tokens.c — tokens that no built-in text holds, through all packages in fp16 as they
// will run, against the reference with the packages' weights: the loudest rows of the embedding
// table, and pseudo-random ids over the whole vocabulary. Each chunk begins at position 0.
//
// Such rows are noise, and how far rounding carries in noise depends on the model. So the bound is
// measured: the reference runs a second time on embedding rows whose numbers are off by SHAKE.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/graph_bounds.h"
#include "gates/head_checks.h"
#include "proof/packed.h"
#include "quant/quant.h"

enum { CHUNK = 64, N_TOKENS = 4 * CHUNK };

// fp16 rounds some forty results of a layer and seven matrices of weights, each by HALF_UNIT at
// most, which is twice SHAKE. Roundings are independent, so their effects add up as squares; one
// late in the model is carried less far than one of the embedding rows, which the bound makes no
// use of.
enum { ROUNDINGS_PER_LAYER = 47 };
static double rounding_share(uint32_t n_layers) {
    return HALF_UNIT / SHAKE * sqrt((double)ROUNDINGS_PER_LAYER * n_layers);
}

typedef struct {
    const Model *model;
    PackedWeights *packed;
    bool is_shaken;
    float *rows; // that leave the last layer: [N_TOKENS, d_model]
    size_t n_rows;
} TokenPass;

static bool token_weight_row(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                             size_t n) {
    const TokenPass *pass = context;
    if (role != WEIGHT_embedding || !pass->is_shaken)
        return packed_weight_row(pass->packed, role, layer, row, out, n);
    Rows table = pass->model->weights.embedding;
    decode_row(table.tensor, table.first_row + row, out);
    shake_rows(out, out, n);
    return true;
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
                                .tap_context = pass};
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
            uint32_t rows = prefill && from + prefill <= end ? (uint32_t)prefill : 1;
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

static void judge_tokens(Proof *p, const uint32_t *ids, size_t n, const float *found,
                         const float *exact, const float *shaken) {
    size_t width = p->model.contract.d_model, worst = 0, n_distinct = count_distinct(p, ids, n);
    double carried = 0, share = -1, share_off = 0,
           limit = rounding_share(p->model.contract.n_layers);
    for (size_t t = 0; t < n; t++) {
        double own = distance(shaken + t * width, exact + t * width, width);
        double all = length_of(exact + t * width, width);
        carried += all > 0 ? own * own / (all * all) : 0;
    }
    carried = sqrt(carried / (double)n);
    for (size_t t = 0; t < n; t++) {
        const float *row = exact + t * width;
        double all = length_of(row, width), off = distance(found + t * width, row, width) / all;
        double own = distance(shaken + t * width, row, width) / all;
        double before = share;
        take_worse(&share, off / (limit * fmax(carried, own)));
        if (share == before || isnan(before)) continue;
        worst = t;
        share_off = off;
    }
    json_t *figures =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:I}", "tokens_run", (json_int_t)n_distinct, "tokens",
                  (json_int_t)p->model.contract.n_vocab, "off", json_of_real(share_off), "carried",
                  json_of_real(carried / SHAKE), "share_of_bound", json_of_real(share),
                  "worst_token", (json_int_t)ids[worst]);
    proof_result(
        p, "head", share <= 1, figures, "tokens",
        "%zu of %u tokens run, the loudest among them; worst %u, off by %.2g: %.2g of what "
        "rounding may do",
        n_distinct, p->model.contract.n_vocab, ids[worst], share_off, share);
    proof_coverage(p, "head", n_distinct, p->model.contract.n_vocab,
                   "tokens run through the packages");
}

bool check_tokens(Proof *p, Shards *shards, Err *err) {
    size_t width = p->model.contract.d_model, floats = N_TOKENS * width;
    size_t chunk = min_size(CHUNK, p->bundle.chain.context);
    uint32_t ids[N_TOKENS];
    float *found = arena_array(p->arena, floats, float);
    TokenPass passes[2] = {{.model = &p->model}, {.model = &p->model, .is_shaken = true}};
    size_t n = choose_tokens(p, &shards->host, ids);
    for (int i = 0; i < 2; i++) {
        passes[i].packed = packed_weights_open(p, err);
        passes[i].rows = arena_array(p->arena, floats, float);
        if (!passes[i].packed || !run_reference(p, &passes[i], ids, n, chunk, err)) return false;
    }
    if (!run_packages(p, shards, ids, n, chunk, found, err)) return false;
    judge_tokens(p, ids, n, found, passes[0].rows, passes[1].rows);
    return true;
}
