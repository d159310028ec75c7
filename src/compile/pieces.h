// pieces.h — how a matrix is cut by its rows so that no convolution streams its weights at half
// speed (chips/chips.h). Rows are output channels: a cut changes no number, since no sum is
// regrouped.
#ifndef LATHE_COMPILE_PIECES_H
#define LATHE_COMPILE_PIECES_H

#include "chips/chips.h"

// A core takes whole channels, so pieces of a multiple of the cores waste nothing.
enum { PIECE_UNIT = 16, PIECES_MOST = 8, PACKED_MAX_PIECES = 2 * PIECES_MOST };

typedef struct {
    uint32_t unit; // pieces but the last are multiples of it
    bool is_asked; // false: the matrix stays whole
} PieceRows;

// Rows of a piece: the fewest pieces of equal size, the last one shorter by less than that, of which
// none is hit. All of them where it need not or cannot be cut; a convolution that stays at half
// speed is noted by the rules of placement.
uint32_t piece_rows(uint32_t n_rows, uint64_t row_bytes, PieceRows rule);

// Rows of a slice of the head: the fewest equal slices of at most `most` rows, of which none is hit.
// An axis may have 65,536 elements on M4 and later (751K/Apple-Neural-Engine-Microarchitecture-
// Study-M6: notes/coreml_dispatch.md), but elementwise ops on long rows were seen on the CPU, and
// slices up to 32,768 rows on the Neural Engine (kasper0406/gemma-coreml-chat).
// Of slices whose results go through elementwise ops (a scale, a cap) 16,384 rows were the most.
enum { HEAD_SLICE_MOST_ROWS = 32768, HEAD_SLICE_MOST_OP_ROWS = 16384 };
uint32_t head_slice_rows(uint32_t n_vocab, uint64_t row_bytes, uint32_t most, bool may_be_hit);

#endif
