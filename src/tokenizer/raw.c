// raw.c — BPE over characters instead of bytes, as Gemma 4: spaces become U+2581, each character that
// is a token is a symbol, any other is spelt in the tokens of its bytes (HF tokenizers' BPE with
// byte_fallback and fuse_unk).
#include "base/utf8.h"
#include "tokenizer/impl.h"

static bool has_byte_tokens(const Tokenizer *t, Str text) {
    for (size_t i = 0; i < text.len; i++)
        if (t->byte_ids[(uint8_t)text.at[i]] == NO_TOKEN) return false;
    return true;
}

void raw_encode(Encoder *e, Str plain) {
    const Tokenizer *t = e->tokenizer;
    StrBuf *spelt = &e->normalized;
    spelt->len = 0;
    for (size_t i = 0; i < plain.len; i++)
        if (plain.at[i] == ' ')
            strbuf_add(spelt, STR("\u2581"));
        else
            strbuf_add_char(spelt, plain.at[i]);
    Str text = strbuf_str(spelt);
    Symbol *symbols = encoder_symbols(e, text.len);
    uint32_t n = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        Str character = {text.at + at, len};
        uint32_t id = index_find(t, &t->matched, character);
        if (id != NO_TOKEN)
            symbols[n++].id = id;
        else if (has_byte_tokens(t, character))
            for (size_t i = 0; i < len; i++)
                symbols[n++].id = t->byte_ids[(uint8_t)character.at[i]];
        else if (t->unknown != NO_TOKEN && (n == 0 || symbols[n - 1].id != t->unknown))
            symbols[n++].id = t->unknown;
    }
    bpe_join(e, symbols, n);
}
