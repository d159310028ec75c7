// The oracle: each kernel in plain C, as it is defined. The other sets are the fast ones.
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

static float dot_f32_f32__scalar(const float *x, const float *y, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static float dot_f16_f32__scalar(const uint16_t *w, const float *x, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += f32_from_half(w[i]) * x[i];
    return sum;
}

static float dot_i8_f32__scalar(const int8_t *w, float scale, const float *x, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += scale * w[i] * x[i];
    return sum;
}

static float dot_i8h_f32__scalar(const int8_t *w, float scale, const float *x, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += round_to_half(scale * w[i]) * x[i];
    return sum;
}

static void gemm_f32__scalar(float *y, size_t y_stride, const float *w, size_t w_stride,
                             const float *x, size_t x_stride, size_t rows, size_t depth,
                             size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < depth; k++)
            for (size_t c = 0; c < cols; c++)
                y[r * y_stride + c] += w[r * w_stride + k] * x[k * x_stride + c];
}

static void gemm_i8_i8__scalar(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                               const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                               size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            for (size_t k = 0; k < depth; k++)
                y[r * y_stride + c] += w[r * w_stride + k] * x[c * x_stride + k];
}

static void axpy_f32__scalar(float *y, float a, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static void decode_f16__scalar(float *y, const uint16_t *w, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = f32_from_half(w[i]);
}

static void decode_i8__scalar(float *y, const int8_t *w, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = scale * w[i];
}

static void decode_i8h__scalar(float *y, const int8_t *w, float scale, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = round_to_half(scale * w[i]);
}

static void round_half__scalar(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = round_to_half(x[i]);
}

static void exp_f32__scalar(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = expf(x[i]);
}

#define SUMS(name) name##__scalar
#include "kernels/sums.inc"

const Kernels kernels_scalar = {
    .name = "scalar",
    .dot_f32_f32 = dot_f32_f32__scalar,
    .dot_f16_f32 = dot_f16_f32__scalar,
    .dot_i8_f32 = dot_i8_f32__scalar,
    .dot_i8h_f32 = dot_i8h_f32__scalar,
    .gemm_f32 = gemm_f32__scalar,
    .gemm_i8_i8 = gemm_i8_i8__scalar,
    .axpy_f32 = axpy_f32__scalar,
    .decode_f16 = decode_f16__scalar,
    .decode_i8 = decode_i8__scalar,
    .decode_i8h = decode_i8h__scalar,
    .round_half = round_half__scalar,
    .exp_f32 = exp_f32__scalar,
    .sums_q16 = sums_q16__scalar,
    .sizes_q16 = sizes_q16__scalar,
};
