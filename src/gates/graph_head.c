// graph_head.c — every slice of the head in fp32, in scale as well as direction, against the
// reference with the same weights: on rows of a text as they leave the last layer, and on rows so
// small that the final norm's eps shows.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/graph_bounds.h"
#include "gates/graph_checks.h"
#include "gates/graph_norm.h"
#include "proof/execution.h"
#include "proof/packed.h"
#include "proof/proof.h"
#include "proof/trace.h"

// Rows of each kind; the shaken rows are those of the text with each number changed by SHAKE.
enum { N_EACH = 8, TEXT = 0, SMALL = N_EACH, SHAKEN = 2 * N_EACH, N_ROWS = 3 * N_EACH };

// Logits [first, end) of the vocabulary, one output of a head function.
typedef struct {
    size_t shard, first, end;
    double gain;                         // least squares, over the rows of the text
    double off;                          // the worst row's error, its own gain taken out
    double scale_share, direction_share; // of what the worst row is allowed
} HeadSlice;

static size_t count_slices(const Shards *shards, HeadSlice *slices) {
    size_t n = 0;
    for (size_t i = 0; i < shards->bundle->chain.n_shards; i++) {
        const Shard *s = &shards->shards[i];
        size_t at = s->chain->first_logit;
        const Runner *head = s->head.runner;
        for (uint32_t k = 0; head && k < head->n_outputs; k++, n++) {
            if (slices)
                slices[n] =
                    (HeadSlice){.shard = i, .first = at, .end = at + head->outputs[k].count};
            at += head->outputs[k].count;
        }
    }
    return n;
}

typedef struct {
    const Contract *contract;
    const float *rows;             // [N_ROWS, d_model]
    const float *found, *expected; // [N_ROWS, n_vocab]
} HeadRun;

// A norm's gain and eps turn the scale of a whole row; whatever else is off in it is an error of
// sums, or of a curve's constants. So one logit among thousands that is off shows.
static void judge_row(const HeadRun *run, HeadSlice *s, size_t row) {
    const Contract *c = run->contract;
    const float *found = run->found + row * c->n_vocab,
                *expected = run->expected + row * c->n_vocab;
    const float *shaken = row < SMALL ? expected + (size_t)SHAKEN * c->n_vocab : NULL;
    double dot = 0, all = 0, moved = 0, off = 0;
    for (size_t i = s->first; i < s->end; i++) {
        double m = shaken ? (double)shaken[i] - (double)expected[i] : 0;
        dot += (double)found[i] * (double)expected[i];
        all += (double)expected[i] * (double)expected[i];
        moved += m * m;
    }
    double gain = all > 0 ? dot / all : 1;
    for (size_t i = s->first; i < s->end; i++) {
        double d = (double)found[i] - gain * (double)expected[i];
        off += d * d;
    }
    double sums = sum_error(c->d_model) * (all > 0 ? fmax(1, sqrt(moved / all) / SHAKE) : 1);
    double mean = norm_mean_square(c, run->rows + row * c->d_model);
    double curve = c->final_softcap > 0 ? 2 * HALF_UNIT : 0;
    // An eps that is off turns what the norm makes of a row, but not its bias.
    double bent = c->kinds[0].has_norm_bias ? eps_error(mean, (double)c->norm_eps) : 0;
    double scale = HALF_UNIT * (1 + (c->logit_scale != 1)) + curve +
                   eps_error(mean, (double)c->norm_eps) + sums;
    take_worse(&s->scale_share, fabs(gain - 1) / scale);
    take_worse(&s->direction_share, off == 0 ? 0 : sqrt(off / all) / (sums + curve + bent));
    if (off > 0) take_worse(&s->off, sqrt(off / all));
}

static void judge_slice(const HeadRun *run, HeadSlice *s) {
    size_t n_vocab = run->contract->n_vocab;
    double dot = 0, squares = 0;
    for (size_t row = TEXT; row < SMALL; row++)
        for (size_t i = row * n_vocab + s->first; i < row * n_vocab + s->end; i++) {
            dot += (double)run->found[i] * (double)run->expected[i];
            squares += (double)run->expected[i] * (double)run->expected[i];
        }
    s->gain = squares > 0 ? dot / squares : 1;
    for (size_t row = TEXT; row < SHAKEN; row++) judge_row(run, s, row);
}

