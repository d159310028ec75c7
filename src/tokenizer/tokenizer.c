// tokenizer.c — opens a vocabulary and encodes: special tokens are matched first, and the text
// between them goes to the encoder for the kind of vocabulary.
#include "tokenizer/tokenizer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "tokenizer/impl.h"
#include "tokenizer/nfc.h"

Tokenizer *tokenizer_open(const Gguf *g, Err *err) {
    Tokenizer *t = calloc(1, sizeof *t);
    if (!t) die_out_of_memory(sizeof *t);
    if (vocab_read(t, g, err)) return t;
    tokenizer_close(t);
    return NULL;
}

void tokenizer_close(Tokenizer *t) {
    if (!t) return;
    pre_close(&t->pre);
    arena_free(&t->arena);
    free(t);
}

size_t tokenizer_count(const Tokenizer *t) {
    return t->n_tokens;
}

uint32_t tokenizer_bos(const Tokenizer *t) {
    return t->bos;
}

uint32_t tokenizer_eos(const Tokenizer *t) {
    return t->eos;
}

bool tokenizer_adds_bos(const Tokenizer *t) {
    return t->adds_bos;
}

TokenType tokenizer_type(const Tokenizer *t, uint32_t id) {
    assert(id < t->n_tokens);
    return t->tokens[id].type;
}

bool tokenizer_is_control(const Tokenizer *t, uint32_t id) {
    assert(id < t->n_tokens);
    return token_is_control(&t->tokens[id]);
}

Str tokenizer_piece(const Tokenizer *t, uint32_t id) {
    return id < t->n_tokens ? t->tokens[id].bytes : STR("");
}

uint32_t tokenizer_find(const Tokenizer *t, Str text) {
    return index_find(t, &t->by_text, text);
}

// Bytes of white space (Unicode's White_Space) that begin `text`.
static size_t leading_space(Str text) {
    size_t at = 0, len;
    for (; at < text.len; at += len) {
        utf8_scan(text.at + at, text.len - at, &len);
        uint32_t c = utf8_code_point(text.at + at, len);
        bool is_space = (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
                        c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
                        c == 0x202F || c == 0x205F || c == 0x3000;
        if (!is_space) break;
    }
    return at;
}

static bool encode_stretch(Encoder *e, Str text, Err *err) {
    if (text.len == 0) return true;
    const Tokenizer *t = e->tokenizer;
    if (vocab_is_byte_level(t))
        return pre_split(e, t->pre.is_nfc ? nfc_normalize(text, &e->normalized) : text, err);
    if (t->kind == VOCAB_BPE)
        raw_encode(e, text);
    else
        spm_encode(e, text);
    return true;
}

// Where control tokens must not begin.
typedef struct {
    const size_t *at;
    size_t count;
} Guards;

static bool is_guarded(Guards *g, size_t at) {
    while (g->count && *g->at < at) g->at++, g->count--;
    return g->count && *g->at == at;
}

// As special_next(), past control tokens that begin at a guard; a user-defined one counts there.
static uint32_t next_special(const Tokenizer *t, const SpecialSet *set, Guards *guards, Str text,
                             size_t *at) {
    for (;; (*at)++) {
        uint32_t id = special_next(t, set, text, at);
        if (id == NO_TOKEN || !is_guarded(guards, *at)) return id;
        size_t here = *at;
        id = special_next(t, &t->user_defined, text, &here);
        if (id != NO_TOKEN && here == *at) return id;
    }
}

// `text` is UTF-8.
static bool encode_valid(Encoder *e, Str text, const SpecialSet *set, Guards guards, Err *err) {
    const Tokenizer *t = e->tokenizer;
    for (size_t done = 0, at = 0;; at = done) {
        uint32_t id = next_special(t, set, &guards, text, &at);
        if (!encode_stretch(e, (Str){text.at + done, at - done}, err)) return false;
        if (id == NO_TOKEN) return true;
        token_list_add(e->out, id);
        done = at + t->tokens[id].text.len;
        if (t->tokens[id].strips_right)
            done += leading_space((Str){text.at + done, text.len - done});
    }
}

static bool encode(const Tokenizer *t, Str text, unsigned flags, Guards guards, TokenList *out,
                   Err *err) {
    if (text.len > TOKENIZER_MAX_TEXT)
        return err_set(err, ERR_FORMAT, "text of %zu bytes, expected at most %d in one call",
                       text.len, TOKENIZER_MAX_TEXT);
    Encoder e = {.tokenizer = t, .out = out};
    StrBuf repaired = {0};
    size_t n_before = out->count;
    if (!utf8_is_valid(text)) {
        utf8_repair(text, &repaired);
        text = strbuf_str(&repaired);
    }
    const SpecialSet *set = flags & TOKENIZER_PARSE_SPECIAL ? &t->special : &t->user_defined;
    if ((flags & TOKENIZER_ADD_BOS) && t->adds_bos) token_list_add(out, t->bos);
    bool ok = encode_valid(&e, text, set, guards, err);
    if (ok && (flags & TOKENIZER_ADD_EOS) && t->adds_eos) token_list_add(out, t->eos);
    if (!ok) out->count = n_before;
    strbuf_free(&repaired);
    encoder_close(&e);
    return ok;
}

bool tokenizer_encode(const Tokenizer *t, Str text, unsigned flags, TokenList *out, Err *err) {
    return encode(t, text, flags, (Guards){0}, out, err);
}

bool tokenizer_encode_guarded(const Tokenizer *t, Str text, unsigned flags, const size_t *guards,
                              size_t n_guards, TokenList *out, Err *err) {
    assert(utf8_is_valid(text));
    return encode(t, text, flags | TOKENIZER_PARSE_SPECIAL, (Guards){guards, n_guards}, out, err);
}

uint32_t tokenizer_find_control(const Tokenizer *t, Str text, size_t *at) {
    for (;; (*at)++) {
        uint32_t id = special_next(t, &t->special, text, at);
        if (id == NO_TOKEN || tokenizer_is_control(t, id)) return id;
    }
}
