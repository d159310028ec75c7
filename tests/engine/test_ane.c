// The rules of ane.h on sums of products and on elementwise ops. The cases are rows that M6
// measured on hardware (notes/numerics.md: the MAC and PE tables, H11, H12), and numbers at, below
// and above each limit worked by hand from the rule. No hardware has run this code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "engine/ane.h"
#include "engine/program.h"

#define INF INFINITY
#define LSB 0x1p-16f

typedef struct {
    const char *what;
    float bias;
    size_t n;
    float w[5], x[5];
    float result;
} SumCase;

// clang-format off
static const SumCase sums[] = {
    // I01: below, at and above 32768; by one product, by a partial sum, by the bias
    {"largest that fits",                    0, 1, {1}, {32752}, 32752},
    {"one product at the limit",             0, 1, {1}, {32768}, INF},
    {"the same below zero",                  0, 1, {1}, {-32768}, -INF},
    {"32760 fits and rounds to 32768",       0, 2, {1, 1}, {16384, 16376}, 32768},
    {"a sum at the limit",                   0, 2, {1, 1}, {16384, 16384}, INF},
    {"one unit below the limit",             0, 3, {1, 1, -1}, {16384, 16384 - 8, 8}, 32752},
    {"infinity stays",                       0, 5, {1, 1, -1, -1, 1}, {16384, 16384, 16384, 16384, 1}, INF},
    {"minus infinity stays",                 0, 3, {1, 1, -1}, {-16384, -16384, -30000}, -INF},
    {"the same numbers in a safe order",     0, 5, {1, -1, 1, -1, 1}, {16384, 16384, 16384, 16384, 1}, 1},
    {"operands may be larger than sums",     0, 1, {0x1p-4f}, {65504}, 4094},
    {"small next to large is kept",          0, 3, {1, 1, -1}, {16384, LSB, 16384}, LSB},
    // I01 bias
    {"a bias that saves the sum",       -16384, 2, {1, 1}, {16384, 16384}, 16384},
    {"a bias that does not",            -16384, 3, {1, 1, 1}, {16384, 16384, 16384}, INF},
    {"a bias that breaks the sum",          32, 1, {1}, {32752}, INF},
    {"a bias that meets the limit",         32, 1, {1}, {32736}, INF},
    {"a bias below half a unit",      0x1p-20f, 1, {1}, {0}, 0},
    {"a bias of half a unit",         0x1p-17f, 1, {1}, {0}, LSB},
    {"two halves become two units",   0x1p-17f, 1, {1}, {0x1p-17f}, 2 * LSB},
    {"a plain bias",                   1000.5f, 1, {1}, {0.25f}, 1001},
    // I02: rounded to 2^-16 by halves away from zero, lost by exponents
    {"half a unit, by weight 1",             0, 1, {1}, {0x1p-17f}, LSB},
    {"half a unit below zero",               0, 1, {1}, {-0x1p-17f}, -LSB},
    {"a quarter of a unit",                  0, 1, {1}, {0x1p-18f}, 0},
    {"a unit, exponents -16",                0, 1, {0x1p-3f}, {0x1p-13f}, LSB},
    {"1.5 units, exponents -16",             0, 1, {0.125f}, {1.5f * 0x1p-13f}, 2 * LSB},
    {"1.76 units, exponents -17",            0, 1, {1.875f * 0x1p-3f}, {1.875f * 0x1p-14f}, 0},
    {"1.88 units, exponents -17",            0, 1, {1.9375f * 0x1p-5f}, {1.9375f * 0x1p-12f}, 0},
    {"1.43 units, exponents -17",            0, 1, {1.5f * 0x1p-4f}, {1.9f * 0x1p-13f}, 0},
    {"half a unit of a subnormal, -16",      0, 1, {0.25f}, {0.5f * 0x1p-14f}, LSB},
    {"0.79 units of a subnormal, -17",       0, 1, {0.2f}, {0.99f * 0x1p-14f}, 0},
    {"many lost products stay lost",         0, 5, {0x1p-9f, 0x1p-9f, 0x1p-9f, 0x1p-9f, 0x1p-9f},
                                                   {0x1p-9f, 0x1p-9f, 0x1p-9f, 0x1p-9f, 0x1p-9f}, 0},
    // I02 subnormal: multiples of 2^-16 are all that is left below 2^-14
    {"2.4 units",                            0, 1, {1}, {2.4f * LSB}, 2 * LSB},
    {"2.5 units",                            0, 1, {1}, {2.5f * LSB}, 3 * LSB},
    // I07: halves away from zero
    {"2049",                                 0, 2, {1, 1}, {2048, 1}, 2050},
    {"-2049",                                0, 2, {1, 1}, {-2048, -1}, -2050},
    {"4098",                                 0, 2, {1, 1}, {4096, 2}, 4100},
    {"below half",                           0, 2, {1, 1}, {4096, 1}, 4096},
    {"1 + 2^-11",                            0, 2, {1, 1}, {1, 0x1p-11f}, 1 + 0x1p-10f},
    {"minus zero",                           0, 1, {-1}, {0}, 0},
    // I07 decode
    {"infinity is 2^16",                     0, 1, {0x1p-4f}, {INF}, 4096},
    {"minus infinity is -2^16",              0, 1, {0x1p-4f}, {-INF}, -4096},
    {"NaN is 1.5 2^16",                      0, 1, {0x1p-4f}, {NAN}, 6144},
    {"NaN overflows",                        0, 1, {1}, {NAN}, INF},
    {"infinity times zero",                  0, 1, {0}, {INF}, 0},
    {"an infinite weight",                   0, 1, {INF}, {0x1p-4f}, 4096},
};
// clang-format on

