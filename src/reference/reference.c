#include "reference/reference.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "quant/quant.h"
#include "reference/activation.h"
#include "reference/multiply.h"
#include "reference/rope.h"

// Tokens computed in one batch: each weight row is decoded once for all of them.
enum { MAX_BATCH = 64 };

struct Reference {
    const Model *model;
    Contract contract;
    ReferenceOptions options;
    Pool *pool;
    uint32_t position;        // tokens fed
    uint32_t *tokens;         // [positions]: these
    uint32_t expected;        // length that was announced; 0: none
    bool is_long;             // the factor set of `angles` and of the caches
    float *keys, *values;     // [layers][positions][kv heads][head_dim, head_dim_v]
    uint32_t *layer_position; // [layers]: rows in that layer's cache
    double *angles
        [CONTRACT_MAX_KINDS]; // [rope_dim / 2] of each kind of layers: turn of a pair per position
    // one batch: [MAX_BATCH][…]
    float *norm_weight; // [2][n_norm]: weights and bias of the norm at hand
    size_t n_norm;
    float *head_bias; // [n_vocab]
    float *stream, *normed, *qkv, *heads, *gate, *up, *branch;
    float *scores; // [threads][positions]
    float *rows;   // [threads · MULTIPLY_ROWS][longest row of weights]
};

// ---- weights

static Rows find_rows(const Reference *r, WeightRole role, uint32_t layer) {
    return weight_rows(&r->model->weights, role, layer);
}

// Row `row` of a matrix into `out` [n].
static void matrix_row(const Reference *r, WeightRole role, uint32_t layer, Rows rows, size_t row,
                       float *out, size_t n) {
    const ReferenceOptions *o = &r->options;
    if (o->weights && o->weights(o->weights_context, role, layer, row, out, n)) return;
    decode_row(rows.tensor, rows.first_row + row, out);
}

// A whole vector into `out` [n]; zeros when the model has none. A vector is part of one row of its
// tensor.
static void vector(const Reference *r, WeightRole role, uint32_t layer, float *out, size_t n) {
    const ReferenceOptions *o = &r->options;
    Rows rows = find_rows(r, role, layer);
    memset(out, 0, n * sizeof *out);
    if (!rows.tensor) return;
    if (o->weights && o->weights(o->weights_context, role, layer, 0, out, n)) return;
    float *whole = r->rows; // long enough for any row of any tensor
    decode_row(rows.tensor, 0, whole);
    memcpy(out, whole + rows.first_row, n * sizeof *out);
}

// ---- y[t] = W x[t] (+ bias)

typedef struct {
    const Reference *r;
    WeightRole role;
    uint32_t layer;
    Rows rows;
} Matrix;

static void row_of_matrix(const void *context, size_t row, float *out) {
    const Matrix *m = context;
    matrix_row(m->r, m->role, m->layer, m->rows, row, out, m->rows.tensor->dims[0]);
}

static void multiply(Reference *r, WeightRole role, uint32_t layer, const float *x, size_t x_stride,
                     float *y, size_t y_stride, size_t n_tokens) {
    Matrix matrix = {r, role, layer, find_rows(r, role, layer)};
    Multiply job = {
        .row = row_of_matrix,
        .context = &matrix,
        .n_rows = matrix.rows.n_rows,
        .n_in = matrix.rows.tensor->dims[0],
        .n_tokens = n_tokens,
        .x = x,
        .y = y,
        .x_stride = x_stride,
        .y_stride = y_stride,
        .scratch = r->rows,
    };
    reference_multiply(r->pool, &job);
}

static void add_bias(Reference *r, WeightRole role, uint32_t layer, float *y, size_t y_stride,
                     size_t n_tokens) {
    Rows rows = find_rows(r, role, layer);
    if (!rows.tensor) return;
    float *bias = r->branch; // free while projections run
    vector(r, role, layer, bias, rows.n_rows);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < rows.n_rows; i++) y[t * y_stride + i] += bias[i];
}

