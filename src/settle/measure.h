// measure.h — runs the stages of a question over its settings, in an order that compares fairly.
// Internal to settle/.
#ifndef LATHE_SETTLE_MEASURE_H
#define LATHE_SETTLE_MEASURE_H

#include "settle/record.h"

// One of the settings that are compared.
typedef struct {
    Setting *setting;
    const char *name; // of its variant
} Compared;

// Does every stage of the question. Each run of a stage measures the settings in turn and begins
// with another one; a setting whose stage `open` failed is left out. Reports what it finds. False:
// the caller cancelled, or a file cannot be written.
bool measure(Run *run, QuestionId question, const Compared *compared, size_t n, Err *err);

#endif
