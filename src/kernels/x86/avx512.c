// Kernels for AVX-512 (F, VL, BW, DQ): 16 floats a register, 32 registers, masks for the tails.
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

enum { LANES = 16 };

// Lanes below n that hold data; n ≤ LANES.
static inline __mmask16 mask_of(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

static inline __m512 load_half(const uint16_t *w, __mmask16 m) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, w));
}

static inline __m512 load_i8(const int8_t *w, __mmask16 m) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, w)));
}

static inline __m512 rounded(__m512 x) {
    return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

static inline float sum_of_four(const __m512 *sum) {
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3])));
}

static const __mmask16 ALL = 0xFFFF;

static float dot_f32_f32__avx512(const float *x, const float *y, size_t n) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + j * LANES),
                                     _mm512_loadu_ps(y + i + j * LANES), sum[j]);
    for (; n > i; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        sum[0] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_maskz_loadu_ps(m, y + i),
                                 sum[0]);
        if (n - i < LANES) break;
    }
    return sum_of_four(sum);
}

static float dot_f16_f32__avx512(const uint16_t *w, const float *x, size_t n) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm512_fmadd_ps(load_half(w + i + j * LANES, ALL),
                                     _mm512_loadu_ps(x + i + j * LANES), sum[j]);
    for (; n > i; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        sum[0] = _mm512_fmadd_ps(load_half(w + i, m), _mm512_maskz_loadu_ps(m, x + i), sum[0]);
        if (n - i < LANES) break;
    }
    return sum_of_four(sum);
}

static float dot_i8_f32__avx512(const int8_t *w, float scale, const float *x, size_t n) {
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm512_fmadd_ps(load_i8(w + i + j * LANES, ALL),
                                     _mm512_loadu_ps(x + i + j * LANES), sum[j]);
    for (; n > i; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        sum[0] = _mm512_fmadd_ps(load_i8(w + i, m), _mm512_maskz_loadu_ps(m, x + i), sum[0]);
        if (n - i < LANES) break;
    }
    return scale * sum_of_four(sum); // one scale for all: taken out of the sum
}

static float dot_i8h_f32__avx512(const int8_t *w, float scale, const float *x, size_t n) {
    const __m512 scales = _mm512_set1_ps(scale);
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] =
                _mm512_fmadd_ps(rounded(_mm512_mul_ps(load_i8(w + i + j * LANES, ALL), scales)),
                                _mm512_loadu_ps(x + i + j * LANES), sum[j]);
    for (; n > i; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        sum[0] = _mm512_fmadd_ps(rounded(_mm512_mul_ps(load_i8(w + i, m), scales)),
                                 _mm512_maskz_loadu_ps(m, x + i), sum[0]);
        if (n - i < LANES) break;
    }
    return sum_of_four(sum);
}

enum { TILE_ROWS = 6, TILE_VECTORS = 4 }; // 24 sums, 4 of x, 1 weight: 29 of 32 registers

// One tile of y; `rows` and `vectors` are constants where this is inlined, `last` masks the last
// vector.
__attribute__((always_inline)) static inline void gemm_tile(float *y, size_t y_stride,
                                                            const float *w, size_t w_stride,
                                                            const float *x, size_t x_stride,
                                                            size_t depth, size_t rows,
                                                            size_t vectors, __mmask16 last) {
    __m512 sum[TILE_ROWS][TILE_VECTORS];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] =
                _mm512_maskz_loadu_ps(v + 1 == vectors ? last : ALL, y + r * y_stride + v * LANES);
    for (size_t k = 0; k < depth; k++) {
        __m512 column[TILE_VECTORS];
        for (size_t v = 0; v < vectors; v++)
            column[v] =
                _mm512_maskz_loadu_ps(v + 1 == vectors ? last : ALL, x + k * x_stride + v * LANES);
        for (size_t r = 0; r < rows; r++) {
            __m512 weight = _mm512_set1_ps(w[r * w_stride + k]);
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_fmadd_ps(weight, column[v], sum[r][v]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(y + r * y_stride + v * LANES, v + 1 == vectors ? last : ALL,
                                  sum[r][v]);
}

// All columns of `rows` rows.
__attribute__((always_inline)) static inline void gemm_rows(float *y, size_t y_stride,
                                                            const float *w, size_t w_stride,
                                                            const float *x, size_t x_stride,
                                                            size_t depth, size_t cols,
                                                            size_t rows) {
    size_t c = 0;
    for (; cols - c >= 4 * LANES; c += 4 * LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 4, ALL);
    for (; cols - c >= LANES; c += LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 1, ALL);
    if (cols > c)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 1, mask_of(cols - c));
}

static void gemm_f32__avx512(float *y, size_t y_stride, const float *w, size_t w_stride,
                             const float *x, size_t x_stride, size_t rows, size_t depth,
                             size_t cols) {
    for (; rows >= TILE_ROWS;
         rows -= TILE_ROWS, y += TILE_ROWS * y_stride, w += TILE_ROWS * w_stride)
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, TILE_ROWS);
    for (; rows >= 2; rows -= 2, y += 2 * y_stride, w += 2 * w_stride)
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, 2);
    if (rows) gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, 1);
}

