// sampler.h — chooses the next token from logits.
#ifndef LATHE_RUNTIME_SAMPLER_H
#define LATHE_RUNTIME_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "contract/use.h"

typedef struct {
    float temperature; // 0: always the most likely token
    uint32_t top_k;    // keep this many; 0: all
    // keep the fewest tokens with this total probability at that temperature; 1: all
    float top_p;
    // keep tokens with at least this fraction of the most likely one's probability; 0: all
    float min_p;
    float repeat_penalty; // divides positive, multiplies negative logits of tokens seen; 1: none
    uint64_t seed;
} SamplerOptions;

SamplerOptions sampler_options(const Use *use, uint64_t seed);

typedef struct Sampler Sampler;
Sampler *sampler_open(const SamplerOptions *options, uint32_t n_vocab, Err *err);
void sampler_close(Sampler *s); // safe on NULL

// The next token after `seen`, the whole sequence so far. Changes `logits` [n_vocab]. The same seed
// and calls give the same tokens.
uint32_t sampler_next(Sampler *s, float *logits, const uint32_t *seen, size_t n_seen);

// The largest logit; the first of equals.
uint32_t logits_argmax(const float *logits, uint32_t n);

#endif
