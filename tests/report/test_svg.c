// Where things stand in a picture, and that nothing drives them out of it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "report/svg.h"

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

static void assert_near(double a, double b, double within) {
    if (!(fabs(a - b) <= within)) fail_msg("%g is not %g", a, b);
}

// The number behind the first `name="` after `from`.
static double attribute(const char *from, const char *name) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, " %s=\"", name);
    const char *at = strstr(from, wanted);
    assert_non_null(at);
    return strtod(at + strlen(wanted), NULL);
}

static const char *plot(StrBuf *out, const SvgStep *steps, size_t n, double bound, bool is_log) {
    SvgSeries series = {"error", "s1", steps, n, bound, "allowed"};
    SvgPlot p = {"1 - cos", &series, 1, n ? steps[n - 1].end : 1, is_log};
    svg_plot(out, &p);
    return out->at;
}

// The first point behind the key's.
static const char *first_value(const char *svg) {
    const char *key = strstr(svg, "<circle");
    assert_non_null(key);
    return strstr(key + 1, "<circle");
}

static void test_points_of_a_logarithmic_plot(void **state) {
    (void)state;
    static const SvgStep steps[] = {{0, 1, 1e-6}, {1, 2, 1e-4}, {2, 4, 1e-2}};
    StrBuf out = {0};
    const char *svg = plot(&out, steps, 3, NAN, true);
    const char *a = first_value(svg), *b = strstr(a + 1, "<circle"), *c = strstr(b + 1, "<circle");
    // Even steps of the logarithm, from the floor to the top; in the middle of their layers.
    double floor = attribute(a, "cy"), top = attribute(c, "cy");
    assert_true(floor > top);
    assert_near(attribute(b, "cy"), (floor + top) / 2, 0.11);
    double unit = (attribute(b, "cx") - attribute(a, "cx"));
    assert_near(attribute(c, "cx") - attribute(b, "cx"), 1.5 * unit, 0.21);
    assert_non_null(strstr(svg, "error, layers 2 to 3: 0.01"));
    assert_non_null(strstr(svg, "error, layer 1: 1.00e-04"));
    strbuf_free(&out);
}

static void test_bound_has_its_place_among_the_values(void **state) {
    (void)state;
    static const SvgStep steps[] = {{0, 1, 1e-6}, {1, 2, 1e-4}};
    StrBuf out = {0};
    const char *svg = plot(&out, steps, 2, 1e-2, true);
    const char *line = strstr(strstr(svg, "<path d=\"M46"), "<line");
    assert_true(attribute(line, "y1") < attribute(first_value(svg), "cy"));
    assert_non_null(strstr(svg, ">allowed<"));
    strbuf_free(&out);
}

// Zero, the not finite, nothing at all, and one value: inside the picture, with no nan in it.
static void test_awkward_values(void **state) {
    (void)state;
    static const SvgStep steps[] = {
        {0, 1, 0}, {1, 2, NAN}, {2, 3, INFINITY}, {3, 4, -1}, {4, 5, 1e-300}};
    for (size_t n = 0; n <= COUNT_OF(steps); n++)
        for (int is_log = 0; is_log < 2; is_log++) {
            StrBuf out = {0};
            const char *svg = plot(&out, steps, n, NAN, is_log);
            assert_null(strstr(svg, "nan"));
            assert_null(strstr(svg, "inf"));
            assert_int_equal(count(svg, "<circle"), n + 1); // and the key's
            for (const char *at = svg; (at = strstr(at, "<circle")); at++) {
                assert_in_range((int)attribute(at, "cy"), 0, 206);
                assert_in_range((int)attribute(at, "cx"), 0, 360);
            }
            strbuf_free(&out);
        }
}

// Nothing to take a logarithm of is the best there is, what is broken the worst.
static void test_zero_is_at_the_bottom_and_nan_at_the_top(void **state) {
    (void)state;
    static const SvgStep steps[] = {{0, 1, 1e-6}, {1, 2, 1e-2}, {2, 3, 0}, {3, 4, -1}, {4, 5, NAN}};
    StrBuf out = {0};
    const char *at = strstr(plot(&out, steps, COUNT_OF(steps), NAN, true), "<circle");
    double y[COUNT_OF(steps)];
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        at = strstr(at + 1, "<circle");
        y[i] = attribute(at, "cy");
    }
    assert_near(y[2], y[0], 0);
    assert_near(y[3], y[0], 0);
    assert_near(y[4], y[1], 0);
    assert_true(y[0] > y[1]);
    strbuf_free(&out);
}

// For who cannot see it: the range of each series, where it is worst, and what is allowed.
static void test_pictures_say_what_they_show(void **state) {
    (void)state;
    static const SvgStep steps[] = {{0, 1, 0.001}, {1, 2, 0.5}, {2, 3, NAN}};
    StrBuf out = {0};
    const char *svg = plot(&out, steps, 3, 0.75, true);
    assert_non_null(strstr(svg,
                           "role=\"img\" aria-label=\"1 - cos\"><desc>error: 0.001 to 0.5, the "
                           "most in layer 1; allowed: 0.75. </desc>"));
    assert_non_null(strstr(svg, ">10⁻³</text>"));
    strbuf_free(&out);
}

