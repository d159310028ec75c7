// vocab.c — the vocabulary of an untrusted file, key by key, into Tokenizer.
//
//     tokenizer.ggml.model        gpt2, llama or gemma4
//     tokenizer.ggml.tokens       the texts; an id is a place in this list
//     tokenizer.ggml.token_type   one number a token: normal, control, byte, …
//     tokenizer.ggml.scores       llama: one number a token, higher is joined earlier
//     tokenizer.ggml.merges, .pre gpt2: what is joined in which order, inside what
//     tokenizer.ggml.{bos,eos,unknown}_token_id
//     tokenizer.ggml.add_{bos,eos}_token, .add_space_prefix, .remove_extra_whitespaces
//
// Keys and their defaults were checked against gguf-py's constants.py and llama.cpp's
// llama-vocab.cpp.
#include <math.h>

#include "base/size.h"
#include "base/utf8.h"
#include "contract/bos_policy.h"
#include "tokenizer/impl.h"

static const struct {
    const char *name;
    VocabKind kind;
} kinds[] = {{"gpt2", VOCAB_BPE}, {"llama", VOCAB_SPM}, {"gemma4", VOCAB_BPE}};

static bool read_kind(Tokenizer *t, const Gguf *g, Str *name, Err *err) {
    const GgufKey *key = gguf_find_key(g, STR("tokenizer.ggml.model"));
    if (!key || !gguf_str(key, 0, name) || key->type != GGUF_STRING)
        return err_set(
            err, ERR_FORMAT,
            "key 'tokenizer.ggml.model': missing or not a string; the file has no vocabulary");
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_is(*name, kinds[i].name)) {
            t->kind = kinds[i].kind;
            return true;
        }
    return err_set(err, ERR_FORMAT,
                   "key 'tokenizer.ggml.model': vocabulary kind '%.*s' is not supported; gpt2 "
                   "(byte-level BPE), llama (SentencePiece) and gemma4 (BPE of characters) are",
                   STR_ARG(*name));
}

// A list with one item a token. `out` stays NULL when it is absent.
static bool find_list(const Tokenizer *t, const Gguf *g, const char *name, const GgufKey **out,
                      Err *err) {
    *out = gguf_find_key(g, str_of(name));
    if (!*out) return true;
    if ((*out)->type != GGUF_ARRAY)
        return err_set(err, ERR_FORMAT, "key '%s': %s, expected a list", name,
                       gguf_type_name((*out)->type));
    if ((*out)->n_items != t->n_tokens)
        return err_set(err, ERR_FORMAT, "key '%s': %zu items for %zu tokens", name, (*out)->n_items,
                       t->n_tokens);
    return true;
}

static bool byte_token_value(Str text, uint8_t *value) {
    static const char digits[] = "0123456789ABCDEF";
    if (text.len != 6 || memcmp(text.at, "<0x", 3) != 0 || text.at[5] != '>') return false;
    const char *high = strchr(digits, text.at[3]), *low = strchr(digits, text.at[4]);
    if (!high || !low || !*high || !*low) return false;
    *value = (uint8_t)((high - digits) << 4 | (low - digits));
    return true;
}

// Some published SentencePiece files type their byte tokens as ordinary text. Their texts name them
// all the same: llama.cpp finds them so to encode, and Hugging Face's ByteFallback to decode. Where
// the two part, here does as Hugging Face: what is encoded must come back.
static TokenType actual_type(const Tokenizer *t, Str text, TokenType stated) {
    uint8_t value;
    bool is_text = stated == TOKEN_NORMAL || stated == TOKEN_UNUSED;
    bool is_byte = !vocab_is_byte_level(t) && is_text && byte_token_value(text, &value);
    return is_byte ? TOKEN_BYTE : stated;
}

// What a token decodes to, written to `bytes` (at least text.len of them).
static bool token_bytes(const Tokenizer *t, const Token *token, char *bytes, size_t *n_bytes) {
    if (token->type == TOKEN_BYTE) {
        uint8_t value;
        if (!byte_token_value(token->text, &value)) return false;
        bytes[0] = (char)value;
        *n_bytes = 1;
        return true;
    }
    bool is_plain = token->type == TOKEN_NORMAL || token->type == TOKEN_UNUSED;
    if (is_plain && !vocab_is_byte_level(t)) {
        metaspace_to_bytes(token->text, bytes, n_bytes);
        return true;
    }
    // A text outside the byte alphabet decodes to itself, as in HF's ByteLevel decoder.
    if (is_plain && bpe_text_to_bytes(token->text, bytes, n_bytes)) return true;
    *n_bytes = token->text.len;
    if (*n_bytes) memcpy(bytes, token->text.at, *n_bytes);
    return true;
}

