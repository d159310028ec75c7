// pack.c — decodes weights from the source's blocks and encodes them for the package.
//
// All threads decode and encode one block of rows, which is then written; only that block is in
// memory.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "compile/weights.h"
#include "contract/weights.h"
#include "quant/quant.h"

enum { BLOCK_BYTES = 8 << 20 }; // of encoded rows in memory at a time

typedef struct {
    const PackedTensor *tensor;
    const PackJob *job;
    uint32_t first;       // row of the block
    uint16_t fixed_scale; // of WEIGHTS_INT8_TENSOR
    uint8_t *codes;       // the block, encoded
    uint16_t *scales;     // of the block's rows
    float *max_abs;       // of the block's rows, when only that is asked for
    float *rows;          // [threads, n_cols]: one decoded row a worker
    uint32_t *bad_row;    // [threads]: the first row a worker could not encode, or NO_ROW
} Block;
#define NO_ROW UINT32_MAX

// The source row that lies at row `row` of a part whose heads have `head_dim` rows: of the first
// rope_dim rows of a head, half-split order takes the even ones first, then the odd ones.
static size_t source_row(const PackedTensor *t, const PackedPart *part, const PackJob *job,
                         uint32_t row) {
    if (!part->is_deinterleaved) return row;
    uint32_t in_head = row % job->head_dim, half = t->rope_dim / 2;
    if (in_head >= t->rope_dim) return row;
    uint32_t source = in_head < half ? 2 * in_head : 2 * (in_head - half) + 1;
    return row - in_head + source;
}

static const PackedPart *part_of(const PackedTensor *t, uint32_t row) {
    size_t i = t->n_parts;
    while (i-- > 1)
        if (row >= t->parts[i].first_row) break;
    return &t->parts[i];
}

static void decode_packed_row(const PackedTensor *t, const PackJob *job, uint32_t row, float *out) {
    const PackedPart *part = part_of(t, row);
    decode_row(part->rows.tensor,
               part->rows.first_row + source_row(t, part, job, row - part->first_row), out);
    for (uint32_t i = 0; part->factor != 1 && i < t->n_cols; i++) out[i] *= part->factor;
}

static float row_max_abs(const float *x, size_t n) {
    float max = 0;
    for (size_t i = 0; i < n; i++) {
        // Written so that a NaN wins and stays.
        if (!(fabsf(x[i]) <= max)) max = fabsf(x[i]);
        if (isnan(max)) return max;
    }
    return max;
}

// Whatever form a weight is stored in, it is an fp16 number when a package computes with it.
static bool fits_half(float max_abs) {
    return isfinite(round_to_half(max_abs));
}

// What code and scale make of a row's largest weight: more than it was, by half a code at most.
static float coded(float max_abs, uint16_t scale) {
    int8_t code;
    encode_int8(&max_abs, 1, scale, &code);
    return (float)code * f32_from_half(scale);
}

static void measure_rows(void *context, size_t first, size_t end, unsigned worker) {
    Block *b = context;
    size_t n = b->tensor->n_cols;
    float *x = b->rows + worker * n;
    for (size_t i = first; i < end; i++) {
        decode_packed_row(b->tensor, b->job, b->first + (uint32_t)i, x);
        b->max_abs[i] = row_max_abs(x, n);
    }
}

static uint16_t scale_of(const Block *b, float max_abs) {
    return b->tensor->form == WEIGHTS_INT8_TENSOR ? b->fixed_scale : int8_scale(max_abs);
}

static void encode_rows(void *context, size_t first, size_t end, unsigned worker) {
    Block *b = context;
    const PackedTensor *t = b->tensor;
    size_t n = t->n_cols;
    float *x = b->rows + worker * n;
    for (size_t i = first; i < end; i++) {
        uint32_t row = b->first + (uint32_t)i;
        decode_packed_row(t, b->job, row, x);
        float max = row_max_abs(x, n);
        uint16_t scale = scale_of(b, max);
        if (!fits_half(max) || (t->form != WEIGHTS_F16 && !fits_half(coded(max, scale)))) {
            if (row < b->bad_row[worker]) b->bad_row[worker] = row;
            continue;
        }
        if (t->form == WEIGHTS_F16) {
            uint16_t *halves = (uint16_t *)(void *)b->codes + i * n;
            for (size_t k = 0; k < n; k++) halves[k] = half_from_f32(x[k]);
        } else {
            encode_int8(x, n, scale, (int8_t *)b->codes + i * n);
            b->scales[i] = scale;
        }
    }
}

