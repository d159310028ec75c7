// graph_norm.h — what a norm over the residual stream should make of a row. Internal to gates/.
#ifndef LATHE_GATES_GRAPH_NORM_H
#define LATHE_GATES_GRAPH_NORM_H

#include "contract/contract.h"

// What eps is added to: the mean of squares of x [d_model], or of x less its mean where the
// contract's norm takes that away.
double norm_mean_square(const Contract *c, const float *x);
// w · x / sqrt(mean(x²) + eps), or of x less its mean, into `out`; no bias is added. Gives the mean
// square.
double norm_row(const Contract *c, const float *weight, const float *x, double *out);

#endif