static void assert_same(const char *what, float got, float wanted) {
    if (f32_bits(got) != f32_bits(wanted))
        fail_msg("%s: got %.9g, expected %.9g", what, (double)got, (double)wanted);
}

static void halve(float *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = round_to_half(x[i]);
}

static void test_sums_of_published_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sums); i++) {
        const SumCase *s = &sums[i];
        float w[5], x[5], out;
        halve(w, s->w, 5);
        halve(x, s->x, 5);
        ane_products(&kernels_scalar, &out, w, x, 1, s->n, 1, &s->bias, 0);
        assert_same(s->what, out, s->result);
        if (s->bias != 0) continue;
        ane_products(&kernels_scalar, &out, w, x, 1, s->n, 1, NULL, 0);
        assert_same(s->what, out, s->result);
    }
}

// ---- every op that is a sum of products goes by the rules

// w and x of a sum are inputs of eight numbers, the rest zeros; each form puts them into its
// operands.
static const struct {
    const char *what, *text;
    size_t copies; // results that must all be the sum
} forms[] = {
    {"conv, one column",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  y: fp16[1, 1, 1, 1] = conv(x = x, weight = w)\n"
     "} -> (y)\n",
     1},
    {"conv, many columns",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  x3: fp16[1, 8, 1, 3] = tile(x = x, reps = int32[4]([1, 1, 1, 3]))\n"
     "  y: fp16[1, 1, 1, 3] = conv(x = x3, weight = w)\n"
     "} -> (y)\n",
     3},
    {"conv, a kernel of eight",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  w8: fp16[1, 1, 1, 8] = reshape(x = w, shape = int32[4]([1, 1, 1, 8]))\n"
     "  x8: fp16[1, 1, 1, 8] = reshape(x = x, shape = int32[4]([1, 1, 1, 8]))\n"
     "  y: fp16[1, 1, 1, 1] = conv(x = x8, weight = w8)\n"
     "} -> (y)\n",
     1},
    {"matmul",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  a: fp16[1, 8] = reshape(x = w, shape = int32[2]([1, 8]))\n"
     "  b: fp16[8, 1] = reshape(x = x, shape = int32[2]([8, 1]))\n"
     "  y: fp16[1, 1] = matmul(x = a, y = b)\n"
     "} -> (y)\n",
     1},
    {"matmul, both transposed",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  a: fp16[8, 1] = reshape(x = w, shape = int32[2]([8, 1]))\n"
     "  b: fp16[1, 8] = reshape(x = x, shape = int32[2]([1, 8]))\n"
     "  b3: fp16[3, 8] = tile(x = b, reps = int32[2]([3, 1]))\n"
     "  y: fp16[1, 3] = matmul(x = a, y = b3, transpose_x = bool(true), transpose_y = bool(true))\n"
     "} -> (y)\n",
     3},
    {"linear",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  a: fp16[1, 8] = reshape(x = w, shape = int32[2]([1, 8]))\n"
     "  b: fp16[1, 8] = reshape(x = x, shape = int32[2]([1, 8]))\n"
     "  y: fp16[1, 1] = linear(x = a, weight = b)\n"
     "} -> (y)\n",
     1},
    {"einsum",
     "program 9 default main\n"
     "func main(w: fp16[1, 8, 1, 1], x: fp16[1, 8, 1, 1]) {\n"
     "  a: fp16[1, 1, 8] = reshape(x = w, shape = int32[3]([1, 1, 8]))\n"
     "  b: fp16[8, 1, 1] = reshape(x = x, shape = int32[3]([8, 1, 1]))\n"
     "  y: fp16[1, 1, 1] = einsum(values = (a, b), equation = string(\"chw,whr->chr\"))\n"
     "} -> (y)\n",
     1},
};

