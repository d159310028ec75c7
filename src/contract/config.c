// config.c — Hugging Face files in the contract's terms: shapes, norms, attention and multipliers.
// Rotary settings are in config_rope.c, windows and layers that differ in config_kinds.c, what is said of
// text in config_text.c, keys that change nothing in config_keys.c.
//
// A field may be stated more than once, by two keys or two files; all must say the same.
// Values a file leaves out are those of the class that reads it in transformers (hf_classes.def); they
// are said to be that.
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
static bool take_field_from(ConfigReader *r, Contract *c, FieldId field, const char *key) {
    uint32_t *at = field_place(c, field);
    if (!take_count(r, key, at)) return false;
    config_from(r, field, "%s %u", key, *at);
    return true;
}

static bool take_field(ConfigReader *r, Contract *c, FieldId field) {
    return take_field_from(r, c, field, field_rows[field].hf_key);
}

// A class may have a key that overrules the usual one.
static void read_context(ConfigReader *r, Contract *c) {
    const char *key = field_rows[FIELD_context].hf_key, *own = r->class ? r->class->context : NULL;
    if (!own || !take_field_from(r, c, FIELD_context, own))
        take_field(r, c, FIELD_context);
    else if (config_take(r, r->left, key))
        config_unread(r, key, arena_printf(r->arena, "overruled by %s", own).at);
}

static void read_counts(ConfigReader *r, Contract *c) {
    static const FieldId fields[] = {FIELD_n_layers, FIELD_d_model, FIELD_n_heads, FIELD_d_ff,
                                     FIELD_n_vocab};
    const char *heads = field_rows[FIELD_n_heads].hf_key;
    for (size_t i = 0; i < COUNT_OF(fields); i++) take_field(r, c, fields[i]);
    read_context(r, c);
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

static void take_class(ConfigReader *r, const HfClass *class) {
    r->class = class;
    json_decref(r->defaults);
    r->defaults = r->is_part || !class->defaults ? NULL : json_loads(class->defaults, 0, NULL);
}

// Keys that the file has under another name of the class go by the one that is read.
static void take_other_names(ConfigReader *r) {
    if (!r->class || !r->class->other_names) return;
    json_t *names = json_loads(r->class->other_names, 0, NULL), *name;
    const char *other;
    json_object_foreach(names, other, name) {
        const char *key = json_string_value(name);
        json_t *value = json_object_get(r->left, other), *before = json_object_get(r->left, key);
        if (!value) continue;
        if (before && !json_equal(before, value))
            config_fail(r, "keys '%s' and '%s' differ, but %s takes them for the same", other, key,
                        r->class->name);
        json_object_set(r->left, key, value);
        json_object_del(r->left, other);
    }
    json_decref(names);
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
                    "key '%s': '%.*s', expected one of %.*s: lathe cannot compare other families",
                    has_type ? "model_type" : "architectures",
                    STR_ARG(has_type ? type : str_of(class)), STR_ARG(hf_class_list(r->arena)));
        return;
    }
    if (class && strcmp(class, known->name) != 0)
        config_fail(r, "key 'architectures': '%s', but the class of model_type %s is %s", class,
                    known->model_type, known->name);
    take_class(r, known);
    r->out->model_type = str_of(known->model_type);
    c->architecture = known->architecture;
    config_from(r, FIELD_architecture, "%s %s", has_type ? "model_type" : "architectures",
                has_type ? known->model_type : class);
}

// Whether projections have a bias, by a key of the class; NULL when it adds none.
static void take_bias(ConfigReader *r, FieldId field, const char *key, bool is_said, bool has) {
    const char *class = r->class->name;
    bool *at = field_place(&r->out->values, field);
    if (key && *key) {
        *at = has;
        if (is_said || !r->is_part)
            config_from(r, field, is_said ? "%s %s" : "no %s: %s", key, has ? "true" : "false");
        return;
    }
    *at = key != NULL;
    r->is_default = false;
    config_from(r, field, key ? "%s adds one" : "%s adds none", class);
}