static bool check_token(const Tokenizer *t, size_t id, Err *err) {
    const Token *token = &t->tokens[id];
    if (token->text.len > TOKEN_MAX_BYTES)
        return err_set(err, ERR_FORMAT, "token %zu: %zu bytes long, at most %d are supported", id,
                       token->text.len, TOKEN_MAX_BYTES);
    if (!utf8_is_valid(token->text))
        return err_set(err, ERR_FORMAT, "token %zu: its text is not UTF-8", id);
    if (isnan(token->score))
        return err_set(err, ERR_FORMAT, "token %zu '%.*s': its score is NaN", id,
                       STR_ARG(token->text));
    // An empty text is a hole in the table: it is never found.
    if (token->text.len == 0) return true;
    uint32_t first = index_find(t, &t->by_text, token->text);
    if (first != NO_TOKEN)
        return err_set(err, ERR_FORMAT, "token %zu '%.*s': token %u has the same text", id,
                       STR_ARG(token->text), first);
    return true;
}

static bool read_tokens(Tokenizer *t, const Gguf *g, Err *err) {
    const GgufKey *texts = gguf_find_key(g, STR("tokenizer.ggml.tokens")), *types, *scores;
    if (!texts || texts->type != GGUF_ARRAY || texts->item_type != GGUF_STRING)
        return err_set(err, ERR_FORMAT,
                       "key 'tokenizer.ggml.tokens': missing or not a list of strings");
    if (texts->n_items == 0 || texts->n_items > INT32_MAX)
        return err_set(err, ERR_FORMAT, "key 'tokenizer.ggml.tokens': %zu tokens", texts->n_items);
    t->n_tokens = texts->n_items;
    if (!find_list(t, g, "tokenizer.ggml.token_type", &types, err) ||
        !find_list(t, g, "tokenizer.ggml.scores", &scores, err))
        return false;
    if (!types)
        return err_set(err, ERR_FORMAT,
                       "key 'tokenizer.ggml.token_type' is missing: without it control tokens "
                       "cannot be told from text");
    if (!scores && t->kind == VOCAB_SPM)
        return err_set(err, ERR_FORMAT,
                       "key 'tokenizer.ggml.scores' is missing: a llama vocabulary needs it");

    size_t n_text = 0; // bounded by the file's length
    for (size_t i = 0; i < t->n_tokens; i++) n_text += texts->strings[i].len;
    char *text_at = arena_array(&t->arena, n_text + 1, char);
    char *bytes_at = arena_array(&t->arena, n_text + 1, char);
    t->tokens = arena_array(&t->arena, t->n_tokens, Token);
    index_start(t, &t->by_text, false);
    for (size_t id = 0; id < t->n_tokens; id++) {
        Token *token = &t->tokens[id];
        Str text = texts->strings[id];
        if (text.len) memcpy(text_at, text.at, text.len);
        token->text = (Str){text_at, text.len};
        text_at += text.len;

        int64_t type = 0;
        double score = 0;
        if (!gguf_i64(types, id, &type) || type < TOKEN_NORMAL || type > TOKEN_BYTE)
            return err_set(err, ERR_FORMAT, "token %zu '%.*s': type %lld, expected %d to %d", id,
                           STR_ARG(text), (long long)type, TOKEN_NORMAL, TOKEN_BYTE);
        token->type = actual_type(t, text, (TokenType)type);
        if (scores && !gguf_f64(scores, id, &score))
            return err_set(err, ERR_FORMAT, "key 'tokenizer.ggml.scores': %s, expected numbers",
                           gguf_type_name(scores->item_type));
        token->score = (float)score;
        if (!check_token(t, id, err)) return false;

        size_t n_bytes;
        if (!token_bytes(t, token, bytes_at, &n_bytes))
            return err_set(err, ERR_FORMAT,
                           "token %zu '%.*s': not a byte token, expected <0x00> to <0xFF>", id,
                           STR_ARG(text));
        token->bytes = (Str){bytes_at, n_bytes};
        bytes_at += n_bytes;
        if (text.len) index_put(t, &t->by_text, (uint32_t)id);
    }
    return true;
}

