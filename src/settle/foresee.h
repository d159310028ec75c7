// foresee.h — predictions.json: what was expected before anything was measured. Internal to settle/.
//
// It is written once every bundle is there and before the first stage. A prediction in it is never
// changed; a later run that asks more questions adds theirs. A folder whose predictions are of
// another model, machine or program is refused.
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
