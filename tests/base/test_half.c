// Every binary16 survives the trip through float, and rounding goes to the nearest, ties to even.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/half.h"

static void test_round_trip_all_halves(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = f32_from_half((uint16_t)h);
        if (isnan(x)) {
            assert_true(isnan(f32_from_half(half_from_f32(x))));
            continue;
        }
        assert_int_equal(half_from_f32(x), h);
    }
}

static void test_nearest_between_all_neighbours(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7BFF; h++) {
        float low = f32_from_half((uint16_t)h), high = f32_from_half((uint16_t)(h + 1));
        float middle = 0.5f * (low + high); // exact: one more bit than binary16 has
        uint32_t even = h & 1 ? h + 1 : h;
        assert_int_equal(half_from_f32(middle), even);
        assert_int_equal(half_from_f32(nextafterf(middle, low)), h);
        assert_int_equal(half_from_f32(nextafterf(middle, high)), h + 1);
    }
}

static void test_overflow_becomes_infinity(void **state) {
    (void)state;
    assert_int_equal(half_from_f32(65519.996f), 0x7BFF);
    assert_int_equal(half_from_f32(65520.0f), 0x7C00);
    assert_int_equal(half_from_f32(-1e30f), 0xFC00);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_all_halves),
        cmocka_unit_test(test_nearest_between_all_neighbours),
        cmocka_unit_test(test_overflow_becomes_infinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
