// read_rope.c — how positions turn queries and keys.
//
// Angles: pair i of rope_dim / 2 turns by position · base^(-2i / rope_dim) / factor_i; cos and sin
// are both multiplied by the attention factor.
#include <math.h>

#include "contract/read.h"
#include "quant/quant.h"

// The factors of the field's tensor, one for each pair of dims that rotates; none without one.
static void read_factors(ContractReader *r, FieldId field) {
    const char *name = field_rows[field].key;
    const TensorInfo *t = reader_tensor(r, name);
    F32List *out = field_place(&r->model->contract, field);
    *out = (F32List){NULL, 0};
    if (!t) {
        reader_derived(r, field, "no tensor '%s'", name);
        return;
    }
    uint32_t n = r->model->contract.kinds[0].rope_dim / 2;
    if (t->n_dims == 1 && t->dims[0] != n)
        reader_fail(r,
                    "tensor '%s': %zu factors, one per pair of rotated dims, but key '%s' says %u "
                    "dims, which are %u pairs",
                    name, t->dims[0], reader_key_name(r, FIELD_rope_dim), 2 * n, n);
    if (!check_tensor(r, t, n, 0)) return;
    float *values = arena_array(r->arena, n, float);
    decode_row(t, 0, values);
    for (uint32_t i = 0; i < n; i++)
        if (!(values[i] > 0 && isfinite(values[i])))
            reader_fail(r, "tensor '%s': factor %u is %g, expected a positive number", name, i,
                        (double)values[i]);
    *out = (F32List){values, n};
    reader_source(r, field, SOURCE_TENSOR, t->name);
}

// A file that says how many dims rotate only by the length of its factor lists, or only by its
// architecture. Taking the head's width for it is how rotary embeddings are most often misread.
static void derive_rope_dim(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    const TensorInfo *factors =
        gguf_find_tensor(r->g, str_of(field_rows[FIELD_rope_factors_short].key));
    kind->rope_dim = c->head_dim;
    if (r->arch->rotates_whole_heads) {
        reader_unstated(r, FIELD_rope_dim,
                        arena_printf(r->arena, "%s files rotate whole heads", r->arch->name).at);
    } else if (factors && factors->n_dims == 1 && factors->dims[0] <= c->head_dim / 2) {
        kind->rope_dim = 2 * (uint32_t)factors->dims[0];
        reader_source(r, FIELD_rope_dim, SOURCE_SHAPE, factors->name);
    } else {
        reader_absent(
            r, FIELD_rope_dim,
            arena_printf(r->arena, "how many of the %u dims of a head rotate", c->head_dim).at);
    }
}

static void read_rope_dim(ContractReader *r, Contract *c) {
    const LayerKind *kind = &c->kinds[0];
    const char *key = reader_key_name(r, FIELD_rope_dim);
    if (!read_field(r, FIELD_rope_dim)) derive_rope_dim(r, c);
    if (!r->failed && kind->rope_dim < 2)
        reader_fail(r, "key '%s': %u, expected 2 or more", key, kind->rope_dim);
    if (r->arch->rotates_whole_heads && kind->rope_dim != c->head_dim)
        reader_fail(r, "key '%s': %u, but %s files rotate whole heads, here of %u dims", key,
                    kind->rope_dim, r->arch->name, c->head_dim);
    if (kind->rope_dim % 2)
        reader_fail(r, "key '%s': %u, expected an even number", key, kind->rope_dim);
    if (r->arch->rope_base_unless_stated > 0) {
        if (read_field(r, FIELD_rope_base)) return;
        *(float *)field_place(c, FIELD_rope_base) = r->arch->rope_base_unless_stated;
        reader_source(r, FIELD_rope_base, SOURCE_ARCHITECTURE,
                      arena_printf(r->arena, "%s files never state it", r->arch->name));
        return;
    }
    // Readers take 10000 when it is absent, and converters have left out 500000 and 1000000: the
    // model then reads fluently and means nothing, or fails after a few thousand tokens.
    need_field(r, FIELD_rope_base, "its rotary base");
}

