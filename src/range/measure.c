#include "range/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "quant/quant.h"
#include "reference/reference.h"

// For a projection that writes into the stream: partial sums over the largest rows, and its
// weights.
typedef struct {
    float sum, bound, least_row, most_weight;
} Sums;

typedef struct {
    const Model *model;
    Ranges *ranges;
    Pool *pool;
    float *attn_rms, *ffn_rms;  // [n_layers][n_tokens]: of each row of a branch
    size_t n_tokens, n_seen;    // of the whole text; fed before this batch
    Sums *attn_sums, *ffn_sums; // [n_layers]
    float *weights;             // [threads][longest row of the two writers]
    size_t longest_row;
} Measure;

// Written so that a NaN wins and stays.
static void raise_to(float *max, float x) {
    if (!(x <= *max)) *max = x;
}

static void peak(float *max, const float *x, size_t n) {
    float most = *max;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= most)) most = fabsf(x[i]);
    *max = most;
}

static float length(const float *x, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    return (float)sqrt(squares);
}

static void norm_input(float *most, float *longest, float *shortest, const float *rows,
                       size_t width, size_t n) {
    peak(most, rows, n * width);
    for (size_t t = 0; t < n; t++) {
        float l = length(rows + t * width, width);
        raise_to(longest, l);
        if (*shortest == 0 || l < *shortest) *shortest = l;
    }
}

static void branch(Measure *m, float *most, float *rms, uint32_t layer, const float *rows,
                   size_t width, size_t n) {
    peak(most, rows, n * width);
    float *out = rms + (size_t)layer * m->n_tokens + m->n_seen;
    for (size_t t = 0; t < n; t++) out[t] = length(rows + t * width, width) / sqrtf((float)width);
}

// ---- partial sums of a projection, over the loudest row of a batch

typedef struct {
    const Measure *measure;
    Rows rows;
    const float *x;
    Sums *sums; // [threads]: of a worker's rows
} SumJob;

static void sum_rows(void *context, size_t first, size_t end, unsigned worker) {
    const SumJob *job = context;
    size_t n = job->rows.tensor->dims[0];
    float *w = job->measure->weights + worker * job->measure->longest_row;
    Sums *s = &job->sums[worker];
    for (size_t i = first; i < end; i++) {
        decode_row(job->rows.tensor, job->rows.first_row + i, w);
        double sum = 0, bound = 0;
        float most = 0, largest = 0;
        for (size_t k = 0; k < n; k++) {
            double product = (double)w[k] * (double)job->x[k];
            sum += product;
            bound += fabs(product);
            raise_to(&most, (float)fabs(sum));
            raise_to(&largest, fabsf(w[k]));
        }
        raise_to(&s->sum, most);
        raise_to(&s->bound, (float)bound);
        raise_to(&s->most_weight, largest);
        if (largest > 0 && (s->least_row == 0 || largest < s->least_row)) s->least_row = largest;
    }
}

// The row of greatest length stands for its batch: a sum of products is at most the product of
// lengths, so it is where an accumulator is nearest to its end. The others cost as much again as
// the model itself.
static const float *loudest(const float *rows, size_t width, size_t n) {
    size_t at = 0;
    float most = -1;
    for (size_t t = 0; t < n; t++) {
        float l = length(rows + t * width, width);
        if (l > most) {
            most = l;
            at = t;
        }
    }
    return rows + at * width;
}

static void sums(Measure *m, Rows rows, const float *x, Sums *out) {
    unsigned threads = m->pool ? pool_threads(m->pool) : 1;
    Sums *all = calloc(threads, sizeof *all);
    if (!all) die_out_of_memory(threads * sizeof *all);
    SumJob job = {m, rows, x, all};
    pool_run(m->pool, rows.n_rows, 4, sum_rows, &job);
    for (unsigned w = 0; w < threads; w++) {
        raise_to(&out->sum, all[w].sum);
        raise_to(&out->bound, all[w].bound);
        raise_to(&out->most_weight, all[w].most_weight);
        if (all[w].least_row > 0 && (out->least_row == 0 || all[w].least_row < out->least_row))
            out->least_row = all[w].least_row;
    }
    free(all);
}