// ---- the parts of a block

enum { NUDGED_SCORES = TAP_FFN_OUT_NORMED + 1, NUDGED_COUNT }; // after the places of taps

static void nudge(const Reference *r, uint32_t place, uint32_t layer, uint32_t index, float *rows,
                  size_t n) {
    const ReferenceOptions *o = &r->options;
    uint64_t which = ((uint64_t)layer * NUDGED_COUNT + place) << 32 | index;
    if (o->nudge) o->nudge(o->nudge_context, which, rows, n);
}

static void tap(const Reference *r, TapPlace place, uint32_t layer, float *rows, size_t width,
                size_t n_tokens) {
    const ReferenceOptions *o = &r->options;
    uint32_t position = layer < r->contract.n_layers ? r->layer_position[layer] : r->position;
    nudge(r, place, layer, position, rows, width * n_tokens);
    if (o->tap) o->tap(o->tap_context, place, layer, rows, width, n_tokens);
}

// RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467): w · x / sqrt(mean(x²) + eps). LayerNorm (Ba
// et al. 2016, arXiv 1607.06450) does that to x - mean(x). `x` and `y` may be the same row.
static void norm_row(const Contract *c, const float *weight, const float *bias, const float *x,
                     float *y, size_t width) {
    double mean = 0, squares = 0;
    for (size_t i = 0; c->norm == NORM_LAYER && i < width; i++) mean += (double)x[i];
    mean /= (double)width;
    for (size_t i = 0; i < width; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(squares / (double)width + (double)c->norm_eps);
    for (size_t i = 0; i < width; i++) {
        float unit = (float)(((double)x[i] - mean) * scale);
        y[i] = unit * (weight[i] + c->norm_offset) + (bias ? bias[i] : 0);
    }
}

// Rows [n_tokens, d_model]. `bias_role`: a weight that the model may lack, or WEIGHT_COUNT.
static void norm(Reference *r, WeightRole role, WeightRole bias_role, uint32_t layer,
                 const float *x, float *y, size_t n_tokens) {
    size_t width = r->contract.d_model;
    float *weight = r->norm_weight, *bias = r->norm_weight + r->n_norm;
    vector(r, role, layer, weight, width);
    bool has_bias = bias_role != WEIGHT_COUNT && find_rows(r, bias_role, layer).tensor;
    if (has_bias) vector(r, bias_role, layer, bias, width);
    for (size_t t = 0; t < n_tokens; t++, x += width, y += width)
        norm_row(&r->contract, weight, has_bias ? bias : NULL, x, y, width);
}

// Queries or keys: `n_heads` heads of each of n_tokens rows, in place.
static void norm_heads(Reference *r, WeightRole role, uint32_t layer, float *rows, size_t stride,
                       uint32_t n_heads, size_t n_tokens) {
    const Contract *c = &r->contract;
    bool is_whole = contract_layer(c, layer)->qk_norm == QK_NORM_WIDTH;
    size_t width = is_whole ? (size_t)n_heads * c->head_dim : c->head_dim;
    vector(r, role, layer, r->norm_weight, width);
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t at = 0; at < (size_t)n_heads * c->head_dim; at += width) {
            float *row = rows + t * stride + at;
            norm_row(c, r->norm_weight, NULL, row, row, width);
        }
}

// Rotary embedding (Su et al. 2021, arXiv 2104.09864) of one head's first rope_dim dims.
static void rotate(const Reference *r, uint32_t layer, float *head, uint32_t position) {
    const Contract *c = &r->contract;
    const LayerKind *kind = contract_layer(c, layer);
    const double *angles = r->angles[contract_kind_of(c, layer)];
    uint32_t half = kind->rope_dim / 2;
    bool is_half = c->rope_style == ROPE_HALF;
    for (uint32_t i = 0; i < half; i++) {
        double angle = angles[i] * position;
        float cosine = (float)(cos(angle) * (double)kind->attn_factor);
        float sine = (float)(sin(angle) * (double)kind->attn_factor);
        float *a = &head[is_half ? i : 2 * i], *b = &head[is_half ? i + half : 2 * i + 1];
        float x = *a, y = *b;
        *a = x * cosine - y * sine;
        *b = y * cosine + x * sine;
    }
}