// Whether condition.h has a factor for the part: the other weights are read by nobody who could
// take one out again.
static bool may_be_scaled(const PackedPart *part) {
    static const char *const roles[] = {"v", "v_bias", "up", "attn_out", "attn_out_bias", "down"};
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (strcmp(part->role, roles[i]) == 0) return true;
    return false;
}

static bool weight_is_norm(const char *role) {
    for (int i = 0; i < WEIGHT_COUNT; i++)
        if (strcmp(weight_infos[i].name, role) == 0) return weight_infos[i].kind == WEIGHT_IS_NORM;
    return false;
}

static const char *advice(const PackedPart *part, const PackJob *job, float value) {
    if (!isfinite(value)) return "the file is damaged";
    if (weight_is_norm(part->role) && part->factor != 1) return "--norm max leaves the factor out";
    if (part->factor != 1) return "--range off leaves the factor out";
    if (fits_half(value)) return "--weights fp16 keeps it";
    if (job->is_conditioned || !may_be_scaled(part)) return "no package can carry this model";
    return "--range auto divides such weights, and the ops that read them multiply by the factor "
           "again";
}

// `value` is the largest of the row as it was to be stored, `scale` that of its codes, or 0.
static bool bad_weight(const PackedTensor *t, const PackJob *job, uint32_t row, float value,
                       uint16_t scale, Err *err) {
    const PackedPart *part = part_of(t, row);
    char factor[40] = "", form[40] = "";
    if (part->factor != 1)
        snprintf(factor, sizeof factor, " (%g times the source's)", (double)part->factor);
    if (scale && fits_half(value))
        snprintf(form, sizeof form, ", which %s makes %g", weight_form_name(t->form),
                 (double)coded(value, scale));
    return err_set(
        err, ERR_FORMAT,
        "tensor '%.*s': row %zu has a weight that is not finite or beyond fp16: %g%s%s; packages "
        "compute in fp16, which ends at 65504; %s",
        STR_ARG(part->rows.tensor->name),
        part->rows.first_row + source_row(t, part, job, row - part->first_row), (double)value,
        factor, form, advice(part, job, value));
}

static bool find_bad(const Block *b, Err *err) {
    uint32_t first = NO_ROW;
    for (unsigned w = 0; w < pool_threads(b->job->pool); w++)
        if (b->bad_row[w] < first) first = b->bad_row[w];
    if (first == NO_ROW) return true;
    decode_packed_row(b->tensor, b->job, first, b->rows);
    float max = row_max_abs(b->rows, b->tensor->n_cols);
    uint16_t scale = b->tensor->form == WEIGHTS_F16 ? 0 : scale_of(b, max);
    return bad_weight(b->tensor, b->job, first, max, scale, err);
}

// The largest |weight| of all rows, for the form with one scale.
static bool measure_tensor(Block *b, uint32_t rows_per_block, Err *err) {
    const PackedTensor *t = b->tensor;
    float max = 0;
    for (b->first = 0; b->first < t->n_rows; b->first += rows_per_block) {
        uint32_t n = (uint32_t)min_size(rows_per_block, t->n_rows - b->first);
        pool_run(b->job->pool, n, 1, measure_rows, b);
        for (uint32_t i = 0; i < n; i++) {
            if (!fits_half(b->max_abs[i]))
                return bad_weight(t, b->job, b->first + i, b->max_abs[i], 0, err);
            if (b->max_abs[i] > max) max = b->max_abs[i];
        }
    }
    b->fixed_scale = int8_scale(max);
    for (size_t i = 0; i < t->n_pieces; i++)
        if (!b->job->put(b->job->put_context, t->pieces[i].scale_at, 0, &b->fixed_scale, 2, err))
            return false;
    return true;
}

static uint64_t source_bytes(const PackedTensor *t, uint64_t n_rows) {
    const TensorInfo *source = t->parts[0].rows.tensor;
    return n_rows * t->n_cols * source->n_bytes / source->n_weights;
}

