// graph.h — what the builders of one function share. Internal to compile/.
//
// Activations are [1, channels, 1, T]: channels second and positions last, the vendor's layout (a
// last axis of 1 costs padding, so decode pays it on tensors that are small anyway). Everything is
// fp16 of rank 4. The only integers are inputs of the slice form, which feed state updates and
// nothing else.
#ifndef LATHE_COMPILE_GRAPH_H
#define LATHE_COMPILE_GRAPH_H

#include "compile/compile.h"
#include "mil/build.h"

typedef struct {
    Builder builder;
    const Contract *contract;
    const ShardPlan *plan;
    Arena *arena;
    uint32_t n_rows;      // T
    uint32_t layer;       // of the model
    char prefix[32];      // of value names: "layer_03_"
    CompiledShard *marks; // receives the landmarks; NULL for a second function, which has the same
    int residual_exp2; // x, hidden and all between are the residual stream / 2^residual_exp2 (condition.h)
    float v_factor, up_factor; // of the layer's values and up, where their weights do not hold it
    // inputs by kind of layer; absent for kinds of which the shard has no layer
    ValueId cos[CONTRACT_MAX_KINDS], sin[CONTRACT_MAX_KINDS]; // [1, 1, rope_dim / 2, T]
    ValueId
        mask[CONTRACT_MAX_KINDS]; // [1, 1, G * T, graph_n_keys()], G query heads share a kv head
    // Of caches of the whole context and of rings; those that the shard has none of are not there.
    ValueId write_mask[2], keep[2]; // [1, 1, cache rows, T], [1, 1, cache rows, 1] (KV_OVERWRITE)
    ValueId kv[2];                  // the packed states (KV_SLICE)
    uint32_t *in_state;             // [layers of the shard]: how many before it share its state
    ValueId *kv_begin, *kv_end; // [layers of the shard]: where each one's new rows go (KV_SLICE)
    ValueId *states;   // [2 layers of the shard]: keys, values, keys, …; inputs in KV_ROWS
    ValueId *new_rows; // likewise: rows that leave the function (KV_ROWS)
} Graph;

// The kind of the layer that is being built.
const LayerKind *graph_kind(const Graph *g);
// "layer_03_" + what, in the arena.
const char *graph_name(Graph *g, const char *what);

// A piece of a matrix of the weight file as an fp16 value [n_rows, n_cols, 1, 1]; a vector as [1, n_rows, 1,
// 1].
ValueId graph_matrix(Graph *g, const PackedTensor *t, const PackedPiece *piece);
ValueId graph_vector(Graph *g, const PackedTensor *t);
// A 1×1 convolution with the matrix, plus the bias when there is one: one convolution per piece,
// concatenated.
ValueId graph_project(Graph *g, const char *what, ValueId x, const PackedTensor *matrix,
                      const PackedTensor *bias);
// The same with rows [first, end) of the matrix, which must be whole pieces.
ValueId graph_project_rows(Graph *g, const char *what, ValueId x, const PackedTensor *matrix,
                           uint32_t first, uint32_t end);
// x plus rows [begin, end) of a bias; x itself when there is none.
ValueId graph_add_rows(Graph *g, const char *what, ValueId x, const PackedTensor *bias,
                       uint32_t begin, uint32_t end);
// x * factor, or x itself when the factor is 1.
ValueId graph_scale(Graph *g, const char *what, ValueId x, float factor);
// Channels [begin, end) of x [1, C, 1, T].
ValueId graph_channels(Graph *g, const char *what, ValueId x, uint32_t begin, uint32_t end);

// Records that the channels of `v` from `first` on are the model's numbers at `place`, divided by
// `factor`.
void graph_mark(Graph *g, LandmarkPlace place, ValueId v, uint32_t first, float factor);

// activation.c: the layer's activation of x, element by element. That of a feed-forward without a gate comes divided as the layer's
// scaling says (scales_what_it_makes).
ValueId graph_activate(Graph *g, ValueId x);

// norm.c: x [1, width, 1, T] normalised over channels, multiplied by `weight` [width], plus `bias`
// when it has parts. x is the residual stream, or a part of it.
ValueId graph_norm(Graph *g, const char *what, ValueId x, const PackedTensor *weight,
                   const PackedTensor *bias);
// The same for a branch, or over `axis` of heads [1, heads, head_dim, T]; x is the model's value
// divided by 2^exp2.
ValueId graph_inner_norm(Graph *g, const char *what, ValueId x, int axis, int exp2, ValueId weight);
// `weight` [head_dim] for heads.
ValueId graph_head_vector(Graph *g, const PackedTensor *t);

// attention.c: from projected q, k, v [1, (heads + 2 kv heads) * head_dim, 1, T] to the heads'
// outputs [1, heads * head_dim_v, 1, T]. `layer` counts within the shard.
// `t`: the layer's tensors, by slot.
ValueId graph_attention(Graph *g, ValueId qkv, const PackedTensor *t, uint32_t layer);
// The number of keys that a row of layers of kind `k` has scores for: those of the caches, in
// KV_ROWS also those of the function's own rows.
uint32_t graph_n_keys(const Graph *g, const LayerKind *k);
// Declares the caches of a function of `n_layers` layers from `first_layer` on, and the inputs that place rows in them.
// Call it after the other inputs are declared.
void graph_declare_caches(Graph *g, uint32_t first_layer, uint32_t n_layers);

#endif
