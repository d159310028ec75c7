#include "gates/graph_norm.h"

#include <math.h>

static double mean_taken(const Contract *c, const float *x) {
    double sum = 0;
    if (c->norm != NORM_LAYER) return 0;
    for (size_t i = 0; i < c->d_model; i++) sum += (double)x[i];
    return sum / c->d_model;
}

double norm_mean_square(const Contract *c, const float *x) {
    double mean = mean_taken(c, x), squares = 0;
    for (size_t i = 0; i < c->d_model; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return squares / c->d_model;
}

double norm_row(const Contract *c, const float *weight, const float *x, double *out) {
    double mean = mean_taken(c, x), square = norm_mean_square(c, x);
    double scale = 1 / sqrt(square + (double)c->norm_eps);
    for (size_t i = 0; i < c->d_model; i++)
        out[i] = ((double)weight[i] + (double)c->norm_offset) * ((double)x[i] - mean) * scale;
    return square;
}
