// foresee.h — predictions.json: the predictions made before anything is measured. Internal to
// settle/.
//
// It is written after every bundle was converted and before the first stage. Predictions are never
// changed; a later run with more questions adds theirs. A folder with predictions for another
// model, machine or program is refused.
#ifndef LATHE_SETTLE_FORESEE_H
#define LATHE_SETTLE_FORESEE_H

#include <jansson.h>

#include "settle/settings.h"

// The file's content, a new reference. Each prediction of `predictions`:
//
//     question, variant, setting, figure, unit, kind, because, source
//     low, high     what the figure comes to, at least and at most; of kind "ratio" relative to that
//                   of the variant `to`
//     computed      of kind "computed": what low and high were made of
json_t *foresee(Run *run, Err *err);

#endif
