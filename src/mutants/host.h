// host.h — hosts that are wrong on purpose: the host's table of functions (runtime/host.h) with
// some replaced. Internal to mutants/.
#ifndef LATHE_MUTANTS_HOST_H
#define LATHE_MUTANTS_HOST_H

#include "runtime/host.h"

// What is wrong; all zero means the true host. Row of mutants.def: HOST(name, doc, members…).
typedef struct {
    int rope_shift_decode;  // added to the positions of rotary tables: for single rows,
    int rope_shift_prefill; // for chunks,
    int rope_shift_later;   // for chunks after the first,
    int rope_shift_far;     // for rows at MUTANT_FAR and after
    bool rounds_position;   // to fp16, before angles are taken
    uint32_t hides_from;    // rows see no slot from this one on except their own; 0: off
    bool ignores_window;    // every earlier slot is seen
    int window_shift;       // number of slots added to the window
    // number of slots that rows see beyond the newest allowed one (negative: fewer)
    int sees_shift;
    uint32_t n_missed;         // number of the oldest slots that rows do not see
    float mask_off;            // used in place of MASK_OFF; 0: MASK_OFF
    int slot_shift;            // rows are written this many slots further on, where there is room
    int ring_slot_shift;       // the same, of rings alone
    bool masks_by_slot;        // masks of rings take slot numbers for positions
    bool has_short_ring;       // rings are used as if they had two slots fewer than they need
    bool keeps_overwritten;    // a rewind further than rings remember computes nothing again
    uint32_t token_shift;      // the embedding row is that of the token with this much higher id
    double rope_speed_off;     // relative error of the rotary frequencies
    double rope_gain_off;      // relative error of cos and sin
    float embedding_off;       // relative error of embedding rows
    bool zeroes_one_embedding; // that of mutant_token()
    bool lowers_one_logit;     // that of the same token, by 1
    bool swaps_cos_sin;
    bool scales_cos_only; // sin is not multiplied by the attention factor
    // LongRoPE's long factors in place of the short ones, and the reverse
    bool takes_other_factors;
    bool factors_by_context;   // the factor set for the configured context, at every length
    int crossing_shift;        // added to the length from which the long factors apply
    bool keeps_cache;          // when the factor set changes, the cache is not computed again
    bool keeps_stale_slot;     // a rewind stops one slot short
    bool counts_later_padding; // as counts_padding, but only after the first chunk
    bool counts_padding;       // a padded chunk advances the position by all of its rows
    bool reads_last_row;       // logits of a padded chunk are taken from its last row
} HostChanges;

enum { MUTANT_FAR = 256 }; // the position from which rope_shift_far acts

// The token that mutants of a single token change: far from the ids of control tokens and of the
// most frequent tokens.
uint32_t mutant_token(const Contract *c);

// A host that reads a wrong contract or computes something wrong. One for each sequence of gates,
// which get `ops`.
typedef struct {
    HostOps ops;
    HostChanges changes;
    const Contract *contract; // used in place of the bundle's; NULL: the bundle's
} MutantHost;

void mutant_host(MutantHost *m, const HostChanges *changes, const Contract *contract);

#endif
