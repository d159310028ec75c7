// config_text.c — what Hugging Face files say of text: ids and tokens that begin and end one, the
// tokens that were added to the vocabulary, the chat template.
//
// Files name different ends of an answer on purpose (generation_config.json often has more than
// config.json), so stop ids add up, where everything else stated twice must be the same.
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "contract/config.h"

// ---- ids, in config.json and generation_config.json

static void add_stop(ConfigReader *r, Contract *c, uint32_t id) {
    uint32_t *ids = arena_array(r->arena, c->stop_ids.count + 1, uint32_t);
    for (size_t i = 0; i < c->stop_ids.count; i++) {
        ids[i] = c->stop_ids.at[i];
        if (ids[i] == id) return;
    }
    ids[c->stop_ids.count] = id;
    c->stop_ids = (U32List){ids, c->stop_ids.count + 1};
}

static void stops_from(ConfigReader *r, const char *key) {
    Str before = r->out->from[FIELD_stop_ids];
    r->said[FIELD_stop_ids] = (Str){0};
    config_from(r, FIELD_stop_ids, "%s", key);
    if (before.len)
        r->out->from[FIELD_stop_ids] = arena_printf(r->arena, "%.*s, %.*s", STR_ARG(before),
                                                    STR_ARG(r->out->from[FIELD_stop_ids]));
}

static bool read_id(ConfigReader *r, const char *key, const json_t *value, uint32_t *id) {
    json_int_t n = json_integer_value(value);
    if (json_is_integer(value) && n >= 0 && n < UINT32_MAX) {
        *id = (uint32_t)n;
        return true;
    }
    config_fail(r, "key '%s': expected a token id", key);
    return false;
}

void config_ids(ConfigReader *r, Contract *c) {
    uint32_t id;
    const json_t *bos = config_take(r, r->left, "bos_token_id");
    if (bos && read_id(r, "bos_token_id", bos, &id)) {
        c->bos_id = id;
        config_from(r, FIELD_bos_id, "bos_token_id %u", id);
    }
    const json_t *eos = config_take(r, r->left, "eos_token_id");
    if (!eos) return;
    size_t n = json_is_array(eos) ? json_array_size(eos) : 1;
    if (n == 0) config_fail(r, "key 'eos_token_id': an empty list, expected a token id or more");
    for (size_t i = 0; i < n; i++)
        if (read_id(r, "eos_token_id", json_is_array(eos) ? json_array_get(eos, i) : eos, &id))
            add_stop(r, c, id);
    stops_from(r, "eos_token_id");
}

// ---- tokens, in tokenizer_config.json

// A token as text, or as an object that has it as "content".
static bool read_text(ConfigReader *r, const char *key, const json_t *value, Str *text) {
    if (json_is_object(value)) value = json_object_get(value, "content");
    *text = (Str){json_string_value(value), json_string_length(value)};
    if (text->len) return true;
    config_fail(r, "key '%s': expected a token's text", key);
    return false;
}

static const GgufKey *find_tokens(const ConfigReader *r) {
    const GgufKey *tokens = gguf_find_key(r->g, STR("tokenizer.ggml.tokens"));
    return tokens && tokens->item_type == GGUF_STRING ? tokens : NULL;
}

// What the vocabulary contradicts; the first is kept.
static void trouble(ConfigReader *r, Str what) {
    if (!r->out->token_trouble.len) r->out->token_trouble = what;
}

// The id of the token that `key` names by its text; false when there is no such key or token.
static bool take_token(ConfigReader *r, const char *key, uint32_t *id, Str *quoted) {
    Str text;
    const json_t *value = config_take(r, r->left, key);
    if (!value || !read_text(r, key, value, &text)) return false;
    *quoted = json_quoted(r->arena, text);
    const GgufKey *tokens = find_tokens(r);
    for (size_t i = 0; tokens && i < tokens->n_items; i++)
        if (str_eq(tokens->strings[i], text)) {
            *id = (uint32_t)i;
            return true;
        }
    trouble(r, arena_printf(r->arena, "the vocabulary has no %s %.*s", key, STR_ARG(*quoted)));
    return false;
}

