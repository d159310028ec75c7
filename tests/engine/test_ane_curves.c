// Rule I08: the error of each function over all of binary16 is the one published for the hardware
// (M6, notes/numerics.md F3 and data/06_numerics/lut_ulp_m6.txt), neither more nor much less: an
// exact function would be no model of a table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "base/half.h"
#include "base/size.h"
#include "engine/ane.h"

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double silu(double x) {
    return x / (1 + exp(-x));
}
static double gelu(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double inverse_root(double x) {
    return 1 / sqrt(x);
}

typedef enum { ABSOLUTE, ULPS } Metric;

// The published figures have two digits: half a unit of the second one is allowed above, and a
// sixth below, for what is not published of entries and of rounding. exp was swept to 10.
static const struct {
    const char *op;
    double (*exact)(double x);
    double from, to;
    Metric metric;
    double published, most;
} rows[] = {
    {"sigmoid", sigmoid, -65504, 65504, ABSOLUTE, 3.4e-3, 3.45e-3},
    {"tanh", tanh, -65504, 65504, ABSOLUTE, 1.6e-3, 1.65e-3},
    {"tanh", tanh, -65504, 65504, ULPS, 11.0, 11.05},
    {"silu", silu, -65504, 65504, ABSOLUTE, 1.5e-2, 1.55e-2},
    {"gelu", gelu, -65504, 65504, ABSOLUTE, 6.2e-3, 6.25e-3},
    {"exp", exp, -17, 10, ULPS, 9.1, 9.15},
    {"log", log, 0.5, 65504, ULPS, 91, 92.05}, // one unit of 91 more
    {"sqrt", sqrt, 0x1p-24, 65504, ULPS, 1.2, 1.25},
    {"rsqrt", inverse_root, 0x1p-24, 65504, ULPS, 2.1, 2.15},
};

static double ulp_of(double x) {
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, (exponent - 1 < -14 ? -14 : exponent - 1) - 10);
}

static float curve(const char *op, float x) {
    float y;
    ane_curve_apply(ane_curve(op), &y, &x, 1, 0);
    ane_round(&y, 1);
    return y;
}

static void test_errors_are_the_published_ones(void **state) {
    (void)state;
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        double worst = 0, at = 0;
        for (uint32_t h = 0; h < 65536; h++) {
            float x = f32_from_half((uint16_t)h);
            if (!((double)x >= rows[r].from && (double)x <= rows[r].to)) continue;
            double exact = rows[r].exact((double)x);
            double error = fabs((double)curve(rows[r].op, x) - exact);
            if (rows[r].metric == ULPS) error /= ulp_of(exact);
            if (error > worst) worst = error, at = (double)x;
        }
        if (worst > rows[r].most || worst < rows[r].published * 5 / 6)
            fail_msg("%s: worst %.4g at %g, published %.4g", rows[r].op, worst, at,
                     rows[r].published);
    }
}

// Single numbers of the same source.
static void test_published_points(void **state) {
    (void)state;
    static const struct {
        const char *op;
        float x;
        double result, within;
    } points[] = {
        {"sigmoid", -9.938f, 0, 0},
        {"sigmoid", 9.938f, 1, 0},
        {"sigmoid", 0, 0.5, 0},
        {"silu", -2.289e-5f, -0.00171, 0.00001},
        {"silu", 0.5f, 0.296, 0.0002},
        {"silu", -0.5f, -0.204, 0.0002},
        {"silu", 20, 20, 0},
        {"silu", -20, 0, 0},
        {"silu", 8, 8, 0.005},
        {"gelu", -1.526e-5f, -0.000761, 0.00001},
        {"gelu", 0.25f, 0.1436, 1e-4},
        {"gelu", 5, 5, 0},
        {"tanh", 4.01f, 1, 0},
        {"tanh", -4.01f, -1, 0},
        {"tanh", 4, 0.99933, 0.0003},
        {"exp", 9.703f, 16300, 50},
        {"log", 1.004f, 0.00373, 3e-5},
        {"rsqrt", 0.0332f, 5.5, 0.005},
        {"rsqrt", 0.25f, 2, 0},
        {"sqrt", 0.002054f, 0.0453, 0.00005},
    };
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        double got = (double)curve(points[i].op, round_to_half(points[i].x));
        if (!(fabs(got - points[i].result) <= points[i].within))
            fail_msg("%s(%g): got %.6g, expected %.6g", points[i].op, (double)points[i].x, got,
                     points[i].result);
    }
}

static void test_ends_of_the_number_line(void **state) {
    (void)state;
    static const struct {
        const char *op;
        float x, result;
    } ends[] = {
        {"rsqrt", INFINITY, 0},
        {"rsqrt", 0, INFINITY},
        {"sqrt", INFINITY, INFINITY},
        {"inverse", INFINITY, 0},
        {"inverse", 0, INFINITY},
        {"inverse", -4, -0.25f},
        {"exp", INFINITY, INFINITY},
        {"exp", -INFINITY, 0},
        {"exp", 0, 1},
        {"log", 0, -INFINITY},
        {"log", 1, 0},
        {"sigmoid", INFINITY, 1},
        {"sigmoid", -INFINITY, 0},
        {"tanh", -INFINITY, -1},
        {"silu", INFINITY, INFINITY},
        {"silu", NAN, INFINITY},
        {"sigmoid", NAN, 1},
        {"exp", 11.1f, INFINITY},
    };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        float got = curve(ends[i].op, ends[i].x);
        if (got != ends[i].result)
            fail_msg("%s(%g): got %.9g, expected %.9g", ends[i].op, (double)ends[i].x, (double)got,
                     (double)ends[i].result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_are_the_published_ones),
        cmocka_unit_test(test_published_points),
        cmocka_unit_test(test_ends_of_the_number_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
