// judge.h — compares measurements with predictions. Internal to settle/.
#ifndef LATHE_SETTLE_JUDGE_H
#define LATHE_SETTLE_JUDGE_H

#include <stddef.h>

#include "settle/tables.h"

// A figure over its runs. n 0: not measured.
typedef struct {
    double median, least, most;
    size_t n;
} Measured;

// Sorts `values`.
Measured measured_of(double *values, size_t n);

typedef enum { PREDICTION_OPEN, PREDICTION_RIGHT, PREDICTION_WRONG } PredictionVerdict;
const char *prediction_verdict_name(PredictionVerdict verdict); // "open", "right", "wrong"

// Whether `measured` lies in [low, high], each times `unit`: 1 for an absolute prediction, else what
// it is relative to (NaN: not known, so the prediction stays open). Of several runs the median is
// judged.
PredictionVerdict prediction_judge(const Measured *measured, double low, double high, double unit);

#endif
