// Kernels for AArch64 with FEAT_I8MM (Apple M2 and later): SMMLA multiplies 2 rows of 8 bytes with
// 2 others and adds the four sums to 32 bits. Functions on floats are those of neon.c.
#include <arm_neon.h>

#include "kernels/arm/neon.h"

enum { DEPTH = 8 }; // bytes of a row in one instruction

// y of two rows of w and two of x, where `n_rows` and `n_cols` of each count: an odd last row is
// given twice. Lanes: (w0, x0), (w0, x1), (w1, x0), (w1, x1).
static void tile(int32_t *const y[2], const int8_t *const w[2], const int8_t *const x[2],
                 size_t depth, size_t n_rows, size_t n_cols) {
    int32x4_t sum = vdupq_n_s32(0);
    size_t k = 0;
    for (; depth - k >= DEPTH; k += DEPTH)
        sum = vmmlaq_s32(sum, vcombine_s8(vld1_s8(w[0] + k), vld1_s8(w[1] + k)),
                         vcombine_s8(vld1_s8(x[0] + k), vld1_s8(x[1] + k)));
    int32_t four[4];
    vst1q_s32(four, sum);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_cols; c++) {
            int32_t all = four[2 * r + c];
            for (size_t i = k; i < depth; i++) all += w[r][i] * x[c][i];
            y[r][c] += all;
        }
}

static void gemm_i8_i8__neon_i8mm(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                                  const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                                  size_t cols) {
    for (size_t r = 0; r < rows; r += 2) {
        size_t n_rows = rows - r < 2 ? 1 : 2, next_row = n_rows - 1;
        const int8_t *const two_w[2] = {w + r * w_stride, w + (r + next_row) * w_stride};
        for (size_t c = 0; c < cols; c += 2) {
            size_t n_cols = cols - c < 2 ? 1 : 2, next_col = n_cols - 1;
            const int8_t *const two_x[2] = {x + c * x_stride, x + (c + next_col) * x_stride};
            int32_t *const two_y[2] = {y + r * y_stride + c, y + (r + next_row) * y_stride + c};
            tile(two_y, two_w, two_x, depth, n_rows, n_cols);
        }
    }
}

const Kernels kernels_neon_i8mm = {
    .name = "neon_i8mm",
    NEON_ENTRIES,
    .gemm_i8_i8 = gemm_i8_i8__neon_i8mm,
};
