// Blocks small enough to work out by hand, and what holds for every format. The arithmetic of all
// formats on random blocks is compared with other people's decoders in tests/oracle/test_blocks.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "quant/quant.h"

static void decode(const char *name, const void *blocks, float *out, size_t n) {
    decode_blocks(block_type_named(name), blocks, out, n);
}

static void test_q8_0_by_hand(void **state) {
    (void)state;
    BlockQ8_0 b = {.d = half_from_f32(0.5f), .codes = {-128, 127, 3}};
    float out[QK];
    decode("Q8_0", &b, out, QK);
    assert_true(out[0] == -64 && out[1] == 63.5f && out[2] == 1.5f && out[3] == 0);
}

// The low nibbles are the first half of the block, the high ones the second.
static void test_q4_0_by_hand(void **state) {
    (void)state;
    BlockQ4_0 b = {.d = half_from_f32(2), .codes = {0xF0, 0x8A}};
    float out[QK];
    decode("Q4_0", &b, out, QK);
    assert_true(out[0] == -16 && out[16] == 14 && out[1] == 4 && out[17] == 0);
}

static void test_q4_1_by_hand(void **state) {
    (void)state;
    BlockQ4_1 b = {.d = half_from_f32(2), .m = half_from_f32(-1), .codes = {0xF0}};
    float out[QK];
    decode("Q4_1", &b, out, QK);
    assert_true(out[0] == -1 && out[16] == 29 && out[1] == -1);
}

// Bit j of `high` is the fifth bit of weight j.
static void test_q5_0_by_hand(void **state) {
    (void)state;
    BlockQ5_0 b = {.d = half_from_f32(1), .high = {0x01, 0, 0x01, 0x80}, .codes = {0xF1}};
    float out[QK];
    decode("Q5_0", &b, out, QK);
    assert_true(out[0] == 1 && out[16] == 15 && out[1] == -16 && out[31] == 0);
}

// Points 0 and 1 of the grid are 8 8 8 8 8 8 8 8 and 43 8 8 …; scale 2 * (0.5 + 1) / 4.
static void test_iq2_xxs_by_hand(void **state) {
    (void)state;
    BlockIQ2_XXS b = {.d = half_from_f32(2), .codes = {0, 1, [4] = 0x01, 0x01, 0, 0x10}};
    float out[QK_K];
    decode("IQ2_XXS", &b, out, QK_K);
    assert_true(out[0] == -6 && out[1] == 6);      // the first of seven signs
    assert_true(out[7] == -6);                     // the eighth makes their number even
    assert_true(out[8] == 32.25f && out[9] == -6); // bit 8 of the word: sign 1 of the second point
}

static void test_mxfp4_by_hand(void **state) {
    (void)state;
    BlockMXFP4 b = {.exponent = 128, .codes = {0x71, 0xF9}}; // 2 times 0.5, 6, -0.5, -6
    float out[QK];
    decode("MXFP4", &b, out, QK);
    assert_true(out[0] == 1 && out[16] == 12 && out[1] == -1 && out[17] == -12);
}

static void test_nvfp4_by_hand(void **state) {
    (void)state;
    // 2^0 * 1.5, a subnormal 2^-9, NaN
    BlockNVFP4 b = {.scales = {0x3C, 0x01, 0x7F}, .codes = {0x72, [8] = 0x02, [16] = 0x22}};
    float out[QK_NVFP4];
    decode("NVFP4", &b, out, QK_NVFP4);
    assert_true(out[0] == 1.5f && out[8] == 9 && out[16] == 0x1p-9f && out[32] == 0);
}

// 0xFF is 242 of 243 in 256ths, rounded up: five digits of 2.
static void test_tq1_0_by_hand(void **state) {
    (void)state;
    BlockTQ1_0 b = {.codes = {0xFF}, .d = half_from_f32(0.5f)};
    float out[QK_K];
    decode("TQ1_0", &b, out, QK_K);
    for (int digit = 0; digit < 5; digit++) assert_true(out[32 * digit] == 0.5f);
    assert_true(out[1] == -0.5f && out[160] == -0.5f && out[255] == -0.5f);
}