typedef struct {
    Reference *r;
    uint32_t layer, first; // position of the batch's first token
    size_t qkv_stride;
} Attention;

static float *key_at(const Reference *r, uint32_t layer, uint32_t position) {
    const Contract *c = &r->contract;
    return r->keys +
           ((size_t)layer * r->options.n_positions + position) * c->n_kv_heads * c->head_dim;
}

static float *value_at(const Reference *r, uint32_t layer, uint32_t position) {
    const Contract *c = &r->contract;
    return r->values +
           ((size_t)layer * r->options.n_positions + position) * c->n_kv_heads * c->head_dim_v;
}

// Row `i` is query head i % heads of token i / heads.
static void attend_rows(void *context, size_t begin, size_t end, unsigned worker) {
    const Attention *a = context;
    const Reference *r = a->r;
    const Contract *c = &r->contract;
    float *scores = r->scores + (size_t)worker * r->options.n_positions;
    for (size_t row = begin; row < end; row++) {
        uint32_t t = (uint32_t)(row / c->n_heads), head = (uint32_t)(row % c->n_heads);
        uint32_t kv = head / (c->n_heads / c->n_kv_heads);
        uint32_t position = a->first + t;
        uint32_t window = contract_layer(c, a->layer)->attn_window;
        uint32_t from = window && position + 1 > window ? position + 1 - window : 0;
        const float *q = r->qkv + t * a->qkv_stride + (size_t)head * c->head_dim;
        float *out =
            r->heads + (size_t)t * c->n_heads * c->head_dim_v + (size_t)head * c->head_dim_v;

        for (uint32_t p = from; p <= position; p++) {
            float s =
                reference_dot(q, key_at(r, a->layer, p) + (size_t)kv * c->head_dim, c->head_dim) *
                c->attn_scale;
            if (c->attn_softcap > 0) s = c->attn_softcap * tanhf(s / c->attn_softcap);
            scores[p] = s;
        }
        nudge(r, NUDGED_SCORES, a->layer, position * c->n_heads + head, scores + from,
              position + 1 - from);
        float max = -INFINITY;
        for (uint32_t p = from; p <= position; p++)
            if (scores[p] > max) max = scores[p];
        double sum = 0;
        for (uint32_t p = from; p <= position; p++)
            sum += (double)(scores[p] = expf(scores[p] - max));
        memset(out, 0, c->head_dim_v * sizeof *out);
        for (uint32_t p = from; p <= position; p++) {
            float share = (float)((double)scores[p] / sum);
            const float *v = value_at(r, a->layer, p) + (size_t)kv * c->head_dim_v;
            reference_add_scaled(out, share, v, c->head_dim_v);
        }
    }
}

// Of a projection into the stream.
static void add_out_bias(Reference *r, WeightRole role, uint32_t layer, size_t n_tokens) {
    size_t width = r->contract.d_model;
    if (!find_rows(r, role, layer).tensor) return;
    vector(r, role, layer, r->gate, width); // free after a projection
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t i = 0; i < width; i++) r->branch[t * width + i] += r->gate[i];
}

static void norm_queries_and_keys(Reference *r, uint32_t layer, size_t stride, size_t n_tokens) {
    const Contract *c = &r->contract;
    float *keys = r->qkv + (size_t)c->n_heads * c->head_dim;
    norm_heads(r, WEIGHT_q_norm, layer, r->qkv, stride, c->n_heads, n_tokens);
    norm_heads(r, WEIGHT_k_norm, layer, keys, stride, c->n_kv_heads, n_tokens);
}

