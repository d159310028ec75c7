// sampler.h — which token comes next, given logits.
#ifndef LATHE_RUNTIME_SAMPLER_H
#define LATHE_RUNTIME_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    float temperature; // 0: always the most likely token
    uint32_t top_k;    // keep this many; 0: all
    float top_p;       // keep the fewest that hold this share; 1: all
    float min_p;       // keep those of at least this share of the most likely one; 0: all
    float
        repeat_penalty; // divides positive and multiplies negative logits of recent tokens; 1: none
    uint64_t seed;
} SamplerOptions;

enum { SAMPLER_REPEAT_WINDOW = 64 }; // how many latest tokens count as recent

typedef struct Sampler Sampler;
Sampler *sampler_open(const SamplerOptions *options, uint32_t n_vocab, Err *err);
void sampler_close(Sampler *s); // safe on NULL

// The next token. `recent` are the latest tokens, oldest first. Changes `logits` [n_vocab]. The
// same seed and calls give the same tokens.
uint32_t sampler_next(Sampler *s, float *logits, const uint32_t *recent, size_t n_recent);

// The largest logit; the first of equals.
uint32_t logits_argmax(const float *logits, uint32_t n);

#endif
