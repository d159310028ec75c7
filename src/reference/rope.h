// rope.h — how fast each rotated pair turns. Part of the reference; the runtime has its own.
#ifndef LATHE_REFERENCE_ROPE_H
#define LATHE_REFERENCE_ROPE_H

#include "contract/contract.h"

// angles[i] (of rope_dim / 2): radians pair i turns by per position, all scaling in it.
// `context` is the configured one: LongRoPE takes its long factors when it exceeds the original.
void rope_angles(const Contract *c, uint32_t context, double *angles);

#endif
