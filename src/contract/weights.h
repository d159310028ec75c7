// weights.h — the rows of weights.def as data: which weights a model has, and where they are.
#ifndef LATHE_CONTRACT_WEIGHTS_H
#define LATHE_CONTRACT_WEIGHTS_H

#include "contract/contract.h"

typedef enum {
#define MODEL_WEIGHT(name, ...) WEIGHT_##name,
#define LAYER_WEIGHT(name, ...) WEIGHT_##name,
#include "contract/weights.def"
#undef MODEL_WEIGHT
#undef LAYER_WEIGHT
    WEIGHT_COUNT,
} WeightRole;

typedef enum { WEIGHT_IS_MATRIX, WEIGHT_IS_BIAS, WEIGHT_IS_NORM } WeightKind;

// A count that follows from a contract.
typedef enum {
    DIM_VECTOR, // of columns: there are none
    DIM_D_MODEL,
    DIM_Q_DIMS,      // all query heads
    DIM_K_DIMS,      // all key heads
    DIM_V_DIMS,      // all value heads
    DIM_Q_NORM_DIMS, // what the norm of queries has weights for: a head, or all of them
    DIM_K_NORM_DIMS,
    DIM_CONTEXT_DIMS, // what attention mixes for all query heads
    DIM_D_FF,
    DIM_N_VOCAB,
} WeightDim;

typedef enum {
    CLAIM_ANY_LAYER,
    CLAIM_ATTN_NORM,  // has_attn_norm()
    CLAIM_FFN_NORM,   // has_ffn_norm()
    CLAIM_POST_NORMS, // has_post_norms()
    CLAIM_QK_NORM,
    CLAIM_GATE,
} WeightClaim;

typedef struct {
    const char *name;         // "attn_out_bias"
    const char *tensor;       // "attn_output.bias", of a layer after "blk.N."
    const char *stack;        // a tensor that may hold it with others; "": none
    WeightDim n_rows, n_cols; // n_cols DIM_VECTOR: a vector of n_rows weights
    FieldId presence;         // a BOOL field of its layer's kind; FIELD_COUNT: it needs none
    WeightClaim claim;        // what else must be true of the kind
    WeightKind kind;
    bool is_layer;
    size_t at; // of its Rows, in LayerWeights or ModelWeights
} WeightInfo;

extern const WeightInfo weight_infos[WEIGHT_COUNT];

// Whether layers of kind `k` have the weight, as the kind's fields say.
bool weight_is_in(WeightRole role, const LayerKind *k);
// The tensor that holds nothing but the weight in a GGUF file of the architecture, of a layer after "blk.N.".
const char *weight_tensor(Architecture architecture, WeightRole role);
// Whether output.weight is the embedding table in another quantisation: publishers of tied models
// have stored both.
bool model_head_is_copy(const Model *m);
size_t weight_dim(const Contract *c, WeightDim dim); // 0 of DIM_VECTOR
// Where a weight is in the model's file; tensor NULL: the layer has none. `layer` counts for those
// of a layer only.
Rows weight_rows(const ModelWeights *weights, WeightRole role, uint32_t layer);

#endif
