// What the bounds of gate graph are made of.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "gates/graph_bounds.h"

enum { WIDTH = 96, N_ROWS = 5 };

static void test_small_rows_have_a_mean_square_of_eps(void **state) {
    (void)state;
    Contract c = {.d_model = WIDTH, .norm_eps = 3e-5F};
    float rows[N_ROWS * WIDTH], again[N_ROWS * WIDTH];
    make_small_rows(rows, N_ROWS, &c);
    make_small_rows(again, N_ROWS, &c);
    assert_memory_equal(rows, again, sizeof rows);
    for (size_t t = 0; t < N_ROWS; t++) {
        double squares = 0;
        for (size_t i = 0; i < WIDTH; i++)
            squares += (double)rows[t * WIDTH + i] * (double)rows[t * WIDTH + i];
        assert_true(fabs(squares / WIDTH / 3e-5 - 1) < 1e-5);
        assert_true(t == 0 || memcmp(rows, rows + t * WIDTH, WIDTH * sizeof *rows) != 0);
    }
}

// An eps that is off by a share x turns such a row by x / 4: what the comment promises.
static void test_small_rows_show_eps(void **state) {
    (void)state;
    double right = 1 / sqrt(2e-5), off = 1 / sqrt(1e-5 + 1.04e-5);
    assert_true(fabs((right / off - 1) - 0.01) < 2e-4);
}

static void test_shaken_rows_are_off_by_shake(void **state) {
    (void)state;
    float rows[WIDTH], shaken[WIDTH];
    size_t n_up = 0;
    for (size_t i = 0; i < WIDTH; i++) rows[i] = (float)i - 40.5F;
    shake_rows(shaken, rows, WIDTH);
    for (size_t i = 0; i < WIDTH; i++) {
        double share = (double)shaken[i] / (double)rows[i] - 1;
        assert_true(fabs(fabs(share) - SHAKE) < 1e-6);
        n_up += share > 0;
    }
    assert_in_range(n_up, WIDTH / 3, 2 * WIDTH / 3);
}

static void test_shaking_on_has_other_signs_each_time(void **state) {
    (void)state;
    enum { N = 4096 };
    static float rows[2][N];
    for (uint64_t which = 0; which < 8; which++) {
        size_t n_alike = 0;
        for (size_t i = 0; i < N; i++) rows[0][i] = rows[1][i] = 1;
        shake_on(which, rows[0], N);
        shake_on(which + 1, rows[1], N);
        for (size_t i = 0; i < N; i++) {
            assert_true(fabs((double)rows[0][i] - 1) == SHAKE);
            n_alike += rows[0][i] == rows[1][i];
        }
        assert_in_range(n_alike, N / 2 - 5 * 32, N / 2 + 5 * 32); // five standard errors
    }
}

static void test_bounds_have_their_size(void **state) {
    (void)state;
    assert_true(fabs(sum_error(1024) - 8 * 32 * 0x1p-24) < 1e-12);
    assert_true(fabs(eps_error(1e-5, 1e-5) - HALF_UNIT / 2) < 1e-12);
    assert_true(eps_error(1, 1e-5) < 1e-8 && eps_error(0, 0) == 0);
}

static void test_a_nan_is_worst_and_stays(void **state) {
    (void)state;
    double worst = 0;
    take_worse(&worst, 3);
    take_worse(&worst, 2);
    assert_true(worst == 3);
    take_worse(&worst, NAN);
    take_worse(&worst, 5);
    assert_true(isnan(worst));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_rows_have_a_mean_square_of_eps),
        cmocka_unit_test(test_small_rows_show_eps),
        cmocka_unit_test(test_shaken_rows_are_off_by_shake),
        cmocka_unit_test(test_shaking_on_has_other_signs_each_time),
        cmocka_unit_test(test_bounds_have_their_size),
        cmocka_unit_test(test_a_nan_is_worst_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
