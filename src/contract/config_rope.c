// config_rope.c — rotary settings of config.json, in both of their schemas.
//
// Old: rope_theta, partial_rotary_factor and rope_scaling {type or rope_type, …} at the top. New
// (transformers 5): rope_parameters {rope_type, rope_theta, partial_rotary_factor, …}, or one such
// object a layer type. A file may have both: they are put together, and what stands twice has to be
// the same. What follows is computed as transformers' modeling_rope_utils.py does (checked against
// 5.24): LongRoPE's and YaRN's attention factors, Llama 3's divisors. What that would need and the
// file does not have is not stated.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "contract/config.h"

static const double PI = 3.14159265358979323846;

typedef struct {
    json_t *at;       // all settings, wherever they stood; those read are taken out
    const char *kind; // of scaling, as it was found
    double factor, original, alpha;
    bool has_factor, has_original;
} Rope;

static bool number(ConfigReader *r, const Rope *rope, const char *key, double *out) {
    return config_number(r, rope->at, key, out);
}

static F32List factor_list(ConfigReader *r, Rope *rope, const char *key) {
    const json_t *list = config_take(r, rope->at, key);
    size_t n = json_array_size(list);
    float *values = arena_array(r->arena, n, float);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)json_number_value(json_array_get(list, i));
        if (!(values[i] > 0 && isfinite(values[i])))
            config_fail(r, "key '%s': item %zu is %g, expected a positive number", key, i,
                        (double)values[i]);
    }
    if (!n) config_fail(r, "key '%s': expected a list of numbers", key);
    return (F32List){values, n};
}

// ---- kinds of scaling

static void attn_factor(ConfigReader *r, Contract *c, double value, const char *how) {
    LayerKind *kind = &c->kinds[0];
    kind->attn_factor = (float)value;
    config_from(r, FIELD_attn_factor, "%s", how);
}

static void read_longrope(ConfigReader *r, Rope *rope, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    kind->rope_factors_short = factor_list(r, rope, "short_factor");
    config_from(r, FIELD_rope_factors_short, "short_factor");
    kind->rope_factors_long = factor_list(r, rope, "long_factor");
    config_from(r, FIELD_rope_factors_long, "long_factor");
    double explicit = 0, short_scale = 0, long_scale = 0;
    bool has_scales = number(r, rope, "short_mscale", &short_scale);
    has_scales = number(r, rope, "long_mscale", &long_scale) && has_scales;
    bool has_lengths = rope->has_original && is_stated(r->out, FIELD_context);
    double by_lengths = has_lengths ? c->context / rope->original : 0;
    double factor = has_lengths ? by_lengths : rope->factor;
    if (has_lengths && rope->has_factor && fabs(rope->factor / by_lengths - 1) > 1e-5)
        config_fail(r,
                    "rotary setting 'factor' is %g, but max_position_embeddings %u / "
                    "original_max_position_embeddings %g is %g",
                    rope->factor, c->context, rope->original, by_lengths);
    if (number(r, rope, "attention_factor", &explicit)) {
        attn_factor(r, c, explicit, "attention_factor");
    } else if (has_scales) {
        if (short_scale != long_scale)
            config_fail(r,
                        "short_mscale %g and long_mscale %g differ, expected the same: lathe has "
                        "one attention factor for all lengths",
                        short_scale, long_scale);
        attn_factor(r, c, short_scale, "short_mscale, long_mscale");
    } else if (rope->original > 1 && (has_lengths || rope->has_factor)) {
        double value = factor > 1 ? sqrt(1 + log(factor) / log(rope->original)) : 1;
        attn_factor(r, c, value,
                    arena_printf(r->arena, "sqrt(1 + ln(%g) / ln %g)", factor, rope->original).at);
    }
}