static void test_every_product_goes_by_the_rules(void **state) {
    (void)state;
    for (size_t f = 0; f < COUNT_OF(forms); f++) {
        Program p;
        program_open(&p, forms[f].text, ARITHMETIC_ANE, 1);
        for (size_t i = 0; i < COUNT_OF(sums); i++) {
            if (sums[i].bias != 0) continue;
            float *w = program_input(&p, "w"), *x = program_input(&p, "x");
            memset(w, 0, 8 * sizeof *w);
            memset(x, 0, 8 * sizeof *x);
            halve(w, sums[i].w, 5);
            halve(x, sums[i].x, 5);
            const float *y = program_run(&p);
            char what[160];
            snprintf(what, sizeof what, "%s: %s", forms[f].what, sums[i].what);
            for (size_t c = 0; c < forms[f].copies; c++) assert_same(what, y[c], sums[i].result);
        }
        program_close(&p);
    }
}

static void test_bias_of_conv_and_linear_is_the_first_summand(void **state) {
    (void)state;
    static const char *const texts[] = {
        "program 9 default main\n"
        "func main(x: fp16[1, 2, 1, 1]) {\n"
        "  y: fp16[1, 2, 1, 1] = conv(x = x, weight = fp16[2, 2, 1, 1]([1, 1, 1, 1]), "
        "bias = fp16[2]([-16384, 0]))\n"
        "} -> (y)\n",
        "program 9 default main\n"
        "func main(x: fp16[1, 2]) {\n"
        "  y: fp16[1, 2] = linear(x = x, weight = fp16[2, 2]([1, 1, 1, 1]), "
        "bias = fp16[2]([-16384, 0]))\n"
        "} -> (y)\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        Program p;
        program_open(&p, texts[i], ARITHMETIC_ANE, 1);
        program_input(&p, "x")[0] = program_input(&p, "x")[1] = 16384;
        const float *y = program_run(&p);
        assert_same("saved by its bias", y[0], 16384);
        assert_same("no bias", y[1], INF);
        program_close(&p);
    }
}

