// product.h — the one matrix product behind conv, linear and matmul.
//
//     out[m][n] = Σ_k x[m][k] y[k][n]  (+ bias[n])
//
// Either operand may be a packed weight and may be stored transposed. Work is shared out in blocks
// of columns; a packed or transposed block is unpacked once into a worker's scratch and used for
// all rows. The sum over k runs in order whatever the blocks, so threads do not change results.
#ifndef LATHE_ENGINE_PRODUCT_H
#define LATHE_ENGINE_PRODUCT_H

#include "engine/broadcast.h"
#include "engine/prepare.h"

typedef struct {
    const Weight *x, *y;
    bool transpose_x, transpose_y; // stored [k, m], [n, k]
    size_t m, k, n;
    Broadcast batches;        // of out, x, y in whole matrices; rank 1 count 1 for a single product
    const EngineTensor *bias; // [n], or NULL
    EngineTensor *out;
} Product;

size_t product_scratch(const Node *n); // floats a worker, once n->plan is settled
void product_run(const Engine *e, const Node *n, const Product *p);

#endif