static double mscale(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static void read_yarn(ConfigReader *r, Rope *rope, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    double fast = 32, slow = 1, explicit, scale = 0, all_dims = 0;
    bool truncates = true;
    number(r, rope, "beta_fast", &fast);
    number(r, rope, "beta_slow", &slow);
    kind->yarn_beta_fast = (float)fast;
    kind->yarn_beta_slow = (float)slow;
    kind->yarn_ext_factor = 1;
    config_from(r, FIELD_yarn_beta_fast, "beta_fast %g", fast);
    config_from(r, FIELD_yarn_beta_slow, "beta_slow %g", slow);
    config_from(r, FIELD_yarn_ext_factor, "yarn in transformers mixes in full");
    if (config_bool(r, rope->at, "truncate", &truncates) && !truncates)
        config_fail(
            r, "key 'truncate': false, but lathe rounds the range of pairs, as GGUF files mean it");
    double temperature = 0, length = 0;
    if (number(r, rope, "llama_4_scaling_beta", &temperature) && temperature != 0)
        config_fail(r,
                    "key 'llama_4_scaling_beta': %g, but lathe leaves queries as they are at every "
                    "position (0)",
                    temperature);
    if (number(r, rope, "max_position_embeddings", &length))
        config_unread(r, "max_position_embeddings", "in the rotary settings: no class looks at it");
    bool has_scale = number(r, rope, "mscale", &scale);
    bool has_all = number(r, rope, "mscale_all_dim", &all_dims);
    if (number(r, rope, "attention_factor", &explicit))
        attn_factor(r, c, explicit, "attention_factor");
    else if (has_scale && has_all && scale != 0 && all_dims != 0)
        attn_factor(r, c, mscale(rope->factor, scale) / mscale(rope->factor, all_dims),
                    "mscale, mscale_all_dim");
    else
        attn_factor(r, c, mscale(rope->factor, 1),
                    arena_printf(r->arena, "1 + 0.1 ln %g", rope->factor).at);
}

// Llama 3's divisors, which GGUF files keep as the tensor rope_freqs.weight.
static void read_llama3(ConfigReader *r, Rope *rope, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    double low = 0, high = 0, original = rope->original;
    bool is_whole = number(r, rope, "low_freq_factor", &low);
    is_whole = number(r, rope, "high_freq_factor", &high) && is_whole;
    if (!is_whole || !rope->has_factor || original <= 0 || low >= high || low <= 0) {
        config_fail(r, "rope scaling llama3 needs factor, low_freq_factor below high_freq_factor "
                       "and original_max_position_embeddings");
        return;
    }
    uint32_t n = kind->rope_dim / 2;
    float *factors = arena_array(r->arena, n, float);
    for (uint32_t i = 0; i < n; i++) {
        double wavelength = 2 * PI * pow((double)kind->rope_base, 2.0 * i / kind->rope_dim);
        double smooth = (original / wavelength - low) / (high - low);
        if (wavelength < original / high)
            factors[i] = 1;
        else if (wavelength > original / low)
            factors[i] = (float)rope->factor;
        else
            factors[i] = (float)(1 / ((1 - smooth) / rope->factor + smooth));
    }
    kind->rope_freq_factors = (F32List){factors, n};
    if (!is_stated(r->out, FIELD_rope_dim) || !is_stated(r->out, FIELD_rope_base)) return;
    config_from(r, FIELD_rope_freq_factors, "llama3 factor %g, low %g, high %g, original %g",
                rope->factor, low, high, original);
}

static const struct {
    const char *name;
    RopeScaling kind;
} kinds[] = {
    {"default", ROPE_SCALING_NONE},
    {"none", ROPE_SCALING_NONE},
    {"linear", ROPE_SCALING_LINEAR},
    {"yarn", ROPE_SCALING_YARN},
    {"llama3", ROPE_SCALING_LLAMA3},
    {"su", ROPE_SCALING_LONGROPE}, // what Phi-3 called it first
    {"longrope", ROPE_SCALING_LONGROPE},
};

// Of one of the two keys that name it; false when it is absent or not known.
static bool read_kind(ConfigReader *r, Rope *rope, const char *key, RopeScaling *kind) {
    Str name;
    if (!config_str(r, rope->at, key, &name)) return false;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (str_is(name, kinds[i].name)) {
            *kind = kinds[i].kind;
            rope->kind = kinds[i].name;
            config_from(r, FIELD_rope_scaling, "%s %s", key, kinds[i].name);
            return true;
        }
    config_fail(r,
                "rope scaling '%.*s' is not known; known are default, linear, yarn, llama3 and "
                "longrope",
                STR_ARG(name));
    return false;
}

static void read_scaling(ConfigReader *r, Rope *rope, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    kind->rope_scaling = ROPE_SCALING_NONE;
    bool has_kind = read_kind(r, rope, "type", &kind->rope_scaling);
    has_kind = read_kind(r, rope, "rope_type", &kind->rope_scaling) || has_kind;
    if (!has_kind) config_from(r, FIELD_rope_scaling, "no rope scaling");
    rope->factor = 1;
    // Without a scaling nothing reads a factor: it is left over, and that is said.
    rope->has_factor =
        kind->rope_scaling != ROPE_SCALING_NONE && number(r, rope, "factor", &rope->factor);
    rope->has_original = number(r, rope, "original_max_position_embeddings", &rope->original);
    bool is_length =
        rope->original >= 1 && rope->original <= 1e9 && rope->original == floor(rope->original);
    if (rope->has_original && !is_length)
        config_fail(r, "key 'original_max_position_embeddings': %g, expected a whole number",
                    rope->original);
    if (r->failed) return;
    bool is_stretch =
        kind->rope_scaling == ROPE_SCALING_LINEAR || kind->rope_scaling == ROPE_SCALING_YARN;
    if (is_stretch && !rope->has_factor) config_fail(r, "rope scaling without a factor");
    kind->rope_factor = is_stretch ? (float)rope->factor : 1;
    config_from(r, FIELD_rope_factor, is_stretch ? "factor %g" : "no linear or yarn scaling",
                rope->factor);
    // Llama 3's original context is folded into its divisors; nothing else uses one but these two.
    bool is_used =
        kind->rope_scaling == ROPE_SCALING_LONGROPE || kind->rope_scaling == ROPE_SCALING_YARN;
    if (is_used && rope->has_original) {
        c->original_context = (uint32_t)rope->original;
        config_from(r, FIELD_original_context, "original_max_position_embeddings %u",
                    c->original_context);
    }
    if (kind->rope_scaling == ROPE_SCALING_LONGROPE) {
        read_longrope(r, rope, c);
    } else if (kind->rope_scaling == ROPE_SCALING_YARN) {
        read_yarn(r, rope, c);
    } else {
        if (kind->rope_scaling == ROPE_SCALING_LLAMA3) read_llama3(r, rope, c);
        attn_factor(r, c, 1, "rope scaling without one");
    }
}

// ---- base and width

static void read_base(ConfigReader *r, Rope *rope, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    double base = 10000;
    bool is_said = number(r, rope, "rope_theta", &base);
    bool has_alpha = rope->alpha > 0 && c->head_dim > 2;
    double dims = c->head_dim;
    kind->rope_base = (float)(has_alpha ? base * pow(rope->alpha, dims / (dims - 2)) : base);
    if (has_alpha && (is_said || !r->is_part))
        config_from(r, FIELD_rope_base, "rope_theta %g * alpha %g ^ (%g / %g)", base, rope->alpha,
                    dims, dims - 2);
    else if (is_said || !r->is_part)
        config_from(r, FIELD_rope_base,
                    is_said ? "rope_theta %g" : "no rope_theta: transformers has %g", base);
    double share = 1;
    is_said = number(r, rope, "partial_rotary_factor", &share);
    if (!(share > 0 && share <= 1))
        config_fail(r, "key 'partial_rotary_factor': %g, expected above 0, at most 1", share);
    if (r->failed || !is_stated(r->out, FIELD_head_dim) || (r->is_part && !is_said)) return;
    kind->rope_dim = (uint32_t)((double)c->head_dim * share);
    config_from(r, FIELD_rope_dim,
                is_said ? "partial_rotary_factor %g of head_dim %u"
                        : "no partial_rotary_factor: %g of head_dim %u",
                share, c->head_dim);
}

// ---- where the settings stand

static Str shown(ConfigReader *r, const json_t *value) {
    enum { MOST = 60 }; // bytes of a list
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!dump) die_out_of_memory(0);
    Str kept = arena_str(r->arena, str_cut(str_of(dump), MOST));
    free(dump);
    return kept;
}

