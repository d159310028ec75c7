// encode.c — encodes symmetric int8: one binary16 scale, codes -127 to 127.
#include <math.h>

#include "base/half.h"
#include "quant/quant.h"

enum { LARGEST_CODE = 127, HALF_ONE = 0x3C00, HALF_INFINITY = 0x7C00, HALF_LEAST_NORMAL = 0x0400 };

// To the nearest integer, ties to even, for |x| < 2^22: the sum has no room for a fraction. Unlike
// rintf() it needs no SSE4.1 to be more than a call.
static float round_to_even(float x) {
    const float no_fraction = 0x1.8p23f;
    return (x + no_fraction) - no_fraction;
}

uint16_t int8_scale(float max_abs) {
    if (max_abs == 0) return HALF_ONE;
    if (!isfinite(max_abs)) return HALF_INFINITY;
    float exact = max_abs / LARGEST_CODE;
    uint16_t scale = half_from_f32(exact);
    // Up, so that the largest weight's code stays within 127 without being cut.
    if (f32_from_half(scale) < exact) scale++;
    return scale < HALF_LEAST_NORMAL ? HALF_LEAST_NORMAL : scale;
}

void encode_int8(const float *x, size_t n, uint16_t scale, int8_t *codes) {
    float s = f32_from_half(scale);
    for (size_t i = 0; i < n; i++) {
        float code = x[i] / s;
        // Not fminf and fmaxf: as written, a NaN becomes a code too.
        code = code < LARGEST_CODE ? code : LARGEST_CODE;
        code = code > -LARGEST_CODE ? code : -LARGEST_CODE;
        codes[i] = (int8_t)round_to_even(code);
    }
}