static void attention(Reference *r, uint32_t layer, uint32_t first, size_t n_tokens) {
    const Contract *c = &r->contract;
    QkNorm qk_norm = contract_layer(c, layer)->qk_norm;
    size_t q = (size_t)c->n_heads * c->head_dim, k = (size_t)c->n_kv_heads * c->head_dim;
    size_t v = (size_t)c->n_kv_heads * c->head_dim_v, stride = q + k + v;
    multiply(r, WEIGHT_q, layer, r->normed, c->d_model, r->qkv, stride, n_tokens);
    multiply(r, WEIGHT_k, layer, r->normed, c->d_model, r->qkv + q, stride, n_tokens);
    multiply(r, WEIGHT_v, layer, r->normed, c->d_model, r->qkv + q + k, stride, n_tokens);
    add_bias(r, WEIGHT_q_bias, layer, r->qkv, stride, n_tokens);
    add_bias(r, WEIGHT_k_bias, layer, r->qkv + q, stride, n_tokens);
    add_bias(r, WEIGHT_v_bias, layer, r->qkv + q + k, stride, n_tokens);
    tap(r, TAP_QKV, layer, r->qkv, stride, n_tokens);
    if (qk_norm == QK_NORM_HEAD || qk_norm == QK_NORM_WIDTH)
        norm_queries_and_keys(r, layer, stride, n_tokens);
    for (size_t t = 0; t < n_tokens; t++) {
        float *row = r->qkv + t * stride;
        uint32_t position = first + (uint32_t)t;
        for (uint32_t h = 0; h < c->n_heads + c->n_kv_heads; h++)
            rotate(r, layer, row + (size_t)h * c->head_dim, position);
    }
    if (qk_norm == QK_NORM_HEAD_ROTATED) norm_queries_and_keys(r, layer, stride, n_tokens);
    tap(r, TAP_ROTATED, layer, r->qkv, stride, n_tokens);
    for (size_t t = 0; t < n_tokens; t++) {
        float *row = r->qkv + t * stride;
        uint32_t position = first + (uint32_t)t;
        memcpy(key_at(r, layer, position), row + q, k * sizeof *row);
        memcpy(value_at(r, layer, position), row + q + k, v * sizeof *row);
    }
    Attention a = {r, layer, first, stride};
    pool_run(r->pool, n_tokens * c->n_heads, 1, attend_rows, &a);
    tap(r, TAP_ATTN_CONTEXT, layer, r->heads, (size_t)c->n_heads * c->head_dim_v, n_tokens);
    multiply(r, WEIGHT_attn_out, layer, r->heads, (size_t)c->n_heads * c->head_dim_v, r->branch,
             c->d_model, n_tokens);
    add_out_bias(r, WEIGHT_attn_out_bias, layer, n_tokens);
}

// down(activation(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202), or down(activation(up(x))).
static void feed_forward(Reference *r, uint32_t layer, size_t n_tokens) {
    const Contract *c = &r->contract;
    const LayerKind *kind = contract_layer(c, layer);
    Curve curve = reference_curve(c, layer);
    size_t n = n_tokens * c->d_ff;
    multiply(r, WEIGHT_up, layer, r->normed, c->d_model, r->up, c->d_ff, n_tokens);
    add_bias(r, WEIGHT_up_bias, layer, r->up, c->d_ff, n_tokens);
    if (kind->is_gated) {
        multiply(r, WEIGHT_gate, layer, r->normed, c->d_model, r->gate, c->d_ff, n_tokens);
        add_bias(r, WEIGHT_gate_bias, layer, r->gate, c->d_ff, n_tokens);
        tap(r, TAP_GATE, layer, r->gate, c->d_ff, n_tokens);
    }
    tap(r, TAP_UP, layer, r->up, c->d_ff, n_tokens);
    for (size_t i = 0; i < n; i++)
        r->gate[i] = kind->is_gated ? reference_activate(&curve, r->gate[i]) * r->up[i]
                                    : reference_activate(&curve, r->up[i]);
    tap(r, TAP_GATED, layer, r->gate, c->d_ff, n_tokens);
    multiply(r, WEIGHT_down, layer, r->gate, c->d_ff, r->branch, c->d_model, n_tokens);
    add_out_bias(r, WEIGHT_down_bias, layer, n_tokens);
}

