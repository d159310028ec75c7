// config.c — Hugging Face files in the contract's terms: shapes, norms, attention, multipliers and
// text. Rotary settings are in config_rope.c, keys that change nothing in config_keys.c.
//
// Values a file leaves out are those of the class that reads it in transformers, as its
// configuration_llama.py, configuration_mistral.py and configuration_phi3.py define them; they are
// said to be that.
#include "contract/config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

void config_fail(ConfigReader *r, const char *fmt, ...) {
    if (r->failed) return;
    r->failed = true;
    char text[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(r->err, ERR_FORMAT, "%.*s: %s", STR_ARG(r->file), text);
}

void config_from(ConfigReader *r, FieldId field, const char *fmt, ...) {
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->out->from[field] = arena_printf(r->arena, "%.*s: %s", STR_ARG(r->file), text);
}

const json_t *config_take(ConfigReader *r, json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value) return NULL;
    json_array_append(r->taken, value);
    json_object_del(object, key);
    return json_is_null(value) ? NULL : value;
}

bool config_number(ConfigReader *r, json_t *object, const char *key, double *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    if (json_is_number(value) && isfinite(json_number_value(value))) {
        *out = json_number_value(value);
        return true;
    }
    config_fail(r, "key '%s': expected a number", key);
    return false;
}

bool config_bool(ConfigReader *r, json_t *object, const char *key, bool *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    *out = json_is_true(value);
    if (!json_is_boolean(value)) config_fail(r, "key '%s': expected true or false", key);
    return json_is_boolean(value);
}

bool config_str(ConfigReader *r, json_t *object, const char *key, Str *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    *out = (Str){"", 0};
    if (json_is_string(value))
        *out = arena_str(r->arena, (Str){json_string_value(value), json_string_length(value)});
    else
        config_fail(r, "key '%s': expected a string", key);
    return json_is_string(value);
}

