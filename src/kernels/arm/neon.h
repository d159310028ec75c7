// neon.h — functions of AArch64's base set that the sets with more instructions also use (kernels.h
// documents each).
#ifndef LATHE_KERNELS_ARM_NEON_H
#define LATHE_KERNELS_ARM_NEON_H

#include "kernels/kernels.h"

float dot_f32_f32__neon(const float *x, const float *y, size_t n);
float dot_f16_f32__neon(const uint16_t *w, const float *x, size_t n);
float dot_i8_f32__neon(const int8_t *w, float scale, const float *x, size_t n);
float dot_i8h_f32__neon(const int8_t *w, float scale, const float *x, size_t n);
void gemm_f32__neon(float *y, size_t y_stride, const float *w, size_t w_stride, const float *x,
                    size_t x_stride, size_t rows, size_t depth, size_t cols);
void axpy_f32__neon(float *y, float a, const float *x, size_t n);
void decode_f16__neon(float *y, const uint16_t *w, size_t n);
void decode_i8__neon(float *y, const int8_t *w, float scale, size_t n);
void decode_i8h__neon(float *y, const int8_t *w, float scale, size_t n);
void round_half__neon(float *x, size_t n);
void exp_f32__neon(float *y, const float *x, size_t n);
bool sums_q16__neon(int32_t *y, const float *w, const float *x, size_t x_stride, size_t depth);
void sizes_q16__neon(float *y, float *lost, const float *w, const float *x, size_t x_stride,
                     size_t depth);

#define NEON_ENTRIES                                                                               \
    .dot_f32_f32 = dot_f32_f32__neon, .dot_f16_f32 = dot_f16_f32__neon,                            \
    .dot_i8_f32 = dot_i8_f32__neon, .dot_i8h_f32 = dot_i8h_f32__neon, .gemm_f32 = gemm_f32__neon,  \
    .axpy_f32 = axpy_f32__neon, .decode_f16 = decode_f16__neon, .decode_i8 = decode_i8__neon,      \
    .decode_i8h = decode_i8h__neon, .round_half = round_half__neon, .exp_f32 = exp_f32__neon,      \
    .sums_q16 = sums_q16__neon, .sizes_q16 = sizes_q16__neon

#endif
