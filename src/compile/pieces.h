// pieces.h — cuts a matrix by rows so that no convolution streams its weights at half speed
// (chips/chips.h). Rows are output channels, so a cut regroups no sum and changes no result.
#ifndef LATHE_COMPILE_PIECES_H
#define LATHE_COMPILE_PIECES_H

#include "chips/chips.h"

// A core takes whole channels, so pieces of a multiple of the cores waste nothing.
enum { PIECE_UNIT = 16, PIECES_MOST = 8, PACKED_MAX_PIECES = 2 * PIECES_MOST };

typedef struct {
    uint32_t unit; // all pieces except the last are multiples of it
    bool is_asked; // by the options; false: the matrix stays whole
} PieceRows;

// Rows per piece: the fewest equal pieces (the last may be shorter) of which none streams at half
// speed. Returns n_rows if the matrix need not or cannot be cut; the rules of placement note a
// convolution that stays at half speed.
uint32_t piece_rows(uint32_t n_rows, uint64_t row_bytes, PieceRows rule);

// Rows per slice of the head: the fewest equal slices of at most `most` rows of which none streams
// at half speed. An axis may have 65,536 elements on M4 and later
// (751K/Apple-Neural-Engine-Microarchitecture- Study-M6: notes/coreml_dispatch.md), but elementwise
// ops on long rows were seen on the CPU, and slices up to 32,768 rows on the Neural Engine
// (kasper0406/gemma-coreml-chat). For slices followed by elementwise ops (a scale, a cap) the
// largest that stayed there had 16,384 rows.
enum { HEAD_SLICE_MOST_ROWS = 32768, HEAD_SLICE_MOST_OP_ROWS = 16384 };
uint32_t head_slice_rows(uint32_t n_vocab, uint64_t row_bytes, uint32_t most, bool may_be_hit);

#endif
