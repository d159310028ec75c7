// bos_policy.h — whether a text begins with the token `bos` where a file does not say so
// (`tokenizer.ggml.add_bos_token` is absent). One rule for the contract and for the tokenizer.
#ifndef LATHE_CONTRACT_BOS_POLICY_H
#define LATHE_CONTRACT_BOS_POLICY_H

#include <stdbool.h>

#include "base/str.h"

// Of a vocabulary of kind `model` (`tokenizer.ggml.model`), whose pre-tokenizer is `pre`
// (`tokenizer.ggml.pre`; empty where the kind has none).
bool bos_is_added_unless_stated(Str model, Str pre);
// Of a pre-tokenizer for which a stated no counts for a yes, as in llama.cpp: converters wrote it for
// models that were trained with bos.
bool bos_is_added_always(Str pre);

#endif
