// blocks.c — the table of weight formats, made from blocks.def.
#include "gguf/blocks.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"

// The compiler must not pad these structs, because blocks in the file have no gaps (ggml-common.h
// asserts the same).
static_assert(sizeof(BlockQ4_0) == 2 + QK / 2, "q4_0");
static_assert(sizeof(BlockQ4_1) == 4 + QK / 2, "q4_1");
static_assert(sizeof(BlockQ5_0) == 2 + 4 + QK / 2, "q5_0");
static_assert(sizeof(BlockQ5_1) == 4 + 4 + QK / 2, "q5_1");
static_assert(sizeof(BlockQ8_0) == 2 + QK, "q8_0");
static_assert(sizeof(BlockQ2_K) == QK_K / 16 + QK_K / 4 + 4, "q2_K");
static_assert(sizeof(BlockQ3_K) == QK_K / 8 + QK_K / 4 + 12 + 2, "q3_K");
static_assert(sizeof(BlockQ4_K) == 4 + 12 + QK_K / 2, "q4_K");
static_assert(sizeof(BlockQ5_K) == 4 + 12 + QK_K / 8 + QK_K / 2, "q5_K");
static_assert(sizeof(BlockQ6_K) == QK_K / 2 + QK_K / 4 + QK_K / 16 + 2, "q6_K");
static_assert(sizeof(BlockQ8_K) == 4 + QK_K + QK_K / 16 * 2, "q8_K");
static_assert(sizeof(BlockIQ1_S) == 2 + QK_K / 8 + QK_K / 16, "iq1_s");
static_assert(sizeof(BlockIQ1_M) == QK_K / 8 + QK_K / 16 + QK_K / 32, "iq1_m");
static_assert(sizeof(BlockIQ2_XXS) == 2 + QK_K / 4, "iq2_xxs");
static_assert(sizeof(BlockIQ2_XS) == 2 + QK_K / 4 + QK_K / 32, "iq2_xs");
static_assert(sizeof(BlockIQ2_S) == 2 + QK_K / 4 + QK_K / 16, "iq2_s");
static_assert(sizeof(BlockIQ3_XXS) == 2 + 3 * (QK_K / 8), "iq3_xxs");
static_assert(sizeof(BlockIQ3_S) == 2 + 13 * (QK_K / 32) + QK_K / 64, "iq3_s");
static_assert(sizeof(BlockIQ4_NL) == 2 + QK / 2, "iq4_nl");
static_assert(sizeof(BlockIQ4_XS) == 2 + 2 + QK_K / 64 + QK_K / 2, "iq4_xs");
static_assert(sizeof(BlockTQ1_0) == 2 + QK_K / 64 + (QK_K - 4 * QK_K / 64) / 5, "tq1_0");
static_assert(sizeof(BlockTQ2_0) == 2 + QK_K / 4, "tq2_0");
static_assert(sizeof(BlockMXFP4) == 1 + QK / 2, "mxfp4");
static_assert(sizeof(BlockNVFP4) == 4 + QK_NVFP4 / 2, "nvfp4");
static_assert(sizeof(BlockQ1_0) == 2 + QK_Q1_0 / 8, "q1_0");
static_assert(sizeof(BlockQ2_0) == 2 + QK_Q2_0 / 4, "q2_0");

#define BLOCK(id, name, n_weights, n_bytes, decoder) {id, #name, n_weights, n_bytes, true, NULL},
#define BLOCK_NAMED(id, name, n_weights, n_bytes, advice)                                          \
    {id, #name, n_weights, n_bytes, false, advice},
static const BlockType types[] = {
#include "gguf/blocks.def"
};
#undef BLOCK
#undef BLOCK_NAMED

const BlockType *block_type(uint32_t id) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].id == id) return &types[i];
    return NULL;
}

const BlockType *block_type_named(const char *name) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

size_t block_type_count(void) {
    return COUNT_OF(types);
}

const BlockType *block_type_at(size_t row) {
    assert(row < COUNT_OF(types));
    return &types[row];
}
