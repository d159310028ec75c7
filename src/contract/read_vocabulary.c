// read_vocabulary.c — what the contract says about text: which vocabulary, how a text begins and
// ends, and which tokens end an answer.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "contract/bos_policy.h"
#include "contract/read.h"

static Str need_text(ContractReader *r, FieldId field) {
    const GgufKey *k = reader_field_key(r, field);
    Str value = {"", 0};
    if (!k || !gguf_str(k, 0, &value) || k->type != GGUF_STRING)
        reader_fail(r, "key '%s' is absent or not a string", reader_key_name(r, field));
    else
        reader_source(r, field, SOURCE_KEY, k->name);
    return value;
}

static void put_u32(StrBuf *out, uint32_t value) {
    for (int i = 0; i < 4; i++) strbuf_add_char(out, (char)(value >> 8 * i));
}

// A list that goes with the tokens has one item for each.
static void check_length(ContractReader *r, const char *name, size_t n_tokens) {
    const GgufKey *k = gguf_find_key(r->g, str_of(name));
    if (k && (k->type != GGUF_ARRAY || k->n_items != n_tokens))
        reader_fail(r, "key '%s': %zu items, but 'tokenizer.ggml.tokens' lists %zu tokens", name,
                    k->type == GGUF_ARRAY ? k->n_items : 0, n_tokens);
}

// Token types as 32-bit integers, whatever integers the file stores them in.
static void hash_types(Hasher *hasher, ContractReader *r, const char *name) {
    const GgufKey *k = reader_key(r, name);
    StrBuf text = {0};
    strbuf_add_char(&text, k != NULL);
    if (k) {
        put_u32(&text, GGUF_I32);
        put_u32(&text, (uint32_t)k->n_items);
        put_u32(&text, 0);
    }
    for (size_t i = 0; k && i < k->n_items; i++) {
        int64_t type = 0;
        if (!gguf_i64(k, i, &type) || type < 0 || type > INT32_MAX)
            reader_fail(r, "key '%s': item %zu is not a token type", name, i);
        put_u32(&text, (uint32_t)type);
    }
    hasher_add(hasher, text.at, text.len);
    strbuf_free(&text);
}

static void hash_key(Hasher *hasher, ContractReader *r, const char *name) {
    const GgufKey *k = reader_key(r, name);
    uint8_t is_there = k != NULL;
    hasher_add(hasher, &is_there, 1);
    if (k) hasher_add(hasher, k->encoded.at, k->encoded.len);
}

static void read_tokens(ContractReader *r, Contract *c) {
    const GgufKey *tokens = reader_key(r, "tokenizer.ggml.tokens");
    if (!tokens || tokens->item_type != GGUF_STRING || tokens->type != GGUF_ARRAY) {
        reader_fail(r, "key 'tokenizer.ggml.tokens' is absent or not a list of strings");
        return;
    }
    const TensorInfo *table = gguf_find_tensor(r->g, STR("token_embd.weight"));
    bool is_stated = read_field(r, FIELD_n_vocab);
    if (!table) {
        reader_fail(r, "tensor 'token_embd.weight' is missing");
    } else if (table->dims[1] != tokens->n_items) {
        reader_fail(r,
                    "tensor 'token_embd.weight' has %zu rows, but 'tokenizer.ggml.tokens' lists "
                    "%zu tokens",
                    table->dims[1], tokens->n_items);
    } else if (is_stated && c->n_vocab != tokens->n_items) {
        reader_fail(r, "key '%s' is %u, but 'tokenizer.ggml.tokens' lists %zu tokens",
                    reader_key_name(r, FIELD_n_vocab), c->n_vocab, tokens->n_items);
    } else {
        c->n_vocab = (uint32_t)tokens->n_items;
        if (!is_stated) reader_source(r, FIELD_n_vocab, SOURCE_SHAPE, STR("token_embd.weight"));
    }
    check_length(r, "tokenizer.ggml.token_type", tokens->n_items);
    check_length(r, "tokenizer.ggml.scores", tokens->n_items);
    bool is_bpe = !str_is(c->tokenizer, "llama");
    if (!gguf_find_key(r->g, STR("tokenizer.ggml.token_type")))
        reader_fail(r, "key 'tokenizer.ggml.token_type' is absent: the file does not say which "
                       "tokens are control tokens");
    if (is_bpe && !gguf_find_key(r->g, STR("tokenizer.ggml.merges")))
        reader_fail(r, "key 'tokenizer.ggml.merges' is absent: byte-level BPE needs it");
    if (!is_bpe && !gguf_find_key(r->g, STR("tokenizer.ggml.scores")))
        reader_fail(r,
                    "key 'tokenizer.ggml.scores' is absent: a SentencePiece vocabulary needs it");
    Hasher *hasher = hasher_new();
    hash_key(hasher, r, "tokenizer.ggml.tokens");
    hash_types(hasher, r, "tokenizer.ggml.token_type");
    hash_key(hasher, r, "tokenizer.ggml.scores");
    hash_key(hasher, r, "tokenizer.ggml.merges");
    c->vocab_digest = arena_str(r->arena, str_of(hasher_end(hasher).hex));
    reader_source(r, FIELD_vocab_digest, SOURCE_KEY, STR("tokenizer.ggml.tokens"));
}

