// contract_keys.h — what a model's Hugging Face files state, as the keys and tensors that a GGUF file states it
// by: fields.def has the key of each field. What no key can say is left out; the reader of the result then gives
// another contract, and the comparison of both (compare_config.h) names the field.
#ifndef LATHE_CONTRACT_CONTRACT_KEYS_H
#define LATHE_CONTRACT_CONTRACT_KEYS_H

#include "contract/stated.h"
#include "gguf/keys.h"

// All but those of the vocabulary. `stated` names an architecture.
void contract_put_keys(GgufKeys *keys, const Stated *stated, Arena *arena);

// The divisors of rotations, which files keep as tensors; `out` has room for CONTRACT_MAX_FACTORS. Returns how many.
enum { CONTRACT_MAX_FACTORS = 3 };
size_t contract_factor_tensors(const Stated *stated, TensorInfo *out);

#endif