static void add_branch(Reference *r, float *stream, size_t n_tokens) {
    for (size_t i = 0; i < n_tokens * r->contract.d_model; i++)
        stream[i] += r->branch[i] * r->contract.residual_scale;
}

// The norm after a branch, where the layer has one.
static void norm_branch(Reference *r, WeightRole role, TapPlace place, uint32_t layer,
                        size_t n_tokens) {
    if (!has_post_norms(contract_layer(&r->contract, layer))) return;
    norm(r, role, WEIGHT_COUNT, layer, r->branch, r->branch, n_tokens);
    tap(r, place, layer, r->branch, r->contract.d_model, n_tokens);
}

static void run_layer(Reference *r, uint32_t layer, float *stream, size_t n_tokens) {
    uint32_t first = r->layer_position[layer];
    size_t width = r->contract.d_model;
    tap(r, TAP_STREAM, layer, stream, width, n_tokens);
    const LayerKind *kind = contract_layer(&r->contract, layer);
    memcpy(r->normed, stream, n_tokens * width * sizeof *stream);
    if (has_attn_norm(kind)) {
        norm(r, WEIGHT_attn_norm, WEIGHT_attn_norm_bias, layer, stream, r->normed, n_tokens);
        tap(r, TAP_ATTN_NORMED, layer, r->normed, width, n_tokens);
    }
    attention(r, layer, first, n_tokens);
    tap(r, TAP_ATTN_OUT, layer, r->branch, width, n_tokens);
    norm_branch(r, WEIGHT_attn_post_norm, TAP_ATTN_OUT_NORMED, layer, n_tokens);
    add_branch(r, stream, n_tokens);
    tap(r, TAP_POST_ATTN_RESIDUAL, layer, stream, width, n_tokens);
    // Branches in parallel have one input: what attention had is still in r->normed.
    if (kind->norm_placement == NORM_POST)
        memcpy(r->normed, stream, n_tokens * width * sizeof *stream);
    if (has_ffn_norm(kind)) {
        norm(r, WEIGHT_ffn_norm, WEIGHT_ffn_norm_bias, layer, stream, r->normed, n_tokens);
        tap(r, TAP_FFN_NORMED, layer, r->normed, width, n_tokens);
    }
    feed_forward(r, layer, n_tokens);
    tap(r, TAP_FFN_OUT, layer, r->branch, width, n_tokens);
    norm_branch(r, WEIGHT_ffn_post_norm, TAP_FFN_OUT_NORMED, layer, n_tokens);
    add_branch(r, stream, n_tokens);
    r->layer_position[layer] += (uint32_t)n_tokens;
}

// ---- the public face

static bool check_room(const Reference *r, uint32_t position, size_t n, Err *err) {
    if (n <= r->options.n_positions - position) return true;
    return err_set(err, ERR_USAGE, "%zu tokens at position %u do not fit in a context of %u", n,
                   position, r->options.n_positions);
}

bool reference_is_long(const Reference *r, size_t length) {
    if (!contract_has_two_factor_sets(&r->contract)) return false;
    if (r->options.rope_factors != ROPE_FACTORS_AUTO)
        return r->options.rope_factors == ROPE_FACTORS_LONG;
    return length > r->contract.original_context;
}

static void set_frequencies(Reference *r, bool is_long) {
    const Contract *c = &r->contract;
    r->is_long = is_long;
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        reference_rope_frequencies(c, &c->kinds[i], is_long, r->angles[i]);
}