// Can joining make this token? Control, unknown, byte and unused tokens are never joined, as in
// sentencepiece; so is a BPE token whose text is not spelt in the byte alphabet.
static bool is_matched(const Tokenizer *t, const Token *token) {
    char bytes[TOKEN_MAX_BYTES];
    size_t n_bytes;
    if (token->text.len == 0) return false;
    if (!vocab_is_byte_level(t))
        return token->type == TOKEN_NORMAL || token->type == TOKEN_USER_DEFINED;
    return token->type == TOKEN_NORMAL && bpe_text_to_bytes(token->text, bytes, &n_bytes);
}

// Tokens that encoding may make from text, and the token of each byte.
static bool index_matched(Tokenizer *t, Err *err) {
    bool is_bpe = vocab_is_byte_level(t);
    index_start(t, &t->matched, is_bpe);
    memset(t->byte_ids, 0xFF, sizeof t->byte_ids); // NO_TOKEN
    size_t n_byte_tokens = 0;
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        const Token *token = &t->tokens[id];
        bool may_match = is_matched(t, token);
        if (is_bpe ? may_match && token->bytes.len == 1 : token->type == TOKEN_BYTE) {
            t->byte_ids[(uint8_t)token->bytes.at[0]] = id;
            n_byte_tokens++;
        }
        if (!may_match) continue;
        index_put(t, &t->matched, id);
        t->max_matched_text = max_size(t->max_matched_text, token->text.len);
    }
    // BPE vocabularies that were trained without an alphabet lack the bytes they never saw
    // (SmolLM2: 21 of them); such bytes give no token, as in HF tokenizers and llama.cpp.
    // SentencePiece has all byte tokens or none; where one of ASCII is missing, the character
    // itself may take its place, as in llama.cpp.
    if (is_bpe) return true;
    for (unsigned b = 0; b < 128 && n_byte_tokens; b++)
        if (t->byte_ids[b] == NO_TOKEN)
            t->byte_ids[b] = index_find(t, &t->by_text, (Str){(const char[]){(char)b}, 1});
    for (unsigned b = 0; b < 256; b++)
        if (n_byte_tokens && t->byte_ids[b] == NO_TOKEN)
            return err_set(
                err, ERR_FORMAT,
                "byte token <0x%02X> is missing, expected all 256; the vocabulary has %zu others",
                b, n_byte_tokens);
    if (!n_byte_tokens && t->unknown == NO_TOKEN)
        return err_set(
            err, ERR_FORMAT,
            "the vocabulary has neither byte tokens nor 'tokenizer.ggml.unknown_token_id'"
            ": some text would have no tokens");
    return true;
}

static bool read_id(const Tokenizer *t, const Gguf *g, const char *name, uint32_t *id, Err *err) {
    const GgufKey *key = gguf_find_key(g, str_of(name));
    int64_t value;
    *id = NO_TOKEN;
    if (!key) return true;
    if (!gguf_i64(key, 0, &value))
        return err_set(err, ERR_FORMAT, "key '%s': %s, expected a token id", name,
                       gguf_type_name(key->type));
    // Files of models without such a token state -1, or 2^32 - 1.
    if (value == -1 || value == UINT32_MAX) return true;
    if (value < 0 || (uint64_t)value >= t->n_tokens)
        return err_set(err, ERR_FORMAT, "key '%s': %lld, expected a token id below %zu", name,
                       (long long)value, t->n_tokens);
    *id = (uint32_t)value;
    return true;
}

static bool read_flag(const Gguf *g, const char *name, bool otherwise, bool *flag, Err *err) {
    const GgufKey *key = gguf_find_key(g, str_of(name));
    *flag = otherwise;
    if (!key || gguf_bool(key, 0, flag)) return true;
    return err_set(err, ERR_FORMAT, "key '%s': %s, expected true or false", name,
                   gguf_type_name(key->type));
}

