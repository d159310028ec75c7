// Kernels for AArch64 NEON: 4 floats a register, 32 registers. Part of the base instruction set,
// binary16 conversion included. Tails are computed one element at a time with the same fused
// multiply-add, so a result does not depend on an element's position.
#include <arm_neon.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/half.h"
#include "kernels/arm/neon.h"

enum { LANES = 4 };

static inline float32x4_t load_half(const uint16_t *w) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(w)));
}

static inline float half_to_float(uint16_t w) {
    __fp16 h;
    memcpy(&h, &w, sizeof h);
    return (float)h;
}

// Four int8 as floats.
static inline float32x4_t load_i8(const int8_t *w) {
    int32_t four;
    memcpy(&four, w, sizeof four);
    int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

static inline float32x4_t rounded(float32x4_t x) {
    return vcvt_f32_f16(vcvt_f16_f32(x));
}

static inline float rounded_one(float x) {
    return (float)(__fp16)x;
}

static inline float sum_of_four(const float32x4_t *sum) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3])));
}

float dot_f32_f32__neon(const float *x, const float *y, size_t n) {
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = vfmaq_f32(sum[j], vld1q_f32(x + i + j * LANES), vld1q_f32(y + i + j * LANES));
    float rest = 0;
    for (; i < n; i++) rest = fmaf(x[i], y[i], rest);
    return sum_of_four(sum) + rest;
}

float dot_f16_f32__neon(const uint16_t *w, const float *x, size_t n) {
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = vfmaq_f32(sum[j], load_half(w + i + j * LANES), vld1q_f32(x + i + j * LANES));
    float rest = 0;
    for (; i < n; i++) rest = fmaf(half_to_float(w[i]), x[i], rest);
    return sum_of_four(sum) + rest;
}

float dot_i8_f32__neon(const int8_t *w, float scale, const float *x, size_t n) {
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = vfmaq_f32(sum[j], load_i8(w + i + j * LANES), vld1q_f32(x + i + j * LANES));
    float rest = 0;
    for (; i < n; i++) rest = fmaf((float)w[i], x[i], rest);
    return scale * (sum_of_four(sum) + rest); // one scale for all: taken out of the sum
}

float dot_i8h_f32__neon(const int8_t *w, float scale, const float *x, size_t n) {
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = vfmaq_f32(sum[j], rounded(vmulq_n_f32(load_i8(w + i + j * LANES), scale)),
                               vld1q_f32(x + i + j * LANES));
    float rest = 0;
    for (; i < n; i++) rest = fmaf(rounded_one(scale * w[i]), x[i], rest);
    return sum_of_four(sum) + rest;
}

enum { TILE_ROWS = 4, TILE_VECTORS = 4 }; // 16 sums, 4 of x, 4 weights: 24 of 32 registers

// One tile of y; `rows` and `vectors` are constants where this is inlined.
__attribute__((always_inline)) static inline void gemm_tile(float *y, size_t y_stride,
                                                            const float *w, size_t w_stride,
                                                            const float *x, size_t x_stride,
                                                            size_t depth, size_t rows,
                                                            size_t vectors) {
    float32x4_t sum[TILE_ROWS][TILE_VECTORS];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) sum[r][v] = vld1q_f32(y + r * y_stride + v * LANES);
    for (size_t k = 0; k < depth; k++) {
        float32x4_t column[TILE_VECTORS];
        for (size_t v = 0; v < vectors; v++) column[v] = vld1q_f32(x + k * x_stride + v * LANES);
        for (size_t r = 0; r < rows; r++)
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = vfmaq_n_f32(sum[r][v], column[v], w[r * w_stride + k]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) vst1q_f32(y + r * y_stride + v * LANES, sum[r][v]);
}

// All columns of `rows` rows.
__attribute__((always_inline)) static inline void gemm_rows(float *y, size_t y_stride,
                                                            const float *w, size_t w_stride,
                                                            const float *x, size_t x_stride,
                                                            size_t depth, size_t cols,
                                                            size_t rows) {
    size_t c = 0;
    for (; cols - c >= 4 * LANES; c += 4 * LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 4);
    for (; cols - c >= LANES; c += LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 1);
    for (; c < cols; c++)
        for (size_t r = 0; r < rows; r++) {
            float sum = y[r * y_stride + c];
            for (size_t k = 0; k < depth; k++)
                sum = fmaf(w[r * w_stride + k], x[k * x_stride + c], sum);
            y[r * y_stride + c] = sum;
        }
}

