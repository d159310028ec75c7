// Kernels for AArch64 with FEAT_DotProd (Apple M1 and later): SDOT adds four products of bytes to
// 32 bits, in four lanes at once. Functions on floats are those of neon.c.
#include <arm_neon.h>

#include "kernels/arm/neon.h"

static int32_t dot_i8(const int8_t *w, const int8_t *x, size_t n) {
    int32x4_t sum = vdupq_n_s32(0);
    size_t i = 0;
    for (; n - i >= 16; i += 16) sum = vdotq_s32(sum, vld1q_s8(w + i), vld1q_s8(x + i));
    int32_t all = vaddvq_s32(sum);
    for (; i < n; i++) all += w[i] * x[i];
    return all;
}

static void gemm_i8_i8__neon_dotprod(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                                     const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                                     size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * y_stride + c] += dot_i8(w + r * w_stride, x + c * x_stride, depth);
}

const Kernels kernels_neon_dotprod = {
    .name = "neon_dotprod",
    NEON_ENTRIES,
    .gemm_i8_i8 = gemm_i8_i8__neon_dotprod,
};
