// stream.c — tokens to text, one by one. A token may end inside a character; its last bytes are
// held back until the next token completes the character or shows that it stays broken.
#include "base/utf8.h"
#include "tokenizer/impl.h"

Detokenizer detokenizer_start(const Tokenizer *t, unsigned flags) {
    return (Detokenizer){
        .tokenizer = t,
        .shows_control = flags & DETOKENIZER_SHOW_CONTROL,
        .drops_space =
            t->kind == VOCAB_SPM && t->adds_space_prefix && !(flags & DETOKENIZER_MID_TEXT),
    };
}

// Appends the whole characters and the broken parts of held + bytes, and holds back the rest.
static void take_bytes(Detokenizer *d, Str bytes, StrBuf *out) {
    while (d->n_held && bytes.len) {
        // One byte at a time until the held character is whole or broken: three steps at most.
        size_t len;
        d->held[d->n_held] = (uint8_t)bytes.at[0];
        Utf8State state = utf8_scan((const char *)d->held, d->n_held + 1, &len);
        if (state == UTF8_BROKEN) {
            strbuf_add(out, UTF8_REPLACEMENT); // what was held; the new byte begins anew
            d->n_held = 0;
            break;
        }
        bytes = (Str){bytes.at + 1, bytes.len - 1};
        d->n_held++;
        if (state == UTF8_CUT) continue;
        strbuf_add(out, (Str){(const char *)d->held, d->n_held});
        d->n_held = 0;
    }
    for (size_t at = 0, len; at < bytes.len; at += len) {
        Utf8State state = utf8_scan(bytes.at + at, bytes.len - at, &len);
        if (state == UTF8_CUT) {
            memcpy(d->held, bytes.at + at, len);
            d->n_held = len;
        } else {
            strbuf_add(out, state == UTF8_WHOLE ? (Str){bytes.at + at, len} : UTF8_REPLACEMENT);
        }
    }
}

void detokenizer_add(Detokenizer *d, uint32_t id, StrBuf *out) {
    Str bytes = tokenizer_piece(d->tokenizer, id);
    if (bytes.len == 0 || (tokenizer_is_control(d->tokenizer, id) && !d->shows_control)) return;
    if (d->drops_space && bytes.at[0] == ' ') bytes = (Str){bytes.at + 1, bytes.len - 1};
    d->drops_space = false;
    take_bytes(d, bytes, out);
}

void detokenizer_flush(Detokenizer *d, StrBuf *out) {
    if (d->n_held) strbuf_add(out, UTF8_REPLACEMENT);
    d->n_held = 0;
}
