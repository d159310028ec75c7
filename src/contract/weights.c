#include "contract/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "contract/arch.h"
#include "quant/quant.h"

const WeightInfo weight_infos[WEIGHT_COUNT] = {
#define ALWAYS                   IF_WHEN_OF(COUNT, ANY_LAYER)
#define IF(field)                IF_WHEN_OF(field, ANY_LAYER)
#define WHEN(claim)              IF_WHEN_OF(COUNT, claim)
#define IF_WHEN(field, claim)    IF_WHEN_OF(field, claim)
#define IF_WHEN_OF(field, claim) FIELD_##field, CLAIM_##claim
#define ROW(...)                 ROW_OF(__VA_ARGS__)
#define ROW_OF(type, name_, tensor_, stack_, rows, columns, presence_, claim_, kind_, layer)       \
    [WEIGHT_##name_] = {.name = #name_,                                                            \
                        .tensor = tensor_,                                                         \
                        .stack = stack_,                                                           \
                        .n_rows = DIM_##rows,                                                      \
                        .n_cols = DIM_##columns,                                                   \
                        .presence = presence_,                                                     \
                        .claim = claim_,                                                           \
                        .kind = WEIGHT_IS_##kind_,                                                 \
                        .is_layer = layer,                                                         \
                        .at = offsetof(type, name_)},
#define MODEL_WEIGHT(name, tensor, stack, rows, columns, presence, kind)                           \
    ROW(ModelWeights, name, tensor, stack, rows, columns, presence, kind, false)
#define LAYER_WEIGHT(name, tensor, stack, rows, columns, presence, kind)                           \
    ROW(LayerWeights, name, tensor, stack, rows, columns, presence, kind, true)
#include "contract/weights.def"
#undef LAYER_WEIGHT
#undef MODEL_WEIGHT
#undef ROW_OF
#undef ROW
#undef IF_WHEN_OF
#undef IF_WHEN
#undef WHEN
#undef IF
#undef ALWAYS
};

bool weight_is_in(WeightRole role, const LayerKind *k) {
    switch (weight_infos[role].claim) {
    case CLAIM_ANY_LAYER: return true;
    case CLAIM_ATTN_NORM: return has_attn_norm(k);
    case CLAIM_FFN_NORM: return has_ffn_norm(k);
    case CLAIM_POST_NORMS: return has_post_norms(k);
    case CLAIM_QK_NORM: return k->qk_norm != QK_NORM_NONE;
    case CLAIM_GATE: return k->is_gated;
    }
    return false;
}

const char *weight_tensor(Architecture architecture, WeightRole role) {
    const char *ffn_norm = arch_infos[architecture].ffn_norm;
    return role == WEIGHT_ffn_norm && ffn_norm ? ffn_norm : weight_infos[role].tensor;
}

// The two tables of Qwen2.5-Coder-0.5B (Q5_0, Q8_0) have a cosine of 0.9990 over these rows.
bool model_head_is_copy(const Model *m) {
    enum { N_ROWS = 64 };
    const Rows *head = &m->weights.head, *table = &m->weights.embedding;
    size_t width = m->contract.d_model;
    double dot = 0, a = 0, b = 0;
    float *rows = malloc(2 * width * sizeof *rows);
    if (!rows) die_out_of_memory(2 * width * sizeof *rows);
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t row = i * (m->contract.n_vocab / N_ROWS);
        decode_row(head->tensor, head->first_row + row, rows);
        decode_row(table->tensor, table->first_row + row, rows + width);
        for (size_t k = 0; k < width; k++) {
            dot += (double)rows[k] * (double)rows[width + k];
            a += (double)rows[k] * (double)rows[k];
            b += (double)rows[width + k] * (double)rows[width + k];
        }
    }
    free(rows);
    return dot > 0.95 * sqrt(a * b);
}

// All kinds of layers normalise queries alike: an architecture's row says how.
static size_t norm_dims(const Contract *c, uint32_t n_heads) {
    return (size_t)c->head_dim * (c->kinds[0].qk_norm == QK_NORM_WIDTH ? n_heads : 1);
}

size_t weight_dim(const Contract *c, WeightDim dim) {
    switch (dim) {
    case DIM_VECTOR: return 0;
    case DIM_D_MODEL: return c->d_model;
    case DIM_Q_DIMS: return (size_t)c->n_heads * c->head_dim;
    case DIM_K_DIMS: return (size_t)c->n_kv_heads * c->head_dim;
    case DIM_V_DIMS: return (size_t)c->n_kv_heads * c->head_dim_v;
    case DIM_Q_NORM_DIMS: return norm_dims(c, c->n_heads);
    case DIM_K_NORM_DIMS: return norm_dims(c, c->n_kv_heads);
    case DIM_CONTEXT_DIMS: return (size_t)c->n_heads * c->head_dim_v;
    case DIM_D_FF: return c->d_ff;
    case DIM_N_VOCAB: return c->n_vocab;
    }
    return 0;
}

Rows weight_rows(const ModelWeights *weights, WeightRole role, uint32_t layer) {
    const WeightInfo *info = &weight_infos[role];
    const void *all = info->is_layer ? (const void *)&weights->layers[layer] : weights;
    Rows rows;
    memcpy(&rows, (const char *)all + info->at, sizeof rows);
    return rows;
}
