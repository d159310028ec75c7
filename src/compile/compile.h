// compile.h — from a model's contract to ML Programs for the Apple Neural Engine.
//
// A model becomes a sequence of shards, each one package: some layers as the functions `decode`
// (one position per call) and `prefill` (many), and the head at the end. The host passes positions,
// masks and rotary tables as inputs, so that a function has fixed shapes and no control flow that
// depends on data:
//
//     x [1, d_model, 1, T] ─► layers ─► hidden [1, d_model, 1, T]          decode, prefill
//     x [1, d_model, 1, 1] ─► final norm ─► logits_0, logits_1, …          head
//
// Which ops are used and how tensors are laid out follows what is known to stay on the ANE; the
// reasons are given where each choice is made (shard.c, attention.c, norm.c). Nothing here has run
// on Apple hardware yet.
#ifndef LATHE_COMPILE_COMPILE_H
#define LATHE_COMPILE_COMPILE_H

#include "base/pool.h"
#include "compile/plan.h"
#include "compile/weights.h"
#include "decoder/landmarks.h"
#include "decoder/ports.h"
#include "mil/mil.h"
#include "mlpackage/blobs.h"

// Channels of a value of the layer functions, from first_channel on: the model's numbers at `place`
// of `layer`, divided by `factor`. A value is [1, …, T] with channels before positions.
typedef struct {
    LandmarkPlace place;
    uint32_t layer;
    Str value;
    uint32_t first_channel;
    float factor;
} Landmark;

typedef struct {
    ShardRange range;
    KvForm kv;
    MilProgram *program;
    BlobPlan blobs;
    PackedTensor *tensors; // all tensors of the weight files
    size_t n_tensors;
    Landmark *landmarks; // [layers · LANDMARK_COUNT], the same names in decode and prefill
    size_t n_landmarks;
} CompiledShard;

// Builds the program of one shard of `plan`. No weight is read: see pack_weights().
bool compile_shard(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                   const ShardRange *range, Arena *arena, Err *err);

#endif
