// half.h — IEEE binary16 and bfloat16 as uint16_t, by plain integer arithmetic. These are the
// oracles of the faster conversions in kernels/. Rounding is to nearest, ties to even; overflow
// gives infinity; NaN stays NaN.
#ifndef LATHE_BASE_HALF_H
#define LATHE_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float f32_from_half(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent == 31) return f32_from_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent) return f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f; // subnormal or zero: exact
    return sign ? -tiny : tiny;
}

static inline uint16_t half_from_f32(float x) {
    uint32_t u = f32_bits(x), sign = (u >> 16) & 0x8000, magnitude = u & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00); // NaN
    if (magnitude >= 0x477FF000)
        return (uint16_t)(sign | 0x7C00); // 65520 and above round to infinity
    if (magnitude < 0x38800000) {
        // Below 2^-14: adding 0.5 puts the unit of the last place at 2^-24, where binary16's
        // subnormals end.
        float shifted = f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (f32_bits(shifted) - 0x3F000000));
    }
    uint32_t odd = (magnitude >> 13) & 1;
    return (uint16_t)(sign | (magnitude - 0x38000000 + 0xFFF + odd) >> 13);
}

static inline float f32_from_bf16(uint16_t b) {
    return f32_from_bits((uint32_t)b << 16);
}

// `x` rounded to binary16 and back.
static inline float round_to_half(float x) {
    return f32_from_half(half_from_f32(x));
}

#endif