// Small whole numbers are exact in every arithmetic, so all geometries must agree with fp32.
static void test_geometry_of_products_is_that_of_fp32(void **state) {
    (void)state;
    static const char *const calls[] = {
        "y: fp16[2, 6, 4, 3] = conv(x = x, weight = w, bias = b, strides = int32[2]([2, 3]), "
        "pad_type = string(\"custom\"), pad = int32[4]([1, 2, 3, 0]), dilations = int32[2]([2, "
        "1]), "
        "groups = int32(2))",
        "y: fp16[2, 6, 7, 9] = conv(x = x, weight = w1, bias = b, groups = int32(2))",
        "y: fp16[2, 6, 1, 1] = conv(x = x1, weight = w1, bias = b, groups = int32(2))",
        "y: fp16[2, 4, 7, 7] = matmul(x = x, y = x, transpose_y = bool(true))",
        "y: fp16[2, 4, 9, 9] = matmul(x = x, y = x, transpose_x = bool(true))",
        "y: fp16[2, 4, 7, 20] = matmul(x = x, y = v)",
        "y: fp16[2, 4, 7, 7] = einsum(values = (x, t), equation = string(\"nchw,nwhu->nchu\"))",
    };
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        char text[1200];
        snprintf(text, sizeof text,
                 "program 9 default main\n"
                 "func main(x: fp16[2, 4, 7, 9], w: fp16[6, 2, 3, 2], w1: fp16[6, 2, 1, 1], "
                 "b: fp16[6], v: fp16[4, 9, 20], t: fp16[2, 9, 7, 7]) {\n"
                 "  x1: fp16[2, 4, 1, 1] = slice_by_size(x = x, begin = int32[4]([0, 0, 2, 3]), "
                 "size = int32[4]([2, 4, 1, 1]))\n"
                 "  %s\n"
                 "} -> (y)\n",
                 calls[i]);
        Program p[2];
        const float *y[2];
        for (int a = 0; a < 2; a++) {
            program_open(&p[a], text, a ? ARITHMETIC_FP32 : ARITHMETIC_ANE, 2);
            static const char *const names[] = {"x", "w", "w1", "b", "v", "t"};
            for (size_t n = 0; n < COUNT_OF(names); n++) {
                EngineTensor *t = engine_input(p[a].engine, str_of(names[n]));
                for (size_t k = 0; k < t->count; k++)
                    t->f32[k] = (float)((int)((k * 37 + n * 11) % 13) - 6);
            }
            y[a] = program_run(&p[a]);
        }
        size_t count = engine_output_at(p[0].engine, 0)->count;
        for (size_t k = 0; k < count; k++) assert_same(calls[i], y[0][k], y[1][k]);
        program_close(&p[0]);
        program_close(&p[1]);
    }
}

// An independent account of a sum, in whole units of 2^-16.
static float sum_in_units(const float *w, const float *x, size_t stride, size_t n, float bias) {
    const int64_t limit = INT64_C(1) << 31;
    int64_t sum = llround((double)bias * 0x1p16);
    for (size_t k = 0; k < n; k++) {
        double a = (double)w[k], b = (double)x[k * stride];
        int e_a = a == 0 || fabs(a) < 0x1p-14 ? -14 : ilogb(a);
        int e_b = b == 0 || fabs(b) < 0x1p-14 ? -14 : ilogb(b);
        if (e_a + e_b >= -16) sum += llround(a * b * 0x1p16);
        if (sum >= limit) return INF;
        if (sum <= -limit) return -INF;
    }
    float out = (float)((double)sum * 0x1p-16);
    ane_round(&out, 1); // 31 bits to 24 and on to 11: a half of the last step is exact in 24
    return out;
}

static void test_products_equal_whole_numbers_around_a_strip(void **state) {
    (void)state;
    enum { DEPTH = 70, COLS = 50 };
    static const size_t widths[] = {1, 2, ANE_STRIP - 1, ANE_STRIP, ANE_STRIP + 1, 33, COLS};
    static const float sizes[] = {0x1p-12f, 0x1p-5f, 1, 40, 2000}; // lost, rounded, plain, infinite
    float w[DEPTH], x[DEPTH * COLS], bias[COLS], out[COLS];
    uint32_t random = 7;
    size_t n_infinite = 0, n_zero = 0;
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (size_t i = 0; i < COUNT_OF(widths); i++) {
            for (size_t k = 0; k < DEPTH * COLS; k++) {
                random = random * 1664525 + 1013904223;
                x[k] = round_to_half((float)(int32_t)random * 0x1p-31f * sizes[s]);
                if (k < DEPTH) w[k] = round_to_half(x[k] * 0.75f + 0.1f * sizes[s]);
                if (k < COLS) bias[k] = round_to_half(x[k] * 3 * fminf(sizes[s], 1));
            }
            ane_products(&kernels_scalar, out, w, x, COLS, DEPTH, widths[i], bias, 1);
            for (size_t c = 0; c < widths[i]; c++) {
                assert_same("column", out[c], sum_in_units(w, x + c, COLS, DEPTH, bias[c]));
                n_infinite += isinf(out[c]) != 0;
                n_zero += out[c] == 0;
            }
        }
    assert_true(n_infinite > 50 && n_zero > 50); // the sizes do reach both ends
}