// A token id key: NO_TOKEN when absent, failure when it names no token.
static uint32_t read_id(ContractReader *r, const char *name) {
    const GgufKey *k = reader_key(r, name);
    uint64_t id;
    if (!k) return NO_TOKEN;
    if (k->type == GGUF_ARRAY) {
        reader_fail(r, "key '%s': a list, expected one token id", name);
        return NO_TOKEN;
    }
    if (gguf_u64(k, 0, &id) && id < r->model->contract.n_vocab) return (uint32_t)id;
    // Files of models without such a token state -1 or 2^32 - 1.
    int64_t value;
    if ((gguf_i64(k, 0, &value) && value == -1) || (gguf_u64(k, 0, &id) && id == UINT32_MAX))
        return NO_TOKEN;
    uint32_t n = r->model->contract.n_vocab;
    if (gguf_i64(k, 0, &value))
        reader_fail(r, "key '%s': %" PRId64 ", expected a token id below %u", name, value, n);
    else
        reader_fail(r, "key '%s': type %s, expected the number of a token", name,
                    gguf_type_name(k->type));
    return NO_TOKEN;
}

static bool read_policy(ContractReader *r, FieldId field, bool otherwise, const char *rule) {
    const GgufKey *k = reader_field_key(r, field);
    bool value = otherwise;
    if (!k)
        reader_unstated(r, field, rule);
    else if (k->type != GGUF_BOOL || !gguf_bool(k, 0, &value))
        reader_fail(r, "key '%.*s': type %s, expected true or false", STR_ARG(k->name),
                    gguf_type_name(k->type));
    else
        reader_source(r, field, SOURCE_KEY, k->name);
    return value;
}

typedef struct {
    const char *text, *unless, *needs; // other tokens of the vocabulary
} TurnEnd;

static const TurnEnd turn_ends[] = {
#define TURN_END(text, unless)     {text, unless, ""},
#define TURN_END_WITH(text, needs) {text, "", needs},
#include "contract/turn_ends.def"
#undef TURN_END
#undef TURN_END_WITH
};

// gguf-py, TokenType
enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

static int64_t token_type(const ContractReader *r, size_t token) {
    const GgufKey *types = gguf_find_key(r->g, STR("tokenizer.ggml.token_type"));
    int64_t type = 0;
    return types && gguf_i64(types, token, &type) ? type : 0;
}

// Cut out of text as a whole: files have turn ends of either type.
static bool is_structure(const ContractReader *r, size_t token) {
    int64_t type = token_type(r, token);
    return type == TYPE_CONTROL || type == TYPE_USER_DEFINED;
}

// The place of the token of structure that is spelt `text`; the number of tokens where there is none.
static size_t find_structure(const ContractReader *r, const GgufKey *tokens, const char *text) {
    for (size_t t = 0; *text && t < tokens->n_items; t++)
        if (str_is(tokens->strings[t], text) && is_structure(r, t)) return t;
    return tokens->n_items;
}

bool is_bracketed(Str token) {
    return token.len > 2 && ((str_starts(token, STR("<")) && str_ends(token, STR(">"))) ||
                             (str_starts(token, STR("[")) && str_ends(token, STR("]"))));
}