static bool check_policy(bool is_added, uint32_t id, const char *what, Err *err) {
    if (!is_added || id != NO_TOKEN) return true;
    return err_set(err, ERR_FORMAT,
                   "key 'tokenizer.ggml.add_%s_token' is true, but "
                   "'tokenizer.ggml.%s_token_id' is missing",
                   what, what);
}

// White space after a special token belongs to it in Phi-3's SentencePiece vocabulary, whose
// template writes a newline after each mark; GGUF has no key for it. The family is known by its own
// tokens. Checked against the "rstrip" fields of microsoft/Phi-3-mini-4k-instruct's
// tokenizer_config.json: all but the three named here.
//
// A folder of Hugging Face states it token by token; it is kept in a key of lathe's own.
static void mark_strips(Tokenizer *t, const Gguf *g) {
    static const char *const plain[] = {"<unk>", "<s>", "<|endoftext|>"};
    const GgufKey *stated = gguf_find_key(g, STR("tokenizer.lathe.strips_right"));
    for (size_t i = 0; stated && i < stated->n_items; i++) {
        uint64_t id;
        if (gguf_u64(stated, i, &id) && id < t->n_tokens) t->tokens[id].strips_right = true;
    }
    if (stated) return;
    if (t->kind != VOCAB_SPM || index_find(t, &t->by_text, STR("<|placeholder1|>")) == NO_TOKEN ||
        index_find(t, &t->by_text, STR("<|assistant|>")) == NO_TOKEN)
        return;
    for (uint32_t id = 0; id < t->n_tokens; id++) {
        Token *token = &t->tokens[id];
        token->strips_right = token->type == TOKEN_CONTROL || token->type == TOKEN_USER_DEFINED;
        for (size_t i = 0; i < COUNT_OF(plain); i++)
            if (str_is(token->text, plain[i])) token->strips_right = false;
    }
}

// The pre-tokenizer that the file names. A vocabulary of kind gemma4 has its own.
static bool read_pre(Tokenizer *t, const Gguf *g, Str kind, Str *name, Err *err) {
    const GgufKey *pre = gguf_find_key(g, STR("tokenizer.ggml.pre"));
    *name = kind;
    if (!str_is(kind, "gemma4") && (!pre || pre->type != GGUF_STRING || !gguf_str(pre, 0, name)))
        return err_set(err, ERR_FORMAT,
                       "key 'tokenizer.ggml.pre': missing or not a string; a %.*s vocabulary needs "
                       "it, and a guess would give wrong ids",
                       STR_ARG(kind));
    return pre_open(&t->pre, *name, err);
}

bool vocab_read(Tokenizer *t, const Gguf *g, Err *err) {
    Str kind, name = {"", 0};
    if (!read_kind(t, g, &kind, err)) return false;
    if (t->kind == VOCAB_BPE && !read_pre(t, g, kind, &name, err)) return false;
    if (!read_tokens(t, g, err) || !read_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err) ||
        !read_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, err) ||
        !read_id(t, g, "tokenizer.ggml.unknown_token_id", &t->unknown, err) ||
        !index_matched(t, err) || (t->kind == VOCAB_BPE && !merges_read(t, g, err)))
        return false;
    bool adds_bos = bos_is_added_unless_stated(kind, name);
    if (!read_flag(g, "tokenizer.ggml.add_bos_token", adds_bos, &t->adds_bos, err) ||
        !read_flag(g, "tokenizer.ggml.add_eos_token", false, &t->adds_eos, err) ||
        !read_flag(g, "tokenizer.ggml.add_space_prefix", true, &t->adds_space_prefix, err) ||
        !read_flag(g, "tokenizer.ggml.remove_extra_whitespaces", false, &t->joins_spaces, err))
        return false;
    t->adds_bos = t->adds_bos || bos_is_added_always(name);
    if (!check_policy(t->adds_bos, t->bos, "bos", err) ||
        !check_policy(t->adds_eos, t->eos, "eos", err))
        return false;
    mark_strips(t, g);
    special_build(&t->user_defined, t, 1u << TOKEN_USER_DEFINED);
    special_build(&t->special, t,
                  1u << TOKEN_USER_DEFINED | 1u << TOKEN_CONTROL | 1u << TOKEN_UNKNOWN);
    return true;
}
