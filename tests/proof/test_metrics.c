// How far two sets of rows are apart, by sums done in the head.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "proof/metrics.h"

enum { WIDTH = 80, ROWS = 3 }; // two groups of 32 channels and one of 16

static void fill(float rows[ROWS][WIDTH], float value) {
    for (size_t t = 0; t < ROWS; t++)
        for (size_t i = 0; i < WIDTH; i++) rows[t][i] = value;
}

static bool is_near(double a, double b) {
    return fabs(a - b) < 1e-9;
}

static void test_cosine_rmse_and_largest_difference(void **state) {
    (void)state;
    const float a[2][2] = {{3, 4}, {1, 0}}, b[2][2] = {{4, 3}, {1, 0}};
    Metrics m = {0};
    for (size_t t = 0; t < 2; t++) metrics_add(&m, a[t], b[t], 2);
    assert_true(is_near(metrics_cos(&m), 25.0 / 26));
    assert_true(is_near(m.worst_cos, 24.0 / 25));
    assert_true(is_near(metrics_rmse(&m), sqrt(2.0 / 4)));
    assert_true(is_near(m.max_abs, 1));
    assert_int_equal(m.n_rows, 2);
    assert_false(m.has_bad);
}

static void test_not_finite_is_seen(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY};
    for (size_t i = 0; i < 2; i++) {
        Metrics m = {0};
        metrics_add(&m, (float[]){1, bad[i]}, (float[]){1, 1}, 2);
        assert_true(m.has_bad);
        assert_false(metrics_cos(&m) > 0.5);
    }
}

// One channel off in each row: it is diluted over its group, not over the row.
static void test_worst_group(void **state) {
    (void)state;
    float found[ROWS][WIDTH], wanted[ROWS][WIDTH];
    fill(found, 2);
    fill(wanted, 2);
    for (size_t t = 0; t < ROWS; t++) found[t][40] = 3;
    WorstGroup g = metrics_worst_group(found[0], wanted[0], ROWS, WIDTH);
    assert_int_equal(g.first, 32);
    assert_int_equal(g.end, 64);
    assert_true(is_near(g.off, sqrt(1.0 / (32 * 4))));
    // The last group is the narrower one.
    for (size_t t = 0; t < ROWS; t++) found[t][79] = 3;
    g = metrics_worst_group(found[0], wanted[0], ROWS, WIDTH);
    assert_int_equal(g.first, 64);
    assert_int_equal(g.end, 80);
    assert_true(is_near(g.off, sqrt(1.0 / (16 * 4))));
}

// What is off is judged by what should be there: a quiet group hides behind no loud one.
static void test_worst_group_is_relative(void **state) {
    (void)state;
    float found[ROWS][WIDTH], wanted[ROWS][WIDTH];
    fill(found, 1000);
    fill(wanted, 1000);
    for (size_t t = 0; t < ROWS; t++) {
        for (size_t i = 0; i < 32; i++) wanted[t][i] = 0.5f, found[t][i] = 0.625f;
        found[t][70] = 1100;
    }
    WorstGroup g = metrics_worst_group(found[0], wanted[0], ROWS, WIDTH);
    assert_int_equal(g.first, 0);
    assert_true(is_near(g.off, 0.25));
}

static void test_groups_without_numbers_to_compare_with(void **state) {
    (void)state;
    float found[ROWS][WIDTH], wanted[ROWS][WIDTH];
    fill(found, 0);
    fill(wanted, 0);
    assert_true(metrics_worst_group(found[0], wanted[0], ROWS, WIDTH).off == 0);
    found[1][33] = 1e-6f;
    WorstGroup g = metrics_worst_group(found[0], wanted[0], ROWS, WIDTH);
    assert_true(isinf(g.off) && g.first == 32);
    found[2][3] = NAN;
    g = metrics_worst_group(found[0], wanted[0], ROWS, WIDTH);
    assert_true(isnan(g.off) && g.first == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cosine_rmse_and_largest_difference),
        cmocka_unit_test(test_not_finite_is_seen),
        cmocka_unit_test(test_worst_group),
        cmocka_unit_test(test_worst_group_is_relative),
        cmocka_unit_test(test_groups_without_numbers_to_compare_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
