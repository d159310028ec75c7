// blame.h — where in a failing shard an error begins. Internal to gates/.
#ifndef LATHE_GATES_BLAME_H
#define LATHE_GATES_BLAME_H

#include "gates/layer_probe.h"
#include "gates/weights.h"

// Walks shard `i` over `rows` [n_tokens, d_model] from landmark to landmark and says, as a result
// of `gate`, which op is the first to give something else than the reference: because of the graph
// (fp32, equal weights), of fp16, or of the weights it reads. Ops between the last landmark that
// agrees and the first that does not are listed, for only landmarks can be compared.
bool blame_shard(Proof *p, const char *gate, size_t i, const float *rows, size_t n_tokens,
                 Err *err);

// Says of the weight that is furthest from the source's whose it is and what became of its row, as
// a result of `gate`: a single row, a scale or a sign, moves no layer enough for blame_shard().
bool blame_weight(Proof *p, const char *gate, const WeightFault *fault, Err *err);

#endif
