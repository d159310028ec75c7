// rope_factors.h — which of LongRoPE's two factor sets applies, as a choice of use.
//
// The publisher's code goes by the running length (transformers 5.24, modeling_rope_utils.py,
// longrope_frequency_update): a sequence of at most `original_context` tokens is rotated by the
// short factors at all its positions, a longer one by the long factors at all its positions.
// Keys that were cached under the other set are wrong then, so the whole sequence is computed
// again (modeling_phi3.py, prepare_inputs_for_generation). Reference and host each implement the
// rule for themselves: what checks a result must not share the code that made it.
#ifndef LATHE_CONTRACT_ROPE_FACTORS_H
#define LATHE_CONTRACT_ROPE_FACTORS_H

#include <stdbool.h>

#include "base/str.h"

typedef enum {
    ROPE_FACTORS_AUTO,  // by the running length, as the publisher's code
    ROPE_FACTORS_SHORT, // the short ones at every length
    ROPE_FACTORS_LONG,  // the long ones at every length
    ROPE_FACTORS_COUNT,
} RopeFactors;

extern const char *const rope_factors_names[ROPE_FACTORS_COUNT]; // "auto", "short", "long"
bool rope_factors_named(Str name, RopeFactors *out);

#endif