// The tokens that were added to the vocabulary: the same text under the same id, and those that
// no text may spell typed control. A mark typed as a normal token is cut to pieces by encoders.
static void check_added(ConfigReader *r, const char *id_text, const json_t *token) {
    enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3 }; // gguf-py, TokenType
    const GgufKey *tokens = find_tokens(r);
    const GgufKey *types = gguf_find_key(r->g, STR("tokenizer.ggml.token_type"));
    Str text;
    char *end;
    unsigned long id = strtoul(id_text, &end, 10);
    int64_t type = 0;
    if (!read_text(r, "added_tokens_decoder", token, &text)) return;
    if (*end || end == id_text) {
        config_fail(r, "key 'added_tokens_decoder': member '%s', expected a token id", id_text);
        return;
    }
    Str quoted = json_quoted(r->arena, text);
    if (!tokens || id >= tokens->n_items)
        trouble(
            r, arena_printf(r->arena, "the vocabulary has no token %lu %.*s", id, STR_ARG(quoted)));
    else if (!str_eq(tokens->strings[id], text))
        trouble(r,
                arena_printf(
                    r->arena, "token %lu is %.*s in the publisher's file and %.*s in the GGUF file",
                    id, STR_ARG(quoted), STR_ARG(json_quoted(r->arena, tokens->strings[id]))));
    else if (json_is_true(json_object_get(token, "special")) && types &&
             gguf_i64(types, (size_t)id, &type) && type != TYPE_CONTROL && type != TYPE_UNKNOWN)
        trouble(r, arena_printf(r->arena,
                                "token %lu %.*s is special in the publisher's file and of type "
                                "%lld in the GGUF file",
                                id, STR_ARG(quoted), (long long)type));
    r->out->n_added_tokens++;
}

// ---- the chat template

void config_template(ConfigReader *r, Str text, const char *how) {
    Sha256 digest = sha256_bytes(text.at, text.len);
    r->out->values.template_digest = arena_str(r->arena, str_of(digest.hex));
    config_from(r, FIELD_template_digest, "%s", how);
}

// One text, or a list of named ones, of which files keep the default.
static void take_template(ConfigReader *r) {
    const json_t *chat = config_take(r, r->left, "chat_template"), *text = chat;
    if (!chat) return;
    if (json_is_array(chat)) text = NULL;
    for (size_t i = 0; json_is_array(chat) && i < json_array_size(chat); i++) {
        const json_t *named = json_array_get(chat, i);
        const char *name = json_string_value(json_object_get(named, "name"));
        if (name && strcmp(name, "default") == 0) text = json_object_get(named, "template");
    }
    if (json_is_string(text))
        config_template(r, (Str){json_string_value(text), json_string_length(text)},
                        "chat_template");
    else
        config_fail(r, "key 'chat_template': expected a text, or a list with one named default");
}

// Checked against transformers 5.24: tokenization_llama.py, and _get_prepend_scheme in
// tokenization_utils_base.py. Where neither key is there, versions differ, and nothing is stated.
static void config_spaces(ConfigReader *r, Contract *c) {
    bool adds = true, is_legacy = false;
    bool says_adds = config_bool(r, r->left, "add_prefix_space", &adds);
    bool says_legacy = config_bool(r, r->left, "legacy", &is_legacy);
    const GgufKey *model = gguf_find_key(r->g, STR("tokenizer.ggml.model"));
    Str kind = {0};
    if (model) gguf_str(model, 0, &kind);
    bool is_spm = str_is(kind, "llama");
    if (says_adds && !adds)
        c->space_prefix = SPACE_PREFIX_NONE;
    else if (is_spm && says_legacy)
        c->space_prefix = is_legacy ? SPACE_PREFIX_EACH : SPACE_PREFIX_FIRST;
    else if (says_adds)
        c->space_prefix = is_spm ? SPACE_PREFIX_EACH : SPACE_PREFIX_FIRST;
    else
        return;
    config_from(r, FIELD_space_prefix, "%s%s%s",
                !says_adds ? ""
                : adds     ? "add_prefix_space true"
                           : "add_prefix_space false",
                says_adds && says_legacy ? ", " : "",
                !says_legacy ? ""
                : is_legacy  ? "legacy true"
                             : "legacy false");
}

void config_tokenizer(ConfigReader *r, Contract *c) {
    if (config_bool(r, r->left, "add_bos_token", &c->adds_bos))
        config_from(r, FIELD_adds_bos, "add_bos_token %s", c->adds_bos ? "true" : "false");
    if (config_bool(r, r->left, "add_eos_token", &c->adds_eos))
        config_from(r, FIELD_adds_eos, "add_eos_token %s", c->adds_eos ? "true" : "false");
    config_spaces(r, c);
    Str quoted;
    uint32_t id;
    if (take_token(r, "bos_token", &id, &quoted)) {
        c->bos_id = id;
        config_from(r, FIELD_bos_id, "bos_token %.*s", STR_ARG(quoted));
    }
    if (take_token(r, "eos_token", &id, &quoted)) {
        add_stop(r, c, id);
        stops_from(r, "eos_token");
    }
    take_template(r);
    const json_t *added = config_take(r, r->left, "added_tokens_decoder");
    const char *key;
    json_t *token;
    if (added && !json_is_object(added))
        config_fail(r, "key 'added_tokens_decoder': expected an object of tokens by their ids");
    json_object_foreach((json_t *)(uintptr_t)added, key, token) check_added(r, key, token);
}
