// host.h — what the host computes for a shard's function: embedding rows, rotary tables, mask and
// the place in the KV state. Names and shapes: mil/ports.h.
#ifndef LATHE_RUNTIME_HOST_H
#define LATHE_RUNTIME_HOST_H

#include "contract/contract.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

// Deliberate faults of a host, so that `verify --mutants` can see whether a gate notices them. All
// zero in use.
typedef struct HostFaults {
    const Contract *contract; // read in place of the bundle's
    int rope_shift_decode;    // added to the positions of rotary tables: of single rows,
    int rope_shift_prefill;   // of chunks,
    int rope_shift_later;     // of chunks behind the first
    int sees_shift;           // rows see so many slots more at the new end (negative: fewer)
    uint32_t n_missed;        // and so many fewer at the old one
    float mask_off;           // in place of MASK_OFF
    int slot_shift;           // rows are written so many slots on, where there is room
    uint32_t token_shift;     // embedding rows of tokens so many further on
    bool swaps_cos_sin;
    bool scales_cos_only;     // sin goes without the attention factor
    bool takes_other_factors; // LongRoPE's long ones for short ones, or the reverse
    bool keeps_stale_slot;    // a rewind stops one slot short
    bool counts_padding;      // a padded chunk moves the position by all of its rows
    bool reads_last_row;      // logits of a padded chunk are taken from its last row
} HostFaults;

typedef struct {
    const Contract *contract;
    HostFaults faults;
    const TensorInfo *embedding; // [n_vocab, d_model]
    uint32_t state_rows;
    double *turns; // [rope_dim / 2]: radians a pair turns by per position
    float *row;    // [d_model], scratch
} Host;

// `context` decides LongRoPE's factors, as documented at rope_turns(). The contract and the
// embedding table must outlive the host. `faults`: NULL, but for mutants.
bool host_open(Host *h, const Contract *contract, const TensorInfo *embedding, uint32_t context,
               uint32_t state_rows, const HostFaults *faults, Err *err);
void host_close(Host *h); // safe on a zeroed Host

// Whether the function `e` has the inputs and the output that host_fill() and shard_run() drive it
// by, in the sizes that the contract says. A bundle that does not is refused.
bool host_fits(const Host *h, Engine *e, uint32_t n_rows, Err *err);

// Embedding rows of `n` tokens into columns of x [d_model, n_rows]; the columns beyond n repeat the
// last token: padding must be real rows, since a row of zeros is a norm's worst case.
void host_embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows);

// Fills every input of `e` but x for `n_rows` rows at `position` and after. The rows must fit into
// the state.
void host_fill(const Host *h, Engine *e, uint32_t position, uint32_t n_rows);

// How far pair i turns per position under the contract's scaling. LongRoPE's long factors apply
// when the configured context exceeds the original one (llama.cpp's rule): a choice that cannot
// change while a chat grows, unlike one by running length, which would need the cache to be
// recomputed.
void rope_turns(const Contract *c, uint32_t context, double *turns);

#endif
