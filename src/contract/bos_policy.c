#include "contract/bos_policy.h"

#include <stddef.h>

#include "base/size.h"

// Pre-tokenizers of byte-level vocabularies that begin a text with bos: those for which llama.cpp's
// llama-vocab.cpp sets add_bos. tests/oracle/test_cases_text.py asks llama.cpp about every name
// that tokenizer/pre.c knows.
static const char *const pre_tokenizers[] = {
    "llama-bpe", "llama3", "llama-v3", "falcon3",      "falcon-h1", "pixtral",
    "midm-2.0",  "lfm2",   "tekken",   "jina-v5-nano", "chameleon",
};
static const char *const always[] = {"gemma4", "granite-embed-multi-311m"};

bool bos_is_added_unless_stated(Str model, Str pre) {
    if (str_is(model, "llama")) return true; // SentencePiece
    for (size_t i = 0; i < COUNT_OF(pre_tokenizers); i++)
        if (str_is(pre, pre_tokenizers[i])) return true;
    return bos_is_added_always(pre);
}

bool bos_is_added_always(Str pre) {
    for (size_t i = 0; i < COUNT_OF(always); i++)
        if (str_is(pre, always[i])) return true;
    return false;
}
