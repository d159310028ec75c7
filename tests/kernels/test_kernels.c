// Every kernel set this CPU can run, against the scalar one and against sums in double, at sizes
// below, at, above and between tiles.
//
// Bounds. A sum of n products in float, in any order, differs from the exact one by at most
// n 2^-24 Σ|products| to first order; one rounding more is allowed for scale and conversion.
// Conversions and roundings have one right answer and must be equal bit by bit. exp is held to 2
// units in the last place, exp's own promise in kernels.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>

#include "base/half.h"
#include "base/size.h"
#include "kernels/kernels.h"

enum { LONGEST = 300 };
// around 8, 16, 32 and 64, the widths of registers and of unrolled loops
static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 300};

typedef struct {
    uint64_t state;
} Random;

static uint32_t random_bits(Random *r) {
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->state >> 32);
}

static float random_float(Random *r) { // in [-1, 1)
    return (float)(int32_t)random_bits(r) * 0x1p-31f;
}

static void fill(Random *r, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_float(r);
}

static void assert_sum_near(float got, double exact, double magnitude, size_t n) {
    double bound = ((double)n + 2) * 0x1p-24 * magnitude;
    if (fabs((double)got - exact) <= bound) return;
    fail_msg("sum of %zu: %.9g, exact %.9g, bound %.3g", n, (double)got, exact, bound);
}

static void test_dot_f32_within_rounding(void **state) {
    (void)state;
    Random random = {1};
    float x[LONGEST], y[LONGEST];
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t n = sizes[s];
            fill(&random, x, n);
            fill(&random, y, n);
            double exact = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                double product = (double)x[i] * (double)y[i];
                exact += product;
                magnitude += fabs(product);
            }
            assert_sum_near(k->dot_f32_f32(x, y, n), exact, magnitude, n);
        }
}

static void test_dot_f16_within_rounding(void **state) {
    (void)state;
    Random random = {2};
    uint16_t w[LONGEST];
    float x[LONGEST];
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t n = sizes[s];
            fill(&random, x, n);
            double exact = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                w[i] = half_from_f32(random_float(&random));
                double product = (double)f32_from_half(w[i]) * (double)x[i];
                exact += product;
                magnitude += fabs(product);
            }
            assert_sum_near(k->dot_f16_f32(w, x, n), exact, magnitude, n);
        }
}

static void test_dot_i8_within_rounding(void **state) {
    (void)state;
    Random random = {3};
    int8_t w[LONGEST];
    float x[LONGEST];
    const float scale = 0.0123f;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t n = sizes[s];
            fill(&random, x, n);
            double exact = 0, exact_half = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                w[i] = (int8_t)(random_bits(&random) & 255);
                double product = (double)scale * w[i] * (double)x[i];
                exact += product;
                exact_half += (double)round_to_half(scale * w[i]) * (double)x[i];
                magnitude += fabs(product);
            }
            assert_sum_near(k->dot_i8_f32(w, scale, x, n), exact, magnitude, n);
            assert_sum_near(k->dot_i8h_f32(w, scale, x, n), exact_half, magnitude * 1.001, n);
        }
}

static void test_gemm_within_rounding_and_inside_its_tile(void **state) {
    (void)state;
    enum { MOST_ROWS = 14, MOST_COLS = 131, MOST_DEPTH = 33, GAP = 3 };
    static const size_t row_counts[] = {0, 1, 2, 5, 6, 7, 9, 13};
    static const size_t col_counts[] = {0, 1, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 127, 128};
    static const size_t depths[] = {0, 1, 2, 33};
    Random random = {4};
    static float w[MOST_ROWS * (MOST_DEPTH + GAP)], x[MOST_DEPTH * (MOST_COLS + GAP)];
    static float y[MOST_ROWS * (MOST_COLS + GAP)], before[MOST_ROWS * (MOST_COLS + GAP)];
    const Kernels *k;
    fill(&random, w, COUNT_OF(w));
    fill(&random, x, COUNT_OF(x));
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t i = 0; i < COUNT_OF(row_counts) * COUNT_OF(col_counts) * COUNT_OF(depths);
             i++) {
            size_t rows = row_counts[i % COUNT_OF(row_counts)];
            size_t cols = col_counts[i / COUNT_OF(row_counts) % COUNT_OF(col_counts)];
            size_t depth = depths[i / COUNT_OF(row_counts) / COUNT_OF(col_counts)];
            size_t y_stride = cols + GAP, w_stride = depth + GAP, x_stride = cols + GAP - 1;
            fill(&random, y, COUNT_OF(y));
            memcpy(before, y, sizeof y);
            k->gemm_f32(y, y_stride, w, w_stride, x, x_stride, rows, depth, cols);
            for (size_t at = 0; at < COUNT_OF(y); at++) {
                size_t r = at / y_stride, c = at % y_stride;
                if (r >= rows || c >= cols) { // beside the tile nothing may be written
                    assert_true(y[at] == before[at]);
                    continue;
                }
                double exact = (double)before[at], magnitude = fabs(exact);
                for (size_t d = 0; d < depth; d++) {
                    double product = (double)w[r * w_stride + d] * (double)x[d * x_stride + c];
                    exact += product;
                    magnitude += fabs(product);
                }
                assert_sum_near(y[at], exact, magnitude, depth);
            }
        }
}