// What text is made of. Files type some of their marks normal or unused; those are spelt in
// brackets, as single bytes are.
static bool is_ordinary(const ContractReader *r, size_t token, Str text) {
    int64_t type = token_type(r, token);
    return type == TYPE_BYTE ||
           ((type == TYPE_NORMAL || type == TYPE_UNUSED) && !is_bracketed(text));
}

static int compare_ids(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// A stop token that a key names: taken, unless text is made of it.
static void add_stop(ContractReader *r, const char *key, uint32_t id, uint32_t *ids, size_t *n) {
    const GgufKey *tokens = gguf_find_key(r->g, STR("tokenizer.ggml.tokens"));
    ids[(*n)++] = id;
    if (is_ordinary(r, id, tokens->strings[id]))
        reader_fail(r,
                    "key '%s': token %u %.*s is ordinary text, so answers would end in the middle "
                    "of a sentence; expected a mark such as <|end|> or </s>",
                    key, id, STR_ARG(json_quoted(r->arena, tokens->strings[id])));
}

// Ollama's converter lists every token that ends an answer, the one of eos_token_id among them.
#define STOP_LIST "tokenizer.ggml.eos_token_ids"
enum { MOST_LISTED = 64 };

static const GgufKey *find_stop_list(ContractReader *r) {
    const GgufKey *k = reader_key(r, STOP_LIST);
    if (!k) return NULL;
    if (k->type == GGUF_ARRAY && k->n_items <= MOST_LISTED) return k;
    reader_fail(r, "key '" STOP_LIST "': %zu values of type %s, expected a list of up to %d ids",
                k->n_items, gguf_type_name(k->type), MOST_LISTED);
    return NULL;
}

static void add_stop_list(ContractReader *r, const GgufKey *k, uint32_t *ids, size_t *n) {
    uint32_t n_vocab = r->model->contract.n_vocab;
    for (size_t i = 0; i < k->n_items && !r->failed; i++) {
        uint64_t id;
        if (!gguf_u64(k, i, &id) || id >= n_vocab)
            reader_fail(r, "key '" STOP_LIST "': item %zu is not a token id below %u", i, n_vocab);
        else
            add_stop(r, STOP_LIST, (uint32_t)id, ids, n);
    }
}

static void read_stops(ContractReader *r, Contract *c) {
    const char *const keys[] = {field_rows[FIELD_stop_ids].key, "tokenizer.ggml.eot_token_id",
                                "tokenizer.ggml.eom_token_id"};
    const GgufKey *tokens = gguf_find_key(r->g, STR("tokenizer.ggml.tokens"));
    const GgufKey *listed = find_stop_list(r);
    size_t room = COUNT_OF(keys) + COUNT_OF(turn_ends) + (listed ? listed->n_items : 0), n = 0;
    uint32_t *ids = arena_array(r->arena, room, uint32_t);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        uint32_t id = read_id(r, keys[i]);
        if (id != NO_TOKEN) add_stop(r, keys[i], id, ids, &n);
    }
    if (listed) add_stop_list(r, listed, ids, &n);
    if (r->failed) return;
    if (n == 0) {
        reader_fail(r, "key '%s' is absent: no token would end an answer", keys[0]);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(turn_ends); i++) {
        size_t token = find_structure(r, tokens, turn_ends[i].text);
        bool counts = token < tokens->n_items &&
                      find_structure(r, tokens, turn_ends[i].unless) == tokens->n_items &&
                      (!*turn_ends[i].needs ||
                       find_structure(r, tokens, turn_ends[i].needs) < tokens->n_items);
        if (counts) ids[n++] = (uint32_t)token;
    }
    qsort(ids, n, sizeof *ids, compare_ids);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || ids[kept - 1] != ids[i]) ids[kept++] = ids[i];
    c->stop_ids = (U32List){ids, kept};
    reader_derived(r, FIELD_stop_ids,
                   "tokenizer.ggml.eos_token_id, eot_token_id, eom_token_id, %sand tokens of "
                   "structure that end a turn by name",
                   listed ? "eos_token_ids, " : "");
}

