#include "contract/weights.h"

#include <string.h>

const WeightInfo weight_infos[WEIGHT_COUNT] = {
#define ALWAYS    FIELD_COUNT
#define IF(field) FIELD_##field
#define ROW(type, name_, tensor_, stack_, rows, columns, presence_, kind_, layer)                  \
    [WEIGHT_##name_] = {.name = #name_,                                                            \
                        .tensor = tensor_,                                                         \
                        .stack = stack_,                                                           \
                        .n_rows = DIM_##rows,                                                      \
                        .n_cols = DIM_##columns,                                                   \
                        .presence = presence_,                                                     \
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
#undef ROW
#undef IF
#undef ALWAYS
};

size_t weight_dim(const Contract *c, WeightDim dim) {
    switch (dim) {
    case DIM_VECTOR: return 0;
    case DIM_D_MODEL: return c->d_model;
    case DIM_Q_DIMS: return (size_t)c->n_heads * c->head_dim;
    case DIM_K_DIMS: return (size_t)c->n_kv_heads * c->head_dim;
    case DIM_V_DIMS: return (size_t)c->n_kv_heads * c->head_dim_v;
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
