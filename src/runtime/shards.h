// shards.h — a bundle's packages on the CPU engine, run one after the other.
#ifndef LATHE_RUNTIME_SHARDS_H
#define LATHE_RUNTIME_SHARDS_H

#include "bundle/bundle.h"
#include "runtime/host.h"

// One package: its functions, planned, and its KV state. What a shard lacks is NULL.
typedef struct {
    const ChainShard *chain;
    Engine *decode, *prefill, *head;
    EngineState *state;
} Shard;

typedef struct {
    const Bundle *bundle;
    Host host;
    Shard *shards; // [bundle->chain.n_shards]
} Shards;

// Plans every function. The bundle and the pool must outlive the shards.
bool shards_open(Shards *s, const Bundle *bundle, Arithmetic arithmetic, Pool *pool, Err *err);
void shards_close(Shards *s); // safe on a zeroed or half-opened Shards
void shards_reset(Shards *s); // states back to zeros
// Takes LongRoPE's factors as a sequence of `length` tokens has them (host_is_long).
void shards_follow_length(Shards *s, size_t length);
// Fills slots [n_fed, until) of every KV state with copies of slots [0, n_fed), again and again: a
// long context for the price of a short one, for proofs.
void shards_repeat_states(Shards *s, uint32_t n_fed, uint32_t until);

// All rows here are the residual stream itself. A package carries it divided by its own power of
// two (chain.json, residual_factor): that is put in and taken out where rows are handed over.

// Runs shard `i` on x [d_model, n_rows] (columns are positions) at `position` and after; n_rows is
// 1 or the prefill's. `out` [d_model, n_rows] takes what it makes; it may be x.
bool shard_run(Shards *s, size_t i, const float *x, float *out, uint32_t position, uint32_t n_rows,
               Err *err);
// All layers, from the first shard to the last.
bool shards_run_layers(Shards *s, float *x, uint32_t position, uint32_t n_rows, Err *err);
// Logits [n_vocab] of one hidden row [d_model].
bool shards_run_head(Shards *s, const float *row, float *logits, Err *err);

#endif
