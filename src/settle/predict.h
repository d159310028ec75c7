// predict.h — predictions for a bundle on a machine. Internal to settle/.
#ifndef LATHE_SETTLE_PREDICT_H
#define LATHE_SETTLE_PREDICT_H

#include "bundle/bundle.h"
#include "placement/placement.h"
#include "settle/machine.h"
#include "settle/tables.h"

// The system and chip whose placement rules hold: the machine's, or those the bundle was converted for where
// the machine is no Mac.
void predict_target(PlacementTarget *target, const Chain *chain, const SettleMachine *machine);

// Figures that follow from the bundle itself (PREDICT_COMPUTED); NaN for those that do not.
//
//     conv_ane, compute_ane, resident   the placement rules' count, over all functions
//     wired_mib                         bytes of packed weights that each function reaches, summed
//     decode_ms, prefill_ms             the segment cost model, a token
typedef struct {
    double figures[FIGURE_COUNT];
} Computed;
bool predict_compute(Computed *c, const char *bundle, const SettleMachine *machine, Err *err);

#endif
