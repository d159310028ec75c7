// sums.h — the sums of products of conv, linear and matmul, one by one: each whole, its bias first,
// given to a kernel. An arithmetic may compute them so (arithmetic.h), and so is measured how large
// they can become.
#ifndef LATHE_ENGINE_SUMS_H
#define LATHE_ENGINE_SUMS_H

#include "engine/prepare.h"

// Walks the sums of a node of that family; results of float only. Workers need conv_sums_scratch()
// or product_sums_scratch() floats.
void conv_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t conv_sums_scratch(const Node *n);
void product_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t product_sums_scratch(const Node *n);

#endif
