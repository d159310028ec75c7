// shape.h — models that have a shape and no weights: what planning and compiling look at.
#ifndef LATHE_TESTS_COMPILE_SHAPE_H
#define LATHE_TESTS_COMPILE_SHAPE_H

#include "contract/contract.h"

typedef struct {
    uint32_t n_layers, d_model, n_heads, n_kv_heads, head_dim, head_dim_v, d_ff, n_vocab, rope_dim;
    uint32_t context;
    bool has_biases, is_interleaved;
    float attn_softcap, final_softcap, residual_scale, logit_scale; // 0: none
} Shape;

extern const Shape shape_phi4_mini, shape_llama_8b; // published: 3.8 and 8.0 billion parameters

// A shape of a few layers, small enough to compile many of.
Shape shape_random(uint32_t *seed);
// The next of a row of numbers below `n`.
uint32_t random_below(uint32_t *seed, uint32_t n);

// The model of that shape, in the arena; its tensors have no data.
Model *shape_model(const Shape *shape, Arena *arena);

#endif
