#include "tokenizer/vocabulary.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "base/size.h"
#include "gguf/spec.h"

void vocabulary_add(Vocabulary *v, Str text, TokenType type, float score) {
    assert(v->n_tokens < MAX_TOKENS);
    v->tokens[v->n_tokens++] = (TokenSpec){text, type, score};
    v->n_types = v->n_tokens;
    if (v->n_scores) v->n_scores = v->n_tokens;
}

static void empty(Vocabulary *v, const char *model) {
    *v = (Vocabulary){.model = model,
                      .has_tokens = true,
                      .bos = KEY_ABSENT,
                      .eos = KEY_ABSENT,
                      .unknown = KEY_ABSENT,
                      .adds_bos = KEY_ABSENT,
                      .adds_eos = KEY_ABSENT,
                      .adds_space_prefix = KEY_ABSENT,
                      .joins_spaces = KEY_ABSENT};
}

void vocabulary_bpe(Vocabulary *v) {
    static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "a a"};
    empty(v, "gpt2");
    v->pre = "gpt-2";
    v->has_merges = true;
    unsigned n_hidden = 0;
    for (unsigned b = 0; b < 256; b++) {
        bool prints = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
        unsigned code = prints ? b : 256 + n_hidden++;
        if (code < 0x80)
            v->texts[b][0] = (char)code;
        else
            snprintf(v->texts[b], sizeof v->texts[b], "%c%c", (char)(0xC0 | code >> 6),
                     (char)(0x80 | (code & 63)));
        vocabulary_add(v, str_of(v->texts[b]), TOKEN_NORMAL, 0);
    }
    vocabulary_add(v, STR("he"), TOKEN_NORMAL, 0);
    vocabulary_add(v, STR("ll"), TOKEN_NORMAL, 0);
    vocabulary_add(v, STR("hell"), TOKEN_NORMAL, 0);
    vocabulary_add(v, STR("hello"), TOKEN_NORMAL, 0);
    vocabulary_add(v, STR("aa"), TOKEN_NORMAL, 0);
    vocabulary_add(v, STR("xyz"), TOKEN_NORMAL, 0); // no merge leads to it
    vocabulary_add(v, STR("  "), TOKEN_USER_DEFINED, 0);
    vocabulary_add(v, STR("<|end|>"), TOKEN_CONTROL, 0);
    vocabulary_add(v, STR("<|end|>of"), TOKEN_CONTROL, 0);
    vocabulary_add(v, STR("<tool>"), TOKEN_USER_DEFINED, 0);
    vocabulary_add(v, STR("[PAD]"), TOKEN_UNUSED, 0);
    assert(v->n_tokens == BPE_TOKENS);
    for (size_t i = 0; i < COUNT_OF(merges); i++) v->merges[v->n_merges++] = str_of(merges[i]);
}

void vocabulary_spm(Vocabulary *v) {
    empty(v, "llama");
    v->n_scores = 1;
    v->bos = BOS;
    v->eos = EOS;
    v->unknown = UNK;
    vocabulary_add(v, STR("<unk>"), TOKEN_UNKNOWN, 0);
    vocabulary_add(v, STR("<s>"), TOKEN_CONTROL, 0);
    vocabulary_add(v, STR("</s>"), TOKEN_CONTROL, 0);
    for (unsigned b = 0; b < 256; b++) {
        snprintf(v->texts[b], sizeof v->texts[b], "<0x%02X>", b);
        vocabulary_add(v, str_of(v->texts[b]), TOKEN_BYTE, 0);
    }
    vocabulary_add(v, STR("ab"), TOKEN_NORMAL, -1);
    vocabulary_add(v, STR("\u2581a"), TOKEN_NORMAL, -2);
    vocabulary_add(v, STR("abc"), TOKEN_NORMAL, -3);
    vocabulary_add(v, STR("\u2581"), TOKEN_NORMAL, -4);
    vocabulary_add(v, STR("a"), TOKEN_NORMAL, -5);
    vocabulary_add(v, STR("b"), TOKEN_NORMAL, -6);
    vocabulary_add(v, STR("c"), TOKEN_NORMAL, -7);
    vocabulary_add(v, STR("<|end|>"), TOKEN_CONTROL, 0);
    assert(v->n_tokens == SPM_TOKENS);
}

