// kernels.h — the inner loops of the engine, once per instruction set.
//
// A name states operation, types and instruction set: dot_i8_f32__avx2 is the dot product of int8
// with float for AVX2. The scalar set is the oracle of the others. `half` arguments are IEEE
// binary16 as uint16_t. Functions are pure: the caller splits rows over threads. No pointer needs
// alignment beyond its element's; sizes may be any, zero too.
//
// Sums are kept in float. gemm adds the products of one element in the order of `depth` whatever
// tile it falls in, so results do not depend on how rows were divided among threads; dot uses
// several partial sums, the same ones for the same n. Sets may differ from each other in the last
// bits (fused multiply-add, order of sums); tests/kernels states the bounds.
#ifndef LATHE_KERNELS_KERNELS_H
#define LATHE_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { KERNEL_STRIP = 16 };

typedef struct {
    const char *name; // of the instruction set

    // Σ x[i] y[i]
    float (*dot_f32_f32)(const float *x, const float *y, size_t n);
    float (*dot_f16_f32)(const uint16_t *w, const float *x, size_t n);
    // Σ (scale w[i]) x[i]; in i8h the weight scale w[i] is rounded to binary16 first
    float (*dot_i8_f32)(const int8_t *w, float scale, const float *x, size_t n);
    float (*dot_i8h_f32)(const int8_t *w, float scale, const float *x, size_t n);

    // y[r][c] += Σ_k w[r][k] x[k][c]; strides are in floats between rows. y overlaps nothing.
    void (*gemm_f32)(float *y, size_t y_stride, const float *w, size_t w_stride, const float *x,
                     size_t x_stride, size_t rows, size_t depth, size_t cols);
    // y[r][c] += Σ_k w[r][k] x[c][k] of whole numbers, exactly; strides are in elements between
    // rows. No sum may exceed 32 bits; a sum that begins at 0 does not with fewer than 2^17
    // products. For activations of 8 bits, which no op of the engine uses so far.
    void (*gemm_i8_i8)(int32_t *y, size_t y_stride, const int8_t *w, size_t w_stride,
                       const int8_t *x, size_t x_stride, size_t rows, size_t depth, size_t cols);
    // y[i] += a x[i]
    void (*axpy_f32)(float *y, float a, const float *x, size_t n);

    // y[i] = w[i]; y[i] = scale w[i]; the same rounded to binary16
    void (*decode_f16)(float *y, const uint16_t *w, size_t n);
    void (*decode_i8)(float *y, const int8_t *w, float scale, size_t n);
    void (*decode_i8h)(float *y, const int8_t *w, float scale, size_t n);

    // x[i] rounded to binary16, to nearest, ties to even; 65520 and above become infinity
    void (*round_half)(float *x, size_t n);
    // y[i] = e^x[i], within 2 units in the last place of float; y may be x
    void (*exp_f32)(float *y, const float *x, size_t n);

    // KERNEL_STRIP columns of sums in units of 2^-16 (sums.inc), of binary16 numbers: products are
    // dropped when the exponents of their factors add up to less than -16, else rounded, halves
    // away from zero. x_stride is in floats between rows. y[c] += Σ_k w[k] x[k][c]. False, with y
    // undefined, when a number is not finite or a partial sum lies outside of -2^31 to 2^31.
    bool (*sums_q16)(int32_t *y, const float *w, const float *x, size_t x_stride, size_t depth);
    // y[c] += Σ_k |w[k] x[k][c]|, as floats; lost[c] is the same sum over the dropped products
    void (*sizes_q16)(float *y, float *lost, const float *w, const float *x, size_t x_stride,
                      size_t depth);
} Kernels;

extern const Kernels kernels_scalar;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
extern const Kernels kernels_neon_dotprod;
extern const Kernels kernels_neon_i8mm;
#endif

// The set at `index` of those built into this program and usable on this CPU, slowest first; NULL
// past the last.
const Kernels *kernels_at(size_t index);

// The set called `name`, or the fastest when `name` is NULL. NULL and `err` when there is none.
const Kernels *kernels_named(const char *name, Err *err);

// The set that the environment variable LATHE_KERNELS names, or the fastest.
const Kernels *kernels_choose(Err *err);

#endif
