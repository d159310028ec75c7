#include <assert.h>
#include <math.h>

#include "base/half.h"
#include "quant/quant.h"

enum { INT8_MAX_CODE = 127, HALF_ONE = 0x3C00, HALF_LEAST_NORMAL = 0x0400 };

uint16_t int8_scale(float max_abs) {
    assert(isfinite(max_abs) && max_abs >= 0);
    if (max_abs == 0) return HALF_ONE;
    float exact = max_abs / INT8_MAX_CODE;
    uint16_t scale = half_from_f32(exact);
    // Up, so that the largest weight's code stays within 127 without being cut.
    if (f32_from_half(scale) < exact) scale++;
    return scale < HALF_LEAST_NORMAL ? HALF_LEAST_NORMAL : scale;
}

void encode_int8(const float *x, size_t n, uint16_t scale, int8_t *codes) {
    float inverse = 1.0f / f32_from_half(scale);
    for (size_t i = 0; i < n; i++) {
        float code = rintf(x[i] * inverse);
        code = code > INT8_MAX_CODE ? INT8_MAX_CODE : code < -INT8_MAX_CODE ? -INT8_MAX_CODE : code;
        codes[i] = (int8_t)code;
    }
}

uint16_t encode_int8_row(const float *x, size_t n, int8_t *codes) {
    float max_abs = 0;
    for (size_t i = 0; i < n; i++) max_abs = fmaxf(max_abs, fabsf(x[i]));
    uint16_t scale = int8_scale(max_abs);
    encode_int8(x, n, scale, codes);
    return scale;
}