static void test_bf16_by_hand(void **state) {
    (void)state;
    const uint16_t x[] = {0x3FC0, 0xC000};
    float out[2];
    decode("BF16", x, out, 2);
    assert_true(out[0] == 1.5f && out[1] == -2);
}

static void test_integers_keep_their_sign(void **state) {
    (void)state;
    const int8_t i8[] = {-128, 127};
    const int16_t i16[] = {-32768, 32767};
    const int32_t i32[] = {INT32_MIN, 16777216};
    const int64_t i64[] = {INT64_MIN, -1};
    float out[2];
    decode("I8", i8, out, 2);
    assert_true(out[0] == -128 && out[1] == 127);
    decode("I16", i16, out, 2);
    assert_true(out[0] == -32768 && out[1] == 32767);
    decode("I32", i32, out, 2);
    assert_true(out[0] == -0x1p31f && out[1] == 0x1p24f);
    decode("I64", i64, out, 2);
    assert_true(out[0] == -0x1p63f && out[1] == -1);
}

// Several blocks at once are the blocks one by one, and nothing is written beyond the last weight.
static void test_blocks_do_not_touch_each_other(void **state) {
    (void)state;
    enum { N_BLOCKS = 3 };
    for (size_t row = 0; row < block_type_count(); row++) {
        const BlockType *t = block_type_at(row);
        if (!t->is_decodable) continue;
        uint8_t *blocks = malloc(N_BLOCKS * t->n_bytes);
        float *together = malloc((N_BLOCKS * t->n_weights + 1) * sizeof(float));
        float *alone = malloc(t->n_weights * sizeof(float));
        assert_true(blocks && together && alone);
        for (size_t i = 0; i < N_BLOCKS * t->n_bytes; i++) blocks[i] = (uint8_t)(i * 73 + row);
        together[N_BLOCKS * t->n_weights] = 42;
        decode_blocks(t, blocks, together, N_BLOCKS * t->n_weights);
        for (size_t b = 0; b < N_BLOCKS; b++) {
            // A block of its own in exact memory: a sanitizer sees what is read beyond.
            uint8_t *block = malloc(t->n_bytes);
            assert_non_null(block);
            memcpy(block, blocks + b * t->n_bytes, t->n_bytes);
            decode_blocks(t, block, alone, t->n_weights);
            assert_memory_equal(alone, together + b * t->n_weights, t->n_weights * sizeof(float));
            free(block);
        }
        assert_true(together[N_BLOCKS * t->n_weights] == 42);
        free(blocks);
        free(together);
        free(alone);
    }
}

static void test_rows_count_through_outer_dimensions(void **state) {
    (void)state;
    BlockQ8_0 blocks[2 * 3 * 2] = {0}; // rows of 2 blocks, 3 x 2 of them
    for (int i = 0; i < 12; i++) blocks[i] = (BlockQ8_0){half_from_f32(1), {(int8_t)i}};
    TensorInfo t = {.name = STR("t"),
                    .n_dims = 3,
                    .dims = {2 * QK, 3, 2, 1},
                    .type = block_type_named("Q8_0"),
                    .n_weights = sizeof blocks / sizeof *blocks * QK,
                    .n_bytes = sizeof blocks,
                    .data = (const uint8_t *)blocks};
    float row[2 * QK];
    for (size_t i = 0; i < 6; i++) {
        decode_row(&t, i, row);
        assert_true(row[0] == (float)(2 * i) && row[QK] == (float)(2 * i + 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8_0_by_hand),
        cmocka_unit_test(test_q4_0_by_hand),
        cmocka_unit_test(test_q4_1_by_hand),
        cmocka_unit_test(test_q5_0_by_hand),
        cmocka_unit_test(test_iq2_xxs_by_hand),
        cmocka_unit_test(test_mxfp4_by_hand),
        cmocka_unit_test(test_nvfp4_by_hand),
        cmocka_unit_test(test_tq1_0_by_hand),
        cmocka_unit_test(test_bf16_by_hand),
        cmocka_unit_test(test_integers_keep_their_sign),
        cmocka_unit_test(test_blocks_do_not_touch_each_other),
        cmocka_unit_test(test_rows_count_through_outer_dimensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
