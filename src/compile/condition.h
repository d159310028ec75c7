// condition.h — chooses powers of two, from measured ranges, that keep a model's activations within
// fp16. The model computes the same function: each factor is applied at one place and removed at
// another, and a power of two changes no mantissa.
//
//     stream   packages carry h / 2^residual_exp2: embedding rows come in divided by it, both writers (the
//              attention output and the down projection) give their branch divided by it, and norms
//              take eps / 4^stream (norm.c). The head needs nothing: N(h / c; eps / c²) = N(h; eps)
//     v, up    W_v (with its bias) and W_up are stored divided by 2^v, 2^up; the projection that
//              reads what comes of them, W_o and W_down, multiplied. Attention weights sum to one
//              and up is a factor of a product, so nothing else notices. A gate has no such freedom
//     attn,    a writer's weights (and its bias) are stored divided by 2^attn, 2^ffn besides. What
//     ffn      is missing to the stream's factor is one multiplication after the branch
//
// A norm between a branch and the stream undoes attn and ffn. Its eps is divided by 4^attn, and its
// weights are stored divided by the stream's factor, so that nothing has to be multiplied; attn and
// ffn are then what keeps the branch itself in fp16.
//
// Never scaled: the embedding table, which may be the head's too, and the weights of other norms.
#ifndef LATHE_COMPILE_CONDITION_H
#define LATHE_COMPILE_CONDITION_H

#include <stdbool.h>

#include "contract/contract.h"
#include "range/ranges.h"

// Products of small probabilities fall below the resolution of the ANE's accumulator (2^-16): on an
// M5 Pro, P·V over thousands of keys was 4 to 5 % off, and 0.06 % with P × 64
// (cadamcat/llms-on-apple- neural-engine, findings/attention-product-precision). The gain makes
// sums of values 64 times larger.
#define PROBABILITY_GAIN 64.0f

typedef struct {
    int residual_exp2; // the same in all layers of a shard
    int v, up;
    int attn, ffn;
} LayerScaling;

// The form in which a norm over `width` channels holds eps (norm.c): sqrt(width · eps) /
// 2^residual_exp2.
float condition_root_eps(const Contract *c, uint32_t width, int residual_exp2);
// Fails when fp16 represents that as zero or as a subnormal number, which the ANE is reported to
// flush to zero (condition.c). The message says whether measured ranges would help.
bool condition_keeps_eps(const Contract *c, int residual_exp2, Err *err);

// The same for an l2_norm, which takes the square of that root.
float condition_l2_eps(const Contract *c, uint32_t width, int residual_exp2);
bool condition_keeps_l2_eps(const Contract *c, int residual_exp2, Err *err);
// The Neural Engine is reported to ignore the eps of l2_norm: fails when a measured row is so small
// that its result would be more than 1 % too large.
bool condition_rows_need_no_eps(const Contract *c, const Ranges *ranges, Err *err);

// Chooses the exponent of what the stream of layers [first, end) is divided by, from the rows that
// enter their norms and the output of the last layer. With first == end, for the head. Fails when
// no factor keeps both the rows and the norm's eps in fp16.
bool condition_stream(int *residual_exp2, const Contract *c, const Ranges *ranges, uint32_t first,
                      uint32_t end, Err *err);

// The other factors of a layer, given those of its shard.
LayerScaling condition_layer(const LayerKind *kind, const LayerRange *range, int residual_exp2);

#endif
