// rope.h — how fast each rotated pair turns. Part of the reference; the runtime has its own.
#ifndef LATHE_REFERENCE_ROPE_H
#define LATHE_REFERENCE_ROPE_H

#include "contract/contract.h"

// angles[i] (of rope_dim / 2): radians pair i turns by per position in layers of kind `k` of `c`, all
// scaling in it. `is_long`: of LongRoPE's two factor sets the long one.
void reference_rope_frequencies(const Contract *c, const LayerKind *k, bool is_long,
                                double *angles);

#endif
