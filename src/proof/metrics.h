// metrics.h — measures of the difference between two sets of numbers.
#ifndef LATHE_PROOF_METRICS_H
#define LATHE_PROOF_METRICS_H

#include <stdbool.h>
#include <stddef.h>

// Sums over all rows compared so far; zeroed means none.
typedef struct {
    double dot, norm_found, norm_wanted, squares; // squares of differences
    double max_abs, worst_cos;                    // worst_cos: the least cosine of a single row
    size_t count, n_rows;
    bool has_bad; // a number of `found` was not finite
} Metrics;

// Adds one row.
void metrics_add(Metrics *m, const float *found, const float *wanted, size_t n);
double metrics_cos(const Metrics *m); // 1 when both are zero, 0 when only one is
double metrics_rmse(const Metrics *m);

// The group of channels with the largest relative error: the rms of its differences over all rows
// divided by the rms of the wanted values. It shows errors of a few channels, which hardly change a
// row's cosine.
typedef struct {
    size_t first, end; // channels
    double off;        // infinite when zeros were wanted and others found
} WorstGroup;
enum { GROUP_CHANNELS = 32 };
WorstGroup metrics_worst_group(const float *found, const float *wanted, size_t n_rows,
                               size_t width);

// -ln softmax(logits)[id], in nats.
double logits_nll(const float *logits, size_t n, size_t id);
// KL divergence in nats of softmax(found) from softmax(wanted).
double logits_kl(const float *found, const float *wanted, size_t n);

#endif