// ---- elementwise

static const struct {
    const char *op;
    float x, y, result;
} pairs[] = {
    {"add", 2048, 1, 2050},
    {"add", 65504, 0, 65504}, // no limit at 32768
    {"add", 40000, 1, 40000},
    {"add", 16384, 16384, 32768},
    {"add", 0x1p-24f, 0, 0x1p-24f}, // subnormals are kept
    {"mul", 0x1p-12f, 0x1p-12f, 0x1p-24f},
    {"mul", 256, 256, INF},
    {"mul", 255, 255, 65024},
    {"add", 65504, 15, 65504},
    {"add", 65504, 16, INF},
    {"sub", -65504, 16, -INF},
    {"add", NAN, 1, INF},
    {"sub", INF, INF, 0},        // 2^16 - 2^16
    {"mul", INF, 0x1p-4f, 4096}, // 2^16 again
    {"mul", 0, INF, 0},
    {"maximum", -INF, 3, 3},
    {"real_div", 1, 3, 0x1.554p-2f},
};

static void test_elementwise_of_published_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "program 9 default main\n"
                 "func main(x: fp16[3], y: fp16[1]) {\n"
                 "  z: fp16[3] = %s(x = x, y = y)\n"
                 "} -> (z)\n",
                 pairs[i].op);
        Program p;
        program_open(&p, text, ARITHMETIC_ANE, 1);
        for (size_t c = 0; c < 3; c++) program_input(&p, "x")[c] = pairs[i].x;
        program_input(&p, "y")[0] = pairs[i].y;
        const float *z = program_run(&p);
        for (size_t c = 0; c < 3; c++) assert_same(pairs[i].op, z[c], pairs[i].result);
        program_close(&p);
    }
}

static void test_the_round_trip_of_halves(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float x = f32_from_half((uint16_t)h), next = f32_from_half((uint16_t)(h + 1));
        float at[3] = {x, (x + next) / 2, -(x + next) / 2};
        if (h == 0x7BFF) at[1] = 65520, at[2] = -65520; // next is infinity
        ane_round(at, 3);
        assert_same("itself", at[0], x);
        assert_same("half way goes up", at[1], next);
        assert_same("half way goes down", at[2], -next);
    }
    float others[] = {NAN, INF, -INF, 65519, 0x1p-26f, -0x1p-25f};
    ane_round(others, COUNT_OF(others));
    assert_same("NaN", others[0], INF);
    assert_same("infinity", others[1], INF);
    assert_same("minus infinity", others[2], -INF);
    assert_same("below the end", others[3], 65504);
    assert_same("nothing", others[4], 0);
    assert_same("half of the least", others[5], -0x1p-24f);
}

// I04: x squared, mean, root's inverse, times x: below 256 right, above it a row of zeros.
static void test_a_norm_whose_squares_overflow_gives_zeros(void **state) {
    (void)state;
    static const char text[] = "program 9 default main\n"
                               "func main(x: fp16[1, 4, 1, 1]) {\n"
                               "  squares: fp16[1, 4, 1, 1] = mul(x = x, y = x)\n"
                               "  mean: fp16[1, 1, 1, 1] = reduce_mean(x = squares, axes = "
                               "int32[1]([1]), keep_dims = bool(true))\n"
                               "  root: fp16[1, 1, 1, 1] = rsqrt(x = mean)\n"
                               "  y: fp16[1, 4, 1, 1] = mul(x = x, y = root)\n"
                               "} -> (y)\n";
    Program p;
    program_open(&p, text, ARITHMETIC_ANE, 1);
    for (int i = 0; i < 4; i++) program_input(&p, "x")[i] = 128;
    const float *y = program_run(&p);
    assert_same("128 / 128", y[0], 1); // rsqrt of a power of four is a knot of the table
    for (int i = 0; i < 4; i++) program_input(&p, "x")[i] = 256;
    y = program_run(&p);
    for (int i = 0; i < 4; i++) assert_same("a row of zeros", y[i], 0);
    program_close(&p);
}

