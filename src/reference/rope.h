// rope.h — the rotary frequencies. Part of the reference; the runtime has its own code for them.
#ifndef LATHE_REFERENCE_ROPE_H
#define LATHE_REFERENCE_ROPE_H

#include "contract/contract.h"

// angles[i] (of rope_dim / 2): radians per position by which pair i rotates in layers of kind `k`
// of `c`, with all scaling. `is_long`: by LongRoPE's long factors.
void reference_rope_frequencies(const Contract *c, const LayerKind *k, bool is_long,
                                double *angles);

#endif