// attention_bias gives Llama biases in all four projections of attention; other classes have other keys,
// always have them, or never. One key may be that of several.
static void read_biases(ConfigReader *r) {
    const HfClass *k = r->class;
    const char *most = field_rows[FIELD_has_qkv_bias].hf_key;
    bool is_said = false, has = false;
    if (k) {
        bool is_ungated = arch_infos[k->architecture].is_ungated;
        const struct {
            FieldId field;
            const char *key;
        } rows[] = {{FIELD_has_qkv_bias, k->qkv_bias},
                    {FIELD_has_out_bias, k->out_bias},
                    {FIELD_has_up_bias, k->mlp_bias},
                    {FIELD_has_down_bias, k->mlp_bias},
                    {FIELD_has_gate_bias, is_ungated ? NULL : k->mlp_bias}};
        const char *taken = NULL;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            const char *key = rows[i].key;
            if (key && *key && (!taken || strcmp(taken, key) != 0)) {
                has = false;
                is_said = config_bool(r, r->left, key, &has);
                taken = key;
            }
            take_bias(r, rows[i].field, key, is_said, has);
        }
    }
    r->is_default = has = false;
    // Left: the class does not look at it.
    if (json_object_get(r->left, most) && config_bool(r, r->left, most, &has) && has)
        config_fail(r, "key '%s': true, but the class of model_type %.*s adds none", most,
                    STR_ARG(r->out->model_type));
}

// Numbers with a direction: Granite divides logits by logits_scaling, Cohere multiplies them by
// logit_scale; Gemma divides scores by the root of query_pre_attn_scalar. MiniCPM divides scale_depth by
// the root of the layers, and the head's input by hidden_size / dim_model_base.
static void read_multipliers(ConfigReader *r, Contract *c) {
    typedef enum { SAME, INVERSE, INVERSE_ROOT, PER_ROOT_OF_LAYERS, PER_WIDTH } Direction;
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
        {"scale_emb", FIELD_embedding_scale, &c->embedding_scale, SAME},
        {"scale_depth", FIELD_residual_scale, &c->residual_scale, PER_ROOT_OF_LAYERS},
        {"dim_model_base", FIELD_logit_scale, &c->logit_scale, PER_WIDTH},
        {"query_pre_attn_scalar", FIELD_attn_scale, &c->attn_scale, INVERSE_ROOT},
        {"attn_logit_softcapping", FIELD_attn_softcap, &c->attn_softcap, SAME},
        {"final_logit_softcapping", FIELD_final_softcap, &c->final_softcap, SAME},
    };
    static const char *const words[] = {"", "1 / ", "1 / root of ", "1 / root of layers * ",
                                        "1 / hidden_size * "};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double x;
        bool is_null = json_is_null(json_object_get(r->left, rows[i].key));
        Direction d = rows[i].direction;
        if (is_null &&
            (rows[i].field == FIELD_attn_softcap || rows[i].field == FIELD_final_softcap))
            config_from(r, rows[i].field, "%s null: none", rows[i].key);
        if (!config_number(r, r->left, rows[i].key, &x)) continue;
        if ((d == PER_ROOT_OF_LAYERS && !c->n_layers) || (d == PER_WIDTH && !c->d_model)) continue;
        if (!(x > 0)) {
            config_fail(r, "key '%s': %g, expected a positive number", rows[i].key, x);
            return;
        }
        const double values[] = {x, 1 / x, 1 / sqrt(x), x / sqrt((double)c->n_layers),
                                 x / c->d_model};
        *rows[i].at = (float)values[d];
        config_from(r, rows[i].field, "%s%s %g", words[d], rows[i].key, x);
    }
    r->is_default = false;
    if (!is_stated(r->out, FIELD_attn_scale) && is_stated(r->out, FIELD_head_dim)) {
        c->attn_scale = (float)(1 / sqrt((double)c->head_dim));
        config_from(r, FIELD_attn_scale, "1 / root of head_dim %u", c->head_dim);
    }
}

