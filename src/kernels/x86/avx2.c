// Kernels for AVX2 with FMA and F16C: 8 floats a register, 16 registers.
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kernels.h"

enum { LANES = 8 };

// Lanes below n of a register that hold data; n ≤ LANES.
static inline __m256i mask_of(size_t n) {
    static const int32_t ones_then_zeros[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + LANES - n));
}

static inline float sum_lanes(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

static inline __m256 load_half(const uint16_t *w) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)w));
}

static inline __m256 load_i8(const int8_t *w) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)w)));
}

static inline __m256 rounded(__m256 x) {
    return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

// The last n < LANES elements, then zeros.
static inline __m256 tail_f32(const float *x, size_t n) {
    return _mm256_maskload_ps(x, mask_of(n));
}

static inline __m256 tail_half(const uint16_t *w, size_t n) {
    uint16_t padded[LANES] = {0};
    for (size_t i = 0; i < n; i++) padded[i] = w[i];
    return load_half(padded);
}

static inline __m256 tail_i8(const int8_t *w, size_t n) {
    int8_t padded[LANES] = {0};
    for (size_t i = 0; i < n; i++) padded[i] = w[i];
    return load_i8(padded);
}

static float dot_f32_f32__avx2(const float *x, const float *y, size_t n) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + j * LANES),
                                     _mm256_loadu_ps(y + i + j * LANES), sum[j]);
    for (; n - i >= LANES; i += LANES)
        sum[0] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), sum[0]);
    if (n > i) sum[1] = _mm256_fmadd_ps(tail_f32(x + i, n - i), tail_f32(y + i, n - i), sum[1]);
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

static float dot_f16_f32__avx2(const uint16_t *w, const float *x, size_t n) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_fmadd_ps(load_half(w + i + j * LANES),
                                     _mm256_loadu_ps(x + i + j * LANES), sum[j]);
    for (; n - i >= LANES; i += LANES)
        sum[0] = _mm256_fmadd_ps(load_half(w + i), _mm256_loadu_ps(x + i), sum[0]);
    if (n > i) sum[1] = _mm256_fmadd_ps(tail_half(w + i, n - i), tail_f32(x + i, n - i), sum[1]);
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

static float dot_i8_f32__avx2(const int8_t *w, float scale, const float *x, size_t n) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_fmadd_ps(load_i8(w + i + j * LANES), _mm256_loadu_ps(x + i + j * LANES),
                                     sum[j]);
    for (; n - i >= LANES; i += LANES)
        sum[0] = _mm256_fmadd_ps(load_i8(w + i), _mm256_loadu_ps(x + i), sum[0]);
    if (n > i) sum[1] = _mm256_fmadd_ps(tail_i8(w + i, n - i), tail_f32(x + i, n - i), sum[1]);
    // One scale for all: taken out of the sum.
    return scale *
           sum_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

static float dot_i8h_f32__avx2(const int8_t *w, float scale, const float *x, size_t n) {
    const __m256 scales = _mm256_set1_ps(scale);
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    size_t i = 0;
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            sum[j] = _mm256_fmadd_ps(rounded(_mm256_mul_ps(load_i8(w + i + j * LANES), scales)),
                                     _mm256_loadu_ps(x + i + j * LANES), sum[j]);
    for (; n - i >= LANES; i += LANES)
        sum[0] = _mm256_fmadd_ps(rounded(_mm256_mul_ps(load_i8(w + i), scales)),
                                 _mm256_loadu_ps(x + i), sum[0]);
    if (n > i)
        sum[1] = _mm256_fmadd_ps(rounded(_mm256_mul_ps(tail_i8(w + i, n - i), scales)),
                                 tail_f32(x + i, n - i), sum[1]);
    return sum_lanes(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

enum { TILE_ROWS = 6, TILE_VECTORS = 2 }; // 12 sums, 2 of x, 1 weight: 15 of 16 registers

// One tile of y; `rows` and `vectors` are constants where this is inlined, and `last` masks the
// last vector when `masked`.
__attribute__((always_inline)) static inline void gemm_tile(
    float *y, size_t y_stride, const float *w, size_t w_stride, const float *x, size_t x_stride,
    size_t depth, size_t rows, size_t vectors, bool masked, __m256i last) {
    __m256 sum[TILE_ROWS][TILE_VECTORS];
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) {
            const float *at = y + r * y_stride + v * LANES;
            sum[r][v] =
                masked && v + 1 == vectors ? _mm256_maskload_ps(at, last) : _mm256_loadu_ps(at);
        }
    for (size_t k = 0; k < depth; k++) {
        __m256 column[TILE_VECTORS];
        for (size_t v = 0; v < vectors; v++) {
            const float *at = x + k * x_stride + v * LANES;
            column[v] =
                masked && v + 1 == vectors ? _mm256_maskload_ps(at, last) : _mm256_loadu_ps(at);
        }
        for (size_t r = 0; r < rows; r++) {
            __m256 weight = _mm256_broadcast_ss(w + r * w_stride + k);
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm256_fmadd_ps(weight, column[v], sum[r][v]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < vectors; v++) {
            float *at = y + r * y_stride + v * LANES;
            if (masked && v + 1 == vectors)
                _mm256_maskstore_ps(at, last, sum[r][v]);
            else
                _mm256_storeu_ps(at, sum[r][v]);
        }
}

// All columns of `rows` rows.
__attribute__((always_inline)) static inline void gemm_rows(float *y, size_t y_stride,
                                                            const float *w, size_t w_stride,
                                                            const float *x, size_t x_stride,
                                                            size_t depth, size_t cols,
                                                            size_t rows) {
    const __m256i none = _mm256_setzero_si256();
    size_t c = 0;
    for (; cols - c >= 2 * LANES; c += 2 * LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 2, false, none);
    if (cols - c > LANES)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 2, true,
                  mask_of(cols - c - LANES));
    else if (cols > c)
        gemm_tile(y + c, y_stride, w, w_stride, x + c, x_stride, depth, rows, 1, true,
                  mask_of(cols - c));
}

static void gemm_f32__avx2(float *y, size_t y_stride, const float *w, size_t w_stride,
                           const float *x, size_t x_stride, size_t rows, size_t depth,
                           size_t cols) {
    for (; rows >= TILE_ROWS;
         rows -= TILE_ROWS, y += TILE_ROWS * y_stride, w += TILE_ROWS * w_stride)
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, TILE_ROWS);
    for (; rows >= 2; rows -= 2, y += 2 * y_stride, w += 2 * w_stride)
        gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, 2);
    if (rows) gemm_rows(y, y_stride, w, w_stride, x, x_stride, depth, cols, 1);
}