static bool scaling_kind(ContractReader *r, RopeScaling *kind) {
    const GgufKey *k = reader_field_key(r, FIELD_rope_scaling);
    Str name;
    if (!k) return false;
    if (!gguf_str(k, 0, &name)) {
        reader_fail(r, "key '%.*s': expected a string", STR_ARG(k->name));
        return false;
    }
    reader_source(r, FIELD_rope_scaling, SOURCE_KEY, k->name);
    if (str_is(name, "none"))
        *kind = ROPE_SCALING_NONE;
    else if (str_is(name, "linear"))
        *kind = ROPE_SCALING_LINEAR;
    else if (str_is(name, "yarn"))
        *kind = ROPE_SCALING_YARN;
    else if (str_is(name, "longrope"))
        *kind = ROPE_SCALING_LONGROPE;
    else
        reader_fail(r, "key '%.*s': '%.*s', expected none, linear, yarn or longrope",
                    STR_ARG(k->name), STR_ARG(name));
    return true;
}

// Which scaling a file means. Factor tensors decide where the key is silent, as in every phi3 and
// Llama 3.1 file; a key that says otherwise contradicts them.
static void read_scaling(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    bool has_long = kind->rope_factors_long.count || kind->rope_factors_short.count;
    bool has_freqs = kind->rope_freq_factors.count > 0;
    if (has_long && (!kind->rope_factors_long.count || !kind->rope_factors_short.count))
        reader_fail(r,
                    "tensor 'rope_factors_%s.weight' is missing; LongRoPE needs rope_factors_short "
                    "and rope_factors_long",
                    kind->rope_factors_long.count ? "short" : "long");
    if (has_long && has_freqs)
        reader_fail(r,
                    "both rope_factors_*.weight and rope_freqs.weight: two scalings in one file");
    bool is_stated = scaling_kind(r, &kind->rope_scaling);
    RopeScaling implied = has_long    ? ROPE_SCALING_LONGROPE
                          : has_freqs ? ROPE_SCALING_LLAMA3
                                      : ROPE_SCALING_NONE;
    const char *tensors = has_long    ? "rope_factors_long.weight and rope_factors_short.weight"
                          : has_freqs ? "rope_freqs.weight"
                                      : "no rope.scaling.type and no factor tensors";
    if (!is_stated) {
        kind->rope_scaling = implied;
        reader_derived(r, FIELD_rope_scaling, "%s", tensors);
    } else if (implied != ROPE_SCALING_NONE && kind->rope_scaling != implied &&
               !(has_freqs && kind->rope_scaling == ROPE_SCALING_NONE)) {
        reader_fail(r, "key '%s' contradicts the file's tensors: it has %s",
                    reader_key_name(r, FIELD_rope_scaling), tensors);
    } else if (kind->rope_scaling == ROPE_SCALING_LONGROPE && !has_long) {
        reader_fail(r,
                    "key '%s' is longrope, but rope_factors_long.weight and "
                    "rope_factors_short.weight are missing",
                    reader_key_name(r, FIELD_rope_scaling));
    }
    if (has_freqs) kind->rope_scaling = ROPE_SCALING_LLAMA3;
}

static bool is_stretched(const Contract *c) {
    const LayerKind *kind = &c->kinds[0];
    return kind->rope_scaling == ROPE_SCALING_LINEAR || kind->rope_scaling == ROPE_SCALING_YARN;
}

