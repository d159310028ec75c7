// compile.h — from a model's contract to ML Programs for the Apple Neural Engine.
//
// A model becomes a row of shards, each one package: some layers as the functions `decode` (one
// position a call) and `prefill` (many), and at the end the head. Positions, masks and rotary
// tables come from the host, so a function has fixed shapes and nothing in it depends on data:
//
//     x [1, d_model, 1, T] ─► layers ─► hidden [1, d_model, 1, T]          decode, prefill
//     x [1, d_model, 1, 1] ─► final norm ─► logits_0, logits_1, …          head
//
// Which ops are used and how tensors are laid out follows what is known to stay on the ANE; the
// reasons stand where the choice is made (layer.c, attention.c, norm.c). Nothing here has run on
// Apple hardware yet.
#ifndef LATHE_COMPILE_COMPILE_H
#define LATHE_COMPILE_COMPILE_H

#include "base/pool.h"
#include "compile/plan.h"
#include "compile/weights.h"
#include "mil/blobs.h"
#include "mil/mil.h"

// Names of functions, inputs, outputs and states: the interface between a package and its host
// (docs/chain-schema.md gives shapes and meaning).
#define FUNCTION_DECODE  "decode"
#define FUNCTION_PREFILL "prefill"
#define FUNCTION_HEAD    "head"
#define INPUT_X          "x"
#define INPUT_COS        "cos"
#define INPUT_SIN        "sin"
#define INPUT_MASK       "mask"
#define INPUT_KV_BEGIN   "kv_begin"
#define INPUT_KV_END     "kv_end"
#define INPUT_WRITE_MASK "write_mask"
#define OUTPUT_HIDDEN    "hidden"
#define OUTPUT_LOGITS    "logits_" // and the number of the slice
#define STATE_KV         "kv"

// What is added to a score that must not count. Finite, exact in fp16, and exp of it is 0: the
// float32 minimum turns to -inf in fp16, and a row with every key at -inf is NaN.
#define MASK_OFF (-1e4f)

typedef struct {
    ShardRange range;
    MilProgram *program;
    BlobPlan blobs;
    PackedTensor *tensors; // everything in the weight file
    size_t n_tensors;
} CompiledShard;

// Builds the program of one shard of `plan`. No weight is read: see pack_weights().
bool compile_shard(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                   const ShardRange *range, Arena *arena, Err *err);

// Vocabulary rows of one convolution of the head: an axis may have at most 65,536 elements on M4
// and later, and a channel axis on M1 to M3 too
// (751K/Apple-Neural-Engine-Microarchitecture-Study-M6, notes/coreml_dispatch.md;
// sbryngelson/ANEForge, docs/cross-chip.md).
enum { HEAD_SLICE_ROWS = 65536 };

#endif
