// What the int8 form promises: the scale is the least binary16 that holds the row, every weight
// comes back within half a step, and the largest is not cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/half.h"
#include "base/size.h"
#include "quant/quant.h"

enum { HALF_INFINITY = 0x7C00, HALF_LEAST_NORMAL = 0x0400 };

// A fixed sequence (Knuth's MMIX multiplier), in [-1, 1).
static float next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(int32_t)(*seed >> 32) * 0x1p-31f;
}

static void test_scale_is_the_least_half_that_holds(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        float max_abs = ldexpf(fabsf(next_random(&seed)), i % 34 - 12);
        uint16_t scale = int8_scale(max_abs);
        if (max_abs == 0) continue;
        float exact = max_abs / 127;
        assert_true(scale >= HALF_LEAST_NORMAL && scale < HALF_INFINITY);
        assert_true(f32_from_half(scale) >= exact);
        if (scale > HALF_LEAST_NORMAL) assert_true(f32_from_half((uint16_t)(scale - 1)) < exact);
    }
}

static void test_scale_of_127_steps_is_exact(void **state) {
    (void)state;
    assert_int_equal(int8_scale(127), half_from_f32(1));
    assert_int_equal(int8_scale(127 * 0x1p-14f), HALF_LEAST_NORMAL);
    assert_int_equal(int8_scale(127 * 65504.0f), 0x7BFF);
}

static void test_scale_is_never_subnormal(void **state) {
    (void)state;
    assert_int_equal(int8_scale(0x1p-149f), HALF_LEAST_NORMAL);
    assert_int_equal(int8_scale(1e-6f), HALF_LEAST_NORMAL);
}

static void test_scale_that_no_half_reaches_is_infinite(void **state) {
    (void)state;
    assert_int_equal(int8_scale(nextafterf(127 * 65504.0f, INFINITY)), HALF_INFINITY);
    assert_int_equal(int8_scale(1e30f), HALF_INFINITY);
    assert_int_equal(int8_scale(INFINITY), HALF_INFINITY);
    assert_int_equal(int8_scale(NAN), HALF_INFINITY);
}

// A row with a scale of its own.
static uint16_t encode_row(const float *x, size_t n, int8_t *codes) {
    float max_abs = 0;
    for (size_t i = 0; i < n; i++) max_abs = fmaxf(max_abs, fabsf(x[i]));
    uint16_t scale = int8_scale(max_abs);
    encode_int8(x, n, scale, codes);
    return scale;
}

static void test_row_of_zeros(void **state) {
    (void)state;
    const float x[4] = {0, -0.0f, 0, 0};
    int8_t codes[4] = {1, 1, 1, 1};
    assert_int_equal(encode_row(x, 4, codes), half_from_f32(1));
    for (int i = 0; i < 4; i++) assert_int_equal(codes[i], 0);
}

static void test_weights_come_back_within_half_a_step(void **state) {
    (void)state;
    enum { N = 257 };
    uint64_t seed = 2;
    for (int magnitude = -12; magnitude <= 12; magnitude++) {
        float x[N];
        int8_t codes[N];
        for (int i = 0; i < N; i++) x[i] = ldexpf(next_random(&seed), magnitude);
        float step = f32_from_half(encode_row(x, N, codes));
        for (int i = 0; i < N; i++) {
            assert_in_range(codes[i] + 127, 0, 254); // -128 is not used
            // The division that chose the code has an error of its own, an ulp of a number below
            // 128.
            assert_true(fabsf((float)codes[i] * step - x[i]) <= step * (0.5f + 0x1p-16f));
        }
    }
}

static void test_largest_weight_gets_127_or_nearly(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 10000; i++) {
        const float x[2] = {next_random(&seed), 0};
        if (x[0] == 0) continue;
        int8_t codes[2];
        uint16_t scale = encode_row(x, 2, codes);
        if (scale == HALF_LEAST_NORMAL) continue;
        // A binary16 scale is at most 2^-10 too large: 127 / (1 + 2^-10) still rounds to 127.
        assert_int_equal(codes[0], x[0] < 0 ? -127 : 127);
    }
}

static void test_ties_go_to_even(void **state) {
    (void)state;
    const float x[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 125.5f, 126.5f};
    const int8_t expected[] = {127, 0, 2, 2, 0, -2, -2, 126, 126};
    int8_t codes[COUNT_OF(x)];
    assert_int_equal(encode_row(x, COUNT_OF(x), codes), half_from_f32(1));
    assert_memory_equal(codes, expected, sizeof codes);
}

// With one scale for a whole tensor a row may lie beyond it: codes are cut, never wrapped.
static void test_weights_beyond_the_scale_are_cut(void **state) {
    (void)state;
    const float x[] = {128, -128, 1e30f, -1e30f, INFINITY, -INFINITY};
    const int8_t expected[] = {127, -127, 127, -127, 127, -127};
    int8_t codes[COUNT_OF(x)];
    encode_int8(x, COUNT_OF(x), half_from_f32(1), codes);
    assert_memory_equal(codes, expected, sizeof codes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale_is_the_least_half_that_holds),
        cmocka_unit_test(test_scale_of_127_steps_is_exact),
        cmocka_unit_test(test_scale_is_never_subnormal),
        cmocka_unit_test(test_scale_that_no_half_reaches_is_infinite),
        cmocka_unit_test(test_row_of_zeros),
        cmocka_unit_test(test_weights_come_back_within_half_a_step),
        cmocka_unit_test(test_largest_weight_gets_127_or_nearly),
        cmocka_unit_test(test_ties_go_to_even),
        cmocka_unit_test(test_weights_beyond_the_scale_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
