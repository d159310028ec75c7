// fuzz_tokenizer.c — hostile vocabularies and texts: whatever opens must encode anything to ids of
// its own, and decode ids to UTF-8.
//
// The input is read as a recipe, not as a file, so that most of it gets past the GGUF reader (which
// has a target of its own): a kind, changes to a small valid vocabulary, then the text.
//
//     u8 kind and flags
//     u8 n_tokens × (u8 type, u8 score, u8 length, text)
//     u8 n_merges × (u8 length, text)
//     the text to encode, to the end
#include <stdlib.h>

#include "base/reader.h"
#include "base/utf8.h"
#include "tokenizer/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

// Returns whether what a token stands for is still its text in the byte alphabet.
static bool spoil(Vocabulary *v, Reader *r, unsigned kind) {
    static const char *const names[] = {"gpt-2",  "gpt-4o", "llama-bpe", "deepseek-v3",
                                        "smollm", "viking", "kimi-k2",   "default"};
    bool is_plain = true;
    (kind & 1 ? vocabulary_bpe : vocabulary_spm)(v);
    if (kind & 1) v->pre = names[kind >> 1 & 7];
    v->adds_bos = 0;
    v->adds_space_prefix = kind >> 4 & 1;
    v->joins_spaces = kind >> 5 & 1;
    for (unsigned n = read_u8(r) % 16; n; n--) {
        TokenType type = (TokenType)(read_u8(r) % 8);
        float score = (float)(read_u8(r) - 128) / 4;
        vocabulary_add(v, read_str(r, read_u8(r) % 32), type, score);
        is_plain = is_plain && type != TOKEN_USER_DEFINED;
    }
    for (unsigned n = read_u8(r) % 8; n; n--)
        if (v->n_merges < MAX_MERGES) v->merges[v->n_merges++] = read_str(r, read_u8(r) % 32);
    return is_plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Reader r = reader_over(data, size);
    unsigned kind = read_u8(&r);
    Vocabulary v;
    bool is_plain = spoil(&v, &r, kind);
    Tokenizer *t = vocabulary_open(&v, NULL);
    if (!t) return 0;

    Str text = read_str(&r, reader_left(&r));
    TokenList ids = {0};
    check(tokenizer_encode(t, text, kind >> 6 & 3, &ids, NULL));
    StrBuf back = {0}, repaired = {0};
    Detokenizer d = detokenizer_start(t, DETOKENIZER_SHOW_CONTROL);
    for (size_t i = 0; i < ids.count; i++) {
        check(ids.at[i] < tokenizer_count(t));
        detokenizer_add(&d, ids.at[i], &back);
        check(utf8_is_valid(strbuf_str(&back)));
    }
    detokenizer_flush(&d, &back);
    check(utf8_is_valid(strbuf_str(&back)));
    utf8_repair(text, &repaired);
    if ((kind & 1) && is_plain) check(str_eq(strbuf_str(&back), strbuf_str(&repaired)));
    strbuf_free(&back);
    strbuf_free(&repaired);
    token_list_free(&ids);
    tokenizer_close(t);
    return 0;
}
