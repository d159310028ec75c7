// graph_bounds.h — bounds on how much a right program in fp32 may differ from the reference with
// equal weights, for any kernel set. Internal to gates/.
#ifndef LATHE_GATES_GRAPH_BOUNDS_H
#define LATHE_GATES_GRAPH_BOUNDS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "contract/contract.h"

// A constant that the program holds as binary16 is within half a unit of its last place.
#define HALF_UNIT 0x1p-11

// The error of n products added in any order is at most SURE · sqrt(n) · 2^-24 of their size,
// except with a probability of 2 exp(-SURE^2 / 2), 3e-14 per sum (Higham and Mary 2019, doi
// 10.1137/18M1226312).
#define SURE 8
static inline double sum_error(size_t n_summands) {
    return SURE * sqrt((double)n_summands) * 0x1p-24;
}

// The relative error of a norm's result if it holds the root of eps as a rounded constant: eps is
// then off by twice the constant's error, and the result by half of that, times eps / (mean_square
// + eps).
static inline double eps_error(double mean_square, double eps) {
    return mean_square + eps > 0 ? HALF_UNIT * eps / (mean_square + eps) : 0;
}

// Raises *worst to x if x is larger. A NaN counts as worse than any number, and stays.
static inline void take_worse(double *worst, double x) {
    if (!(x <= *worst) && !isnan(*worst)) *worst = x;
}

// How sensitive a computation is to rounding errors is measured by a second run with inputs changed
// by ± SHAKE: to[i] = from[i] (1 ± SHAKE), with the same signs each time.
#define SHAKE 0x1p-12
void shake_rows(float *to, const float *from, size_t n);
// The same in place, with other signs for each `which`.
void shake_on(uint64_t which, float *rows, size_t n);

// Rows [n, d_model] whose mean square is the contract's eps, so that eps is half of the sum under a
// norm's root: a relative error x of eps then changes the result by x / 4. They are pseudo-random,
// and the same ones each time.
void make_small_rows(float *rows, size_t n, const Contract *c);

#endif
