// blame.h — finds where in a failing shard an error begins. Internal to gates/.
#ifndef LATHE_GATES_BLAME_H
#define LATHE_GATES_BLAME_H

#include "gates/layer_probe.h"
#include "gates/weights.h"

// Compares shard `i` over `rows` [n_tokens, d_model] with the reference at each landmark and
// reports, as a result of `gate`, the first op that differs, and whether the graph (fp32, equal
// weights), fp16, or the weights cause it. Only landmarks can be compared, so it lists the ops
// between the last landmark that agrees and the first that does not.
bool blame_shard(Proof *p, const char *gate, size_t i, const float *rows, size_t n_tokens,
                 Err *err);

// Reports, as a result of `gate`, to which tensor the weight furthest from the source's belongs and
// how its row was changed. A single wrong row, scale or sign changes no layer enough for
// blame_shard().
bool blame_weight(Proof *p, const char *gate, const WeightFault *fault, Err *err);

#endif
