// blocks.h — the weight formats of GGUF files: their numbers, names, and the bytes of one block.
//
// Checked against ggml's `ggml-common.h` and `ggml.h` (ggml-org/llama.cpp) and against the tables
// of the PyPI packages `gguf` and `xllamacpp` (tests/oracle/test_blocks.py). Sizes come from the
// structs, so they cannot drift from the code that decodes them.
#ifndef LATHE_GGUF_BLOCKS_H
#define LATHE_GGUF_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Weights per block: of small blocks, of super-blocks, and of formats with other sizes.
enum { QK = 32, QK_K = 256, QK_NVFP4 = 64, QK_Q1_0 = 128, QK_Q2_0 = 64 };

// All fields little-endian; `d`, `m`, `dmin` are binary16 unless said otherwise. `codes` holds the
// low bits of the weights, `high` the remaining bits; in IQ blocks a code stands for several
// weights (quant/grids.h), and `words` also holds other bits. clang-format off
typedef struct {
    uint16_t d;
    uint8_t codes[QK / 2];
} BlockQ4_0;
typedef struct {
    uint16_t d, m;
    uint8_t codes[QK / 2];
} BlockQ4_1;
typedef struct {
    uint16_t d;
    uint8_t high[4];
    uint8_t codes[QK / 2];
} BlockQ5_0;
typedef struct {
    uint16_t d, m;
    uint8_t high[4];
    uint8_t codes[QK / 2];
} BlockQ5_1;
typedef struct {
    uint16_t d;
    int8_t codes[QK];
} BlockQ8_0;
typedef struct {
    uint8_t scales[QK_K / 16];
    uint8_t codes[QK_K / 4];
    uint16_t d, dmin;
} BlockQ2_K;
typedef struct {
    uint8_t high[QK_K / 8];
    uint8_t codes[QK_K / 4];
    uint8_t scales[12];
    uint16_t d;
} BlockQ3_K;
typedef struct {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t codes[QK_K / 2];
} BlockQ4_K;
typedef struct {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t high[QK_K / 8];
    uint8_t codes[QK_K / 2];
} BlockQ5_K;
typedef struct {
    uint8_t low[QK_K / 2];
    uint8_t high[QK_K / 4];
    int8_t scales[QK_K / 16];
    uint16_t d;
} BlockQ6_K;
typedef struct {
    float d;
    int8_t codes[QK_K];
    int16_t sums[QK_K / 16];
} BlockQ8_K;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_K / 8];
    uint16_t words[QK_K / 32];
} BlockIQ1_S;
typedef struct {
    uint8_t codes[QK_K / 8];
    uint8_t high[QK_K / 16];
    uint16_t words[QK_K / 64];
} BlockIQ1_M;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_K / 4];
} BlockIQ2_XXS;
typedef struct {
    uint16_t d;
    uint16_t codes[QK_K / 8];
    uint8_t scales[QK_K / 32];
} BlockIQ2_XS;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_K / 8];
    uint8_t signs[QK_K / 8];
    uint8_t high[QK_K / 32];
    uint8_t scales[QK_K / 32];
} BlockIQ2_S;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_K / 4];
    uint8_t words[QK_K / 8];
} BlockIQ3_XXS;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_K / 4];
    uint8_t high[QK_K / 32];
    uint8_t signs[QK_K / 8];
    uint8_t scales[QK_K / 64];
} BlockIQ3_S;
typedef struct {
    uint16_t d;
    uint8_t codes[QK / 2];
} BlockIQ4_NL;
typedef struct {
    uint16_t d;
    uint16_t scales_high;
    uint8_t scales_low[QK_K / 64];
    uint8_t codes[QK_K / 2];
} BlockIQ4_XS;
typedef struct {
    uint8_t codes[48];
    uint8_t last[4];
    uint16_t d;
} BlockTQ1_0;
typedef struct {
    uint8_t codes[QK_K / 4];
    uint16_t d;
} BlockTQ2_0;
typedef struct {
    uint8_t exponent;
    uint8_t codes[QK / 2];
} BlockMXFP4;
typedef struct {
    uint8_t scales[4];
    uint8_t codes[QK_NVFP4 / 2];
} BlockNVFP4;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_Q1_0 / 8];
} BlockQ1_0;
typedef struct {
    uint16_t d;
    uint8_t codes[QK_Q2_0 / 4];
} BlockQ2_0;
// clang-format on

// One row of blocks.def.
typedef struct {
    uint32_t id;        // the number in the file
    const char *name;   // as ggml prints it, upper case
    uint32_t n_weights; // in one block
    uint32_t n_bytes;   // of one block
    bool is_decodable;  // quant/ can turn it into floats
    const char *advice; // if not: why, and what to do; else NULL
} BlockType;

// The row of `id`, or NULL for a number that no known ggml has assigned.
const BlockType *block_type(uint32_t id);
const BlockType *block_type_named(const char *name);
size_t block_type_count(void);
const BlockType *block_type_at(size_t row); // row < block_type_count()

#endif
