// config_rope.c — rotary settings of config.json, in both of their schemas.
//
// Old: rope_theta, partial_rotary_factor and rope_scaling {type or rope_type, …} at the top. New
// (transformers 5): rope_parameters {rope_type, rope_theta, partial_rotary_factor, …}, or one such
// object a layer type. What follows from them is computed as transformers' modeling_rope_utils.py
// does (checked against 5.24): LongRoPE's and YaRN's attention factors, Llama 3's divisors.
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "contract/config.h"

static const double PI = 3.14159265358979323846;

// One object's worth; what is absent falls back to the top of the file.
typedef struct {
    json_t *at; // NULL: nothing but the top's keys
    Str kind;
    double factor;
    bool has_factor;
} Rope;

static bool number(ConfigReader *r, const Rope *rope, const char *key, double *out) {
    double top;
    bool at_top = config_number(r, r->left, key, &top);
    if (!rope->at || !config_number(r, rope->at, key, out)) {
        if (at_top) *out = top;
        return at_top;
    }
    if (at_top && *out != top)
        config_fail(r, "key '%s': %g beside the rotary settings and %g among them", key, top, *out);
    return true;
}

static F32List factor_list(ConfigReader *r, Rope *rope, const char *key) {
    const json_t *list = config_take(r, rope->at, key);
    size_t n = json_array_size(list);
    float *values = arena_array(r->arena, n, float);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)json_number_value(json_array_get(list, i));
        if (!(values[i] > 0 && isfinite(values[i])))
            config_fail(r, "key '%s': item %zu is no positive number", key, i);
    }
    if (!n) config_fail(r, "key '%s': expected a list of numbers", key);
    return (F32List){values, n};
}

// ---- kinds of scaling

static void attn_factor(ConfigReader *r, Contract *c, double value, const char *how) {
    c->attn_factor = (float)value;
    config_from(r, FIELD_attn_factor, "%s", how);
}

static void read_longrope(ConfigReader *r, Rope *rope, Contract *c) {
    c->rope_factors_short = factor_list(r, rope, "short_factor");
    config_from(r, FIELD_rope_factors_short, "short_factor");
    c->rope_factors_long = factor_list(r, rope, "long_factor");
    config_from(r, FIELD_rope_factors_long, "long_factor");
    double explicit = 0, short_scale = 0, long_scale = 0;
    double context = c->context, original = c->original_context;
    bool has_scales = number(r, rope, "short_mscale", &short_scale);
    has_scales = number(r, rope, "long_mscale", &long_scale) && has_scales;
    double factor = is_stated(r->out, FIELD_original_context) ? context / original : rope->factor;
    if (number(r, rope, "attention_factor", &explicit)) {
        attn_factor(r, c, explicit, "attention_factor");
    } else if (has_scales) {
        if (short_scale != long_scale)
            config_fail(r,
                        "short_mscale %g and long_mscale %g differ: lathe has one attention "
                        "factor for all lengths",
                        short_scale, long_scale);
        attn_factor(r, c, short_scale, "short_mscale, long_mscale");
    } else if (original > 1) {
        double value = factor > 1 ? sqrt(1 + log(factor) / log(original)) : 1;
        attn_factor(r, c, value,
                    arena_printf(r->arena, "sqrt(1 + ln(%g) / ln %g)", factor, original).at);
    }
}