// What SentencePiece does with spaces. llama.cpp (llama-vocab.cpp) puts a space before each stretch
// of text between marks, as transformers does with `legacy: true`; GGUF has no key for `legacy:
// false`, which puts one before the first stretch alone. With byte-level BPE neither key acts
// there.
static void read_spaces(ContractReader *r, Contract *c, bool is_bpe) {
    bool has_prefix = read_policy(r, FIELD_space_prefix, !is_bpe,
                                  is_bpe ? "byte-level BPE puts none" : "as llama.cpp");
    bool joins = read_policy(r, FIELD_joins_spaces, false, "spaces stay as they are");
    c->space_prefix = has_prefix && !is_bpe ? SPACE_PREFIX_EACH : SPACE_PREFIX_NONE;
    c->joins_spaces = joins && !is_bpe;
    if (is_bpe && has_prefix)
        reader_derived(r, FIELD_space_prefix, "byte-level BPE puts none, whatever the key says");
    if (is_bpe && joins)
        reader_derived(r, FIELD_joins_spaces, "byte-level BPE joins none, whatever the key says");
}

void read_vocabulary(ContractReader *r) {
    Contract *c = &r->model->contract;
    c->tokenizer = need_text(r, FIELD_tokenizer);
    bool is_gemma4 = str_is(c->tokenizer, "gemma4");
    bool is_bpe = str_is(c->tokenizer, "gpt2") || is_gemma4;
    if (!is_bpe && !str_is(c->tokenizer, "llama"))
        reader_fail(r,
                    "key 'tokenizer.ggml.model': '%.*s' is not supported; known are gpt2, llama "
                    "and gemma4",
                    STR_ARG(c->tokenizer));
    if (is_gemma4) {
        c->pre_tokenizer = c->tokenizer;
        reader_derived(r, FIELD_pre_tokenizer, "a vocabulary of kind gemma4 has its own");
    } else if (is_bpe) {
        c->pre_tokenizer = need_text(r, FIELD_pre_tokenizer);
    } else {
        const GgufKey *pre = reader_field_key(r, FIELD_pre_tokenizer);
        c->pre_tokenizer = (Str){"", 0};
        if (pre && (pre->type != GGUF_STRING || !gguf_str(pre, 0, &c->pre_tokenizer)))
            reader_fail(r, "key 'tokenizer.ggml.pre': type %s, expected a string",
                        gguf_type_name(pre->type));
        reader_derived(r, FIELD_pre_tokenizer, "only byte-level BPE cuts text before it merges");
    }
    if (!r->failed) read_tokens(r, c);
    if (r->failed) return;
    const char *bos = field_rows[FIELD_bos_id].key;
    c->bos_id = read_id(r, bos);
    if (c->bos_id == NO_TOKEN)
        reader_derived(r, FIELD_bos_id, "no %s", bos);
    else
        reader_source(r, FIELD_bos_id, SOURCE_KEY, str_of(bos));
    c->adds_bos =
        read_policy(r, FIELD_adds_bos, bos_is_added_unless_stated(c->tokenizer, c->pre_tokenizer),
                    "texts begin with it in SentencePiece vocabularies and with the pre-tokenizers "
                    "of Llama 3, tekken and lfm2, not in others");
    if (!c->adds_bos && bos_is_added_always(c->pre_tokenizer)) {
        c->adds_bos = true;
        reader_derived(r, FIELD_adds_bos, "Gemma 4 texts begin with it, whatever the key says");
    }
    c->adds_eos =
        read_policy(r, FIELD_adds_eos, false, "the model continues a prompt, so no token ends it");
    if (c->adds_bos && c->bos_id == NO_TOKEN)
        reader_fail(r, "texts begin with a token, but key %s, which names it, is absent", bos);
    read_spaces(r, c, is_bpe);
    read_stops(r, c);

    const GgufKey *chat = reader_field_key(r, FIELD_template_digest);
    Str text;
    c->template_digest = (Str){"", 0};
    if (chat && (chat->type != GGUF_STRING || !gguf_str(chat, 0, &text))) {
        reader_fail(r, "key '%.*s': type %s, expected a string", STR_ARG(chat->name),
                    gguf_type_name(chat->type));
    } else if (chat) {
        c->template_digest = arena_str(r->arena, str_of(sha256_bytes(text.at, text.len).hex));
        reader_source(r, FIELD_template_digest, SOURCE_KEY, chat->name);
    } else {
        reader_derived(r, FIELD_template_digest, "no %s", field_rows[FIELD_template_digest].key);
    }
}