static bool take_count(ConfigReader *r, const char *key, uint32_t *out) {
    double value;
    if (!config_number(r, r->left, key, &value)) return false;
    if (!(value >= 1 && value <= 1e9) || value != floor(value)) {
        config_fail(r, "key '%s': %g, expected a whole number of 1 or more", key, value);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

// ---- config.json

static void read_counts(ConfigReader *r, Contract *c) {
    const struct {
        FieldId field;
        uint32_t *at;
    } rows[] = {
        {FIELD_n_layers, &c->n_layers}, {FIELD_d_model, &c->d_model}, {FIELD_n_heads, &c->n_heads},
        {FIELD_d_ff, &c->d_ff},         {FIELD_n_vocab, &c->n_vocab}, {FIELD_context, &c->context},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *key = field_hf_key(rows[i].field);
        if (take_count(r, key, rows[i].at))
            config_from(r, rows[i].field, "%s %u", key, *rows[i].at);
    }
    if (take_count(r, "num_key_value_heads", &c->n_kv_heads))
        config_from(r, FIELD_n_kv_heads, "num_key_value_heads %u", c->n_kv_heads);
    else if (is_stated(r->out, FIELD_n_heads) && !r->is_part) {
        c->n_kv_heads = c->n_heads;
        config_from(r, FIELD_n_kv_heads, "no num_key_value_heads: as num_attention_heads");
    }
    if (take_count(r, "head_dim", &c->head_dim)) {
        config_from(r, FIELD_head_dim, "head_dim %u", c->head_dim);
    } else if (is_stated(r->out, FIELD_d_model) && is_stated(r->out, FIELD_n_heads)) {
        c->head_dim = c->d_model / c->n_heads;
        config_from(r, FIELD_head_dim, "hidden_size %u / num_attention_heads %u", c->d_model,
                    c->n_heads);
    }
    c->head_dim_v = c->head_dim;
    r->out->from[FIELD_head_dim_v] = r->out->from[FIELD_head_dim];
}

static bool is_model_type(const ConfigReader *r, const char *name) {
    return str_is(r->out->model_type, name);
}

static void read_family(ConfigReader *r, Contract *c) {
    Stated *s = r->out;
    config_str(r, r->left, "model_type", &s->model_type);
    const json_t *classes = config_take(r, r->left, "architectures");
    const char *class = json_string_value(json_array_get(classes, 0));
    bool is_phi3 = is_model_type(r, "phi3");
    bool is_llama = is_model_type(r, "llama") || is_model_type(r, "mistral");
    if (!s->model_type.len) return;
    if (!is_phi3 && !is_llama) {
        config_fail(r,
                    "key 'model_type': '%.*s', but lathe knows llama, mistral and phi3; it cannot "
                    "compare what other families mean",
                    STR_ARG(s->model_type));
        return;
    }
    const char *expected = is_phi3                       ? "Phi3ForCausalLM"
                           : is_model_type(r, "mistral") ? "MistralForCausalLM"
                                                         : "LlamaForCausalLM";
    if (class && strcmp(class, expected) != 0)
        config_fail(r, "key 'architectures': '%s', but model_type %.*s is read by %s", class,
                    STR_ARG(s->model_type), expected);
    c->architecture = is_phi3 ? ARCH_PHI3 : ARCH_LLAMA;
    config_from(r, FIELD_architecture, "model_type %.*s", STR_ARG(s->model_type));
}

// How far a query sees. MistralConfig has 4096 where the key is absent, and none where it is null.
static void read_window(ConfigReader *r, Contract *c) {
    bool is_there = json_object_get(r->left, "sliding_window") != NULL, is_used = true;
    if (r->is_part && !is_there) return;
    uint32_t window = 0;
    take_count(r, "sliding_window", &window);
    config_bool(r, r->left, "use_sliding_window", &is_used);
    c->attn_window = is_used ? window : 0;
    if (!is_used)
        config_from(r, FIELD_attn_window, "use_sliding_window false");
    else if (window)
        config_from(r, FIELD_attn_window, "sliding_window %u", window);
    else if (is_there)
        config_from(r, FIELD_attn_window, "sliding_window null: every earlier position");
    else if (is_model_type(r, "mistral")) {
        c->attn_window = 4096;
        config_from(r, FIELD_attn_window, "no sliding_window: MistralConfig has 4096");
    } else {
        config_from(r, FIELD_attn_window, "no sliding_window: every earlier position");
    }
}

// attention_bias gives Llama biases in all four projections; Phi-3's and Mistral's classes have
// none and do not look at the key.
static void read_biases(ConfigReader *r, Contract *c) {
    bool has_bias = false, is_llama = is_model_type(r, "llama");
    bool is_said = config_bool(r, r->left, "attention_bias", &has_bias);
    if (r->is_part && !is_said) return;
    if (has_bias && !is_llama)
        config_fail(r, "key 'attention_bias': true, but the class of model_type %.*s adds none",
                    STR_ARG(r->out->model_type));
    c->has_qkv_bias = c->has_out_bias = has_bias;
    const char *how = is_said ? "attention_bias" : "no attention_bias:";
    config_from(r, FIELD_has_qkv_bias, "%s %s", how, has_bias ? "true" : "false");
    config_from(r, FIELD_has_out_bias, "%s %s", how, has_bias ? "true" : "false");
}

// Numbers with a direction: Granite divides logits by logits_scaling, Cohere multiplies them by
// logit_scale; Gemma divides scores by the root of query_pre_attn_scalar.
static void read_multipliers(ConfigReader *r, Contract *c) {
    typedef enum { SAME, INVERSE, INVERSE_ROOT } Direction;
    const struct {
        const char *key;
        FieldId field;
        float *at;
        Direction direction;
    } rows[] = {
        {"logits_scaling", FIELD_logit_scale, &c->logit_scale, INVERSE},
        {"logit_scale", FIELD_logit_scale, &c->logit_scale, SAME},
        {"embedding_multiplier", FIELD_embedding_scale, &c->embedding_scale, SAME},
        {"residual_multiplier", FIELD_residual_scale, &c->residual_scale, SAME},
        {"attention_multiplier", FIELD_attn_scale, &c->attn_scale, SAME},
        {"query_pre_attn_scalar", FIELD_attn_scale, &c->attn_scale, INVERSE_ROOT},
        {"attn_logit_softcapping", FIELD_attn_softcap, &c->attn_softcap, SAME},
        {"final_logit_softcapping", FIELD_final_softcap, &c->final_softcap, SAME},
    };
    static const char *const words[] = {"", "1 / ", "1 / root of "};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double x;
        if (!config_number(r, r->left, rows[i].key, &x)) continue;
        Direction d = rows[i].direction;
        if (!(x > 0)) {
            config_fail(r, "key '%s': %g, expected a positive number", rows[i].key, x);
            return;
        }
        *rows[i].at = (float)(d == SAME ? x : d == INVERSE ? 1 / x : 1 / sqrt(x));
        config_from(r, rows[i].field, "%s%s %g", words[d], rows[i].key, x);
    }
    if (!is_stated(r->out, FIELD_attn_scale) && is_stated(r->out, FIELD_head_dim)) {
        c->attn_scale = (float)(1 / sqrt((double)c->head_dim));
        config_from(r, FIELD_attn_scale, "1 / root of head_dim %u", c->head_dim);
    }
}

static void read_rest(ConfigReader *r, Contract *c) {
    double eps;
    if (config_number(r, r->left, "rms_norm_eps", &eps)) {
        c->norm_eps = (float)eps;
        config_from(r, FIELD_norm_eps, "rms_norm_eps %g", eps);
    }
    Str act;
    if (config_str(r, r->left, "hidden_act", &act)) {
        bool is_silu = str_is(act, "silu") || str_is(act, "swish");
        if (!is_silu && !str_is(act, "gelu_pytorch_tanh") && !str_is(act, "gelu_new"))
            config_fail(r, "key 'hidden_act': '%.*s', but lathe knows silu and gelu_pytorch_tanh",
                        STR_ARG(act));
        c->activation = is_silu ? ACTIVATION_SILU : ACTIVATION_GELU_TANH;
        config_from(r, FIELD_activation, "hidden_act %.*s", STR_ARG(act));
    }
    bool is_said = config_bool(r, r->left, "tie_word_embeddings", &c->is_head_tied);
    if (r->is_part && !is_said) return;
    config_from(r, FIELD_is_head_tied,
                is_said ? "tie_word_embeddings %s" : "no tie_word_embeddings: %s",
                c->is_head_tied ? "true" : "false");
}

// ---- ids that end and begin a text, in config.json and generation_config.json

static void add_stop(Contract *c, Arena *arena, uint32_t id) {
    uint32_t *ids = arena_array(arena, c->stop_ids.count + 1, uint32_t);
    for (size_t i = 0; i < c->stop_ids.count; i++) {
        ids[i] = c->stop_ids.at[i];
        if (ids[i] == id) return;
    }
    ids[c->stop_ids.count] = id;
    c->stop_ids = (U32List){ids, c->stop_ids.count + 1};
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

static void read_ids(ConfigReader *r, Contract *c) {
    uint32_t id;
    const json_t *bos = config_take(r, r->left, "bos_token_id");
    if (bos && read_id(r, "bos_token_id", bos, &id)) {
        c->bos_id = id;
        config_from(r, FIELD_bos_id, "bos_token_id %u", id);
    }
    const json_t *eos = config_take(r, r->left, "eos_token_id");
    if (!eos) return;
    size_t n = json_is_array(eos) ? json_array_size(eos) : 1;
    for (size_t i = 0; i < n; i++)
        if (read_id(r, "eos_token_id", json_is_array(eos) ? json_array_get(eos, i) : eos, &id))
            add_stop(c, r->arena, id);
    Str before = r->out->from[FIELD_stop_ids];
    config_from(r, FIELD_stop_ids, "eos_token_id");
    if (before.len)
        r->out->from[FIELD_stop_ids] = arena_printf(r->arena, "%.*s, %.*s", STR_ARG(before),
                                                    STR_ARG(r->out->from[FIELD_stop_ids]));
}

// ---- tokenizer_config.json

// A token as text, or as an object that has it as "content".
static Str token_text(const json_t *value) {
    if (json_is_object(value)) value = json_object_get(value, "content");
    if (!json_is_string(value)) return (Str){"", 0};
    return (Str){json_string_value(value), json_string_length(value)};
}

static uint32_t find_token(const ConfigReader *r, Str text) {
    const GgufKey *tokens = gguf_find_key(r->g, STR("tokenizer.ggml.tokens"));
    if (!tokens || tokens->item_type != GGUF_STRING || !text.len) return NO_TOKEN;
    for (size_t i = 0; i < tokens->n_items; i++)
        if (str_eq(tokens->strings[i], text)) return (uint32_t)i;
    return NO_TOKEN;
}

// The tokens that were added to the vocabulary: the same text under the same id, and those that
// no text may spell typed control. A mark typed as a normal token is cut to pieces by encoders.
static void check_added(ConfigReader *r, const char *id_text, const json_t *token) {
    enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3 }; // gguf-py, TokenType
    const GgufKey *tokens = gguf_find_key(r->g, STR("tokenizer.ggml.tokens"));
    const GgufKey *types = gguf_find_key(r->g, STR("tokenizer.ggml.token_type"));
    Str text = token_text(token);
    char *end;
    unsigned long id = strtoul(id_text, &end, 10);
    int64_t type = 0;
    if (*end || !tokens || tokens->item_type != GGUF_STRING || id >= tokens->n_items) {
        r->out->token_trouble = arena_printf(r->arena, "token %s '%.*s' is not in the vocabulary",
                                             id_text, STR_ARG(text));
    } else if (!str_eq(tokens->strings[id], text)) {
        r->out->token_trouble = arena_printf(r->arena, "token %lu is '%.*s' there and '%.*s' here",
                                             id, STR_ARG(text), STR_ARG(tokens->strings[id]));
    } else if (json_is_true(json_object_get(token, "special")) && types &&
               gguf_i64(types, (size_t)id, &type) && type != TYPE_CONTROL && type != TYPE_UNKNOWN) {
        r->out->token_trouble =
            arena_printf(r->arena, "token %lu '%.*s' is special there and of type %lld here", id,
                         STR_ARG(text), (long long)type);
    }
    r->out->n_added_tokens++;
}

static void read_tokenizer(ConfigReader *r, Contract *c) {
    if (config_bool(r, r->left, "add_bos_token", &c->adds_bos))
        config_from(r, FIELD_adds_bos, "add_bos_token %s", c->adds_bos ? "true" : "false");
    if (config_bool(r, r->left, "add_eos_token", &c->adds_eos))
        config_from(r, FIELD_adds_eos, "add_eos_token %s", c->adds_eos ? "true" : "false");
    Str bos = token_text(config_take(r, r->left, "bos_token"));
    if (bos.len && !is_stated(r->out, FIELD_bos_id)) {
        c->bos_id = find_token(r, bos);
        config_from(r, FIELD_bos_id, "bos_token '%.*s'", STR_ARG(bos));
    }
    const json_t *eos = config_take(r, r->left, "eos_token");
    uint32_t id = find_token(r, token_text(eos));
    if (id != NO_TOKEN) {
        add_stop(c, r->arena, id);
        if (!is_stated(r->out, FIELD_stop_ids)) config_from(r, FIELD_stop_ids, "eos_token");
    }
    const json_t *chat = config_take(r, r->left, "chat_template");
    for (size_t i = 0; json_is_array(chat) && i < json_array_size(chat); i++) {
        const json_t *named = json_array_get(chat, i); // several, of which files keep the default
        const char *name = json_string_value(json_object_get(named, "name"));
        if (name && strcmp(name, "default") == 0) chat = json_object_get(named, "template");
    }
    if (json_is_string(chat)) {
        Sha256 digest = sha256_bytes(json_string_value(chat), json_string_length(chat));
        c->template_digest = arena_str(r->arena, str_of(digest.hex));
        config_from(r, FIELD_template_digest, "chat_template");
    }
    const json_t *added = config_take(r, r->left, "added_tokens_decoder");
    const char *key;
    json_t *token;
    json_object_foreach((json_t *)(uintptr_t)added, key, token) check_added(r, key, token);
}

// ---- files

static json_t *open_file(ConfigReader *r, const char *path) {
    const char *slash = strrchr(path, '/');
    r->file = arena_str(r->arena, str_of(slash ? slash + 1 : path));
    json_error_t why;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!file && why.line < 0) {
        err_set(r->err, ERR_SYSTEM, "%s: %s", path, why.text);
        r->failed = true;
    } else if (!file) {
        config_fail(r, "line %d: %s", why.line, why.text);
    } else if (!json_is_object(file)) {
        config_fail(r, "expected a JSON object");
    }
    return file;
}

