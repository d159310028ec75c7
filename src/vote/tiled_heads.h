// tiled_heads.h — the reading under which query head h shares kv head h % n_kv_heads, for a
// reference that shares kv head h / (n_heads / n_kv_heads): the same model with its query heads in
// another order. Internal to vote/.
#ifndef LATHE_VOTE_TILED_HEADS_H
#define LATHE_VOTE_TILED_HEADS_H

#include "reference/reference.h"

// A WeightRow: the rows of queries and the columns of the attention output by that order. `context`
// is the Model. Allocates while it runs.
bool tiled_heads_row(void *context, WeightRole role, uint32_t layer, size_t row, float *out,
                     size_t n);

#endif
