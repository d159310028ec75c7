// weights.h — compares every weight of the packages with the source's.
#ifndef LATHE_GATES_WEIGHTS_H
#define LATHE_GATES_WEIGHTS_H

#include "proof/packed.h"

// The weight that is furthest from the source's.
typedef struct {
    WeightRole role;
    uint32_t layer;    // n_layers for the head's
    const char *name;  // name of the role
    Rows rows;         // of the source
    size_t row;        // the row of these; of a vector the weight's number
    size_t n_bad_rows; // of the tensor
    bool is_found;     // it differs by more than rounding
} WeightFault;
// Compares every weight of the packages against the source's; a result of gate layer golden.
bool compare_weights(Proof *p, WeightFault *worst, Err *err);

#endif
