// host.h — hosts that are wrong on purpose: the host's table (runtime/host.h) with some of its work
// replaced. Internal to mutants/.
#ifndef LATHE_MUTANTS_HOST_H
#define LATHE_MUTANTS_HOST_H

#include "runtime/host.h"

// What is wrong; all zero is the true host. Row of mutants.def: HOST(name, doc, members…).
typedef struct {
    int rope_shift_decode;     // added to the positions of rotary tables: of single rows,
    int rope_shift_prefill;    // of chunks,
    int rope_shift_later;      // of chunks after the first
    int rope_shift_far;        // of rows at MUTANT_FAR and after
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
    bool zeroes_one_embedding; // of token mutant_token()
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
} HostChanges;

enum { MUTANT_FAR = 256 }; // the position from which rope_shift_far shows

// The token that mutants of one token are about: far from where a vocabulary keeps its marks and
// its most frequent pieces.
uint32_t mutant_token(const Contract *c);

// A host that reads another contract, or computes something else, than it should. One for each
// sequence of gates; `ops` is what they are given.
typedef struct {
    HostOps ops;
    HostChanges changes;
    const Contract *contract; // read in place of the bundle's; NULL: that one
} MutantHost;

void mutant_host(MutantHost *m, const HostChanges *changes, const Contract *contract);

#endif