static void take_factors(Reference *r, bool is_long) {
    if (r->is_long == is_long) return;
    set_frequencies(r, is_long);
}

bool reference_run_layers(Reference *r, uint32_t first, uint32_t end, float *rows, size_t n,
                          Err *err) {
    if (first >= end) return true;
    uint32_t position = r->layer_position[first];
    if (!check_room(r, position, n, err)) return false;
    bool is_long = reference_is_long(r, position + n);
    if (position && is_long != r->is_long)
        return err_set(err, ERR_USAGE,
                       "rows %u to %zu cross position %u, where other rotary factors apply",
                       position, position + n - 1, r->contract.original_context);
    take_factors(r, is_long);
    for (size_t at = 0; at < n; at += MAX_BATCH) {
        size_t batch = min_size(MAX_BATCH, n - at);
        for (uint32_t layer = first; layer < end; layer++)
            run_layer(r, layer, rows + at * r->contract.d_model, batch);
    }
    return true;
}

// Logits [n_tokens, n_vocab] of residual rows [n_tokens, d_model], a batch at most.
static void head(Reference *r, const float *rows, size_t n_tokens, float *logits) {
    const Contract *c = &r->contract;
    norm(r, WEIGHT_output_norm, WEIGHT_output_norm_bias, c->n_layers, rows, r->normed, n_tokens);
    multiply(r, WEIGHT_head, c->n_layers, r->normed, c->d_model, logits, c->n_vocab, n_tokens);
    if (find_rows(r, WEIGHT_head_bias, c->n_layers).tensor) {
        vector(r, WEIGHT_head_bias, c->n_layers, r->head_bias, c->n_vocab);
        for (size_t t = 0; t < n_tokens; t++)
            for (size_t i = 0; i < c->n_vocab; i++) logits[t * c->n_vocab + i] += r->head_bias[i];
    }
    for (size_t i = 0; i < n_tokens * c->n_vocab; i++) {
        logits[i] *= c->logit_scale;
        if (c->final_softcap > 0)
            logits[i] = c->final_softcap * tanhf(logits[i] / c->final_softcap);
    }
}

void reference_head(Reference *r, const float *row, float *logits) {
    head(r, row, 1, logits);
}

void reference_head_rows(Reference *r, const float *rows, size_t n, float *logits) {
    const Contract *c = &r->contract;
    for (size_t at = 0; at < n; at += MAX_BATCH)
        head(r, rows + at * c->d_model, min_size(MAX_BATCH, n - at), logits + at * c->n_vocab);
}

// Runs `n` tokens, already checked, through all layers under the factors that are set.
static bool feed_tokens(Reference *r, const uint32_t *tokens, size_t n, float *logits,
                        bool all_logits, const Progress *progress, Err *err) {
    const Contract *c = &r->contract;
    for (size_t at = 0; at < n; at += MAX_BATCH) {
        size_t batch = min_size(MAX_BATCH, n - at);
        if (!progress_goes_on(progress))
            return err_set(err, ERR_STOPPED, "stopped at position %u", r->position);
        for (size_t t = 0; t < batch; t++) {
            r->tokens[r->position + t] = tokens[at + t];
            float *row = r->stream + t * c->d_model;
            matrix_row(r, WEIGHT_embedding, 0, r->model->weights.embedding, tokens[at + t], row,
                       c->d_model);
            for (size_t i = 0; i < c->d_model; i++) row[i] *= c->embedding_scale;
        }
        for (uint32_t layer = 0; layer < c->n_layers; layer++)
            run_layer(r, layer, r->stream, batch);
        tap(r, TAP_STREAM, c->n_layers, r->stream, c->d_model, batch);
        r->position += (uint32_t)batch;
        progress_report(progress, "read again: tokens", at + batch, n);
        if (logits && all_logits)
            head(r, r->stream, batch, logits + at * c->n_vocab);
        else if (logits && at + batch == n)
            head(r, r->stream + (batch - 1) * c->d_model, 1, logits);
    }
    return true;
}