static void test_gemm_element_does_not_depend_on_its_tile(void **state) {
    (void)state;
    enum { ROWS = 13, COLS = 77, DEPTH = 50 };
    Random random = {5};
    static float w[ROWS * DEPTH], x[DEPTH * COLS], whole[ROWS * COLS];
    fill(&random, w, COUNT_OF(w));
    fill(&random, x, COUNT_OF(x));
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        memset(whole, 0, sizeof whole);
        k->gemm_f32(whole, COLS, w, DEPTH, x, COLS, ROWS, DEPTH, COLS);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t c = 0; c < COLS; c++) {
                float alone = 0;
                k->gemm_f32(&alone, 1, w + r * DEPTH, DEPTH, x + c, COLS, 1, DEPTH, 1);
                assert_true(alone == whole[r * COLS + c]);
            }
    }
}

// Whole numbers have one right answer. Both ends of the range among them: -128 · -128 twice needs more
// than 16 bits.
static void test_gemm_i8_is_exact_and_inside_its_tile(void **state) {
    (void)state;
    enum { MOST = 7, GAP = 3, ROW = LONGEST + GAP };
    static const size_t counts[] = {0, 1, 2, 3, 7};
    Random random = {7};
    static int8_t w[MOST * ROW], x[MOST * ROW];
    int32_t y[MOST * (MOST + GAP)], before[MOST * (MOST + GAP)];
    for (size_t i = 0; i < COUNT_OF(w); i++) {
        w[i] = i % 5 ? (int8_t)(random_bits(&random) & 255) : -128;
        x[i] = i % 3 ? (int8_t)(random_bits(&random) & 255) : -128;
    }
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(counts) * COUNT_OF(counts); i++) {
            size_t depth = sizes[i % COUNT_OF(sizes)];
            size_t rows = counts[i / COUNT_OF(sizes) % COUNT_OF(counts)];
            size_t cols = counts[i / COUNT_OF(sizes) / COUNT_OF(counts)];
            for (size_t at = 0; at < COUNT_OF(y); at++)
                y[at] = (int32_t)(random_bits(&random) >> 8);
            memcpy(before, y, sizeof y);
            k->gemm_i8_i8(y, MOST + GAP, w, ROW, x, ROW, rows, depth, cols);
            for (size_t at = 0; at < COUNT_OF(y); at++) {
                size_t r = at / (MOST + GAP), c = at % (MOST + GAP);
                int64_t exact = before[at];
                for (size_t d = 0; r < rows && c < cols && d < depth; d++)
                    exact += w[r * ROW + d] * x[c * ROW + d];
                if (y[at] != exact)
                    fail_msg("%s: row %zu of %zu, column %zu of %zu, depth %zu", k->name, r, rows,
                             c, cols, depth);
            }
        }
}

static void test_axpy_one_rounding_or_two(void **state) {
    (void)state;
    Random random = {6};
    float x[LONGEST], y[LONGEST], before[LONGEST];
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            fill(&random, x, LONGEST);
            fill(&random, y, LONGEST);
            memcpy(before, y, sizeof y);
            k->axpy_f32(y, 0.3f, x, sizes[s]);
            for (size_t i = 0; i < LONGEST; i++) {
                double product = i < sizes[s] ? (double)0.3f * (double)x[i] : 0;
                assert_sum_near(y[i], (double)before[i] + product,
                                fabs((double)before[i]) + fabs(product), i < sizes[s] ? 1 : 0);
            }
        }
}

