#include "settle/judge.h"

#include <math.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Measured measured_of(double *values, size_t n) {
    if (!n) return (Measured){(double)NAN, (double)NAN, (double)NAN, 0};
    qsort(values, n, sizeof *values, by_size);
    double median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    return (Measured){median, values[0], values[n - 1], n};
}

const char *prediction_verdict_name(PredictionVerdict verdict) {
    static const char *const names[] = {
        [PREDICTION_OPEN] = "open", [PREDICTION_RIGHT] = "right", [PREDICTION_WRONG] = "wrong"};
    return names[verdict];
}

PredictionVerdict prediction_judge(const Measured *m, double low, double high, double unit) {
    if (!m->n || !isfinite(m->median) || !isfinite(unit)) return PREDICTION_OPEN;
    // A computed count of 0 is met by 0 alone.
    bool is_in = low * unit <= m->median && m->median <= high * unit;
    return is_in ? PREDICTION_RIGHT : PREDICTION_WRONG;
}