static double mscale(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static void read_yarn(ConfigReader *r, Rope *rope, Contract *c) {
    double fast = 32, slow = 1, explicit, scale = 0, all_dims = 0;
    bool truncates = true;
    number(r, rope, "beta_fast", &fast);
    number(r, rope, "beta_slow", &slow);
    c->yarn_beta_fast = (float)fast;
    c->yarn_beta_slow = (float)slow;
    c->yarn_ext_factor = 1;
    config_from(r, FIELD_yarn_beta_fast, "beta_fast %g", fast);
    config_from(r, FIELD_yarn_beta_slow, "beta_slow %g", slow);
    config_from(r, FIELD_yarn_ext_factor, "yarn in transformers mixes in full");
    if (config_bool(r, rope->at, "truncate", &truncates) && !truncates)
        config_fail(r, "key 'truncate': false, but lathe rounds the range of pairs as GGUF files "
                       "mean it");
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
static void read_llama3(ConfigReader *r, Rope *rope, Contract *c, double original) {
    double low = 0, high = 0;
    bool is_whole = number(r, rope, "low_freq_factor", &low);
    is_whole = number(r, rope, "high_freq_factor", &high) && is_whole;
    if (!is_whole || !rope->has_factor || original <= 0 || low >= high || low <= 0) {
        config_fail(r, "rope scaling llama3 needs factor, low_freq_factor below high_freq_factor "
                       "and original_max_position_embeddings");
        return;
    }
    uint32_t n = c->rope_dim / 2;
    float *factors = arena_array(r->arena, n, float);
    for (uint32_t i = 0; i < n; i++) {
        double wavelength = 2 * PI * pow((double)c->rope_base, 2.0 * i / c->rope_dim);
        double smooth = (original / wavelength - low) / (high - low);
        if (wavelength < original / high)
            factors[i] = 1;
        else if (wavelength > original / low)
            factors[i] = (float)rope->factor;
        else
            factors[i] = (float)(1 / ((1 - smooth) / rope->factor + smooth));
    }
    c->rope_freq_factors = (F32List){factors, n};
    config_from(r, FIELD_rope_freq_factors, "llama3 factor %g, low %g, high %g, original %g",
                rope->factor, low, high, original);
}

static void read_scaling(ConfigReader *r, Rope *rope, Contract *c) {
    static const struct {
        const char *name;
        RopeScaling kind;
    } kinds[] = {
        {"", ROPE_SCALING_NONE},
        {"default", ROPE_SCALING_NONE},
        {"none", ROPE_SCALING_NONE},
        {"linear", ROPE_SCALING_LINEAR},
        {"yarn", ROPE_SCALING_YARN},
        {"llama3", ROPE_SCALING_LLAMA3},
        {"su", ROPE_SCALING_LONGROPE}, // what Phi-3 called it first
        {"longrope", ROPE_SCALING_LONGROPE},
    };
    size_t i = 0;
    while (i < COUNT_OF(kinds) && !str_is(rope->kind, kinds[i].name)) i++;
    if (i == COUNT_OF(kinds)) {
        config_fail(r,
                    "rope scaling '%.*s' is not known; known are default, linear, yarn, llama3 "
                    "and longrope",
                    STR_ARG(rope->kind));
        return;
    }
    c->rope_scaling = kinds[i].kind;
    config_from(r, FIELD_rope_scaling, "rope scaling %s", i ? kinds[i].name : "none");
    rope->factor = 1;
    rope->has_factor = number(r, rope, "factor", &rope->factor);
    double original = 0;
    bool has_original = number(r, rope, "original_max_position_embeddings", &original);
    bool is_length = original >= 1 && original <= 1e9 && original == floor(original);
    if (has_original && !is_length)
        config_fail(r, "key 'original_max_position_embeddings': %g, expected a whole number",
                    original);
    if (r->failed) return;
    bool is_stretch =
        c->rope_scaling == ROPE_SCALING_LINEAR || c->rope_scaling == ROPE_SCALING_YARN;
    if (is_stretch && !rope->has_factor) config_fail(r, "rope scaling without a factor");
    c->rope_factor = is_stretch ? (float)rope->factor : 1;
    config_from(r, FIELD_rope_factor, is_stretch ? "factor %g" : "no linear or yarn scaling",
                rope->factor);
    // Llama 3's original context is folded into its divisors; nothing else uses one but these two.
    bool is_used = c->rope_scaling == ROPE_SCALING_LONGROPE || c->rope_scaling == ROPE_SCALING_YARN;
    c->original_context = has_original ? (uint32_t)original : c->context;
    if (is_used && (has_original || is_stated(r->out, FIELD_context)))
        config_from(r, FIELD_original_context, "original_max_position_embeddings %u",
                    c->original_context);
    attn_factor(r, c, 1, "rope scaling without one");
    switch (c->rope_scaling) {
    case ROPE_SCALING_LONGROPE: read_longrope(r, rope, c); break;
    case ROPE_SCALING_YARN: read_yarn(r, rope, c); break;
    case ROPE_SCALING_LLAMA3: read_llama3(r, rope, c, original); break;
    default: break;
    }
}

// ---- base and width

static void read_base(ConfigReader *r, Rope *rope, Contract *c) {
    double base = 10000;
    bool is_said = number(r, rope, "rope_theta", &base);
    c->rope_base = (float)base;
    if (is_said || !r->is_part)
        config_from(r, FIELD_rope_base,
                    is_said ? "rope_theta %g" : "no rope_theta: transformers has %g", base);
    double share = 1;
    is_said = number(r, rope, "partial_rotary_factor", &share);
    if (!(share > 0 && share <= 1))
        config_fail(r, "key 'partial_rotary_factor': %g, expected above 0, at most 1", share);
    if (r->failed || !is_stated(r->out, FIELD_head_dim) || (r->is_part && !is_said)) return;
    c->rope_dim = (uint32_t)((double)c->head_dim * share);
    config_from(r, FIELD_rope_dim,
                is_said ? "partial_rotary_factor %g of head_dim %u"
                        : "no partial_rotary_factor: %g of head_dim %u",
                share, c->head_dim);
}

// One object for all layers, or the same one for every layer type: a contract has one rotation.
static json_t *one_for_all(ConfigReader *r, json_t *parameters) {
    const char *name, *first = NULL;
    json_t *value, *chosen = NULL;
    json_object_foreach(parameters, name, value) {
        if (!json_is_object(value)) continue;
        if (chosen && !json_equal(chosen, value)) {
            config_fail(r,
                        "rope_parameters of '%s' and '%s' differ: lathe rotates all layers alike",
                        first, name);
            return parameters;
        }
        chosen = value;
        first = name;
    }
    return chosen ? chosen : parameters;
}

static void check_layer_types(ConfigReader *r) {
    const json_t *types = config_take(r, r->left, "layer_types");
    for (size_t i = 1; i < json_array_size(types); i++)
        if (!json_equal(json_array_get(types, 0), json_array_get(types, i))) {
            config_fail(r, "key 'layer_types': layers 0 and %zu differ, and lathe has one kind", i);
            return;
        }
}

void config_rope(ConfigReader *r) {
    Contract *c = &r->out->values;
    check_layer_types(r);
    bool is_said =
        json_object_get(r->left, "rope_scaling") || json_object_get(r->left, "rope_parameters");
    // Borrowed from `taken`, and ours to take keys out of.
    json_t *old = (json_t *)(uintptr_t)config_take(r, r->left, "rope_scaling");
    json_t *new = (json_t *)(uintptr_t)config_take(r, r->left, "rope_parameters");
    if (old && new && !json_equal(old, new)) {
        config_fail(r, "both rope_scaling and rope_parameters, and they differ");
        return;
    }
    Rope rope = {.at = new ? one_for_all(r, new) : old, .kind = {"", 0}};
    if (rope.at && !json_is_object(rope.at)) {
        config_fail(r, "rotary settings that are no object");
        return;
    }
    if (rope.at) {
        Str type = {"", 0};
        bool has_type = config_str(r, rope.at, "type", &type);
        if (!config_str(r, rope.at, "rope_type", &rope.kind)) rope.kind = type;
        if (has_type && !str_eq(type, rope.kind))
            config_fail(r, "rotary settings of type '%.*s' and rope_type '%.*s'", STR_ARG(type),
                        STR_ARG(rope.kind));
    }
    if (!r->failed) read_base(r, &rope, c);
    if (!r->failed && (is_said || !r->is_part)) read_scaling(r, &rope, c);
    const char *key;
    json_t *value;
    json_object_foreach(rope.at, key, value) if (!json_is_null(value))
        config_fail(r, "rotary setting '%s' is not known to lathe", key);
}