static bool pack_piece(const PackedTensor *t, const PackedPiece *piece, const PackJob *job,
                       Block *b, uint32_t rows_per_block, Err *err) {
    size_t row_bytes = (size_t)t->n_cols * (t->form == WEIGHTS_F16 ? 2 : 1);
    for (uint32_t at = 0; at < piece->n_rows; at += rows_per_block) {
        uint32_t n = (uint32_t)min_size(rows_per_block, piece->n_rows - at);
        b->first = piece->first_row + at;
        pool_run(job->pool, n, 1, encode_rows, b);
        if (!find_bad(b, err)) return false;
        if (!job->put(job->put_context, piece->data_at, (uint64_t)at * row_bytes, b->codes,
                      n * row_bytes, err))
            return false;
        if (t->form == WEIGHTS_INT8_CHANNEL &&
            !job->put(job->put_context, piece->scale_at, (uint64_t)at * 2, b->scales, (size_t)n * 2,
                      err))
            return false;
        *job->done_bytes += source_bytes(t, n);
        if (!progress_step(job->progress, "weights", *job->done_bytes, job->total_bytes, err))
            return false;
    }
    return true;
}

static bool pack_matrix(const PackedTensor *t, const PackJob *job, Block *b,
                        uint32_t rows_per_block, Err *err) {
    if (t->form == WEIGHTS_INT8_TENSOR && !measure_tensor(b, rows_per_block, err)) return false;
    for (size_t i = 0; i < t->n_pieces; i++)
        if (!pack_piece(t, &t->pieces[i], job, b, rows_per_block, err)) return false;
    return true;
}

// Norm weights and biases: each part is a run of weights in one row of its tensor.
static bool pack_vector(const PackedTensor *t, const PackJob *job, Err *err) {
    size_t longest = 0;
    for (size_t p = 0; p < t->n_parts; p++)
        longest = max_size(longest, t->parts[p].rows.tensor->n_weights);
    float *x = big_alloc(longest * sizeof(float), "a vector of weights", err);
    uint16_t *halves = big_alloc((size_t)t->n_rows * 2, "a vector of weights", err);
    bool ok = x && halves;
    for (size_t p = 0; ok && p < t->n_parts; p++) {
        const PackedPart *part = &t->parts[p];
        decode_row(part->rows.tensor, 0, x);
        for (uint32_t i = 0; ok && i < part->rows.n_rows; i++) {
            float weight = x[part->rows.first_row + source_row(t, part, job, i)];
            float value = (weight + t->offset) * part->factor;
            halves[part->first_row + i] = half_from_f32(value);
            ok = isfinite(f32_from_half(halves[part->first_row + i])) ||
                 bad_weight(t, job, part->first_row + i, value, 0, err);
        }
    }
    ok = ok &&
         job->put(job->put_context, t->pieces[0].data_at, 0, halves, (size_t)t->n_rows * 2, err);
    free(x);
    free(halves);
    return ok;
}

bool pack_weights(const PackedTensor *t, const PackJob *job, Err *err) {
    if (t->n_parts == 0) return true;
    if (t->n_cols == 1) return pack_vector(t, job, err);

    size_t row_bytes = (size_t)t->n_cols * (t->form == WEIGHTS_F16 ? 2 : 1);
    uint32_t rows_per_block = (uint32_t)max_size(1, min_size(t->n_rows, BLOCK_BYTES / row_bytes));
    unsigned threads = pool_threads(job->pool);
    Block b = {
        .tensor = t,
        .job = job,
        .codes = big_alloc(rows_per_block * row_bytes, "a block of weights", err),
        .scales = big_alloc(rows_per_block * sizeof(uint16_t), "a block of weights", err),
        .max_abs = big_alloc(rows_per_block * sizeof(float), "a block of weights", err),
        .rows = big_alloc((size_t)threads * t->n_cols * sizeof(float), "rows of weights", err),
        .bad_row = big_alloc(threads * sizeof(uint32_t), "rows of weights", err),
    };
    bool ok = b.codes && b.scales && b.max_abs && b.rows && b.bad_row;
    if (ok) {
        for (unsigned w = 0; w < threads; w++) b.bad_row[w] = NO_ROW;
        ok = pack_matrix(t, job, &b, rows_per_block, err);
    }
    free(b.codes);
    free(b.scales);
    free(b.max_abs);
    free(b.rows);
    free(b.bad_row);
    return ok;
}
