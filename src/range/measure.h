// measure.h — measures in the fp32 reference how large a model's activations become.
//
// It computes every figure of range/ranges.def over every row of a calibration text. Figures are
// rounded to four digits, so that decisions based on them can be repeated from chain.json. The same
// model and text give the same figures for any number of threads.
#ifndef LATHE_RANGE_MEASURE_H
#define LATHE_RANGE_MEASURE_H

#include "base/pool.h"
#include "base/progress.h"
#include "contract/contract.h"
#include "contract/use.h"
#include "range/calibration.h"
#include "range/ranges.h"

// Each piece is read as a session does under `rope_factors`; the reference's cache is as large as
// the longest piece. `ranges` and its lists are in the arena. Fails when an activation is not
// finite even in fp32.
bool measure_ranges(Ranges *ranges, const Model *model, const Calibration *text,
                    RopeFactors rope_factors, Pool *pool, const Progress *progress, Arena *arena,
                    Err *err);

#endif