// Makes the caches those of a sequence of `length` tokens: computes tokens [0, position) again when
// the set they were computed under is the other one.
static bool settle_factors(Reference *r, size_t length, const Progress *progress, Err *err) {
    bool is_long = reference_is_long(r, length);
    if (is_long == r->is_long) return true;
    take_factors(r, is_long);
    uint32_t n = r->position, expected = r->expected;
    LayerTap *taps = r->options.tap;
    r->options.tap = NULL;
    reference_rewind(r, 0);
    bool ok = feed_tokens(r, r->tokens, n, NULL, false, progress, err);
    r->options.tap = taps;
    r->expected = expected;
    return ok;
}

bool reference_feed(Reference *r, const uint32_t *tokens, size_t n, float *logits, bool all_logits,
                    Err *err) {
    if (!check_room(r, r->position, n, err)) return false;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] >= r->contract.n_vocab)
            return err_set(err, ERR_USAGE, "token %u of a vocabulary of %u", tokens[i],
                           r->contract.n_vocab);
    return settle_factors(r, max_size(r->position + n, r->expected), NULL, err) &&
           feed_tokens(r, tokens, n, logits, all_logits, NULL, err);
}

bool reference_expect(Reference *r, uint32_t length, const Progress *progress, Err *err) {
    r->expected = length;
    return settle_factors(r, max_size(length, r->position), progress, err);
}

void reference_force_factors(Reference *r, bool is_long) {
    r->options.rope_factors = is_long ? ROPE_FACTORS_LONG : ROPE_FACTORS_SHORT;
    take_factors(r, reference_is_long(r, 0));
}

uint32_t reference_rereads(const Reference *r, size_t length) {
    return reference_is_long(r, length) == r->is_long ? 0 : r->position;
}

uint32_t reference_position(const Reference *r) {
    return r->position;
}

void reference_rewind(Reference *r, uint32_t position) {
    r->expected = 0;
    if (position < r->position) r->position = position;
    for (uint32_t i = 0; i < r->contract.n_layers; i++)
        if (position < r->layer_position[i]) r->layer_position[i] = position;
}

void reference_repeat(Reference *r, uint32_t n_fed, uint32_t until) {
    const Contract *c = &r->contract;
    size_t k = (size_t)c->n_kv_heads * c->head_dim, v = (size_t)c->n_kv_heads * c->head_dim_v;
    for (uint32_t layer = 0; layer < c->n_layers; layer++) {
        for (uint32_t at = n_fed; at < until; at++) {
            memcpy(key_at(r, layer, at), key_at(r, layer, at - n_fed), k * sizeof(float));
            memcpy(value_at(r, layer, at), value_at(r, layer, at - n_fed), v * sizeof(float));
        }
        r->layer_position[layer] = until;
    }
    for (uint32_t at = n_fed; at < until; at++) r->tokens[at] = r->tokens[at - n_fed];
    r->position = until;
}

static size_t longest_row(const Model *m) {
    size_t longest = 0;
    for (int role = 0; role < WEIGHT_COUNT; role++)
        for (uint32_t i = 0; i < (weight_infos[role].is_layer ? m->contract.n_layers : 1); i++) {
            Rows rows = weight_rows(&m->weights, (WeightRole)role, i);
            if (rows.tensor) longest = max_size(longest, rows.tensor->dims[0]);
        }
    return longest;
}

static float *floats(size_t a, size_t b, const char *what, bool *ok, Err *err) {
    size_t n;
    float *memory = NULL;
    if (!mul_size(a, b, &n) || !mul_size(n, sizeof(float), &n))
        *ok = err_set(err, ERR_SYSTEM, "%s: too large", what);
    else if (*ok)
        *ok = (memory = big_alloc(n, what, err)) != NULL;
    return memory;
}

