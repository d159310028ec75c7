// metrics.h — how far two sets of numbers are apart.
#ifndef LATHE_PROOF_METRICS_H
#define LATHE_PROOF_METRICS_H

#include <stdbool.h>
#include <stddef.h>

// Sums over everything compared so far; zeroed is empty.
typedef struct {
    double dot, norm_found, norm_wanted, squares; // squares of differences
    double max_abs, worst_cos; // worst_cos over single rows; 1 while empty is set by the first row
    size_t count, n_rows;
    bool has_bad; // something found was not finite
} Metrics;

// Adds one row.
void metrics_add(Metrics *m, const float *found, const float *wanted, size_t n);
double metrics_cos(const Metrics *m); // 1 when both are zero, 0 when one is
double metrics_rmse(const Metrics *m);

// The group of channels that is off most: the rms of its differences over all rows against the rms
// of what was wanted there. Errors of a few channels hide in a row's cosine, not here.
typedef struct {
    size_t first, end; // channels
    double off;        // infinite when something came out where nothing was wanted
} WorstGroup;
enum { GROUP_CHANNELS = 32 };
WorstGroup metrics_worst_group(const float *found, const float *wanted, size_t n_rows,
                               size_t width);

// -ln softmax(logits)[id], in nats.
double logits_nll(const float *logits, size_t n, size_t id);
// KL divergence in nats of softmax(found) from softmax(wanted).
double logits_kl(const float *found, const float *wanted, size_t n);

#endif
