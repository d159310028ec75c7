// chain.h — chain.json: what a bundle is made of, for whoever runs or checks it.
//
// It states the contract and its digest, the source file, the options, and every package in order:
// functions with the shapes of their inputs, outputs and states, which rows of which source tensors
// each packed weight holds, and the digest of every file. docs/chain-schema.md explains each
// member; docs/chain.schema.json is the JSON Schema.
#ifndef LATHE_BUNDLE_CHAIN_H
#define LATHE_BUNDLE_CHAIN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "contract/contract.h"
#include "contract/use.h"
#include "decoder/landmarks.h"
#include "gguf/settings.h"
#include "mil/mil.h"
#include "range/ranges.h"

enum { CHAIN_SCHEMA = 11 };
#define CHAIN_NO_LAYER UINT32_MAX

typedef struct {
    Str path; // within the bundle, '/' between parts
    uint64_t n_bytes;
    Str sha256, xxh128;
} ChainFile;

typedef struct {
    Str name;
    MilType type;
} ChainPort;

typedef struct {
    Str role;        // "decode", "prefill" or "head"
    Str name;        // in the package: "main" when it is the only one
    uint32_t n_rows; // positions per call; 1 for "head"
    ChainPort *inputs, *outputs, *states;
    size_t n_inputs, n_outputs, n_states;
} ChainFunction;

// Rows [first_row, first_row + n_rows) of a packed tensor.
typedef struct {
    Str role;   // "q", "down", …: a field of LayerWeights or ModelWeights
    Str source; // tensor of the GGUF file
    uint64_t source_first_row;
    uint32_t first_row, n_rows;
    // Rows of each head: the source's pairs (2i, 2i + 1) are at (i, i + rope_dim / 2).
    bool is_deinterleaved;
    // A power of two that each source weight was multiplied by; of norms also sqrt(d_model).
    float factor;
} ChainPart;

typedef struct {
    Str name;       // of the value in the program
    Str form;       // "int8", "int8-tensor", "fp16"
    uint32_t layer; // CHAIN_NO_LAYER for those of the head
    uint32_t n_rows, n_cols;
    float offset; // added to each source weight, before the part's factor
    ChainPart *parts;
    size_t n_parts;
} ChainTensor;

// Where a value of the layer functions stands in the model: its channels from first_channel on,
// multiplied by `factor`, are the model's numbers at `place` of `layer`.
typedef struct {
    LandmarkPlace place;
    uint32_t layer;
    Str value; // by name, in decode and prefill alike
    uint32_t first_channel;
    float factor;
} ChainLandmark;

// Whether layers of kind `k` have the landmark `place`.
bool layer_has_landmark(const LayerKind *k, LandmarkPlace place);

typedef struct {
    Str package; // directory within the bundle
    uint32_t first_layer, end_layer, first_logit, end_logit;
    float residual_factor; // a power of two: x and hidden are the residual stream divided by it
    uint64_t n_bytes;      // of its files
    ChainFile *files;
    ChainFunction *functions;
    ChainTensor *tensors;
    ChainLandmark *landmarks; // layer after layer, in the order of landmarks.def
    size_t n_files, n_functions, n_tensors, n_landmarks;
} ChainShard;

typedef struct {
    Sha256 sha256; // of the bytes of chain.json that this was read from; empty until then
    Str tool_version;
    Contract contract;
    Str contract_digest;
    Str source_name, source_sha256; // file name without directories; digest over all its parts
    uint64_t source_bytes;
    GgufSettings settings; // what the user stated about the source; lathe always reads it with them
    uint32_t context;      // positions a session holds
    uint32_t state_rows, prefill_rows;
    // Caches of layers with a window (decoder/rings.h): slots that positions go round, and rows of the
    // states; both 0 where they hold the context as the others do.
    uint32_t ring_slots, ring_rows;
    uint32_t head_slice_rows; // maximum, as --head-slice-rows asked; 0: the default
    uint32_t weight_files;    // of each package, as --weight-files asked; 0: the default
    Use use; // how it is to be used, and was proved; use.context is the same as context
    Str kv, windows, weights, norm, target; // windows: "ring" or "whole", as was asked
    Str sizes; // what the target's limit counts: "cautious" or "newest"
    uint64_t package_limit;
    // measured ranges that the conditioning is based on; NULL with --range off
    const Ranges *ranges;
    ChainFile host; // host.gguf
    ChainShard *shards;
    size_t n_shards;
} Chain;

// Reads dir/chain.json. Every member is required and checked: types, bounds, that layers and logits
// are covered once and in order, that the contract has the stated digest, that paths stay inside
// the bundle.
bool chain_read(Chain *chain, Arena *arena, const char *dir, Err *err);
// Writes it; the same chain gives the same bytes.
bool chain_write(const Chain *chain, const char *dir, Err *err);

// Sets `err` for a bundle that cannot be used as it is: `why`, and the command that repairs it.
// Returns false.
bool chain_refuse(const Chain *chain, const char *dir, const Err *why, Err *err);

// Rows that `decode` takes in every shard: 1, or prefill_rows where `decode` is the only function
// with layers.
uint32_t chain_decode_rows(const Chain *chain);
// Rows that a call may store.
uint32_t chain_most_rows(const Chain *chain);
// Whether the caches of layers of kind `k` are rings; rows of their caches.
bool chain_has_ring(const Chain *chain, const LayerKind *k);
uint32_t chain_cache_rows(const Chain *chain, const LayerKind *k);
// The function of `shard` with that role, or NULL.
const ChainFunction *chain_function(const ChainShard *shard, const char *role);

#endif
