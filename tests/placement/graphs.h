// graphs.h — programs whose placement others measured, rebuilt op by op: what the rules are held
// to.
//
// Weights are records of a planned weight file with the sizes they had, and no bytes. The forms
// follow the published accounts: the one-hot overwrite shards of videlalvaro/ane-book
// (converters/gguf_to_ane.py; op counts of its residency checks), and the embedding models of
// eeANE 2.1.0 (PyPI) for macOS 13.
#ifndef LATHE_TESTS_PLACEMENT_GRAPHS_H
#define LATHE_TESTS_PLACEMENT_GRAPHS_H

#include "mil/build.h"
#include "mlpackage/blobs.h"

typedef struct {
    Arena *arena;
    BlobPlan blobs;
    Builder b;
    Err err;
    unsigned n_names;
} Draft; // zeroed, with an arena

// Layers of the first ANE port of Phi-4-mini: int8 with one scale a matrix, two states a layer
// stored whole, eight groups of heads unrolled. 149 ops a layer and 3 a shard, 145 when all of a
// head turns. With `n_logits` the head follows the layers.
enum { OPEN_ROWS = 0 }; // n_rows of a function that takes any number of them
typedef struct {
    uint32_t n_layers, d_model, n_heads, n_kv_heads, head_dim, rope_dim, d_ff, n_rows, state_rows;
    uint32_t n_logits;
} SeedShape;
extern const SeedShape phi_shape; // of one layer, one row, 2048 slots
MilProgram *draft_seed(Draft *d, const SeedShape *shape);

// A quarter of its head: norm and one convolution; with `has_top1` the best token in the graph too.
MilProgram *draft_seed_head(Draft *d, uint32_t n_rows, bool has_top1);

// Layers [first, end) of Qwen3 0.6B in fp16 over 128 tokens; the first part holds the token table,
// in int8 when asked, the last one the pick of the last token.
MilProgram *draft_qwen3(Draft *d, uint32_t first, uint32_t end, bool has_int8_table);
enum { QWEN3_LAYERS = 28 };

// Layers [first, end) of XLM-R large in fp16 over 128 tokens, the same way.
MilProgram *draft_xlm_roberta(Draft *d, uint32_t first, uint32_t end);
enum { XLM_ROBERTA_LAYERS = 24 };

// Bytes of the package: weights as planned, and what the largest program seen takes.
uint64_t draft_bytes(const Draft *d);

#endif
