// Medians of runs, and predictions against them.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settle/judge.h"

static Measured of(double a, double b, double c) {
    double values[] = {a, b, c};
    return measured_of(values, 3);
}

static void test_runs_give_a_median_and_a_range(void **state) {
    (void)state;
    Measured m = of(5, 1, 2);
    assert_true(m.median == 2 && m.least == 1 && m.most == 5 && m.n == 3);
    double two[] = {4, 2};
    assert_true(measured_of(two, 2).median == 3);
    assert_true(measured_of(two, 0).n == 0);
}

static void test_a_prediction_holds_between_its_bounds(void **state) {
    (void)state;
    Measured m = of(1.9, 2, 7);
    assert_int_equal(prediction_judge(&m, 1, 3, 1), PREDICTION_RIGHT);
    assert_int_equal(prediction_judge(&m, 2, 2, 1), PREDICTION_RIGHT);
    assert_int_equal(prediction_judge(&m, 2.1, 3, 1), PREDICTION_WRONG);
    assert_int_equal(prediction_judge(&m, 0, 1.9, 1), PREDICTION_WRONG);
}

static void test_relative_bounds_are_times_their_unit(void **state) {
    (void)state;
    Measured m = of(2, 2, 2);
    assert_int_equal(prediction_judge(&m, 0.9, 1.1, 2), PREDICTION_RIGHT);
    assert_int_equal(prediction_judge(&m, 0.9, 1.1, 4), PREDICTION_WRONG);
}

static void test_what_was_not_measured_is_open(void **state) {
    (void)state;
    Measured none = measured_of(NULL, 0), m = of(1, 1, 1);
    assert_int_equal(prediction_judge(&none, 0, 9, 1), PREDICTION_OPEN);
    assert_int_equal(prediction_judge(&m, 0, 9, (double)NAN), PREDICTION_OPEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_give_a_median_and_a_range),
        cmocka_unit_test(test_a_prediction_holds_between_its_bounds),
        cmocka_unit_test(test_relative_bounds_are_times_their_unit),
        cmocka_unit_test(test_what_was_not_measured_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
