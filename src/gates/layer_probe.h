// layer_probe.h — rows inside a shard, at the landmarks of chain.json: as its program computes
// them, and as the reference does from the same input with the package's or the source's weights.
// Internal to gates/.
//
// Both are converted to the model's own scale and order, so that they can be compared number by
// number: values that the program carries divided by a power of two are multiplied by it, and rows
// of rotated pairs are put back into the source's order.
#ifndef LATHE_GATES_LAYER_PROBE_H
#define LATHE_GATES_LAYER_PROBE_H

#include "proof/proof.h"

#define WATCH_PLACE(place) (1u << LANDMARK_##place)
#define WATCH_ALL          ((1u << LANDMARK_COUNT) - 1)

typedef struct {
    const ChainShard *shard;
    const Contract *contract;
    size_t n_tokens;
    float **rows; // [layers of the shard][LANDMARK_COUNT]: [n_tokens, width], NULL when not watched
    size_t *n_seen; // likewise: tokens recorded so far
} Watched;

size_t landmark_width(const Contract *c, LandmarkPlace place);
// Rows of `layer` of the model at `place`; NULL when not watched.
float *watched_rows(const Watched *w, uint32_t layer, LandmarkPlace place);

// Runs shard `i` on the engine over `rows` [n_tokens, d_model], in chunks and steps as
// proof_run_shard() does, and records the rows at `places` (a set of WATCH_PLACE). Everything in
// `arena`. Fails when chain.json's landmarks are not those of the program.
bool watch_engine(Watched *w, Arena *arena, Proof *p, Shards *shards, size_t i, uint32_t places,
                  const float *rows, size_t n_tokens, Err *err);
// The same by the reference, with the package's own weights when `packed`.
bool watch_reference(Watched *w, Arena *arena, Proof *p, bool packed, size_t i, uint32_t places,
                     const float *rows, size_t n_tokens, Err *err);

// The op of `f` whose result is the landmark's value; NULL when there is none.
const MilOp *watch_op(const MilFunction *f, const ChainLandmark *mark);

#endif
