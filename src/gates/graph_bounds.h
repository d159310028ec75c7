// graph_bounds.h — how far a right program in fp32 may be from the reference with equal weights,
// whatever the kernels. Internal to gates/.
#ifndef LATHE_GATES_GRAPH_BOUNDS_H
#define LATHE_GATES_GRAPH_BOUNDS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/contract.h"

// A constant that the program holds as binary16 is within half a unit of its last place.
#define HALF_UNIT 0x1p-11

// n products added up in any order err by no more than SURE · sqrt(n) · 2^-24 of their size, but
// with a probability of 2 exp(-SURE^2 / 2), 3e-14 a sum (Higham and Mary 2019, doi
// 10.1137/18M1226312).
#define SURE 8
static inline double sum_error(size_t n_summands) {
    return SURE * sqrt((double)n_summands) * 0x1p-24;
}

// A norm holds the root of its eps as a constant: eps is off by twice as much, and a row of this
// mean square by half of that share of eps in what the root is taken of.
static inline double eps_error(double mean_square, double eps) {
    return mean_square + eps > 0 ? HALF_UNIT * eps / (mean_square + eps) : 0;
}

// A NaN is worse than any number, and stays.
static inline void take_worse(double *worst, double x) {
    if (!(x <= *worst) && !isnan(*worst)) *worst = x;
}

// How sensitive a computation is to errors of sums is measured on a second run, whose numbers come
// in off by SHAKE, up or down: to[i] = from[i] (1 ± SHAKE), the same signs each time.
#define SHAKE 0x1p-12
void shake_rows(float *to, const float *from, size_t n);
// The same in place, with other signs for each `which`.
void shake_on(uint64_t which, float *rows, size_t n);

// Rows [n, d_model] whose mean square is the contract's eps, so that half of what a norm divides by
// is eps: one that is off by a share x turns them by x / 4. They are pseudo-random, and the same
// ones each time.
void make_small_rows(float *rows, size_t n, const Contract *c);

#endif
