#include "gguf/blocks.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20, "ggml-common.h: q4_0, q4_1");
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24, "ggml-common.h: q5_0, q5_1");
static_assert(sizeof(BlockQ8_0) == 34, "ggml-common.h: q8_0");
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110, "ggml-common.h: q2_K, q3_K");
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176, "ggml-common.h: q4_K, q5_K");
static_assert(sizeof(BlockQ6_K) == 210 && sizeof(BlockQ8_K) == 292, "ggml-common.h: q6_K, q8_K");

// clang-format off
static const BlockType types[] = {
    { 0, "F32",   1, 4, true},
    { 1, "F16",   1, 2, true},
    { 2, "Q4_0", QK, sizeof(BlockQ4_0), true},
    { 3, "Q4_1", QK, sizeof(BlockQ4_1), true},
    { 6, "Q5_0", QK, sizeof(BlockQ5_0), true},
    { 7, "Q5_1", QK, sizeof(BlockQ5_1), true},
    { 8, "Q8_0", QK, sizeof(BlockQ8_0), true},
    { 9, "Q8_1", QK, 36, false},
    {10, "Q2_K", QK_K, sizeof(BlockQ2_K), true},
    {11, "Q3_K", QK_K, sizeof(BlockQ3_K), true},
    {12, "Q4_K", QK_K, sizeof(BlockQ4_K), true},
    {13, "Q5_K", QK_K, sizeof(BlockQ5_K), true},
    {14, "Q6_K", QK_K, sizeof(BlockQ6_K), true},
    {15, "Q8_K", QK_K, sizeof(BlockQ8_K), true},
    {16, "IQ2_XXS", QK_K, 66, false},
    {17, "IQ2_XS",  QK_K, 74, false},
    {18, "IQ3_XXS", QK_K, 98, false},
    {19, "IQ1_S",   QK_K, 50, false},
    {20, "IQ4_NL",  QK,   18, false},
    {21, "IQ3_S",   QK_K, 110, false},
    {22, "IQ2_S",   QK_K, 82, false},
    {23, "IQ4_XS",  QK_K, 136, false},
    {24, "I8",    1, 1, true},
    {25, "I16",   1, 2, true},
    {26, "I32",   1, 4, true},
    {27, "I64",   1, 8, true},
    {28, "F64",   1, 8, true},
    {29, "IQ1_M", QK_K, 56, false},
    {30, "BF16",  1, 2, true},
    {34, "TQ1_0", QK_K, 54, false},
    {35, "TQ2_0", QK_K, 66, false},
    {39, "MXFP4", QK, 17, false},
    {40, "NVFP4", 64, 36, false},
};
// clang-format on

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
    return &types[row];
}
