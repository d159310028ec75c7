// decoders.h — a function for each decodable row of gguf/blocks.def: `n` weights, whole blocks, from
// `blocks` into `out`. Internal to quant/.
//
//     decode.c           the table; plain numbers, blocks of 32, K super-blocks
//     decode_codebook.c  one code per weight, an index into 16 numbers: IQ4, FP4
//     decode_grid.c      one code for 4 or 8 weights, a point of a grid (grids.h): IQ1, IQ2, IQ3
//     decode_few.c       two to four values per weight: TQ1_0, TQ2_0, Q1_0, Q2_0
#ifndef LATHE_QUANT_DECODERS_H
#define LATHE_QUANT_DECODERS_H

#include <stddef.h>

typedef void Decoder(const void *blocks, float *out, size_t n);

#define BLOCK(id, name, n_weights, n_bytes, decoder) Decoder decoder;
#define BLOCK_NAMED(id, name, n_weights, n_bytes, advice)
#include "gguf/blocks.def"
#undef BLOCK
#undef BLOCK_NAMED

#endif