// ---- what the reference shows

static void turned(Measure *m, LayerRange *l, const float *rows, size_t width, size_t n) {
    const Contract *c = &m->model->contract;
    size_t q = (size_t)c->n_heads * c->head_dim, k = (size_t)c->n_kv_heads * c->head_dim;
    for (size_t t = 0; t < n; t++, rows += width) {
        peak(&l->q_peak, rows, q);
        peak(&l->k_peak, rows + q, k);
        peak(&l->v_peak, rows + q + k, width - q - k);
    }
}

static void tap(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                size_t n) {
    Measure *m = context;
    Ranges *r = m->ranges;
    if (layer == r->n_layers) {
        norm_input(&r->out_peak, &r->out_longest, &r->out_shortest, rows, width, n);
        m->n_seen += n;
        return;
    }
    const LayerWeights *w = &m->model->weights.layers[layer];
    LayerRange *l = &r->layers[layer];
    switch (place) {
    case TAP_STREAM:
        norm_input(&l->attn_in_peak, &l->attn_in_longest, &l->attn_in_shortest, rows, width, n);
        break;
    case TAP_ROTATED: turned(m, l, rows, width, n); break;
    case TAP_ATTN_CONTEXT:
        peak(&l->heads_peak, rows, n * width);
        sums(m, w->attn_out, loudest(rows, width, n), &m->attn_sums[layer]);
        break;
    case TAP_ATTN_OUT: branch(m, &l->attn_out_peak, m->attn_rms, layer, rows, width, n); break;
    case TAP_POST_ATTN_RESIDUAL:
        norm_input(&l->ffn_in_peak, &l->ffn_in_longest, &l->ffn_in_shortest, rows, width, n);
        break;
    case TAP_GATE: peak(&l->gate_peak, rows, n * width); break;
    case TAP_UP: peak(&l->up_peak, rows, n * width); break;
    case TAP_GATED:
        peak(&l->gated_peak, rows, n * width);
        sums(m, w->down, loudest(rows, width, n), &m->ffn_sums[layer]);
        break;
    case TAP_FFN_OUT: branch(m, &l->ffn_out_peak, m->ffn_rms, layer, rows, width, n); break;
    case TAP_ATTN_NORMED:
    case TAP_QKV:
    case TAP_ATTN_OUT_NORMED:
    case TAP_FFN_OUT_NORMED:
    case TAP_FFN_NORMED: break;
    }
}

// ---- the whole

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float median(float *x, size_t n) {
    qsort(x, n, sizeof *x, by_size);
    return x[n / 2];
}

static bool settle(float *figure, const char *name, uint32_t layer, Err *err) {
    char text[32];
    if (!isfinite(*figure))
        return err_set(err, ERR_FORMAT,
                       "layer %u: %s is not finite even in fp32; the file's weights are damaged",
                       layer, name);
    snprintf(text, sizeof text, "%.4g", (double)*figure);
    *figure = strtof(text, NULL);
    return true;
}