// A contract may differ from the model's own in which weights it asks for.
static bool has_weights(const Model *model, const Contract *c, Err *err) {
    for (uint32_t i = 0; i < c->n_layers; i++)
        for (int role = 0; role < WEIGHT_COUNT; role++) {
            const WeightInfo *info = &weight_infos[role];
            if (!info->is_layer || info->presence != FIELD_COUNT) continue;
            if (!weight_is_in((WeightRole)role, contract_layer(c, i)) ||
                weight_rows(&model->weights, (WeightRole)role, i).tensor)
                continue;
            return err_set(err, ERR_FORMAT,
                           "layer %u: the contract asks for '%s', which the model lacks", i,
                           info->name);
        }
    return true;
}

Reference *reference_open(const Model *model, const Contract *contract,
                          const ReferenceOptions *options, Pool *pool, Err *err) {
    const Contract *c = contract;
    if (!has_weights(model, c, err)) return NULL;
    Reference *r = calloc(1, sizeof *r);
    if (!r) die_out_of_memory(sizeof *r);
    *r = (Reference){.model = model, .contract = *c, .options = *options, .pool = pool};
    size_t threads = pool ? pool_threads(pool) : 1, positions = r->options.n_positions;
    size_t cells = (size_t)c->n_layers * positions;
    size_t q = (size_t)c->n_heads * c->head_dim, k = (size_t)c->n_kv_heads * c->head_dim;
    size_t v = (size_t)c->n_kv_heads * c->head_dim_v;
    size_t heads = (size_t)c->n_heads * c->head_dim_v;
    // Norm weights and biases pass through `gate` and `branch`, so these hold the longest vector.
    size_t widest = max_size(max_size(c->d_model, c->d_ff), max_size(q, heads));
    bool ok = true;
    r->keys = floats(cells, k, "key cache", &ok, err);
    r->values = floats(cells, v, "value cache", &ok, err);
    r->stream = floats(MAX_BATCH, c->d_model, "activations", &ok, err);
    r->normed = floats(MAX_BATCH, c->d_model, "activations", &ok, err);
    r->qkv = floats(MAX_BATCH, q + k + v, "activations", &ok, err);
    r->heads = floats(MAX_BATCH, heads, "activations", &ok, err);
    r->gate = floats(MAX_BATCH, widest, "activations", &ok, err);
    r->up = floats(MAX_BATCH, c->d_ff, "activations", &ok, err);
    r->branch = floats(MAX_BATCH, widest, "activations", &ok, err);
    r->n_norm = max_size(c->d_model, max_size(q, k));
    r->norm_weight = floats(2, r->n_norm, "weights of a norm", &ok, err);
    r->head_bias = floats(1, c->n_vocab, "bias of the head", &ok, err);
    r->scores = floats(threads, positions, "scores", &ok, err);
    r->rows = floats(threads * MULTIPLY_ROWS, longest_row(model), "rows of weights", &ok, err);
    if (ok) r->layer_position = big_alloc(c->n_layers * sizeof(uint32_t), "positions", err);
    if (ok) r->tokens = big_alloc((positions + 1) * sizeof(uint32_t), "tokens", err);
    for (uint32_t i = 0; ok && i < contract_n_kinds(c); i++) {
        r->angles[i] = big_alloc((c->kinds[i].rope_dim / 2 + 1) * sizeof(double), "angles", err);
        ok = r->angles[i] != NULL;
    }
    if (!ok || !r->layer_position || !r->tokens) {
        reference_close(r);
        return NULL;
    }
    set_frequencies(r, reference_is_long(r, 0));
    return r;
}

void reference_close(Reference *r) {
    if (!r) return;
    void *all[] = {r->keys, r->values,      r->layer_position, r->tokens, r->stream, r->normed,
                   r->qkv,  r->heads,       r->gate,           r->up,     r->branch, r->scores,
                   r->rows, r->norm_weight, r->head_bias,      r};
    for (size_t i = 0; i < COUNT_OF(r->angles); i++) free(r->angles[i]);
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
}