static bool same_value(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    if (!json_is_array(a) || json_array_size(a) != json_array_size(b)) return json_equal(a, b);
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same_value(json_array_get(a, i), json_array_get(b, i))) return false;
    return true;
}

// Adds the settings that stand in `from`, of the name `place`, to those of `all`.
static void put_settings(ConfigReader *r, json_t *all, const json_t *from, const char *place) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, key, value) {
        const json_t *before = json_object_get(all, key);
        if (json_is_null(value)) continue;
        if (!before)
            json_object_set(all, key, value);
        else if (!same_value(before, value))
            config_fail(r, "key '%s': %.*s in %s, but %.*s elsewhere in the file", key,
                        STR_ARG(shown(r, value)), place, STR_ARG(shown(r, before)));
    }
}

// rope_parameters of all layers, or the same ones for every layer type: a class without a rotation of
// its own for each type has one.
static const json_t *one_for_all(ConfigReader *r, const json_t *parameters) {
    const char *name, *first = NULL;
    const json_t *chosen = NULL;
    json_t *value, *all = (json_t *)(uintptr_t)parameters;
    json_object_foreach(all, name, value) if (json_is_object(value) && !chosen) {
        chosen = value;
        first = name;
    }
    if (!chosen) return parameters;
    json_object_foreach(all, name,
                        value) if (!json_is_object(value) || !json_equal(chosen, value)) {
        config_fail(r,
                    "rope_parameters of '%s' and '%s' differ, expected the same: the class rotates "
                    "all layers alike",
                    first, name);
        return NULL;
    }
    return chosen;
}

