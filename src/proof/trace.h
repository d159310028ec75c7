// trace.h — runs that gates compare: the built-in text through the reference and through packages.
#ifndef LATHE_PROOF_TRACE_H
#define LATHE_PROOF_TRACE_H

#include "proof/proof.h"

// The built-in text: a few hundred tokens of several kinds.
Str proof_text(void);
// Token ids of the built-in text, as many as asked and the context allows. In the arena.
bool proof_tokens(Proof *p, size_t n, uint32_t **ids, size_t *count, Err *err);

// The stream of a reference run where shards meet.
typedef struct {
    size_t n_tokens;
    float **rows; // [n_shards + 1]: entering shard i, and after the last; each [n_tokens, d_model]
} Trace;
// Feeds `ids` to a fresh reference. With `packed` it computes with the package's own weights.
bool trace_run(Proof *p, Trace *trace, const uint32_t *ids, size_t n, bool packed, Err *err);

// Runs shard `i` over the rows that enter it, [n_tokens, d_model], in chunks of prefill while they
// are full and single steps for the rest, and gives what leaves it.
bool proof_run_shard(Proof *p, Shards *shards, size_t i, const float *rows, size_t n_tokens,
                     float *out, Err *err);

#endif
