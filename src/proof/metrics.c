#include "proof/metrics.h"

#include <math.h>

#include "base/size.h"

static double cosine(double dot, double a, double b) {
    if (a == 0 && b == 0) return 1;
    if (a == 0 || b == 0) return 0;
    return dot / (sqrt(a) * sqrt(b));
}

void metrics_add(Metrics *m, const float *found, const float *wanted, size_t n) {
    double dot = 0, norm_found = 0, norm_wanted = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)found[i], b = (double)wanted[i], d = a - b;
        if (!isfinite(a)) m->has_bad = true;
        dot += a * b;
        norm_found += a * a;
        norm_wanted += b * b;
        m->squares += d * d;
        if (fabs(d) > m->max_abs) m->max_abs = fabs(d);
    }
    double row_cos = cosine(dot, norm_found, norm_wanted);
    if (m->n_rows == 0 || !(row_cos >= m->worst_cos)) m->worst_cos = row_cos;
    m->dot += dot;
    m->norm_found += norm_found;
    m->norm_wanted += norm_wanted;
    m->count += n;
    m->n_rows++;
}

double metrics_cos(const Metrics *m) {
    return cosine(m->dot, m->norm_found, m->norm_wanted);
}

double metrics_rmse(const Metrics *m) {
    return m->count ? sqrt(m->squares / (double)m->count) : 0;
}

WorstGroup metrics_worst_group(const float *found, const float *wanted, size_t n_rows,
                               size_t width) {
    WorstGroup worst = {0};
    for (size_t first = 0; first < width; first += GROUP_CHANNELS) {
        size_t end = min_size(width, first + GROUP_CHANNELS);
        double squares = 0, norm = 0;
        for (size_t t = 0; t < n_rows; t++)
            for (size_t i = t * width + first; i < t * width + end; i++) {
                double d = (double)found[i] - (double)wanted[i];
                squares += d * d;
                norm += (double)wanted[i] * (double)wanted[i];
            }
        bool is_ratio = norm > 0 || isnan(squares);
        double off = squares == 0 ? 0 : is_ratio ? sqrt(squares / norm) : (double)INFINITY;
        // A NaN is worse than any number, and stays.
        if (worst.end == 0 || (!(off <= worst.off) && !isnan(worst.off)))
            worst = (WorstGroup){first, end, off};
    }
    return worst;
}

// ln sum exp, and the largest, of a row.
static double log_sum(const float *x, size_t n) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) max = fmax(max, (double)x[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
    return max + log(sum);
}

double logits_nll(const float *logits, size_t n, size_t id) {
    return log_sum(logits, n) - (double)logits[id];
}

double logits_kl(const float *found, const float *wanted, size_t n) {
    double a = log_sum(found, n), b = log_sum(wanted, n), kl = 0;
    for (size_t i = 0; i < n; i++) {
        double log_p = (double)wanted[i] - b, log_q = (double)found[i] - a;
        kl += exp(log_p) * (log_p - log_q);
    }
    return kl;
}
