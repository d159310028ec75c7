// multiply.h — y[t] = W x[t] in fp32 for a batch of tokens: each row of W is decoded once for all
// of them. Internal to reference/.
//
// A product of a row and a token consists of sixteen partial sums, in the order of the elements,
// that are added in double. Neither the instruction set, nor the number of threads, nor the number
// of tokens in a batch changes a bit of it.
#ifndef LATHE_REFERENCE_MULTIPLY_H
#define LATHE_REFERENCE_MULTIPLY_H

#include <stdint.h>

#include "base/pool.h"

// Gives row `row` of W [n_in]. Called from several threads at once.
typedef void MatrixRow(const void *context, size_t row, float *out);

typedef struct {
    MatrixRow *row;
    const void *context;
    size_t n_rows, n_in, n_tokens;
    const float *x; // [n_tokens][x_stride], n_in of each
    float *y;       // [n_tokens][y_stride], n_rows of each
    size_t x_stride, y_stride;
    float *scratch; // [threads of the pool][MULTIPLY_ROWS · n_in]
} Multiply;

enum { MULTIPLY_ROWS = 8 };

void reference_multiply(Pool *pool, const Multiply *p);

// One product of that kind.
float reference_dot(const float *a, const float *b, size_t n);
// y[i] += share · x[i]
void reference_add_scaled(float *y, float share, const float *x, size_t n);

#endif