// The loops below do whole registers first, then one masked one.

// As in avx2.c.
static int32_t dot_i8(const int8_t *w, const int8_t *x, size_t n) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 32) {
        __mmask32 m = n - i < 32 ? (__mmask32)((1u << (n - i)) - 1) : ~(__mmask32)0;
        __m512i a = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, w + i));
        __m512i b = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, x + i));
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
    }
    return _mm512_reduce_add_epi32(sum);
}

static void gemm_i8_i8__avx512(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                               const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                               size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * y_stride + c] += dot_i8(w + r * w_stride, x + c * x_stride, depth);
}

static void axpy_f32__avx512(float *y, float a, const float *x, size_t n) {
    const __m512 factor = _mm512_set1_ps(a);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(y + i, m,
                              _mm512_fmadd_ps(factor, _mm512_maskz_loadu_ps(m, x + i),
                                              _mm512_maskz_loadu_ps(m, y + i)));
    }
}

static void decode_f16__avx512(float *y, const uint16_t *w, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(y + i, m, load_half(w + i, m));
    }
}

static void decode_i8__avx512(float *y, const int8_t *w, float scale, size_t n) {
    const __m512 scales = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(load_i8(w + i, m), scales));
    }
}

static void decode_i8h__avx512(float *y, const int8_t *w, float scale, size_t n) {
    const __m512 scales = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(y + i, m, rounded(_mm512_mul_ps(load_i8(w + i, m), scales)));
    }
}

static void round_half__avx512(float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(x + i, m, rounded(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

// As in avx2.c: e^x = 2^k e^r, e^r by Taylor to r^7. scalef applies 2^k with one rounding at the
// ends of the range.
static inline __m512 exp_vector(__m512 x) {
    x = _mm512_min_ps(_mm512_set1_ps(89.0f), x); // the second operand when one is NaN
    x = _mm512_max_ps(_mm512_set1_ps(-105.0f), x);
    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, k);
}

static void exp_f32__avx512(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 m = n - i < LANES ? mask_of(n - i) : ALL;
        _mm512_mask_storeu_ps(y + i, m, exp_vector(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

#define SUMS(name) name##__avx512
#include "kernels/sums.inc"

const Kernels kernels_avx512 = {
    .name = "avx512",
    .dot_f32_f32 = dot_f32_f32__avx512,
    .dot_f16_f32 = dot_f16_f32__avx512,
    .dot_i8_f32 = dot_i8_f32__avx512,
    .dot_i8h_f32 = dot_i8h_f32__avx512,
    .gemm_f32 = gemm_f32__avx512,
    .gemm_i8_i8 = gemm_i8_i8__avx512,
    .axpy_f32 = axpy_f32__avx512,
    .decode_f16 = decode_f16__avx512,
    .decode_i8 = decode_i8__avx512,
    .decode_i8h = decode_i8h__avx512,
    .round_half = round_half__avx512,
    .exp_f32 = exp_f32__avx512,
    .sums_q16 = sums_q16__avx512,
    .sizes_q16 = sizes_q16__avx512,
};
