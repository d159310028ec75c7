// result.h — settle.json: the machine, and for each question its variants with figures, predictions
// and an answer (docs/settle.schema.json). Internal to settle/.
#ifndef LATHE_SETTLE_RESULT_H
#define LATHE_SETTLE_RESULT_H

#include <jansson.h>

#include "settle/record.h"

// From the records that are there now. A new reference. `is_complete`: every stage was done.
json_t *result_make(Run *run, const json_t *predictions, bool is_complete, SettleSum *sum);

// Whether a setting may be used: its states are kept, its numbers right, and every operation is
// planned for the Neural Engine, each where it was measured; with `is_strict` all of them must have
// been.
bool result_is_usable(const Run *run, const Setting *s, QuestionId question, bool is_strict);

// The variant that decides `question`: the best usable one by the question's figure. False: none was
// measured.
bool result_best(const Run *run, QuestionId question, size_t *variant);

// "12.3 ms", "yes", "33 ops"
void result_print_figure(StrBuf *out, FigureId figure, double value);

#endif