static void test_decode_i8_equals_scalar(void **state) {
    (void)state;
    Random random = {7};
    int8_t w[LONGEST];
    float want[LONGEST], got[LONGEST + 1];
    const Kernels *k;
    for (size_t i = 0; i < LONGEST; i++) w[i] = (int8_t)(random_bits(&random) & 255);
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t n = sizes[s];
            got[n] = 77;
            kernels_scalar.decode_i8(want, w, 0.00317f, n);
            k->decode_i8(got, w, 0.00317f, n);
            assert_memory_equal(got, want, n * sizeof *got);
            kernels_scalar.decode_i8h(want, w, 0.00317f, n);
            k->decode_i8h(got, w, 0.00317f, n);
            assert_memory_equal(got, want, n * sizeof *got);
            assert_true(got[n] == 77);
        }
}

static void test_decode_f16_all_halves(void **state) {
    (void)state;
    enum { ALL = 65536 };
    uint16_t *w = malloc(ALL * sizeof *w);
    float *got = malloc(ALL * sizeof *got);
    assert_true(w && got);
    for (size_t i = 0; i < ALL; i++) w[i] = (uint16_t)i;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        for (size_t s = 0; s < COUNT_OF(sizes); s++) k->decode_f16(got, w, sizes[s]);
        k->decode_f16(got, w, ALL);
        for (size_t i = 0; i < ALL; i++) {
            float want = f32_from_half(w[i]);
            assert_true(isnan(want) ? isnan(got[i]) : f32_bits(got[i]) == f32_bits(want));
        }
    }
    free(w);
    free(got);
}

static void test_round_half_equals_integer_arithmetic(void **state) {
    (void)state;
    // Around every binary16 and between each two: the value, its middle, and one float either side.
    enum { PER = 6, N = 0x7C00 * PER };
    float *x = malloc(N * sizeof *x), *got = malloc(N * sizeof *got);
    assert_true(x && got);
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float low = f32_from_half((uint16_t)h);
        float middle = h == 0x7BFF ? 65520 : 0.5f * (low + f32_from_half((uint16_t)(h + 1)));
        const float around[PER] = {
            low,
            nextafterf(low, 1e9f),
            middle,
            -nextafterf(middle, 0),
            -nextafterf(middle, 1e9f),
            low * 3e4f,
        };
        memcpy(x + h * PER, around, sizeof around);
    }
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        memcpy(got, x, N * sizeof *x);
        k->round_half(got, N);
        for (size_t i = 0; i < N; i++)
            assert_true(f32_bits(got[i]) == f32_bits(round_to_half(x[i])));
        for (size_t s = 0; s < COUNT_OF(sizes); s++) { // the tail is the caller's
            memcpy(got, x, N * sizeof *x);
            k->round_half(got, sizes[s]);
            assert_memory_equal(got + sizes[s], x + sizes[s], LONGEST * sizeof *x);
        }
    }
    free(x);
    free(got);
}

static double ulps_of_exp(float got, float x) {
    double exact = exp((double)x);
    float nearest = (float)exact;
    if (isinf(nearest) || isinf(got)) return nearest == got ? 0 : 1e9;
    double ulp = fmax(ldexp(1, ilogb(exact) - 23), 0x1p-149);
    return fabs((double)got - exact) / ulp;
}

static void test_exp_within_two_ulp(void **state) {
    (void)state;
    enum { N = 50000 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    assert_true(x && y);
    for (size_t i = 0; i < N; i++) x[i] = -110.0f + 200.0f * (float)i / N;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        k->exp_f32(y, x, N);
        for (size_t i = 0; i < N; i++)
            if (!(ulps_of_exp(y[i], x[i]) <= 2))
                fail_msg("%s: exp(%.9g) = %.9g", k->name, (double)x[i], (double)y[i]);
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            float in_place[LONGEST + 1];
            memcpy(in_place, x + 20000, sizeof in_place);
            k->exp_f32(in_place, in_place, sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++)
                assert_true(ulps_of_exp(in_place[i], x[20000 + i]) <= 2);
            assert_true(in_place[sizes[s]] == x[20000 + sizes[s]]);
        }
    }
    free(x);
    free(y);
}