static bool finish(Measure *m, Err *err) {
    Ranges *r = m->ranges;
    uint32_t n_layers = (uint32_t)r->n_layers;
    for (uint32_t i = 0; i < n_layers; i++) {
        LayerRange *l = &r->layers[i];
        l->attn_out_rms = median(m->attn_rms + i * m->n_tokens, m->n_tokens);
        l->ffn_out_rms = median(m->ffn_rms + i * m->n_tokens, m->n_tokens);
        const Sums *attn = &m->attn_sums[i], *ffn = &m->ffn_sums[i];
        l->attn_out_sum = attn->sum, l->ffn_out_sum = ffn->sum;
        l->attn_out_bound = attn->bound, l->ffn_out_bound = ffn->bound;
        l->attn_out_least_row = attn->least_row, l->ffn_out_least_row = ffn->least_row;
        l->attn_out_most_weight = attn->most_weight, l->ffn_out_most_weight = ffn->most_weight;
        const RangeFigure *f;
        for (size_t k = 0; (f = range_figure_at(k)); k++)
            if (!settle((float *)(void *)((char *)l + f->at), f->name, i, err)) return false;
    }
    return settle(&r->out_peak, "out_peak", n_layers, err) &&
           settle(&r->out_longest, "out_longest", n_layers, err) &&
           settle(&r->out_shortest, "out_shortest", n_layers, err) &&
           settle(&r->logit_peak, "logit_peak", n_layers, err);
}

static bool feed(Measure *m, Reference *r, const Calibration *text, const Progress *progress,
                 float *logits, Err *err) {
    enum { STEP = 64 }; // tokens between two looks at the progress
    size_t done = 0;
    for (size_t p = 0; p < text->n_pieces; p++) {
        const CalibrationPiece *piece = &text->pieces[p];
        reference_rewind(r, 0);
        for (size_t at = 0; at < piece->count;) {
            size_t n = min_size(STEP, piece->count - at);
            bool is_last = at + n == piece->count;
            if (!reference_feed(r, piece->ids + at, n, is_last ? logits : NULL, false, err))
                return false;
            at += n;
            done += n;
            if (!progress_step(progress, "ranges: tokens", done, text->n_tokens, err)) return false;
        }
        peak(&m->ranges->logit_peak, logits, m->model->contract.n_vocab);
    }
    return true;
}

static size_t longest_writer_row(const Model *model) {
    size_t longest = 0;
    for (uint32_t i = 0; i < model->contract.n_layers; i++) {
        const LayerWeights *w = &model->weights.layers[i];
        longest = max_size(longest, max_size(w->attn_out.tensor->dims[0], w->down.tensor->dims[0]));
    }
    return longest;
}

bool measure_ranges(Ranges *ranges, const Model *model, const Calibration *text,
                    RopeFactors rope_factors, Pool *pool, const Progress *progress, Arena *arena,
                    Err *err) {
    const Contract *c = &model->contract;
    *ranges = (Ranges){
        .text_sha256 = text->text_sha256,
        .n_texts = (uint32_t)text->n_pieces,
        .n_tokens = (uint32_t)text->n_tokens,
        .layers = arena_array(arena, c->n_layers, LayerRange),
        .n_layers = c->n_layers,
    };
    size_t threads = pool ? pool_threads(pool) : 1, rows = (size_t)c->n_layers * text->n_tokens;
    Measure m = {
        .model = model,
        .ranges = ranges,
        .pool = pool,
        .attn_rms = big_alloc(rows * sizeof(float), "measured rows", err),
        .ffn_rms = big_alloc(rows * sizeof(float), "measured rows", err),
        .attn_sums = arena_array(arena, c->n_layers, Sums),
        .ffn_sums = arena_array(arena, c->n_layers, Sums),
        .n_tokens = text->n_tokens,
        .longest_row = longest_writer_row(model),
    };
    m.weights = big_alloc(threads * m.longest_row * sizeof(float), "rows of weights", err);
    float *logits = big_alloc(c->n_vocab * sizeof(float), "logits", err);
    ReferenceOptions options = {
        .n_positions = (uint32_t)text->longest,
        .rope_factors = rope_factors,
        .tap = tap,
        .tap_context = &m,
    };
    Reference *r = NULL;
    bool ok = m.attn_rms && m.ffn_rms && m.weights && logits &&
              (r = reference_open(model, c, &options, pool, err)) &&
              feed(&m, r, text, progress, logits, err) && finish(&m, err);
    reference_close(r);
    free(m.attn_rms);
    free(m.ffn_rms);
    free(m.weights);
    free(logits);
    return ok;
}
