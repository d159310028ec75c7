// model_spec.h — small valid models of each architecture as a FileSpec, for tests that put one
// thing wrong or leave one thing out.
#ifndef LATHE_TESTS_CONTRACT_MODEL_SPEC_H
#define LATHE_TESTS_CONTRACT_MODEL_SPEC_H

#include "contract/contract.h"
#include "gguf/spec.h"

// Both: 2 layers, d_model 32, 4 query heads over 2 kv heads of 8 dims, d_ff 48, 10 tokens, head
// tied. llama: separate projections, no scaling, context 64. phi3: fused projections, 4 of 8 dims
// rotate, LongRoPE from 16 to 64 positions, sliding window 262144.
void model_spec_llama(FileSpec *s);
void model_spec_phi3(FileSpec *s);
void model_spec_of(FileSpec *s, const char *arch);

// A key that may be there: its value is replaced, its type too.
void model_put_u32(FileSpec *s, const char *key, uint32_t value);
void model_put_f32(FileSpec *s, const char *key, float value);
void model_put_string(FileSpec *s, const char *key, const char *value);

// llama with rope_freqs.weight {1, 2, 4, 8}.
void model_add_rope_freqs(FileSpec *s);

// The model read from the spec's bytes; what it points into lives in the spec's arena. False with
// `err` when the file or the contract is refused.
bool model_spec_read(FileSpec *s, Model *m, Err *err);

#endif
