// host.h — what the host computes for a shard's function: embedding rows, rotary tables, mask and
// the place in the KV state. Names and shapes: mil/ports.h.
#ifndef LATHE_RUNTIME_HOST_H
#define LATHE_RUNTIME_HOST_H

#include "contract/contract.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

typedef struct {
    const Contract *contract;
    const TensorInfo *embedding; // [n_vocab, d_model]
    uint32_t state_rows;
    double *turns; // [rope_dim / 2]: radians a pair turns by per position
    float *row;    // [d_model], scratch
} Host;

// `context` decides LongRoPE's factors, as documented at rope_turns(). The contract and the
// embedding table must outlive the host.
bool host_open(Host *h, const Contract *contract, const TensorInfo *embedding, uint32_t context,
               uint32_t state_rows, Err *err);
void host_close(Host *h); // safe on a zeroed Host

// Embedding rows of `n` tokens into columns of x [d_model, n_rows]; the columns beyond n repeat the
// last token: padding must be real rows, since a row of zeros is a norm's worst case.
void host_embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows);

// Fills every input of `e` but x for `n_rows` rows at `position` and after. The rows must fit into
// the state.
void host_fill(const Host *h, Engine *e, uint32_t position, uint32_t n_rows);

// How far pair i turns per position under the contract's scaling. LongRoPE's long factors apply
// when the configured context exceeds the original one (llama.cpp's rule): a choice that cannot
// change while a chat grows, unlike one by running length, which would need the cache to be
// recomputed.
void rope_turns(const Contract *c, uint32_t context, double *turns);

#endif
