// config.c — Hugging Face files in the contract's terms: shapes, norms, attention and multipliers.
// Rotary settings are in config_rope.c, what is said of text in config_text.c, keys that change
// nothing in config_keys.c.
//
// A field may be stated more than once, by two keys or two files; all must say the same.
// Values a file leaves out are those of the class that reads it in transformers, as its
// configuration_llama.py, configuration_mistral.py and configuration_phi3.py define them; they are
// said to be that.
#include "contract/config.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/size.h"
#include "contract/arch.h"

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

// A count whose key config.json has under the name of the field's row.
static bool take_field(ConfigReader *r, Contract *c, FieldId field) {
    const char *key = field_rows[field].hf_key;
    uint32_t *at = field_place(c, field);
    if (!take_count(r, key, at)) return false;
    config_from(r, field, "%s %u", key, *at);
    return true;
}

static void read_counts(ConfigReader *r, Contract *c) {
    static const FieldId fields[] = {FIELD_n_layers, FIELD_d_model, FIELD_n_heads,
                                     FIELD_d_ff,     FIELD_n_vocab, FIELD_context};
    const char *heads = field_rows[FIELD_n_heads].hf_key;
    for (size_t i = 0; i < COUNT_OF(fields); i++) take_field(r, c, fields[i]);
    if (!take_field(r, c, FIELD_n_kv_heads) && is_stated(r->out, FIELD_n_heads) && !r->is_part) {
        c->n_kv_heads = c->n_heads;
        config_from(r, FIELD_n_kv_heads, "no %s: as %s", field_rows[FIELD_n_kv_heads].hf_key,
                    heads);
    }
    if (!take_field(r, c, FIELD_head_dim) && is_stated(r->out, FIELD_d_model) &&
        is_stated(r->out, FIELD_n_heads)) {
        c->head_dim = c->d_model / c->n_heads;
        config_from(r, FIELD_head_dim, "%s %u / %s %u", field_rows[FIELD_d_model].hf_key,
                    c->d_model, heads, c->n_heads);
    }
    c->head_dim_v = c->head_dim;
    r->out->from[FIELD_head_dim_v] = r->out->from[FIELD_head_dim];
}

// model_type and architectures name the same class of transformers; one is enough.
static void read_family(ConfigReader *r, Contract *c) {
    Str type = {"", 0};
    bool has_type = config_str(r, r->left, "model_type", &type);
    const json_t *classes = config_take(r, r->left, "architectures");
    const char *class = json_string_value(json_array_get(classes, 0));
    if (classes && (!class || json_array_size(classes) != 1))
        config_fail(r, "key 'architectures': expected a list of one class");
    if (r->failed || (!has_type && !class)) return;
    const HfClass *known = hf_class_named(type, str_of(class ? class : ""));
    if (!known) {
        config_fail(r,
                    "key '%s': '%.*s', but lathe knows %.*s; it cannot compare what other families "
                    "mean",
                    has_type ? "model_type" : "architectures",
                    STR_ARG(has_type ? type : str_of(class)), STR_ARG(hf_class_list(r->arena)));
        return;
    }
    if (class && strcmp(class, known->name) != 0)
        config_fail(r, "key 'architectures': '%s', but model_type %s is read by %s", class,
                    known->model_type, known->name);
    r->class = known;
    r->out->model_type = str_of(known->model_type);
    c->architecture = known->architecture;
    config_from(r, FIELD_architecture, "%s %s", has_type ? "model_type" : "architectures",
                has_type ? known->model_type : class);
}

// How far a query sees. A class may have a window of its own where the key is absent, and none where
// it is null.
static void read_window(ConfigReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    const char *key = field_rows[FIELD_attn_window].hf_key;
    bool is_there = json_object_get(r->left, key) != NULL, is_used = true;
    uint32_t window = 0, unless_stated = r->class ? r->class->window_unless_stated : 0;
    if (r->class && r->class->window_must_be_used) is_used = false;
    bool is_said = config_bool(r, r->left, "use_sliding_window", &is_used);
    if (r->is_part && !is_there && (!is_said || is_used)) return;
    take_count(r, key, &window);
    kind->attn_window = is_used ? window : 0;
    if (!is_used)
        config_from(r, FIELD_attn_window,
                    is_said ? "use_sliding_window false" : "no use_sliding_window: false");
    else if (window)
        config_from(r, FIELD_attn_window, "%s %u", key, window);
    else if (is_there)
        config_from(r, FIELD_attn_window, "%s null: every earlier position", key);
    else if (unless_stated) {
        kind->attn_window = unless_stated;
        config_from(r, FIELD_attn_window, "no %s: %s has %u", key, r->class->name, unless_stated);
    } else {
        config_from(r, FIELD_attn_window, "no %s: every earlier position", key);
    }
}