// Those of layers with a window go to `local`, of the others to `all`.
static void put_by_type(ConfigReader *r, json_t *all, json_t *local, const json_t *parameters) {
    const char *type;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)parameters, type, value) {
        bool is_local = strcmp(type, "sliding_attention") == 0;
        if ((!is_local && strcmp(type, "full_attention") != 0) || !json_is_object(value)) {
            config_fail(r,
                        "rope_parameters: '%s', expected settings of full_attention and of "
                        "sliding_attention",
                        type);
            return;
        }
        put_settings(r, is_local ? local : all, value,
                     arena_printf(r->arena, "rope_parameters.%s", type).at);
    }
}

// ---- the whole

// A "dynamic" scaling with an alpha is none: it makes the base another one (modeling_hunyuan_v1_dense.py,
// compute_ntk_alpha_rope_parameters).
static void take_alpha(ConfigReader *r, Rope *rope) {
    static const char *const ignored[] = {"type",      "rope_type", "factor",        "beta_fast",
                                          "beta_slow", "mscale",    "mscale_all_dim"};
    const char *new = json_string_value(json_object_get(rope->at, "rope_type"));
    const char *old = json_string_value(json_object_get(rope->at, "type")), *type = new ? new : old;
    rope->alpha = 0;
    if (!r->class || !r->class->stretches_base || !type || strcmp(type, "dynamic") != 0) return;
    if (!number(r, rope, "alpha", &rope->alpha) || rope->alpha == 0) return;
    if (rope->alpha < 0 || (new &&old &&strcmp(new, old) != 0)) {
        config_fail(r, "rope scaling dynamic: alpha %g, types %s and %s", rope->alpha, new, old);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        if (config_take(r, rope->at, ignored[i]) && i > 1)
            config_unread(r, ignored[i], "not looked at beside an alpha");
}

static void read_rotation(ConfigReader *r, Rope *rope, bool is_said) {
    Contract *c = &r->out->values;
    take_alpha(r, rope);
    if (!r->failed) read_base(r, rope, c);
    if (!r->failed && (is_said || !r->is_part)) read_scaling(r, rope, c);
    // What a part of a file leaves unsaid is the kind of scaling, not this.
    if (!is_said) config_take(r, rope->at, "original_max_position_embeddings");
    const char *key;
    json_t *value;
    json_object_foreach(rope->at, key, value) config_fail(
        r, "rotary setting '%s' is not known to lathe with rope scaling '%s'", key, rope->kind);
}

// The rotation of layers with a window. Fields that it shares with the other layers' name both sources.
static void read_local(ConfigReader *r, json_t *settings) {
    Contract *c = &r->out->values;
    LayerKind all = c->kinds[0];
    Str *from = r->out->from, from_all[FIELD_COUNT], said_all[FIELD_COUNT];
    memcpy(from_all, from, sizeof from_all);
    memcpy(said_all, r->said, sizeof said_all);
    for (int f = 0; f < FIELD_COUNT; f++)
        if (field_rows[f].is_layer) r->said[f] = (Str){NULL, 0};
    kind_drop_rope(&c->kinds[0]); // a scaling is of the other layers
    Rope rope = {.at = settings, .kind = "none"};
    read_rotation(r, &rope, true);
    r->local = c->kinds[0];
    r->has_local = true;
    c->kinds[0] = all;
    for (int f = 0; f < FIELD_COUNT; f++)
        if (!from_all[f].len)
            from[f] = from_all[f]; // of a part of a file, which does not say it of all
        else if (!str_eq(from[f], from_all[f]))
            from[f] = arena_printf(r->arena, "%.*s; of layers with a window %.*s",
                                   STR_ARG(from_all[f]), STR_ARG(from[f]));
    memcpy(r->said, said_all, sizeof said_all);
}

void config_rope(ConfigReader *r) {
    static const char *const at_top[] = {"rope_theta", "partial_rotary_factor",
                                         "original_max_position_embeddings"};
    bool has_local = r->class && r->class->local_rope_base > 0;
    Rope rope = {.at = json_object(), .kind = "none"};
    json_t *local = json_object();
    json_array_append_new(r->taken, rope.at);
    json_array_append_new(r->taken, local);
    bool is_said =
        json_object_get(r->left, "rope_scaling") || json_object_get(r->left, "rope_parameters");
    const json_t *old = config_take(r, r->left, "rope_scaling");
    const json_t *new = config_take(r, r->left, "rope_parameters");
    if ((old && !json_is_object(old)) || (new && !json_is_object(new))) {
        config_fail(r, "keys 'rope_scaling' and 'rope_parameters': expected an object of settings");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(at_top); i++) {
        const json_t *value =
            json_object_get(r->left, at_top[i]) ? config_take(r, r->left, at_top[i]) : NULL;
        if (value) json_object_set(rope.at, at_top[i], (json_t *)(uintptr_t)value);
    }
    put_settings(r, rope.at, old, "rope_scaling");
    if (has_local)
        put_by_type(r, rope.at, local, new);
    else
        put_settings(r, rope.at, one_for_all(r, new), "rope_parameters");
    if (!r->failed) read_rotation(r, &rope, is_said);
    if (r->failed || !has_local) return;
    // Nothing but the base of these layers has a key outside rope_parameters.
    double base = (double)r->class->local_rope_base;
    config_number(r, r->left, "rope_local_base_freq", &base);
    if (!json_object_get(local, "rope_theta"))
        json_object_set_new(local, "rope_theta", json_real(base));
    read_local(r, local);
}
