// product.h — the one matrix product behind conv, linear and matmul.
//
//     out[m][n] = Σ_k x[m][k] y[k][n]  (+ bias[n])
//
// Either operand may be a packed weight and may be stored transposed. Workers take blocks of
// columns; a packed or transposed block is unpacked once into a worker's scratch and used for all
// rows. The sum over k is always in order, so neither blocks nor threads change results.
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

size_t product_scratch(const Node *n); // floats per worker; call it once n->plan is complete
void product_run(const Engine *e, const Node *n, const Product *p);

// Computes only the first `n_columns` of each row, as sums of the first `depth` products. The bits
// are those of the whole product if the other products are +0. Not for `ane`; where y is stored
// transposed, the whole depth is summed.
void product_run_part(const Engine *e, const Node *n, const Product *p, size_t n_columns,
                      size_t depth);

#endif
