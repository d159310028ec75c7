// calibration.h — the text over which a model's ranges are measured, as token ids.
//
// It is cut into pieces, each fed from position 0, because the largest activations of a language
// model occur on the first token of a text and on delimiters, and others only late:
//
//     short   the beginning of each paragraph (separated by empty lines), with or
//             without BOS as the model's policy is; and of the first one, after each token that ends
//             a turn
//     long    the whole text, again and again until there are LONG_TOKENS or the context is full
#ifndef LATHE_RANGE_CALIBRATION_H
#define LATHE_RANGE_CALIBRATION_H

#include "base/arena.h"
#include "contract/contract.h"
#include "gguf/gguf.h"

enum { SHORT_TOKENS = 32, LONG_TOKENS = 1024, MAX_SHORT_PIECES = 16 };

typedef struct {
    const uint32_t *ids;
    size_t count;
} CalibrationPiece;

typedef struct {
    Str text_sha256;
    CalibrationPiece pieces[MAX_SHORT_PIECES + 1];
    size_t n_pieces, n_tokens; // tokens of all pieces
    size_t longest;            // tokens of the longest piece
} Calibration;

// Encodes `text`, or the built-in one when text.at is NULL, by the vocabulary of `g`. Fails on an
// empty text.
bool calibration_make(Calibration *c, const Contract *contract, const Gguf *g, Str text,
                      uint32_t context, Arena *arena, Err *err);

#endif