typedef void ReadKeys(ConfigReader *r, Contract *c);

static void read_config(ConfigReader *r, Contract *c) {
    read_family(r, c);
    read_counts(r, c);
    read_window(r, c);
    read_biases(r, c);
    read_multipliers(r, c);
    read_rest(r, c);
    config_rope(r);
    read_ids(r, c);
}

static void read_file(ConfigReader *r, const char *path, ReadKeys *read, ConfigFile kind) {
    if (!path || r->failed) return;
    json_t *file = open_file(r, path);
    if (!r->failed) {
        r->left = file;
        r->taken = json_array();
        read(r, &r->out->values);
        if (!r->failed) config_leftovers(r, kind);
        json_decref(r->taken);
    }
    json_decref(file);
}

bool stated_read_part(Stated *s, Str name, const json_t *config, const Gguf *g, Arena *arena,
                      Err *err) {
    *s = (Stated){.values = {.logit_scale = 1, .embedding_scale = 1, .residual_scale = 1}};
    ConfigReader r = {.out = s, .g = g, .arena = arena, .err = err, .is_part = true, .file = name};
    r.left = json_deep_copy(config);
    r.taken = json_array();
    read_config(&r, &s->values);
    if (!r.failed) config_leftovers(&r, CONFIG_MODEL);
    json_decref(r.taken);
    json_decref(r.left);
    return !r.failed;
}

bool stated_read(Stated *s, const ConfigFiles *files, const Gguf *g, Arena *arena, Err *err) {
    *s = (Stated){.values = {.logit_scale = 1, .embedding_scale = 1, .residual_scale = 1}};
    ConfigReader r = {.out = s, .g = g, .arena = arena, .err = err};
    read_file(&r, files->config, read_config, CONFIG_MODEL);
    read_file(&r, files->generation, read_ids, CONFIG_GENERATION);
    read_file(&r, files->tokenizer, read_tokenizer, CONFIG_TOKENIZER);
    return !r.failed;
}
