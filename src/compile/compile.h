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
// reasons stand where the choice is made (shard.c, attention.c, norm.c). Nothing here has run on
// Apple hardware yet.
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
    PackedTensor *tensors; // everything in the weight file
    size_t n_tensors;
    Landmark *landmarks; // [layers · LANDMARK_COUNT], the same names in decode and prefill
    size_t n_landmarks;
} CompiledShard;

// Builds the program of one shard of `plan`. No weight is read: see pack_weights().
bool compile_shard(CompiledShard *shard, const Model *model, const ShardPlan *plan,
                   const ShardRange *range, Arena *arena, Err *err);

#endif
