// rope.c — rotary settings as config.json states them (transformers' modeling_rope_utils.py, 5.24).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "huggingface/impl.h"

static const double PI = 3.14159265358979323846;

json_t *hf_real(float x) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *real_list(F32List list) {
    json_t *out = json_array();
    for (size_t i = 0; i < list.count; i++) json_array_append_new(out, hf_real(list.at[i]));
    return out;
}

// Llama 3's divisor of pair `i` under the settings.
static double llama3_divisor(const LayerKind *k, uint32_t i, double factor, double low, double high,
                             double original) {
    double wavelength = 2 * PI * pow((double)k->rope_base, 2.0 * i / k->rope_dim);
    double smooth = (original / wavelength - low) / (high - low);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    return 1 / ((1 - smooth) / factor + smooth);
}

static bool gives_divisors(const LayerKind *k, double factor, double low, double high,
                           double original) {
    for (uint32_t i = 0; i < k->rope_freq_factors.count; i++) {
        double expected = (double)k->rope_freq_factors.at[i];
        // Files hold floats that were computed in float.
        if (fabs(llama3_divisor(k, i, factor, low, high, original) / expected - 1) > 1e-5)
            return false;
    }
    return true;
}

// GGUF keeps the divisors, config.json what they were computed from: found by trying what is published.
static json_t *llama3_settings(const LayerKind *k, Err *err) {
    static const double lows[] = {1}, highs[] = {4, 2, 8};
    double factor = 1;
    for (size_t i = 0; i < k->rope_freq_factors.count; i++)
        factor = fmax(factor, (double)k->rope_freq_factors.at[i]);
    for (double original = 32; original <= 1 << 20; original *= 2)
        for (size_t h = 0; h < sizeof highs / sizeof *highs; h++)
            if (gives_divisors(k, factor, lows[0], highs[h], original))
                return json_pack("{s:s, s:o, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                                 hf_real((float)factor), "low_freq_factor", lows[0],
                                 "high_freq_factor", highs[h], "original_max_position_embeddings",
                                 (json_int_t)original);
    err_set(err, ERR_FORMAT,
            "tensor 'rope_freqs.weight': its divisors are not those of Llama 3's scaling with "
            "published settings, and config.json has no key for other divisors");
    return NULL;
}

static json_t *settings(const Contract *c, const LayerKind *k, Err *err) {
    switch (k->rope_scaling) {
    case ROPE_SCALING_NONE: return json_object();
    case ROPE_SCALING_LINEAR:
        return json_pack("{s:s, s:o}", "rope_type", "linear", "factor", hf_real(k->rope_factor));
    case ROPE_SCALING_LLAMA3: return llama3_settings(k, err);
    case ROPE_SCALING_YARN:
        if (k->yarn_ext_factor != 1) {
            err_set(err, ERR_FORMAT,
                    "yarn_ext_factor is %g, expected 1: transformers has no key for another",
                    (double)k->yarn_ext_factor);
            return NULL;
        }
        return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I}", "rope_type", "yarn", "factor",
                         hf_real(k->rope_factor), "beta_fast", hf_real(k->yarn_beta_fast),
                         "beta_slow", hf_real(k->yarn_beta_slow), "attention_factor",
                         hf_real(k->attn_factor), "original_max_position_embeddings",
                         (json_int_t)c->original_context);
    case ROPE_SCALING_LONGROPE:
        return json_pack("{s:s, s:o, s:o, s:o}", "rope_type", "longrope", "short_factor",
                         real_list(k->rope_factors_short), "long_factor",
                         real_list(k->rope_factors_long), "attention_factor",
                         hf_real(k->attn_factor));
    }
    return NULL;
}

bool hf_config_rope(json_t *config, const Contract *c, Err *err) {
    const LayerKind *k = &c->kinds[0];
    json_t *scaling = settings(c, k, err);
    if (!scaling) return false;
    json_object_set_new(config, "rope_theta", hf_real(k->rope_base));
    if (json_object_size(scaling)) json_object_set(config, "rope_scaling", scaling);
    json_decref(scaling);
    if (k->rope_dim != c->head_dim)
        json_object_set_new(config, "partial_rotary_factor",
                            json_real((double)k->rope_dim / c->head_dim));
    if (k->rope_scaling == ROPE_SCALING_LONGROPE)
        json_object_set_new(config, "original_max_position_embeddings",
                            json_integer(c->original_context));
    return true;
}
