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

// The first `n_columns` of each row alone, as sums of the first `depth` products: with the bits of
// the whole when the other products are +0. Not in `ane`; the
// whole depth where y is stored transposed.
void product_run_part(const Engine *e, const Node *n, const Product *p, size_t n_columns,
                      size_t depth);

#endif
