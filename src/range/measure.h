// measure.h — how large a model's activations become, measured in the fp32 reference.
//
// Every figure of range/ranges.def over every row of a calibration text. The figures are rounded
// to four digits, so that what is decided by them can be decided again from chain.json; the same
// model and text give the same figures, whatever the number of threads.
#ifndef LATHE_RANGE_MEASURE_H
#define LATHE_RANGE_MEASURE_H

#include "base/pool.h"
#include "base/progress.h"
#include "contract/contract.h"
#include "contract/use.h"
#include "range/calibration.h"
#include "range/ranges.h"

// Each piece is read as a session reads it under `rope_factors`; the reference's cache only holds
// the longest. `ranges` and its lists live in the arena. Fails when an
// activation is not finite even in fp32.
bool measure_ranges(Ranges *ranges, const Model *model, const Calibration *text,
                    RopeFactors rope_factors, Pool *pool, const Progress *progress, Arena *arena,
                    Err *err);

#endif
