// spm.c — SentencePiece by scores: the characters of a text are joined pair by pair, the
// pair whose text is the token with the best score first, of equals the leftmost. What is left without a token
// is spelt in byte tokens, or, where the vocabulary has none, a whole stretch of it is
// one unknown token. Checked against google/sentencepiece's bpe_model.cc.
#include <stdlib.h>

#include "base/half.h"
#include "base/size.h"
#include "base/utf8.h"
#include "tokenizer/impl.h"

// Scores as unsigned numbers in the opposite order: best first.
static uint32_t order_of_score(float score) {
    uint32_t bits = f32_bits(score == 0 ? 0 : score); // -0 is 0
    return bits >> 31 ? bits : bits ^ 0x7FFFFFFF;
}

static void consider(Encoder *e, const Symbol *symbols, Str text, uint32_t left) {
    if (left == NO_TOKEN || symbols[left].next == NO_TOKEN) return;
    const Tokenizer *t = e->tokenizer;
    uint32_t len = symbols[left].len + symbols[symbols[left].next].len;
    if (len > t->max_matched_text) return;
    uint32_t id = index_find(t, &t->matched, (Str){text.at + symbols[left].start, len});
    if (id == NO_TOKEN) return;
    heap_push(&e->heap, (Candidate){order_of_score(t->tokens[id].score), left, len});
}

static void add_symbol(Encoder *e, Str text, bool *was_unknown) {
    const Tokenizer *t = e->tokenizer;
    uint32_t id = index_find(t, &t->matched, text);
    bool is_unknown = id == NO_TOKEN && t->byte_ids[0] == NO_TOKEN;
    if (id != NO_TOKEN)
        token_list_add(e->out, id);
    else if (!is_unknown)
        for (size_t i = 0; i < text.len; i++)
            token_list_add(e->out, t->byte_ids[(uint8_t)text.at[i]]);
    else if (!*was_unknown)
        token_list_add(e->out, t->unknown);
    *was_unknown = is_unknown;
}

// The text as the vocabulary spells it: spaces as U+2581, one before it where the model wants that.
static Str normalize(Encoder *e, Str text) {
    const Tokenizer *t = e->tokenizer;
    StrBuf *out = &e->normalized;
    out->len = 0;
    if (t->joins_spaces) {
        while (text.len && text.at[0] == ' ') text = (Str){text.at + 1, text.len - 1};
        while (text.len && text.at[text.len - 1] == ' ') text.len--;
    }
    if (t->adds_space_prefix && text.len) strbuf_add(out, STR("\u2581"));
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != ' ')
            strbuf_add_char(out, text.at[i]);
        else if (!t->joins_spaces || text.at[i - 1] != ' ') // a joined text does not begin with one
            strbuf_add(out, STR("\u2581"));
    }
    return strbuf_str(out);
}

void spm_encode(Encoder *e, Str plain) {
    Str text = normalize(e, plain);
    Symbol *symbols = encoder_symbols(e, text.len);
    uint32_t n = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        symbols[n] = (Symbol){.start = (uint32_t)at,
                              .len = (uint32_t)len,
                              .prev = n ? n - 1 : NO_TOKEN,
                              .next = n + 1};
        n++;
    }
    if (n == 0) return;
    symbols[n - 1].next = NO_TOKEN;
    for (uint32_t i = 0; i < n; i++) consider(e, symbols, text, i);
    while (e->heap.count) {
        Candidate c = heap_pop(&e->heap);
        Symbol *left = &symbols[c.left];
        if (left->len == 0 || left->next == NO_TOKEN) continue;
        Symbol *right = &symbols[left->next];
        // The same stretch is the same token, however it is split now.
        if (left->len + right->len != c.len) continue;
        left->len += right->len;
        right->len = 0;
        left->next = right->next;
        if (left->next != NO_TOKEN) symbols[left->next].prev = c.left;
        consider(e, symbols, text, left->prev);
        consider(e, symbols, text, c.left);
    }
    bool was_unknown = false;
    for (uint32_t i = 0; i != NO_TOKEN; i = symbols[i].next)
        add_symbol(e, (Str){text.at + symbols[i].start, symbols[i].len}, &was_unknown);
}