void gemm_f32__neon(float *y, size_t y_stride, const float *w, size_t w_stride, const float *x,
                    size_t x_stride, size_t rows, size_t depth, size_t cols) {
    for (; rows >= TILE_ROWS; rows -= TILE_ROWS) {
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, TILE_ROWS);
        y += TILE_ROWS * y_stride;
        w += TILE_ROWS * w_stride;
    }
    for (; rows; rows--) {
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, 1);
        y += y_stride;
        w += w_stride;
    }
}

// Each pair of products is added to 32 bits at once: two of them need more than 16.
static int32_t dot_i8(const int8_t *w, const int8_t *x, size_t n) {
    int32x4_t sum = vdupq_n_s32(0);
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        int8x16_t a = vld1q_s8(w + i), b = vld1q_s8(x + i);
        sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        sum = vpadalq_s16(sum, vmull_high_s8(a, b));
    }
    int32_t all = vaddvq_s32(sum);
    for (; i < n; i++) all += w[i] * x[i];
    return all;
}

static void gemm_i8_i8__neon(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                             const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                             size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * y_stride + c] += dot_i8(w + r * w_stride, x + c * x_stride, depth);
}

void axpy_f32__neon(float *y, float a, const float *x, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, vfmaq_n_f32(vld1q_f32(y + i), vld1q_f32(x + i), a));
    for (; i < n; i++) y[i] = fmaf(a, x[i], y[i]);
}

void decode_f16__neon(float *y, const uint16_t *w, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) vst1q_f32(y + i, load_half(w + i));
    for (; i < n; i++) y[i] = half_to_float(w[i]);
}

void decode_i8__neon(float *y, const int8_t *w, float scale, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) vst1q_f32(y + i, vmulq_n_f32(load_i8(w + i), scale));
    for (; i < n; i++) y[i] = scale * w[i];
}

void decode_i8h__neon(float *y, const int8_t *w, float scale, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, rounded(vmulq_n_f32(load_i8(w + i), scale)));
    for (; i < n; i++) y[i] = rounded_one(scale * w[i]);
}

void round_half__neon(float *x, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) vst1q_f32(x + i, rounded(vld1q_f32(x + i)));
    for (; i < n; i++) x[i] = rounded_one(x[i]);
}

// As in x86/avx2.c: e^x = 2^k e^r, e^r by Taylor to r^7, 2^k in two halves. vmin and vmax keep NaN.
static inline float32x4_t exp_vector(float32x4_t x) {
    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(89.0f)), vdupq_n_f32(-105.0f));
    float32x4_t k = vrndnq_f32(vmulq_n_f32(x, 0x1.715476p+0f));
    float32x4_t r = vfmsq_n_f32(x, k, 0x1.62e4p-1f);
    r = vfmsq_n_f32(r, k, 0x1.7f7d1cp-20f);
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    int32x4_t whole = vcvtq_s32_f32(k), half = vshrq_n_s32(whole, 1);
    int32x4_t bias = vdupq_n_s32(127);
    float32x4_t low = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    float32x4_t high =
        vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23));
    return vmulq_f32(vmulq_f32(p, low), high);
}

void exp_f32__neon(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) vst1q_f32(y + i, exp_vector(vld1q_f32(x + i)));
    if (i == n) return;
    float last[LANES] = {0};
    memcpy(last, x + i, (n - i) * sizeof *last);
    vst1q_f32(last, exp_vector(vld1q_f32(last)));
    memcpy(y + i, last, (n - i) * sizeof *last);
}

#define SUMS(name) name##_inner__neon
#include "kernels/sums.inc"

// Their own names, since sums.inc makes static functions and other sets share these.
bool sums_q16__neon(int32_t *y, const float *w, const float *x, size_t x_stride, size_t depth) {
    return sums_q16_inner__neon(y, w, x, x_stride, depth);
}

void sizes_q16__neon(float *y, float *lost, const float *w, const float *x, size_t x_stride,
                     size_t depth) {
    sizes_q16_inner__neon(y, lost, w, x, x_stride, depth);
}

const Kernels kernels_neon = {
    .name = "neon",
    NEON_ENTRIES,
    .gemm_i8_i8 = gemm_i8_i8__neon,
};
