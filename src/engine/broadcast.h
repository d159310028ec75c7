// broadcast.h — NumPy broadcasting as runs: parts of the output along which each operand either
// advances or repeats one element.
#ifndef LATHE_ENGINE_BROADCAST_H
#define LATHE_ENGINE_BROADCAST_H

#include "engine/engine.h"

enum { MAX_OPERANDS = 3 };

typedef struct {
    int rank; // of the output with neighbour axes merged where all operands allow it; at least 1
    int n_operands;
    size_t count;
    size_t dims[MIL_MAX_RANK];
    size_t stride[MAX_OPERANDS][MIL_MAX_RANK]; // 0 where the operand repeats; 1 or 0 innermost
} Broadcast;

// `operands` broadcast to `out` (their shapes were checked by the validator, aligned at the last
// axis).
Broadcast broadcast_of(const MilType *out, const MilType *const *operands, int n_operands);

// One run: output elements [at, at + n), for operand i its elements from from[i] on in steps of
// step[i] (1 or 0).
typedef struct {
    size_t at, n;
    size_t from[MAX_OPERANDS], step[MAX_OPERANDS];
} BroadcastRun;

// The run that starts at output element `at`, cut at `end`.
BroadcastRun broadcast_run(const Broadcast *b, size_t at, size_t end);

#endif
