// measure.h — the stages of a question over its settings, in the order that compares fairly. Internal
// to settle/.
#ifndef LATHE_SETTLE_MEASURE_H
#define LATHE_SETTLE_MEASURE_H

#include "settle/record.h"

// One of the settings that are compared.
typedef struct {
    Setting *setting;
    const char *name; // of its variant
} Compared;

// Does every stage of the question. Runs of a stage take the settings in turn, each run beginning
// with another one; a stage is left out for a setting that did not get through `open`. Says what it
// finds. False: the caller ended it, or nothing can be written.
bool measure(Run *run, QuestionId question, const Compared *compared, size_t n, Err *err);

#endif
