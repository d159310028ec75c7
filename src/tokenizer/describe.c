// describe.c — describes a vocabulary for other software.
#include "tokenizer/impl.h"

bool tokenizer_cuts(const Tokenizer *t, TokenizerCuts *out) {
    if (t->kind != VOCAB_BPE) return false;
    *out = (TokenizerCuts){.n_patterns = t->pre.n_patterns,
                           .ignores_merges = t->pre.ignores_merges,
                           .is_nfc = t->pre.is_nfc,
                           .is_raw = t->pre.is_raw};
    for (size_t i = 0; i < t->pre.n_patterns; i++) out->patterns[i] = t->pre.texts[i];
    return true;
}

Str tokenizer_text(const Tokenizer *t, uint32_t id) {
    return t->tokens[id].text;
}

float tokenizer_score(const Tokenizer *t, uint32_t id) {
    return t->tokens[id].score;
}

bool tokenizer_strips_right(const Tokenizer *t, uint32_t id) {
    return t->tokens[id].strips_right;
}

bool tokenizer_adds_space_prefix(const Tokenizer *t) {
    return t->kind == VOCAB_SPM && t->adds_space_prefix;
}

uint32_t tokenizer_unknown(const Tokenizer *t) {
    return t->unknown;
}

bool tokenizer_adds_eos(const Tokenizer *t) {
    return t->adds_eos;
}

bool tokenizer_merge(const Tokenizer *t, size_t row, uint32_t *left, uint32_t *right,
                     uint32_t *joined) {
    if (t->kind != VOCAB_BPE || row >= t->merges.n_rows) return false;
    *left = t->merges.rows[row].left;
    *right = t->merges.rows[row].right;
    *joined = t->merges.rows[row].joined;
    return true;
}
