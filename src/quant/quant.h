// quant.h — decodes and encodes weights.
//
// Decoding: any GGUF block type (gguf/blocks.def) to float, exactly as ggml's scalar reference does
// it, so that every part of lathe computes with the same weights. Encoding: symmetric int8 with one
// scale, the weight form of the packages. All functions may be called from any thread.
#ifndef LATHE_QUANT_QUANT_H
#define LATHE_QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gguf/gguf.h"

// Decodes `n` weights (a multiple of the block) from `blocks`, aligned as the widest number in a
// block, into `out`. The type must be decodable. Infinities and NaN are passed through.
void decode_blocks(const BlockType *type, const void *blocks, float *out, size_t n);

// Row `row` of `t` (dims[0] weights; rows count through all outer dims) into `out`.
void decode_row(const TensorInfo *t, size_t row, float *out);

// The scale s for weights of at most `max_abs`, as binary16 bits: max_abs / 127 *rounded up to a
// binary16 that is not subnormal*, so that s * code reaches the weights for which it was chosen. 1
// for a row of zeros. Infinite when `max_abs` is not finite or above 127 * 65504, which no binary16
// reaches; callers refuse such weights.
uint16_t int8_scale(float max_abs);
// codes[i] = round(x[i] / s) in [-127, 127], ties to even. `x` must be finite.
void encode_int8(const float *x, size_t n, uint16_t scale, int8_t *codes);

#endif
