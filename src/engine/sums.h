// sums.h — the sums of products of conv, linear and matmul, one by one: each whole, its bias first,
// given to a kernel. So does the arithmetic `ane` compute them (ane.h), and so is measured how
// large they can become.
#ifndef LATHE_ENGINE_SUMS_H
#define LATHE_ENGINE_SUMS_H

#include "engine/prepare.h"

// For c < cols: out[c] of bias[c bias_step] and w[k] x[k x_stride + c], k < depth. `bias` may be
// NULL. `out` takes one number a sum, as the op's output lies.
typedef void SumKernel(void *context, const Kernels *k, float *out, const float *w, const float *x,
                       size_t x_stride, size_t depth, size_t cols, const float *bias,
                       size_t bias_step);
SumKernel ane_sums; // ane_products()

// Walks the sums of a node of that family; results of float only. Workers need conv_sums_scratch()
// or product_sums_scratch() floats.
void conv_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t conv_sums_scratch(const Node *n);
void product_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t product_sums_scratch(const Node *n);

#endif