static void test_exp_at_the_ends(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        float x[] = {-INFINITY, INFINITY, NAN, 0, -0.0f, 88.7228f, 88.7229f, -1e4f};
        k->exp_f32(x, x, COUNT_OF(x));
        assert_true(x[0] == 0 && isinf(x[1]) && isnan(x[2]) && x[3] == 1 && x[4] == 1);
        assert_true(isfinite(x[5]) && isinf(x[6]) && x[7] == 0);
    }
}

// What is left out because its probability is 0 (engine/pass_attend_written.c) is 0 in every set.
static void test_exp_is_zero_from_105_down(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (float x = -105; x >= -70000; x = x * 1.01f - 0.01f) {
            float y[] = {x, -INFINITY, x};
            k->exp_f32(y, y, COUNT_OF(y));
            for (size_t i = 0; i < COUNT_OF(y); i++) assert_true(y[i] == 0 && !signbit(y[i]));
        }
}

static void test_set_by_name_unknown(void **state) {
    (void)state;
    Err err = {0};
    assert_null(kernels_named("sse9", &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, "sse9"));
    assert_non_null(strstr(err.text, "scalar"));
}

static void test_set_by_name_each(void **state) {
    (void)state;
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        assert_ptr_equal(kernels_named(k->name, NULL), k);
    assert_ptr_equal(kernels_at(0), &kernels_scalar);
}

static void test_set_from_environment(void **state) {
    (void)state;
    setenv("LATHE_KERNELS", "scalar", 1);
    assert_ptr_equal(kernels_choose(NULL), &kernels_scalar);
    setenv("LATHE_KERNELS", "none such", 1);
    assert_null(kernels_choose(NULL));
    unsetenv("LATHE_KERNELS");
    assert_ptr_equal(kernels_choose(NULL), kernels_named(NULL, NULL));
}

// Under an emulated processor the test of tests/oracle says which sets have to be there: each by its name
// in the environment, and no other.
static void test_sets_of_this_processor(void **state) {
    (void)state;
    const char *wanted = getenv("LATHE_TEST_SETS");
    if (!wanted || !*wanted) return;
    char found[256] = "";
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++) {
        if (set) strcat(found, " ");
        strcat(found, k->name);
        setenv("LATHE_KERNELS", k->name, 1);
        assert_ptr_equal(kernels_choose(NULL), k);
    }
    unsetenv("LATHE_KERNELS");
    assert_string_equal(found, wanted);
    static const char *const all[] = {"neon_dotprod", "neon_i8mm"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        Err err = {0};
        if (strstr(wanted, all[i])) continue;
        assert_null(kernels_named(all[i], &err));
        assert_non_null(strstr(err.text, "lacks the instructions"));
    }
}

// An independent account of one column in whole units of 2^-16; false when it leaves 32 bits.
static bool sum_in_units(const float *w, const float *x, size_t depth, int64_t *sum, double *all,
                         double *lost) {
    bool fits = true;
    for (size_t k = 0; k < depth; k++) {
        double a = (double)w[k], b = (double)x[k * KERNEL_STRIP], size = fabs(a * b);
        if (!isfinite(a) || !isfinite(b)) return false;
        int e_a = fabs(a) < 0x1p-14 ? -14 : ilogb(a), e_b = fabs(b) < 0x1p-14 ? -14 : ilogb(b);
        *all += size;
        if (e_a + e_b < -16)
            *lost += size;
        else
            *sum += llround(a * b * 0x1p16);
        fits = fits && llabs(*sum) < INT64_C(1) << 31;
    }
    return fits;
}

