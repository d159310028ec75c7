// shards.h — a bundle's packages, run one after the other by one engine.
//
// A step is one forward pass over n_rows positions: the host fills its tables once
// (host_fill), each package gets copies of them and the rows that the one before it gave. Where decode
// takes more rows than one (chain_decode_rows), a step of one is made as wide (wide_step.h).
// The ports of a function are found by name once, when it is opened.
#ifndef LATHE_RUNTIME_SHARDS_H
#define LATHE_RUNTIME_SHARDS_H

#include "bundle/bundle.h"
#include "runtime/engines.h"
#include "runtime/host.h"
#include "runtime/kv_ports.h"
#include "runtime/wide_step.h"

typedef struct DevicePlan DevicePlan; // device_plan.h

// How a bundle is executed.
typedef struct {
    const EngineInfo *engine; // one with a runner; NULL: the CPU engine
    const HostOps *host;      // NULL: host_ops
    Arithmetic arithmetic;
    Pool *pool;
    const Progress *progress; // of opening; may be NULL, and need not outlive it
    DevicePlan *plan;         // filled by model_runner_open_bundle(); NULL: it is not asked for
} Execution;

// One function of a package. A port that it lacks is RUNNER_NO_PORT.
typedef struct {
    Runner *runner;  // NULL: the package has no such function
    uint32_t n_rows; // that it takes
    uint32_t x;
    KvPorts kv; // of a function of layers
    struct {
        uint32_t cosines, sines, mask;
    } kinds[CONTRACT_MAX_KINDS]; // of layers
    uint32_t hidden;
} ShardFunction;

// One package: its functions and its KV states.
typedef struct {
    const ChainShard *chain;
    ShardFunction decode, prefill, head;
    RunnerState *state; // NULL: it has no layers
} Shard;

typedef struct {
    const char *role; // FUNCTION_DECODE, …
    Runner *runner;
} ShardRole;

enum { SHARD_MAX_ROLES = 3 };

// The functions that a package has, in the order decode, prefill, head. Returns how many.
size_t shard_roles(const Shard *shard, ShardRole out[SHARD_MAX_ROLES]);

typedef struct {
    const Bundle *bundle;
    Execution how; // with its defaults filled in
    Host host;
    Shard *shards; // [bundle->chain.n_shards]
    WideStep wide; // n_rows 0: decode takes one row
    uint32_t
        n_rows; // of the last step: columns of what its functions made that count, from the first
    float *scaled; // [d_model, rows of the widest function], scratch
    float *slice;  // [logits of the widest slice of the head], scratch
} Shards;

// Opens every function and refuses a bundle whose ports are not those that the host writes. The
// bundle and what `how` points at must outlive the shards.
bool shards_open(Shards *s, const Bundle *bundle, const Execution *how, Err *err);
void shards_close(Shards *s); // safe on a zeroed or half-opened Shards
void shards_reset(Shards *s); // states back to zeros
// Takes LongRoPE's factors as a sequence of `length` tokens has them.
void shards_follow_length(Shards *s, size_t length);
// Makes KV states those of `until` tokens whose rows are those of the first n_fed, which have been fed,
// again and again: a long context for the price of a short one, for proofs. Rings of fewer than n_fed
// slots are left as they are.
void shards_repeat_states(Shards *s, uint32_t n_fed, uint32_t until);

// Rows of the next call of a sequence at `position` that has n_left more: prefill_rows where so many are
// left and later calls will find them all (host_room()), else 1.
uint32_t shards_step_rows(const Shards *s, uint32_t position, size_t n_left);

// All rows here are the residual stream itself. A package carries it divided by its own power of
// two (chain.json, residual_factor): that is put in and taken out where rows are handed over.

// Runs shard `i` on x [d_model, n_rows] (columns are positions) at `position` and after; n_rows is
// 1 or prefill_rows. `out` [d_model, n_rows] takes what it makes; it may be x.
bool shard_run(Shards *s, size_t i, const float *x, float *out, uint32_t position, uint32_t n_rows,
               Err *err);
// All layers, from the first shard to the last, as one step.
bool shards_run_layers(Shards *s, float *x, uint32_t position, uint32_t n_rows, Err *err);
// Logits [n_vocab] of one hidden row [d_model].
bool shards_run_head(Shards *s, const float *row, float *logits, Err *err);

#endif
