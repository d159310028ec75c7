// tokenizer.c — text to token ids and back, for callers.
#include <stdlib.h>

#include "api/api.h"

_Static_assert((int)LATHE_MAX_TEXT == (int)TOKENIZER_MAX_TEXT, "the header states the limit");

LatheTokenizer *lathe_tokenizer_open(const char *path, LatheError *error) {
    Arena arena = {0};
    Gguf g = {0};
    Err err = {0};
    Tokenizer *tokenizer = NULL;
    if (api_open_vocabulary(&g, &arena, path, &err)) {
        tokenizer = tokenizer_open(&g, &err);
        if (!tokenizer) err_prefix(&err, "%s", path);
    }
    gguf_close(&g);
    arena_free(&arena);
    if (!tokenizer) {
        api_fail(error, &err);
        return NULL;
    }
    LatheTokenizer *t = malloc(sizeof *t);
    if (!t) die_out_of_memory(sizeof *t);
    t->tokenizer = tokenizer;
    return t;
}

void lathe_tokenizer_close(LatheTokenizer *t) {
    if (!t) return;
    tokenizer_close((Tokenizer *)(uintptr_t)t->tokenizer); // it was opened here
    free(t);
}

size_t lathe_tokenizer_count(const LatheTokenizer *t) {
    return tokenizer_count(t->tokenizer);
}

const char *lathe_tokenizer_piece(const LatheTokenizer *t, uint32_t id, size_t *n_bytes) {
    Str piece = tokenizer_piece(t->tokenizer, id);
    *n_bytes = piece.len;
    return piece.at;
}

bool lathe_tokenize(const LatheTokenizer *t, const char *text, size_t n_bytes, unsigned flags,
                    uint32_t **ids, size_t *n_ids, LatheError *error) {
    unsigned asked = 0;
    if (flags & LATHE_PARSE_SPECIAL) asked |= TOKENIZER_PARSE_SPECIAL;
    if (flags & LATHE_ADD_SPECIAL) asked |= TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS;
    Err err = {0};
    TokenList list = {0};
    if (!tokenizer_encode(t->tokenizer, (Str){text, n_bytes}, asked, &list, &err)) {
        token_list_free(&list);
        return api_fail(error, &err);
    }
    *ids = list.at;
    *n_ids = list.count;
    return true;
}

bool lathe_detokenize(const LatheTokenizer *t, const uint32_t *ids, size_t n_ids, unsigned flags,
                      char **text, size_t *n_bytes, LatheError *error) {
    Err err = {0};
    StrBuf out = {0};
    size_t count = tokenizer_count(t->tokenizer);
    Detokenizer d =
        detokenizer_start(t->tokenizer, flags & LATHE_SHOW_SPECIAL ? DETOKENIZER_SHOW_CONTROL : 0);
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] >= count) {
            strbuf_free(&out);
            err_set(&err, ERR_USAGE, "token %u of a vocabulary of %zu", ids[i], count);
            return api_fail(error, &err);
        }
        detokenizer_add(&d, ids[i], &out);
    }
    detokenizer_flush(&d, &out);
    *text = api_take_text(&out, n_bytes);
    return true;
}
