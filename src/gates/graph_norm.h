// graph_norm.h — the right result of a norm over the residual stream. Internal to gates/.
#ifndef LATHE_GATES_GRAPH_NORM_H
#define LATHE_GATES_GRAPH_NORM_H

#include "contract/contract.h"

// The number to which eps is added: the mean of squares of x [d_model], or of x - mean(x) for layer
// norm.
double norm_mean_square(const Contract *c, const float *x);
// w · x / sqrt(mean(x²) + eps), or of x less its mean, into `out`; no bias is added. Returns the
// mean square.
double norm_row(const Contract *c, const float *weight, const float *x, double *out);

#endif