static void read_activation(ConfigReader *r, LayerKind *kind, const char *key) {
    static const struct {
        const char *name;
        Activation activation;
    } rows[] = {{"silu", ACTIVATION_SILU},
                {"swish", ACTIVATION_SILU},
                {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
                {"gelu_new", ACTIVATION_GELU_TANH},
                {"relu2", ACTIVATION_RELU_SQUARED},
                {"xielu", ACTIVATION_XIELU}};
    Str name;
    if (!config_str(r, r->left, key, &name)) return;
    Str meant = r->class && r->class->gelu_is_tanh && str_is(name, "gelu") ? STR("gelu_new") : name;
    size_t i = 0;
    while (i < COUNT_OF(rows) && !str_is(meant, rows[i].name)) i++;
    if (i == COUNT_OF(rows)) {
        config_fail(r, "key '%s': '%.*s', but lathe knows silu, gelu_pytorch_tanh, relu2 and xielu",
                    key, STR_ARG(name));
        return;
    }
    kind->activation = rows[i].activation;
    config_from(r, FIELD_activation, "%s %.*s", key, STR_ARG(name));
}

static void read_rest(ConfigReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    double eps;
    const char *eps_key =
        r->class && r->class->eps ? r->class->eps : field_rows[FIELD_norm_eps].hf_key;
    const char *tied_key = field_rows[FIELD_is_head_tied].hf_key;
    if (config_number(r, r->left, eps_key, &eps)) {
        c->norm_eps = (float)eps;
        config_from(r, FIELD_norm_eps, "%s %g", eps_key, eps);
    }
    read_activation(r, kind, "hidden_act");
    read_activation(r, kind, "hidden_activation"); // what Gemma's later classes look at
    c->is_head_tied = false;
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

static void read_keys(ConfigReader *r, Contract *c) {
    take_other_names(r);
    read_counts(r, c);
    config_window(r);
    read_biases(r);
    read_multipliers(r, c);
    read_rest(r, c);
    config_rope(r);
    config_kinds(r);
    config_ids(r, c);
}

// A file with parts of its own for pictures has everything that is read here in its text_config.
static void read_text_part(ConfigReader *r, Contract *c) {
    json_t *top = r->left;
    const json_t *part = config_take(r, top, "text_config");
    Str file = r->file, type = {"", 0};
    const HfClass *class = hf_class_named(str_of(r->class->text), type);
    if (!json_is_object(part)) {
        config_fail(r, "key 'text_config': expected an object: %s reads text by it",
                    r->class->name);
        return;
    }
    r->left = json_copy((json_t *)(uintptr_t)part);
    r->file = arena_printf(r->arena, "%.*s: text_config", STR_ARG(file));
    const char *other = r->class->other_text;
    bool has_type = config_str(r, r->left, "model_type", &type);
    if (has_type && other && str_is(type, other)) class = hf_class_named(type, (Str){"", 0});
    take_class(r, class);
    if (has_type && !str_is(type, class->model_type))
        config_fail(r, "key 'model_type': '%.*s', expected %s%s%s", STR_ARG(type),
                    class->model_type, other ? " or " : "", other ? other : "");
    read_keys(r, c);
    if (!r->failed) config_leftovers(r, CONFIG_MODEL);
    json_decref(r->left);
    r->left = top;
    r->file = file;
}

static void read_config(ConfigReader *r, Contract *c) {
    read_family(r, c);
    if (r->class && r->class->text && !r->failed) {
        read_text_part(r, c);
        config_ids(r, c);
    } else {
        read_keys(r, c);
    }
    r->is_default = false;
    json_decref(r->defaults);
    r->defaults = NULL;
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