static void add_list(FileSpec *s, const char *name, GgufType type, size_t n, const StrBuf *items) {
    StrBuf value = {0};
    put_le(&value, type, 4);
    put_le(&value, n, 8);
    strbuf_add(&value, strbuf_str(items));
    spec_add_key(s, name, GGUF_ARRAY, value.at, value.len);
    strbuf_free(&value);
}

static void add_id(FileSpec *s, const char *name, int64_t id) {
    if (id != KEY_ABSENT) spec_add_u32(s, name, (uint32_t)id);
}

static void add_flag(FileSpec *s, const char *name, int flag) {
    uint8_t byte = (uint8_t)flag;
    if (flag != KEY_ABSENT) spec_add_key(s, name, GGUF_BOOL, &byte, 1);
}

static void put_text(StrBuf *out, Str text) {
    put_le(out, text.len, 8);
    strbuf_add(out, text);
}

StrBuf vocabulary_bytes(const Vocabulary *v) {
    FileSpec s;
    StrBuf texts = {0}, types = {0}, scores = {0}, merges = {0}, bytes = {0};
    spec_init(&s);
    for (size_t i = 0; i < v->n_tokens; i++) put_text(&texts, v->tokens[i].text);
    for (size_t i = 0; i < v->n_types; i++) put_le(&types, v->tokens[i].type, 4);
    for (size_t i = 0; i < v->n_scores; i++) put_le(&scores, f32_bits(v->tokens[i].score), 4);
    for (size_t i = 0; i < v->n_merges; i++) put_text(&merges, v->merges[i]);

    if (v->model) spec_add_string(&s, "tokenizer.ggml.model", v->model);
    if (v->pre) spec_add_string(&s, "tokenizer.ggml.pre", v->pre);
    if (v->has_tokens) add_list(&s, "tokenizer.ggml.tokens", GGUF_STRING, v->n_tokens, &texts);
    if (v->n_types) add_list(&s, "tokenizer.ggml.token_type", GGUF_I32, v->n_types, &types);
    if (v->n_scores) add_list(&s, "tokenizer.ggml.scores", GGUF_F32, v->n_scores, &scores);
    if (v->has_merges) add_list(&s, "tokenizer.ggml.merges", GGUF_STRING, v->n_merges, &merges);
    add_id(&s, "tokenizer.ggml.bos_token_id", v->bos);
    add_id(&s, "tokenizer.ggml.eos_token_id", v->eos);
    add_id(&s, "tokenizer.ggml.unknown_token_id", v->unknown);
    add_flag(&s, "tokenizer.ggml.add_bos_token", v->adds_bos);
    add_flag(&s, "tokenizer.ggml.add_eos_token", v->adds_eos);
    add_flag(&s, "tokenizer.ggml.add_space_prefix", v->adds_space_prefix);
    add_flag(&s, "tokenizer.ggml.remove_extra_whitespaces", v->joins_spaces);
    strbuf_add(&bytes, spec_bytes(&s));
    spec_free(&s);
    strbuf_free(&texts);
    strbuf_free(&types);
    strbuf_free(&scores);
    strbuf_free(&merges);
    return bytes;
}

Tokenizer *vocabulary_open(const Vocabulary *v, Err *err) {
    StrBuf bytes = vocabulary_bytes(v);
    char *exact = malloc(bytes.len); // so that a sanitizer sees each byte read beyond
    assert(exact);
    memcpy(exact, bytes.at, bytes.len);
    Arena arena = {0};
    Gguf g;
    Tokenizer *t = NULL;
    if (gguf_open_bytes(&g, &arena, exact, bytes.len, "test.gguf", err))
        t = tokenizer_open(&g, err);
    gguf_close(&g);
    arena_free(&arena);
    free(exact);
    strbuf_free(&bytes);
    return t;
}
