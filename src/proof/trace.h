// trace.h — runs that gates compare: the built-in text, computed by the reference and by packages.
#ifndef LATHE_PROOF_TRACE_H
#define LATHE_PROOF_TRACE_H

#include "proof/proof.h"

// The built-in text: a few hundred tokens of several kinds.
Str proof_text(void);
// Token ids of the built-in text, as many as asked and the context allows. In the arena.
bool proof_tokens(Proof *p, size_t n, uint32_t **ids, size_t *count, Err *err);

// The residual stream of a reference run at the shards' borders.
typedef struct {
    size_t n_tokens;
    float **rows; // [n_shards + 1]: entering shard i, and after the last; each [n_tokens, d_model]
} Trace;
// Feeds `ids` to a fresh reference. With `packed` the reference uses the package's weights.
bool trace_run(Proof *p, Trace *trace, const uint32_t *ids, size_t n, bool packed, Err *err);

// Runs shard `i` over the rows that enter it, [n_tokens, d_model]: full chunks by prefill, the rest
// in single steps. Returns the rows that leave it.
bool proof_run_shard(Proof *p, Shards *shards, size_t i, const float *rows, size_t n_tokens,
                     float *out, Err *err);

#endif
