#include "compile/pieces.h"

#include "base/size.h"

static uint32_t rows_of(uint32_t n_rows, uint32_t n_pieces, uint32_t unit) {
    uint64_t share = (n_rows + n_pieces - 1) / n_pieces;
    uint64_t rows = (share + unit - 1) / unit * unit; // units need not be powers of two
    return (uint32_t)min_size(rows, n_rows);
}

// Whether pieces of `rows`, or what is left for the last one, are hit.
static bool is_hit(uint32_t n_rows, uint32_t rows, uint64_t row_bytes) {
    uint32_t last = n_rows % rows;
    return notch_is_hit(notch_share(rows, row_bytes)) ||
           (last && notch_is_hit(notch_share(last, row_bytes)));
}

uint32_t piece_rows(uint32_t n_rows, uint64_t row_bytes, PieceRows rule) {
    for (uint32_t n = 1; rule.is_asked && n <= PIECES_MOST; n++) {
        uint32_t rows = rows_of(n_rows, n, rule.unit);
        if (!is_hit(n_rows, rows, row_bytes)) return rows;
    }
    return n_rows;
}

uint32_t head_slice_rows(uint32_t n_vocab, uint64_t row_bytes, uint32_t most, bool may_be_hit) {
    uint32_t least = (n_vocab + most - 1) / most;
    for (uint32_t n = least; may_be_hit && n < least + PIECES_MOST; n++) {
        uint32_t rows = rows_of(n_vocab, n, PIECE_UNIT);
        if (!is_hit(n_vocab, rows, row_bytes)) return rows;
    }
    return rows_of(n_vocab, least, PIECE_UNIT);
}