// Series differ in the form of their points.
static void test_series_are_told_apart_without_colours(void **state) {
    (void)state;
    static const SvgStep step = {0, 1, 1};
    SvgSeries series[] = {{"a", "s1", &step, 1, NAN, ""}, {"b", "s2", &step, 1, NAN, ""}};
    SvgPlot p = {"two", series, 2, 1, true};
    StrBuf out = {0};
    svg_plot(&out, &p);
    assert_int_equal(count(out.at, "<circle"), 2); // the key's, and the value's
    assert_int_equal(count(out.at, "<path class=\"p\""), 2);
    strbuf_free(&out);
}

// A value far below the others does not press them flat.
static void test_a_scale_has_an_end(void **state) {
    (void)state;
    static const SvgStep steps[] = {{0, 1, 1e-300}, {1, 2, 1e-4}, {2, 3, 1e-2}};
    StrBuf out = {0};
    const char *at = strstr(plot(&out, steps, 3, NAN, true), "<path d=\"M46");
    const char *b = strstr(strstr(at, "<circle") + 1, "<circle"), *c = strstr(b + 1, "<circle");
    assert_true(attribute(b, "cy") - attribute(c, "cy") > 10);
    strbuf_free(&out);
}

static void test_names_are_escaped(void **state) {
    (void)state;
    static const SvgStep step = {0, 1, 1};
    SvgSeries series = {"<b>", "s1", &step, 1, 1, "<tt>"};
    SvgPlot p = {"\"><script>", &series, 1, 1, false};
    SvgBar bar = {"<i>", 1, "<u>", "bar"};
    SvgMapRow row = {"<s>", "aa"};
    SvgMark mark = {'a', "ane", "on", NULL};
    StrBuf out = {0};
    svg_plot(&out, &p);
    svg_bars(&out, "<em>", &bar, 1, 1, NAN);
    svg_map(&out, "<a>", &row, 1, 2, 0, &mark, 1);
    static const char *const raw[] = {"<b>",  "<i>", "<u>",  "<s>",
                                      "<em>", "<a>", "<tt>", "<script>"};
    for (size_t i = 0; i < COUNT_OF(raw); i++) assert_null(strstr(out.at, raw[i]));
    strbuf_free(&out);
}

static void test_bars_are_in_proportion(void **state) {
    (void)state;
    SvgBar bars[] = {{"a", 100, "100", "bar"}, {"b", 50, "50", "bar"}, {"c", 0, "0", "bar"}};
    StrBuf out = {0};
    svg_bars(&out, "sizes", bars, 3, 200, 150);
    const char *a = strstr(out.at, "<rect"), *b = strstr(a + 1, "<rect"),
               *line = strstr(out.at, "<line");
    assert_near(attribute(a, "width"), 2 * attribute(b, "width"), 0.1);
    assert_near(attribute(line, "x1") - attribute(a, "x"), 1.5 * attribute(a, "width"), 0.1);
    strbuf_free(&out);
}

static void test_runs_of_a_map_are_one_rectangle(void **state) {
    (void)state;
    SvgMapRow rows[] = {{"conv", "aaaa "}, {"topk", "aacaa"}, {"odd", "z   a"}};
    SvgMark marks[] = {{'a', "ane", "on", NULL}, {'c', "cpu", "off", "C"}};
    StrBuf out = {0};
    svg_map(&out, "ops", rows, 3, 5, 8, marks, 2);
    assert_int_equal(count(out.at, "<rect"), 1 + 3 + 1); // spaces and unknown marks draw nothing
    assert_non_null(strstr(out.at, "conv, layers 8 to 11: on"));
    assert_non_null(strstr(out.at, "topk, layers 10 to 10: off"));
    assert_non_null(strstr(out.at, "topk, layers 11 to 11 and of none: on"));
    assert_non_null(strstr(out.at, "odd, of no layer: on"));
    assert_int_equal(count(out.at, ">C</text>"), 1); // seen without colours, too
    assert_non_null(strstr(out.at, "<desc>on: 9 places. off: 1 places. </desc>"));
    strbuf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_of_a_logarithmic_plot),
        cmocka_unit_test(test_bound_has_its_place_among_the_values),
        cmocka_unit_test(test_awkward_values),
        cmocka_unit_test(test_zero_is_at_the_bottom_and_nan_at_the_top),
        cmocka_unit_test(test_pictures_say_what_they_show),
        cmocka_unit_test(test_series_are_told_apart_without_colours),
        cmocka_unit_test(test_a_scale_has_an_end),
        cmocka_unit_test(test_names_are_escaped),
        cmocka_unit_test(test_bars_are_in_proportion),
        cmocka_unit_test(test_runs_of_a_map_are_one_rectangle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