static void read_stretch(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    const char *key = reader_key_name(r, FIELD_rope_factor);
    kind->rope_factor = 1;
    bool is_stated = read_field(r, FIELD_rope_factor) ||
                     read_field_from(r, FIELD_rope_factor, "rope.scale_linear");
    float factor = kind->rope_factor;
    if (is_stated && factor != 1 && kind->rope_scaling == ROPE_SCALING_NONE) {
        // Files from before rope.scaling.type stated a linear scaling by the factor alone.
        kind->rope_scaling = ROPE_SCALING_LINEAR;
        reader_derived(r, FIELD_rope_scaling, "a %s without a type is linear",
                       field_rows[FIELD_rope_factor].key);
    }
    if (is_stretched(c) && !is_stated)
        reader_fail(
            r,
            "key '%s' is absent, but linear and yarn scaling need it; to state it: --set %s=VALUE",
            key, key);
    kind->rope_factor = is_stretched(c) ? factor : 1;
    if (!is_stated) reader_derived(r, FIELD_rope_factor, "no linear or yarn scaling");
    if (is_stated && !is_stretched(c) && factor != 1)
        reader_fail(r,
                    "key '%s': %g belongs to linear or yarn scaling, which the file does not use",
                    key, (double)factor);
}

static void read_original_context(ContractReader *r, Contract *c) {
    const LayerKind *kind = &c->kinds[0];
    const char *key = reader_key_name(r, FIELD_original_context);
    if (read_field(r, FIELD_original_context)) {
        // A stretch whose factors were lost on the way reads well up to the original context.
        if (c->original_context < c->context && kind->rope_scaling == ROPE_SCALING_NONE)
            reader_fail(r,
                        "key '%s': %u of %u positions, but neither rope.scaling.type nor a factor "
                        "tensor says how the context was extended",
                        key, c->original_context, c->context);
        return;
    }
    if (kind->rope_scaling == ROPE_SCALING_LONGROPE || kind->rope_scaling == ROPE_SCALING_YARN)
        reader_fail(
            r, "key '%s' is absent, but the scaling depends on it; to state it: --set %s=VALUE",
            key, key);
    c->original_context = c->context;
    reader_unstated(r, FIELD_original_context, "the context was not extended");
}

// Keys that llama.cpp's converter can write for every architecture and that its loader reads for
// neither of ours; Hugging Face's configs have no such numbers for them either. The attention
// factor of yarn is made of rope.scaling.attn_factor and the stretch (read_attn_factor), whatever
// they say.
static void note_ignored(ContractReader *r, const char *suffix) {
    const GgufKey *k = reader_arch_key(r, suffix);
    double value;
    if (!k) return;
    if (k->type == GGUF_ARRAY || !gguf_f64(k, 0, &value))
        reader_fail(r, "key '%.*s': type %s, expected a number", STR_ARG(k->name),
                    gguf_type_name(k->type));
    else
        reader_harmless(r, k->name,
                        arena_printf(r->arena, "%g; no runtime reads it for architecture %s", value,
                                     r->arch->name)
                            .at);
}

// YaRN's parameters; defaults are those of the paper (arXiv 2309.00071, section 3.2) and of
// llama.cpp (common.h).
static void read_yarn_value(ContractReader *r, FieldId field, float paper) {
    const float unset = -1; // as llama.cpp spells a number that is to be derived
    bool is_yarn = r->model->contract.kinds[0].rope_scaling == ROPE_SCALING_YARN;
    float *out = field_place(&r->model->contract, field);
    const GgufKey *k = reader_field_key(r, field);
    double value;
    bool is_unset = k && k->type != GGUF_ARRAY && gguf_f64(k, 0, &value) && value == (double)unset;
    bool is_stated = !is_unset && read_field(r, field);
    if (!is_yarn)
        reader_unstated(r, field, "belongs to yarn scaling");
    else if (!is_stated)
        reader_unstated(r, field, "the paper's value");
    if (!is_yarn || !is_stated) *out = is_yarn ? paper : 0;
    if (k && !is_yarn)
        reader_harmless(r, k->name, "belongs to yarn scaling, which the file does not use");
}

