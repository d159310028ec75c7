// positions.h — the parts of gate positions. Internal to gates/.
#ifndef LATHE_GATES_POSITIONS_H
#define LATHE_GATES_POSITIONS_H

#include "proof/proof.h"

// One by one against chunks is the same arithmetic in another shape, and the reference computes
// with the package's weights: only fp16 rounding differs, over all layers. The error of the
// weights' form grows with depth and is the layer goldens' to judge; it would hide a misplaced row
// here.
//
// Single rows bear ten times the mean's error. One whose attention nearly ties between two keys may
// bear more: with scores around 80, where steps of fp16 are 1/16, rows fell to 0.997 in a made
// Nemotron, and in the publisher's code in fp16 likewise (docs/differences.md). The bound is not
// for such models: fp16 does not carry them, whoever computes.
static const Bound positions_bound = {0.9999, 0.999};

// Positions, from high to low and each once.
typedef struct {
    uint32_t at[32];
    size_t count;
} PositionList;

// Those within `context` at which something changes, or a faulty number format would: 200, 1000,
// 2049, the edges of the window and of the original context, the last.
void position_edges(PositionList *out, const Contract *c, uint32_t context);

// positions_host.c: rotary tables, masks and places at every position, without a model.
bool check_host_tables(Proof *p, Shards *shards, const PositionList *edges, Err *err);
// positions_far.c: rows at the edges, over a context that is full, against the reference.
// `n_compared` grows by the positions that were.
bool check_far_rows(Proof *p, Shards *shards, const PositionList *edges, size_t *n_compared,
                    Err *err);

#endif