// layer_types says of every layer whether its queries see all; the classes that lathe knows look at
// the window alone, so it may say nothing else.
static void check_layer_types(ConfigReader *r, const Contract *c) {
    uint32_t window = c->kinds[0].attn_window;
    const json_t *types = config_take(r, r->left, "layer_types");
    if (!types || r->failed) return;
    size_t n = json_array_size(types);
    if (n == 0 || (is_stated(r->out, FIELD_n_layers) && n != c->n_layers)) {
        config_fail(r, "key 'layer_types': expected a list with one kind for each layer");
        return;
    }
    for (size_t i = 1; i < n; i++)
        if (!json_equal(json_array_get(types, 0), json_array_get(types, i))) {
            config_fail(r, "key 'layer_types': layers 0 and %zu differ, and lathe has one kind", i);
            return;
        }
    const char *kind = json_string_value(json_array_get(types, 0));
    bool slides = kind && strcmp(kind, "sliding_attention") == 0;
    bool hides = window && !(is_stated(r->out, FIELD_context) && window >= c->context);
    if (!slides && (!kind || strcmp(kind, "full_attention") != 0))
        config_fail(r, "key 'layer_types': expected full_attention or sliding_attention");
    else if (slides ? window == 0 : hides)
        config_fail(r, "key 'layer_types': %s, but %.*s", kind,
                    STR_ARG(slides ? STR("no sliding_window says how far a query sees")
                                   : r->out->from[FIELD_attn_window]));
}

static void take_bias(ConfigReader *r, FieldId field, HfBias how, bool is_said, bool by_key) {
    bool *has = field_place(&r->out->values, field);
    const char *key = field_rows[FIELD_has_qkv_bias].hf_key;
    *has = how == HF_BIAS_ALWAYS || (how == HF_BIAS_BY_KEY && by_key);
    if (how == HF_BIAS_ALWAYS)
        config_from(r, field, "%s adds one", r->class->name);
    else if (is_said || !r->is_part)
        config_from(r, field, is_said ? "%s %s" : "no %s: %s", key, *has ? "true" : "false");
}

// attention_bias gives Llama biases in all four projections; other classes have them always, or never
// and do not look at the key.
static void read_biases(ConfigReader *r, Contract *c) {
    const char *key = field_rows[FIELD_has_qkv_bias].hf_key;
    HfBias qkv = r->class ? r->class->qkv_bias : HF_BIAS_NEVER;
    HfBias out = r->class ? r->class->out_bias : HF_BIAS_NEVER;
    bool has_bias = false;
    bool is_said = config_bool(r, r->left, key, &has_bias);
    (void)c;
    if (has_bias && qkv == HF_BIAS_NEVER)
        config_fail(r, "key '%s': true, but the class of model_type %.*s adds none", key,
                    STR_ARG(r->out->model_type));
    take_bias(r, FIELD_has_qkv_bias, qkv, is_said, has_bias);
    take_bias(r, FIELD_has_out_bias, out, is_said, has_bias);
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
    LayerKind *kind = &c->kinds[0];
    double eps;
    const char *eps_key = field_rows[FIELD_norm_eps].hf_key;
    const char *tied_key = field_rows[FIELD_is_head_tied].hf_key;
    if (config_number(r, r->left, eps_key, &eps)) {
        c->norm_eps = (float)eps;
        config_from(r, FIELD_norm_eps, "%s %g", eps_key, eps);
    }
    Str act;
    if (config_str(r, r->left, "hidden_act", &act)) {
        bool is_silu = str_is(act, "silu") || str_is(act, "swish");
        if (!is_silu && !str_is(act, "gelu_pytorch_tanh") && !str_is(act, "gelu_new"))
            config_fail(r, "key 'hidden_act': '%.*s', but lathe knows silu and gelu_pytorch_tanh",
                        STR_ARG(act));
        kind->activation = is_silu ? ACTIVATION_SILU : ACTIVATION_GELU_TANH;
        config_from(r, FIELD_activation, "hidden_act %.*s", STR_ARG(act));
    }
    bool is_said = config_bool(r, r->left, tied_key, &c->is_head_tied);
    if (r->is_part && !is_said) return;
    config_from(r, FIELD_is_head_tied, is_said ? "%s %s" : "no %s: %s", tied_key,
                c->is_head_tied ? "true" : "false");
}

// ---- files

static void name_file(ConfigReader *r, const char *path) {
    r->file = arena_str(r->arena, str_of(path_file_name(path)));
}

static json_t *open_file(ConfigReader *r, const char *path) {
    name_file(r, path);
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
    check_layer_types(r, c);
    read_biases(r, c);
    read_multipliers(r, c);
    read_rest(r, c);
    config_rope(r);
    config_ids(r, c);
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

// chat_template.jinja: the whole file is the template.
static void read_template(ConfigReader *r, const char *path) {
    if (!path || r->failed) return;
    name_file(r, path);
    FileMap map = {0};
    r->failed = !map_file(&map, path, r->err);
    if (!r->failed) config_template(r, (Str){(const char *)map.at, map.len}, "the whole file");
    unmap_file(&map);
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
    read_file(&r, files->generation, config_ids, CONFIG_GENERATION);
    read_file(&r, files->tokenizer, config_tokenizer, CONFIG_TOKENIZER);
    read_template(&r, files->chat_template);
    return !r.failed;
}
