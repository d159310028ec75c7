// reduction.h — iterates over a tensor by its kept and its reduced axes.
#ifndef LATHE_ENGINE_REDUCTION_H
#define LATHE_ENGINE_REDUCTION_H

#include "engine/prepare.h"

// Axes of one kind, neighbours merged, outermost first.
typedef struct {
    int rank;
    size_t dims[MIL_MAX_RANK], stride[MIL_MAX_RANK];
    size_t count; // elements
} Axes;

// x seen as [kept, reduced, inner]: `inner` neighbouring elements are kept (1 when the last axis is
// reduced).
typedef struct {
    Axes kept, reduced;
    size_t inner;
} Reduction;

Reduction reduction_of(const MilType *x, const bool is_reduced[MIL_MAX_RANK]);
// Where element `i` (row-major over the axes) starts in x.
size_t axes_offset(const Axes *a, size_t i);

// Columns reduced together; a line of accumulators of this length is on the stack.
enum { REDUCTION_LANES = 64 };

// Calls task(first, end) over pieces: piece i is kept element i / lane pieces, columns from
// i % lane pieces * REDUCTION_LANES on.
typedef struct {
    size_t base;  // first element in x
    size_t out;   // first element in a tensor of the kept axes
    size_t lanes; // columns
} ReductionPiece;
size_t reduction_pieces(const Reduction *r);
ReductionPiece reduction_piece(const Reduction *r, size_t i);

#endif
