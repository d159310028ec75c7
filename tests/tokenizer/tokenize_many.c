// tokenize_many.c — for the oracles: encodes and decodes many texts in one process.
//
//     usage: tokenize_many MODEL.gguf
//     stdin, a text after the other:   u32 flags of tokenizer_encode, u32 length (little-endian),
//     bytes stdout, two lines a text:        ids with a space between; their text again in
//     hexadecimal, control tokens shown
#include <stdio.h>

#include "base/reader.h"
#include "huggingface/folder.h"
#include "tokenizer/tokenizer.h"

static void read_stdin(StrBuf *in) {
    char block[1 << 16];
    for (size_t n; (n = fread(block, 1, sizeof block, stdin)) > 0;) strbuf_add(in, (Str){block, n});
}

static void print_ids(const TokenList *ids) {
    for (size_t i = 0; i < ids->count; i++) printf("%s%u", i ? " " : "", ids->at[i]);
    putchar('\n');
}

static void print_text(const Tokenizer *t, const TokenList *ids) {
    StrBuf text = {0};
    Detokenizer d = detokenizer_start(t, DETOKENIZER_SHOW_CONTROL);
    for (size_t i = 0; i < ids->count; i++) detokenizer_add(&d, ids->at[i], &text);
    detokenizer_flush(&d, &text);
    for (size_t i = 0; i < text.len; i++) printf("%02x", (unsigned char)text.at[i]);
    putchar('\n');
    strbuf_free(&text);
}

int main(int argc, char **argv) {
    Arena arena = {0};
    Gguf g = {0};
    Err err = {0};
    Tokenizer *t = NULL;
    if (argc != 2 || !model_open(&g, &arena, argv[1], &err) || !(t = tokenizer_open(&g, &err))) {
        fprintf(stderr, "tokenize_many: %s\n", err.text);
        return 3;
    }
    gguf_close(&g);
    arena_free(&arena);

    StrBuf in = {0};
    TokenList ids = {0};
    read_stdin(&in);
    Reader r = reader_over(in.at, in.len);
    while (reader_left(&r)) {
        unsigned flags = read_u32(&r);
        Str text = read_str(&r, read_u32(&r));
        ids.count = 0;
        if (r.short_read || !tokenizer_encode(t, text, flags, &ids, &err)) {
            fprintf(stderr, "tokenize_many: %s\n", err.text);
            return 1;
        }
        print_ids(&ids);
        print_text(t, &ids);
    }
    token_list_free(&ids);
    strbuf_free(&in);
    tokenizer_close(t);
    return 0;
}
