// packed.h — the weights of a bundle, read back from weight.bin, as the reference asks for them.
#ifndef LATHE_PROOF_PACKED_H
#define LATHE_PROOF_PACKED_H

#include "proof/proof.h"

// The package's weights as the reference asks for them; the context is a PackedWeights.
typedef struct PackedWeights PackedWeights;
PackedWeights *packed_weights_open(Proof *p, Err *err); // in the arena
WeightRow packed_weight_row;
bool packed_weight_is_there(const PackedWeights *w, WeightRole role, uint32_t layer);
// How far a source's weight may be from the packed `value` in `row` (of a vector: the weight's
// number): half the distance to the next value that its form has.
double packed_weight_slack(const PackedWeights *w, WeightRole role, uint32_t layer, size_t row,
                           float value);
// Where a row (or vector) of the source lies. It must be there, as for the slack.
typedef struct {
    const ChainTensor *tensor;
    const ChainPart *part;
} PackedPlace;
PackedPlace packed_weight_place(const PackedWeights *w, WeightRole role, uint32_t layer,
                                size_t row);

#endif
