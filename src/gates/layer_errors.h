// layer_errors.h — error figures of a layer and their arrays in the report, for gates that compare
// layer by layer. Internal to gates/.
#ifndef LATHE_GATES_LAYER_ERRORS_H
#define LATHE_GATES_LAYER_ERRORS_H

#include "proof/proof.h"

enum { LAYER_TOKENS = 96 }; // one full chunk of prefill and 32 single steps after it

// Two sets of rows at the end of a layer.
typedef struct {
    Metrics m;
    WorstGroup group;
} LayerError;

LayerError layer_error(const float *found, const float *expected, size_t n_rows, size_t width);
// Appends a layer to the arrays `key` of the report's `section`, which is the running gate's.
void layer_error_record(Proof *p, const char *section, const char *key, const LayerError *e);
// {"cos": …, "group": […]}: the members with which the figures of all these gates begin.
json_t *layer_error_figures(const LayerError *e, uint32_t layer);

#endif