// Sizes of which products are lost, rounded, plain and too many.
static void test_sums_in_units_of_2_to_the_minus_16(void **state) {
    (void)state;
    static const float scales[] = {0x1p-12f, 0x1p-7f, 1, 40, 300};
    static const size_t depths[] = {0, 1, 2, 17, LONGEST};
    float w[LONGEST], x[LONGEST * KERNEL_STRIP];
    Random random = {9};
    const Kernels *k;
    size_t n_fit = 0, n_broken = 0, n_lost = 0;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t s = 0; s < COUNT_OF(scales) * COUNT_OF(depths); s++) {
            size_t depth = depths[s / COUNT_OF(scales)];
            float size = scales[s % COUNT_OF(scales)];
            fill(&random, w, depth);
            fill(&random, x, depth * KERNEL_STRIP);
            for (size_t i = 0; i < depth; i++) w[i] = round_to_half(w[i] * size);
            for (size_t i = 0; i < depth * KERNEL_STRIP; i++)
                x[i] = round_to_half((x[i] + (size > 1 ? 0.5f : 0)) * size);
            int32_t sum[KERNEL_STRIP];
            float all[KERNEL_STRIP] = {0}, lost[KERNEL_STRIP] = {0};
            for (int c = 0; c < KERNEL_STRIP; c++) sum[c] = 5 * c - 7;
            bool fits = k->sums_q16(sum, w, x, KERNEL_STRIP, depth), all_fit = true;
            k->sizes_q16(all, lost, w, x, KERNEL_STRIP, depth);
            for (int c = 0; c < KERNEL_STRIP; c++) {
                int64_t want = 5 * c - 7;
                double want_all = 0, want_lost = 0;
                all_fit = sum_in_units(w, x + c, depth, &want, &want_all, &want_lost) && all_fit;
                if (fits) assert_int_equal(sum[c], want);
                assert_sum_near(all[c], want_all, want_all, depth);
                assert_sum_near(lost[c], want_lost, want_lost, depth);
                n_lost += want_lost > 0;
            }
            assert_int_equal(fits, all_fit);
            n_fit += fits;
            n_broken += !fits;
        }
    assert_true(n_fit > 10 && n_broken > 0 && n_lost > 10); // the sizes do reach all three
}

// 2^31 units, by one product or by two, up and down; one unit less fits.
static void test_sums_end_at_2_to_the_31(void **state) {
    (void)state;
    static const struct {
        float x[2];
        bool fits;
    } cases[] = {{{16384, 16384}, false}, {{-16384, -16384}, false}, {{32768, 0}, false},
                 {{-32768, 0}, false},    {{16384, 16376}, true},    {{-16384, -16376}, true}};
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            float w[2] = {1, 1}, x[2 * KERNEL_STRIP] = {0};
            int32_t sum[KERNEL_STRIP] = {0};
            x[7] = cases[i].x[0], x[KERNEL_STRIP + 7] = cases[i].x[1];
            assert_int_equal(k->sums_q16(sum, w, x, KERNEL_STRIP, 2), cases[i].fits);
        }
}

static void test_sums_refuse_what_is_not_finite(void **state) {
    (void)state;
    static const float odd[] = {INFINITY, -INFINITY, NAN};
    const Kernels *k;
    for (size_t set = 0; (k = kernels_at(set)); set++)
        for (size_t i = 0; i < COUNT_OF(odd); i++) {
            float w[2] = {1, 1}, x[2 * KERNEL_STRIP] = {0};
            int32_t sum[KERNEL_STRIP] = {0};
            assert_true(k->sums_q16(sum, w, x, KERNEL_STRIP, 2));
            x[KERNEL_STRIP + 3] = odd[i];
            assert_false(k->sums_q16(sum, w, x, KERNEL_STRIP, 2));
            x[KERNEL_STRIP + 3] = 0;
            w[1] = odd[i];
            assert_false(k->sums_q16(sum, w, x, KERNEL_STRIP, 2));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot_f32_within_rounding),
        cmocka_unit_test(test_dot_f16_within_rounding),
        cmocka_unit_test(test_dot_i8_within_rounding),
        cmocka_unit_test(test_gemm_within_rounding_and_inside_its_tile),
        cmocka_unit_test(test_gemm_element_does_not_depend_on_its_tile),
        cmocka_unit_test(test_gemm_i8_is_exact_and_inside_its_tile),
        cmocka_unit_test(test_axpy_one_rounding_or_two),
        cmocka_unit_test(test_decode_i8_equals_scalar),
        cmocka_unit_test(test_decode_f16_all_halves),
        cmocka_unit_test(test_round_half_equals_integer_arithmetic),
        cmocka_unit_test(test_exp_within_two_ulp),
        cmocka_unit_test(test_exp_at_the_ends),
        cmocka_unit_test(test_exp_is_zero_from_105_down),
        cmocka_unit_test(test_set_by_name_unknown),
        cmocka_unit_test(test_set_by_name_each),
        cmocka_unit_test(test_set_from_environment),
        cmocka_unit_test(test_sets_of_this_processor),
        cmocka_unit_test(test_sums_in_units_of_2_to_the_minus_16),
        cmocka_unit_test(test_sums_end_at_2_to_the_31),
        cmocka_unit_test(test_sums_refuse_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
