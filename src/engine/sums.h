// sums.h — passes the sums of products of conv, linear and matmul one by one to a kernel, each
// whole and with its bias first. Used by arithmetics that need whole sums (arithmetic.h), and to
// measure how large sums can become.
#ifndef LATHE_ENGINE_SUMS_H
#define LATHE_ENGINE_SUMS_H

#include "engine/prepare.h"

// Calls the kernel for each sum of a node of that family; only for float results. Workers need
// conv_sums_scratch() or product_sums_scratch() floats.
void conv_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t conv_sums_scratch(const Node *n);
void product_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out);
size_t product_sums_scratch(const Node *n);

#endif
