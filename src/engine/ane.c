// The arithmetic `ane`: rounding, decoding and sums in fixed point (rules I01, I02 and I07).
#include "engine/ane.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"

static const AneRule rules[] = {
#define RULE(id, rule, applied, source, confidence) {id, rule, applied, source, confidence},
#include "engine/ane_rules.def"
};

const AneRule *ane_rule_at(size_t i) {
    return i < COUNT_OF(rules) ? &rules[i] : NULL;
}

// `x`, at least 0, rounded to a whole number, halves up. For x < 2^51.
static inline double round_half_up(double x) {
    double half_up = x + 0.5;
    double whole = half_up + 0x1p52 - 0x1p52; // to nearest even
    return whole > half_up ? whole - 1 : whole;
}

// The power of two at or below |x|, 2^-14 for subnormals and zero.
static inline float power_below(float x) {
    float power = f32_from_bits(f32_bits(x) & 0x7F800000);
    return power > 0x1p-14f ? power : 0x1p-14f;
}

float ane_least_factor(float w) {
    // Exponents add up to -16 or more; subnormals count as 2^-14, so below that nothing is lost.
    float least = 0x1p-16f / power_below(w);
    return least > 0x1p-14f ? least : 0;
}

static float round_away(double x) {
    double size = fabs(x);
    if (!(size < 65520)) return x < 0 ? -INFINITY : INFINITY; // NaN too
    // The unit of the last place: 2^-10 of the power of two below, subnormals 2^-24.
    uint64_t bits;
    memcpy(&bits, &size, sizeof bits);
    bits &= 0x7FF0000000000000;
    double power;
    memcpy(&power, &bits, sizeof power);
    double unit = (power > 0x1p-14 ? power : 0x1p-14) * 0x1p-10;
    return (float)copysign(round_half_up(size / unit) * unit, x);
}

void ane_round(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = round_away((double)x[i]);
}

static inline float decode(float x) {
    float size = fabsf(x);
    if (size <= 65504) return x;
    return copysignf(size != size ? 0x1.8p16f : 0x1p16f, x);
}

const float *ane_decode(const float *x, float *piece, size_t n) {
    bool is_plain = true;
    for (size_t i = 0; i < n; i++) is_plain = is_plain && fabsf(x[i]) <= 65504;
    if (is_plain) return x;
    for (size_t i = 0; i < n; i++) piece[i] = decode(x[i]);
    return piece;
}

// A product of two binary16 numbers has 22 bits, so it is exact in double, and so is every partial
// sum: 31 bits, in units of 2^-16. Infinity stays, since what is added is finite.
static void strip(float *out, const float *w, const float *x, size_t x_stride, size_t depth,
                  size_t cols, const float *bias, size_t bias_step) {
    double sum[ANE_STRIP] = {0};
    for (size_t c = 0; bias && c < cols; c++) {
        double first = (double)decode(bias[c * bias_step]);
        double whole = round_half_up(fabs(first) * 0x1p16);
        sum[c] = copysign(whole * 0x1p-16 < ANE_SUM_LIMIT ? whole * 0x1p-16 : INFINITY, first);
    }
    for (size_t k = 0; k < depth; k++) {
        float a = decode(w[k]), a_power = power_below(a);
        for (size_t c = 0; c < cols; c++) {
            float b = decode(x[k * x_stride + c]);
            double product = (double)a * (double)b;
            double whole = round_half_up(fabs(product) * 0x1p16) * 0x1p-16;
            bool is_kept = a_power * power_below(b) >= 0x1p-16f;
            double next = sum[c] + (is_kept ? copysign(whole, product) : 0);
            sum[c] = fabs(next) < ANE_SUM_LIMIT ? next : copysign(INFINITY, next);
        }
    }
    for (size_t c = 0; c < cols; c++) out[c] = round_away(sum[c] + 0.0); // -0 comes out as +0
}

// The same for ANE_STRIP columns in whole units of 2^-16; false, with nothing done, when one of
// them leaves the finite.
static bool strip_in_units(const Kernels *k, float *out, const float *w, const float *x,
                           size_t x_stride, size_t depth, const float *bias, size_t bias_step) {
    int32_t sum[ANE_STRIP] = {0};
    for (size_t c = 0; bias && c < ANE_STRIP; c++) {
        double units = round_half_up(fabs((double)bias[c * bias_step]) * 0x1p16);
        if (!(units < 0x1p31)) return false;
        sum[c] = (int32_t)copysign(units, (double)bias[c * bias_step]);
    }
    if (!k->sums_q16(sum, w, x, x_stride, depth)) return false;
    for (size_t c = 0; c < ANE_STRIP; c++) out[c] = round_away((double)sum[c] * 0x1p-16);
    return true;
}

void ane_products(const Kernels *k, float *out, const float *w, const float *x, size_t x_stride,
                  size_t depth, size_t cols, const float *bias, size_t bias_step) {
    for (size_t c = 0; c < cols; c += ANE_STRIP) {
        size_t n = min_size(ANE_STRIP, cols - c);
        const float *first = bias ? bias + c * bias_step : NULL;
        if (n == ANE_STRIP &&
            strip_in_units(k, out + c, w, x + c, x_stride, depth, first, bias_step))
            continue;
        strip(out + c, w, x + c, x_stride, depth, n, first, bias_step);
    }
}