// I08: ops take their function from the table, with their epsilon before it.
static void test_functions_are_looked_up(void **state) {
    (void)state;
    static const struct {
        const char *call;
        float x, result;
    } calls[] = {
        {"silu(x = x)", 0.5f, 0.296f},
        {"sigmoid(x = x)", -9, 0},
        {"tanh(x = x)", 4.5f, 1},
        {"gelu(x = x, mode = string(\"TANH_APPROXIMATION\"))", 0.25f, 0.1436f},
        {"gelu(x = x, mode = string(\"EXACT\"))", 0.25f, 0.1436f},
        {"rsqrt(x = x, epsilon = fp16(0.1875))", 0.0625f, 2}, // 1 / sqrt(0.25)
        {"relu(x = x)", 3, 3},
    };
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "program 9 default main\n"
                 "func main(x: fp16[1]) {\n"
                 "  y: fp16[1] = %s\n"
                 "} -> (y)\n",
                 calls[i].call);
        Program p;
        program_open(&p, text, ARITHMETIC_ANE, 1);
        program_input(&p, "x")[0] = calls[i].x;
        assert_same(calls[i].call, program_run(&p)[0], round_to_half(calls[i].result));
        program_close(&p);
    }
}

// I03: probabilities of 1/4096 against values below 16 lose all of each product or half of its
// digits; 64 times larger they lose nothing.
static void test_small_probabilities_lose_products(void **state) {
    (void)state;
    enum { KEYS = 4096 };
    static float shares[KEYS], values[KEYS];
    float plain, raised;
    for (size_t i = 0; i < KEYS; i++) shares[i] = 1.0f / KEYS, values[i] = i % 2 ? 0.03f : 0.07f;
    for (size_t i = 0; i < KEYS; i++) values[i] = round_to_half(values[i]);
    ane_products(&kernels_scalar, &plain, shares, values, 1, KEYS, 1, NULL, 0);
    for (size_t i = 0; i < KEYS; i++) shares[i] *= 64;
    ane_products(&kernels_scalar, &raised, shares, values, 1, KEYS, 1, NULL, 0);
    assert_true(fabsf(plain / 0.05f - 1) > 0.3f);
    assert_true(fabsf(raised / 64 / 0.05f - 1) < 0.05f);
}

static void test_numbers_declared_fp32_are_not_the_ANEs(void **state) {
    (void)state;
    Program p;
    program_open(&p,
                 "program 9 default main\n"
                 "func main(x: fp32[1, 2], y: fp32[2, 1]) {\n"
                 "  z: fp32[1, 1] = matmul(x = x, y = y)\n"
                 "} -> (z)\n",
                 ARITHMETIC_ANE, 1);
    for (int i = 0; i < 2; i++) program_input(&p, "x")[i] = 40000, program_input(&p, "y")[i] = 1;
    assert_same("fp32", program_run(&p)[0], 80000);
    program_close(&p);
}

static void test_every_rule_says_where_it_comes_from(void **state) {
    (void)state;
    static const char *const ids[] = {"I01", "I02", "I03", "I04", "I05", "I06", "I07", "I08"};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        bool found = false;
        const AneRule *r;
        for (size_t k = 0; (r = ane_rule_at(k)); k++) {
            found = found || strcmp(r->id, ids[i]) == 0;
            assert_true(*r->rule && *r->applied && *r->source);
            assert_true(!strcmp(r->confidence, "high") || !strcmp(r->confidence, "medium") ||
                        !strcmp(r->confidence, "low"));
        }
        if (!found) fail_msg("no rule %s", ids[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_of_published_cases),
        cmocka_unit_test(test_every_product_goes_by_the_rules),
        cmocka_unit_test(test_bias_of_conv_and_linear_is_the_first_summand),
        cmocka_unit_test(test_geometry_of_products_is_that_of_fp32),
        cmocka_unit_test(test_products_equal_whole_numbers_around_a_strip),
        cmocka_unit_test(test_elementwise_of_published_cases),
        cmocka_unit_test(test_the_round_trip_of_halves),
        cmocka_unit_test(test_a_norm_whose_squares_overflow_gives_zeros),
        cmocka_unit_test(test_functions_are_looked_up),
        cmocka_unit_test(test_small_probabilities_lose_products),
        cmocka_unit_test(test_numbers_declared_fp32_are_not_the_ANEs),
        cmocka_unit_test(test_every_rule_says_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