static double share_of(const HeadSlice *s) {
    double worst = s->scale_share;
    take_worse(&worst, s->direction_share);
    return worst;
}

// One line: the worst slice. Every slice has to pass, and together they are the vocabulary.
static void report_slices(Proof *p, const HeadSlice *slices, size_t n) {
    size_t worst = 0, n_logits = 0;
    double share = -1;
    for (size_t i = 0; i < n; i++) {
        double before = share;
        n_logits += slices[i].end - slices[i].first;
        take_worse(&share, share_of(&slices[i]));
        if (share != before && !isnan(before)) worst = i;
    }
    const HeadSlice *s = &slices[worst];
    bool has_passed = n > 0 && n_logits == p->model.contract.n_vocab && share <= 1;
    json_t *figures =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:[I,I]}", "slices", (json_int_t)n, "logits",
                  (json_int_t)n_logits, "scale", json_of_real(s->gain), "off", json_of_real(s->off),
                  "scale_share_of_bound", json_of_real(s->scale_share), "direction_share_of_bound",
                  json_of_real(s->direction_share), "share_of_bound", json_of_real(share), "slice",
                  (json_int_t)s->first, (json_int_t)s->end);
    proof_result(p, "graph", has_passed, figures, "head",
                 "%zu logits in %zu slices; worst: logits %zu..%zu, scale off by %+.2g, direction "
                 "by %.2g: %.2g of the bound",
                 n_logits, n, s->first, s->end - 1, s->gain - 1, s->off, share);
}

static void make_rows(float *rows, const Trace *trace, size_t n_shards, const Contract *c) {
    size_t width = c->d_model;
    const float *leaving = trace->rows[n_shards];
    for (size_t k = 0; k < N_EACH; k++)
        memcpy(rows + (TEXT + k) * width, leaving + k * trace->n_tokens / N_EACH * width,
               width * sizeof *rows);
    make_small_rows(rows + SMALL * width, N_EACH, c);
    shake_rows(rows + SHAKEN * width, rows + TEXT * width, N_EACH * width);
}

static bool run_heads(Proof *p, Shards *shards, const float *rows, float *found, float *expected,
                      Err *err) {
    const Contract *c = &p->model.contract;
    ReferenceOptions options = {.n_positions = 1,
                                .weights = packed_weight_row,
                                .weights_context = packed_weights_open(p, err)};
    if (!options.weights_context) return false;
    Reference *r = reference_open(&p->model, c, &options, p->job->pool, err);
    if (!r) return false;
    reference_head_rows(r, rows, N_ROWS, expected);
    reference_close(r);
    for (size_t row = TEXT; row < SHAKEN; row++)
        if (!shards_run_head(shards, rows + row * c->d_model, found + row * c->n_vocab, err))
            return false;
    return true;
}

bool check_head_graph(Proof *p, const Trace *trace, Err *err) {
    const Contract *c = &p->model.contract;
    Shards shards;
    if (!proof_open_shards(p, &shards, ARITHMETIC_FP32, err)) return false;
    size_t n = count_slices(&shards, NULL), n_logits = (size_t)N_ROWS * c->n_vocab;
    HeadSlice *slices = arena_array(p->arena, n, HeadSlice);
    count_slices(&shards, slices);
    float *rows = arena_array(p->arena, (size_t)N_ROWS * c->d_model, float);
    float *found = big_alloc(n_logits * sizeof *found, "logits", err);
    float *expected = big_alloc(n_logits * sizeof *expected, "logits", err);
    make_rows(rows, trace, p->bundle.chain.n_shards, c);
    bool ok = found && expected && run_heads(p, &shards, rows, found, expected, err);
    HeadRun run = {c, rows, found, expected};
    for (size_t i = 0; ok && i < n; i++) judge_slice(&run, &slices[i]);
    if (ok) report_slices(p, slices, n);
    free(found);
    free(expected);
    shards_close(&shards);
    return ok;
}
