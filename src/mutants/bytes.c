// bytes.c — weight files with a few bytes changed. Digests are taken afterwards, so they are right.
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mutants/bundle_mutants.h"

// A packed matrix as it lies in the files, in pieces.
typedef struct {
    uint8_t *const *files;
    const PackedTensor *t;
    size_t n_rows, n_cols, width;
    bool has_scales; // one a row
} Matrix;

enum { HALF_EXPONENT = 0x0400 }; // one step of a binary16's exponent: times 2

static Matrix matrix_at(uint8_t *const *files, const PackedTensor *t) {
    return (Matrix){.files = files,
                    .t = t,
                    .n_rows = t->n_rows,
                    .n_cols = t->n_cols,
                    .width = t->form == WEIGHTS_F16 ? 2 : 1,
                    .has_scales = t->form == WEIGHTS_INT8_CHANNEL};
}

static const PackedPiece *piece_of(const Matrix *m, size_t row) {
    size_t i = 0;
    while (row >= m->t->pieces[i].first_row + m->t->pieces[i].n_rows) i++;
    return &m->t->pieces[i];
}

static uint8_t *codes_at(const Matrix *m, size_t row) {
    const PackedPiece *piece = piece_of(m, row);
    return m->files[piece->data_at.file] + piece->data_at.offset + BLOB_RECORD_BYTES +
           (row - piece->first_row) * m->n_cols * m->width;
}

static uint8_t *scale_at(const Matrix *m, size_t row) {
    const PackedPiece *piece = piece_of(m, row);
    return m->files[piece->scale_at.file] + piece->scale_at.offset + BLOB_RECORD_BYTES +
           2 * (row - piece->first_row);
}

static bool layer_matrix(Matrix *m, const CompiledShard *shard, PackedSlot slot,
                         uint8_t *const *files) {
    const ShardRange *r = &shard->range;
    if (MUTANT_LAYER < r->first_layer || MUTANT_LAYER >= r->end_layer) return false;
    size_t at = (size_t)(MUTANT_LAYER - r->first_layer) * PACKED_PER_LAYER + slot;
    *m = matrix_at(files, &shard->tensors[at]);
    return true;
}

static void exchange(uint8_t *a, uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void exchange_rows(const Matrix *m, size_t a, size_t b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        exchange(codes_at(m, a + i), codes_at(m, b + i), m->n_cols * m->width);
        if (m->has_scales) exchange(scale_at(m, a + i), scale_at(m, b + i), 2);
    }
}

static void double_half(uint8_t *half) {
    uint16_t bits;
    memcpy(&bits, half, sizeof bits);
    // Subnormals and zeros have no exponent to raise; the largest have none left.
    if ((bits & 0x7C00) && (bits & 0x7C00) < 0x7800) bits = (uint16_t)(bits + HALF_EXPONENT);
    memcpy(half, &bits, sizeof bits);
}

bool edit_scale_of_one_channel(const CompiledShard *shard, const Model *model,
                               uint8_t *const *files) {
    (void)model;
    Matrix m;
    if (!layer_matrix(&m, shard, PACKED_DOWN, files)) return false;
    size_t row = m.n_rows / 3;
    if (m.has_scales)
        double_half(scale_at(&m, row));
    else
        for (size_t i = 0; m.width == 2 && i < m.n_cols; i++)
            double_half(codes_at(&m, row) + 2 * i);
    return m.has_scales || m.width == 2;
}

bool edit_scales_shifted(const CompiledShard *shard, const Model *model, uint8_t *const *files) {
    (void)model;
    Matrix m;
    if (!layer_matrix(&m, shard, PACKED_GATE_UP, files) || !m.has_scales) return false;
    for (size_t i = 0; i + 1 < m.n_rows; i++) exchange(scale_at(&m, i), scale_at(&m, i + 1), 2);
    return true;
}

static int magnitude(const Matrix *m, const uint8_t *row, size_t at) {
    if (m->width == 1) return abs((int8_t)row[at]);
    uint16_t bits;
    memcpy(&bits, row + 2 * at, sizeof bits);
    return bits & 0x7FFF;
}

bool edit_one_weight_negated(const CompiledShard *shard, const Model *model,
                             uint8_t *const *files) {
    (void)model;
    Matrix m;
    if (!layer_matrix(&m, shard, PACKED_ATTN_OUT, files)) return false;
    uint8_t *row = codes_at(&m, m.n_rows / 2);
    size_t most = 0;
    for (size_t i = 0; i < m.n_cols; i++)
        if (magnitude(&m, row, i) > magnitude(&m, row, most)) most = i;
    if (m.width == 1)
        row[most] = (uint8_t)-row[most];
    else
        row[2 * most + 1] ^= 0x80;
    return true;
}

bool edit_kv_heads_exchanged(const CompiledShard *shard, const Model *model,
                             uint8_t *const *files) {
    const Contract *c = &model->contract;
    Matrix m;
    if (c->n_kv_heads < 2 || !layer_matrix(&m, shard, PACKED_QKV, files)) return false;
    size_t k = (size_t)c->n_heads * c->head_dim, v = k + (size_t)c->n_kv_heads * c->head_dim;
    exchange_rows(&m, k, k + c->head_dim, c->head_dim);
    exchange_rows(&m, v, v + c->head_dim_v, c->head_dim_v);
    return true;
}

bool edit_query_heads_exchanged(const CompiledShard *shard, const Model *model,
                                uint8_t *const *files) {
    const Contract *c = &model->contract;
    Matrix m;
    if (c->n_heads < 2 || !layer_matrix(&m, shard, PACKED_QKV, files)) return false;
    exchange_rows(&m, 0, (size_t)(c->n_heads - 1) * c->head_dim, c->head_dim);
    return true;
}

bool edit_attn_out_columns_exchanged(const CompiledShard *shard, const Model *model,
                                     uint8_t *const *files) {
    const Contract *c = &model->contract;
    Matrix m;
    if (c->n_heads < 2 || !layer_matrix(&m, shard, PACKED_ATTN_OUT, files)) return false;
    size_t head = c->head_dim_v * m.width, last = (c->n_heads - 1) * head;
    for (size_t row = 0; row < m.n_rows; row++) {
        uint8_t *at = codes_at(&m, row);
        exchange(at, at + last, head);
    }
    return true;
}

bool edit_stop_id_unreachable(const CompiledShard *shard, const Model *model,
                              uint8_t *const *files) {
    const Contract *c = &model->contract;
    const ShardRange *r = &shard->range;
    size_t at = (size_t)(r->end_layer - r->first_layer) * PACKED_PER_LAYER + 1;
    bool is_put = false;
    for (size_t first = r->first_logit; at < shard->n_tensors; at++) {
        Matrix m = matrix_at(files, &shard->tensors[at]);
        for (size_t i = 0; i < c->stop_ids.count; i++) {
            size_t id = c->stop_ids.at[i];
            if (id < first || id >= first + m.n_rows) continue;
            memset(codes_at(&m, id - first), 0, m.n_cols * m.width);
            is_put = true;
        }
        first += m.n_rows;
    }
    return is_put;
}
