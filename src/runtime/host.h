// host.h — what the host computes for a shard's function: embedding rows, rotary tables, mask and
// the place in the KV state. Names and shapes: decoder/ports.h.
#ifndef LATHE_RUNTIME_HOST_H
#define LATHE_RUNTIME_HOST_H

#include "contract/contract.h"
#include "contract/use.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

// Deliberate faults of a host, so that `verify --mutants` can see whether a gate notices them. All
// zero in use.
typedef struct HostFaults {
    const Contract *contract;  // read in place of the bundle's
    int rope_shift_decode;     // added to the positions of rotary tables: of single rows,
    int rope_shift_prefill;    // of chunks,
    int rope_shift_later;      // of chunks behind the first
    int rope_shift_far;        // of rows at FAULT_FAR and after
    bool rounds_position;      // to fp16, before angles are taken
    uint32_t hides_from;       // rows do not see slots from here on but their own; 0: none
    bool ignores_window;       // every earlier slot is seen
    int window_shift;          // the window is so many slots longer
    int sees_shift;            // rows see so many slots more at the new end (negative: fewer)
    uint32_t n_missed;         // and so many fewer at the old one
    float mask_off;            // in place of MASK_OFF
    int slot_shift;            // rows are written so many slots on, where there is room
    uint32_t token_shift;      // embedding rows of tokens so many further on
    double rope_speed_off;     // share by which pairs turn too fast,
    double rope_gain_off;      // and by which cos and sin are too large
    float embedding_off;       // share by which embedding rows are too large
    bool zeroes_one_embedding; // of token host_fault_token()
    bool lowers_one_logit;     // of the same token, by 1
    bool swaps_cos_sin;
    bool scales_cos_only;      // sin goes without the attention factor
    bool takes_other_factors;  // LongRoPE's long ones for short ones, or the reverse
    bool factors_by_context;   // the set that the configured context asks for, at every length
    int crossing_shift;        // added to the length from which the long factors apply
    bool keeps_cache;          // the set changes, and nothing is computed again
    bool keeps_stale_slot;     // a rewind stops one slot short
    bool counts_later_padding; // the same at positions after the first chunk only
    bool counts_padding;       // a padded chunk moves the position by all of its rows
    bool reads_last_row;       // logits of a padded chunk are taken from its last row
} HostFaults;

enum { FAULT_FAR = 256 }; // the position from which rope_shift_far shows

// The token that faults of one token are about: far from where a vocabulary keeps its marks and its
// most frequent pieces.
uint32_t host_fault_token(const Contract *c);

typedef struct {
    const Contract *contract;
    HostFaults faults;
    const TensorInfo *embedding; // [n_vocab, d_model]
    uint32_t context, state_rows;
    RopeFactors rope_factors;
    bool is_long;     // of LongRoPE's factor sets, the one that host_fill() turns by
    double *turns[2]; // [rope_dim / 2] by the short and the long set: radians a position
    float *row;       // [d_model], scratch
} Host;

// The contract and the embedding table must outlive the host. `context`: positions that a session
// may use. `faults`: NULL, but for mutants. Starts with the set of an empty sequence.
bool host_open(Host *h, const Contract *contract, const TensorInfo *embedding, uint32_t context,
               uint32_t state_rows, RopeFactors rope_factors, const HostFaults *faults, Err *err);
void host_close(Host *h); // safe on a zeroed Host

// Whether a sequence of `length` tokens is rotated by the long factors (contract/use.h).
bool host_is_long(const Host *h, size_t length);
// Takes that set from now on. Rows that lie in a KV state under the other one are wrong after it.
void host_take_factors(Host *h, bool is_long);

// Whether the function `e` has the inputs and the output that host_fill() and shard_run() drive it
// by, in the sizes that the contract says. A bundle that does not is refused.
bool host_fits(const Host *h, Engine *e, uint32_t n_rows, Err *err);

// Embedding rows of `n` tokens into columns of x [d_model, n_rows]; the columns beyond n repeat the
// last token: padding must be real rows, since a row of zeros is a norm's worst case.
void host_embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows);

// Fills every input of `e` but x for `n_rows` rows at `position` and after. The rows must fit into
// the state.
void host_fill(const Host *h, Engine *e, uint32_t position, uint32_t n_rows);

// turns[i] (of rope_dim / 2): how far pair i turns per position under the contract's scaling.
// `is_long`: of LongRoPE's two factor sets the long one.
void host_rope_frequencies(const Contract *c, bool is_long, double *turns);

#endif
