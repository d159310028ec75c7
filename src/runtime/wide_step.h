// wide_step.h — a step of one row for a function that takes more (--functions one): the row stands in
// every column, its tables too, so that whatever the function makes of the others is finite and
// known. The first column counts.
//
// The write mask of the overwrite form lets the first column alone into the caches. Forms that store
// all rows write copies behind the position, where there is room for them (chain_read.c) and the mask
// hides them until they are written again.
#ifndef LATHE_RUNTIME_WIDE_STEP_H
#define LATHE_RUNTIME_WIDE_STEP_H

#include "runtime/host.h"

typedef struct {
    uint32_t n_rows; // that the function takes
    HostStep step;   // the last one filled
} WideStep;

// For steps of `h`, which is open. wide_step_close() has to be called in both cases.
bool wide_step_open(WideStep *w, const Host *h, uint32_t n_rows, Err *err);
void wide_step_close(WideStep *w); // safe on a zeroed WideStep

// `narrow`, a step of one row of `h`, in n_rows columns. Good until the next call.
const HostStep *wide_step_fill(WideStep *w, const Host *h, const HostStep *narrow);

#endif