static void read_yarn(ContractReader *r) {
    read_yarn_value(r, FIELD_yarn_ext_factor, 1);
    read_yarn_value(r, FIELD_yarn_beta_fast, 32);
    read_yarn_value(r, FIELD_yarn_beta_slow, 1);
    note_ignored(r, "rope.scaling.yarn_attn_factor");
    if (!r->arch->divides_magnitude) note_ignored(r, "rope.scaling.yarn_log_multiplier");
}

// What the paper's factor is divided by: 1 + 0.1 m ln s with m of the file (llama.cpp: models/mistral3.cpp;
// transformers: mscale_all_dim in modeling_rope_utils.py).
static double read_magnitude_divisor(ContractReader *r, double log_factor) {
    static const char suffix[] = "rope.scaling.yarn_log_multiplier";
    const GgufKey *k = r->arch->divides_magnitude ? reader_arch_key(r, suffix) : NULL;
    double m = 0;
    if (k && (k->type == GGUF_ARRAY || !gguf_f64(k, 0, &m) || !(m >= 0 && m <= 1e3)))
        reader_fail(r, "key '%.*s': expected a number from 0 to 1000", STR_ARG(k->name));
    return 1 + 0.1 * m * log_factor;
}

static void read_attn_factor(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    kind->attn_factor = 1;
    bool is_stated = read_field(r, FIELD_attn_factor);
    float stated = kind->attn_factor;
    double context = c->context, original = c->original_context;
    if (kind->rope_scaling == ROPE_SCALING_NONE && stated != 1)
        reader_fail(r,
                    "key '%s': %g, but neither rope.scaling.type nor a factor tensor says which "
                    "scaling it belongs to",
                    reader_key_name(r, FIELD_attn_factor), (double)stated);
    if (kind->rope_scaling == ROPE_SCALING_LONGROPE && !is_stated) {
        // Hugging Face transformers, modeling_rope_utils.py, _compute_longrope_parameters.
        double factor = context / original;
        kind->attn_factor = factor <= 1 ? 1 : (float)sqrt(1 + log(factor) / log(original));
        reader_derived(r, FIELD_attn_factor, "sqrt(1 + ln(%u / %u) / ln %u)", c->context,
                       c->original_context, c->original_context);
    } else if (kind->rope_scaling == ROPE_SCALING_YARN) {
        // The paper's equation 22; llama.cpp multiplies it by the stated factor and leaves it out
        // where nothing is stretched or no mix is made (ggml, rope_yarn; llama-context.cpp).
        bool is_scaled = kind->rope_factor > 1 && kind->yarn_ext_factor > 0;
        double mscale = is_scaled ? 1 + 0.1 * log((double)kind->rope_factor) : 1;
        double divisor = read_magnitude_divisor(r, is_scaled ? log((double)kind->rope_factor) : 0);
        kind->attn_factor = (float)((double)stated * mscale / divisor);
        Str paper = is_scaled
                        ? arena_printf(r->arena, "%g * (1 + 0.1 ln %g)", (double)stated,
                                       (double)kind->rope_factor)
                        : arena_printf(r->arena, "%g * 1, without scaling or mix", (double)stated);
        if (divisor != 1)
            reader_derived(r, FIELD_attn_factor, "%.*s / %g", STR_ARG(paper), divisor);
        else
            reader_derived(r, FIELD_attn_factor, "%.*s", STR_ARG(paper));
    } else if (!is_stated) {
        reader_derived(r, FIELD_attn_factor, "no scaling that has one");
    }
}

void read_rope(ContractReader *r) {
    Contract *c = &r->model->contract;
    read_rope_dim(r, c);
    if (r->failed) return;
    read_factors(r, FIELD_rope_factors_short);
    read_factors(r, FIELD_rope_factors_long);
    read_factors(r, FIELD_rope_freq_factors);
    read_scaling(r, c);
    read_stretch(r, c);
    read_original_context(r, c);
    read_yarn(r);
    read_attn_factor(r, c);
}
