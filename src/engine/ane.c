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

// The same for ANE_STRIP columns in whole units of 2^-16, in loops that compilers turn into vector
// instructions. False when a number is not finite or a partial sum reaches the limit: then nothing
// counts.
//
// A product has 22 bits, so float holds it exactly, and half a unit more as well while it is below
// 2^22 units; from there on it is whole. The exponents of a product add up to -16 or more exactly
// when |b| is not below 2^-16 / 2^exponent(a), subnormals counting as 2^-14.
static bool strip_in_units(float *out, const float *w, const float *x, size_t x_stride,
                           size_t depth, const float *bias, size_t bias_step) {
    // Compared as integers, which order floats of one sign alike, so that nothing branches.
    const int32_t most = (int32_t)f32_bits(65504), limit = (int32_t)f32_bits(0x1p31f);
    const int32_t all_whole = (int32_t)f32_bits(0x1p22f);
    int32_t sum[ANE_STRIP] = {0}, broken[ANE_STRIP] = {0};
    for (size_t c = 0; bias && c < ANE_STRIP; c++) {
        double units = round_half_up(fabs((double)bias[c * bias_step]) * 0x1p16);
        if (!(units < 0x1p31)) return false;
        sum[c] = (int32_t)copysign(units, (double)bias[c * bias_step]);
    }
    for (size_t k = 0; k < depth; k++) {
        float a = w[k];
        if (!(fabsf(a) <= 65504)) return false;
        int32_t least = (int32_t)f32_bits(0x1p-16f / power_below(a));
        if (least <= (int32_t)f32_bits(0x1p-14f)) least = 0;
        const float *row = x + k * x_stride;
        for (size_t c = 0; c < ANE_STRIP; c++) {
            float units = a * row[c] * 0x1p16f;
            int32_t size = (int32_t)(f32_bits(row[c]) & INT32_MAX);
            int32_t many = (int32_t)(f32_bits(units) & INT32_MAX);
            int32_t is_fit = -(size <= most) & -(many < limit), is_kept = -(size >= least);
            int32_t sign = (int32_t)f32_bits(units) & INT32_MIN;
            int32_t half = ((int32_t)f32_bits(0.5f) & -(many < all_whole)) | sign;
            int32_t mask = is_fit & is_kept;
            int32_t product = (int32_t)(f32_from_bits(f32_bits(units) & (uint32_t)mask) +
                                        f32_from_bits((uint32_t)(half & mask)));
            int32_t next = (int32_t)((uint32_t)sum[c] + (uint32_t)product);
            // Out of 32 bits, or at -2^31, which they could still hold.
            int32_t wraps = (sum[c] ^ next) & (product ^ next), is_end = -(next == INT32_MIN);
            broken[c] |= wraps | is_end | ~is_fit;
            sum[c] = next;
        }
    }
    for (size_t c = 0; c < ANE_STRIP; c++)
        if (broken[c] < 0) return false;
    for (size_t c = 0; c < ANE_STRIP; c++) out[c] = round_away((double)sum[c] * 0x1p-16);
    return true;
}

void ane_products(float *out, const float *w, const float *x, size_t x_stride, size_t depth,
                  size_t cols, const float *bias, size_t bias_step) {
    for (size_t c = 0; c < cols; c += ANE_STRIP) {
        size_t n = min_size(ANE_STRIP, cols - c);
        const float *first = bias ? bias + c * bias_step : NULL;
        if (n == ANE_STRIP && strip_in_units(out + c, w, x + c, x_stride, depth, first, bias_step))
            continue;
        strip(out + c, w, x + c, x_stride, depth, n, first, bias_step);
    }
}