// Two products of bytes fit into 32 bits, not into 16: bytes are widened before they are multiplied.
static int32_t dot_i8(const int8_t *w, const int8_t *x, size_t n) {
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w + i)));
        __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    int32_t all = _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
    for (; i < n; i++) all += w[i] * x[i];
    return all;
}

static void gemm_i8_i8__avx2(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                             const int8_t *x, size_t x_stride, size_t rows, size_t depth,
                             size_t cols) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            y[r * y_stride + c] += dot_i8(w + r * w_stride, x + c * x_stride, depth);
}

static void axpy_f32__avx2(float *y, float a, const float *x, size_t n) {
    const __m256 factor = _mm256_set1_ps(a);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i,
                         _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (n > i)
        _mm256_maskstore_ps(
            y + i, mask_of(n - i),
            _mm256_fmadd_ps(factor, tail_f32(x + i, n - i), tail_f32(y + i, n - i)));
}

static void decode_f16__avx2(float *y, const uint16_t *w, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) _mm256_storeu_ps(y + i, load_half(w + i));
    if (n > i) _mm256_maskstore_ps(y + i, mask_of(n - i), tail_half(w + i, n - i));
}

static void decode_i8__avx2(float *y, const int8_t *w, float scale, size_t n) {
    const __m256 scales = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(load_i8(w + i), scales));
    if (n > i)
        _mm256_maskstore_ps(y + i, mask_of(n - i), _mm256_mul_ps(tail_i8(w + i, n - i), scales));
}

static void decode_i8h__avx2(float *y, const int8_t *w, float scale, size_t n) {
    const __m256 scales = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, rounded(_mm256_mul_ps(load_i8(w + i), scales)));
    if (n > i)
        _mm256_maskstore_ps(y + i, mask_of(n - i),
                            rounded(_mm256_mul_ps(tail_i8(w + i, n - i), scales)));
}

static void round_half__avx2(float *x, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) _mm256_storeu_ps(x + i, rounded(_mm256_loadu_ps(x + i)));
    if (n > i) _mm256_maskstore_ps(x + i, mask_of(n - i), rounded(tail_f32(x + i, n - i)));
}

// e^x = 2^k e^r with |r| ≤ ln2/2, e^r by its Taylor series to r^7 (the next term is below 2^-27).
// 2^k is applied in two halves, so that results near overflow and below the normal range come out.
static inline __m256 exp_vector(__m256 x) {
    // min and max give their second operand when one is NaN, so NaN passes.
    x = _mm256_min_ps(_mm256_set1_ps(89.0f), x);
    x = _mm256_max_ps(_mm256_set1_ps(-105.0f), x);
    __m256 k = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln2 in two parts, the first short enough that k times it is exact
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i whole = _mm256_cvtps_epi32(k), half = _mm256_srai_epi32(whole, 1);
    __m256i bias = _mm256_set1_epi32(127);
    __m256i low = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i high = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(low)), _mm256_castsi256_ps(high));
}

static void exp_f32__avx2(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) _mm256_storeu_ps(y + i, exp_vector(_mm256_loadu_ps(x + i)));
    if (n > i) _mm256_maskstore_ps(y + i, mask_of(n - i), exp_vector(tail_f32(x + i, n - i)));
}

#define SUMS(name) name##__avx2
#include "kernels/sums.inc"

const Kernels kernels_avx2 = {
    .name = "avx2",
    .dot_f32_f32 = dot_f32_f32__avx2,
    .dot_f16_f32 = dot_f16_f32__avx2,
    .dot_i8_f32 = dot_i8_f32__avx2,
    .dot_i8h_f32 = dot_i8h_f32__avx2,
    .gemm_f32 = gemm_f32__avx2,
    .gemm_i8_i8 = gemm_i8_i8__avx2,
    .axpy_f32 = axpy_f32__avx2,
    .decode_f16 = decode_f16__avx2,
    .decode_i8 = decode_i8__avx2,
    .decode_i8h = decode_i8h__avx2,
    .round_half = round_half__avx2,
    .exp_f32 = exp_f32__avx2,
    .sums_q16 = sums_q16__avx2,
    .sizes_q16 = sizes_q16__avx2,
};
