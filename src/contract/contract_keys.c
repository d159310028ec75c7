#include "contract/contract_keys.h"

#include <math.h>

#include "base/size.h"
#include "contract/arch.h"
#include "contract/fields.h"

typedef struct {
    GgufKeys *keys;
    const Stated *stated;
    const Contract *c;
    const ArchInfo *arch;
    Arena *arena;
    const LayerKind *whole, *local; // a kind that sees everything; one with a window; or NULL
    const LayerKind *rotating;      // whose rotation the model's keys state
} KeyWriter;

static const char *key_of(const KeyWriter *w, const char *suffix) {
    return arena_printf(w->arena, "%s.%s", w->arch->name, suffix).at;
}

static const char *field_key(const KeyWriter *w, FieldId field) {
    return key_of(w, field_rows[field].key);
}

static void find_kinds(KeyWriter *w) {
    for (uint32_t i = contract_n_kinds(w->c); i-- > 0;) {
        const LayerKind *k = &w->c->kinds[i];
        if (k->attn_window)
            w->local = k;
        else
            w->whole = k;
        if (k->rope_dim) w->rotating = k;
    }
    if (w->whole && w->whole->rope_dim) w->rotating = w->whole;
    if (!w->rotating) w->rotating = &w->c->kinds[0];
}

static void put_counts(KeyWriter *w) {
    static const FieldId fields[] = {FIELD_n_layers,   FIELD_d_model,  FIELD_n_heads,
                                     FIELD_n_kv_heads, FIELD_head_dim, FIELD_head_dim_v,
                                     FIELD_d_ff,       FIELD_context};
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (is_stated(w->stated, fields[i]))
            gguf_put_u32(w->keys, field_key(w, fields[i]),
                         *(const uint32_t *)field_at(w->c, fields[i]));
}

static void put_norm(KeyWriter *w) {
    const char *key = w->arch->norm == NORM_LAYER ? key_of(w, "attention.layer_norm_epsilon")
                                                  : field_key(w, FIELD_norm_eps);
    if (is_stated(w->stated, FIELD_norm_eps)) gguf_put_f32(w->keys, key, w->c->norm_eps);
}

// The number whose inverse in float is x.
static float inverse_of(float x) {
    float y = 1 / x, near[] = {y, nextafterf(y, 0), nextafterf(y, INFINITY)};
    for (size_t i = 0; i < COUNT_OF(near); i++)
        if (1 / near[i] == x) return near[i];
    return y;
}

static void put_scales(KeyWriter *w) {
    static const FieldId fields[] = {FIELD_embedding_scale, FIELD_residual_scale, FIELD_logit_scale,
                                     FIELD_attn_softcap, FIELD_final_softcap};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        FieldId f = fields[i];
        float x = *(const float *)field_at(w->c, f);
        bool is_known = (w->arch->must_have | w->arch->may_have) & UINT64_C(1) << f;
        if (!is_known || !is_stated(w->stated, f) || x == 0) continue;
        bool divides = f == FIELD_logit_scale && w->arch->divides_logits;
        gguf_put_f32(w->keys, field_key(w, f), divides ? inverse_of(x) : x);
    }
    if (is_stated(w->stated, FIELD_attn_scale))
        gguf_put_f32(w->keys, field_key(w, FIELD_attn_scale), w->c->attn_scale);
}

// The window, and which layers have it or, where none has one, which rotate.
static void put_layers(KeyWriter *w) {
    uint32_t window = w->local ? w->local->attn_window : 0;
    if (window || w->arch->has_window_key)
        gguf_put_u32(w->keys, field_key(w, FIELD_attn_window), window);
    if (w->local && w->arch->has_local_base && w->local->rope_dim)
        gguf_put_f32(w->keys, key_of(w, "rope.freq_base_swa"), w->local->rope_base);
    if (contract_n_kinds(w->c) < 2 || !w->arch->period) return;
    bool *is_other = arena_array(w->arena, w->c->n_layers, bool);
    for (uint32_t i = 0; i < w->c->n_layers; i++) {
        const LayerKind *k = contract_layer(w->c, i);
        is_other[i] = w->local ? k->attn_window != 0 : k->rope_dim != 0;
    }
    gguf_put_bools(w->keys, key_of(w, "attention.sliding_window_pattern"), is_other,
                   w->c->n_layers);
}

// Of what the reader multiplies by YaRN's own factor, the rest.
static float stated_attn_factor(const LayerKind *k) {
    double own = k->rope_scaling == ROPE_SCALING_YARN && k->rope_factor > 1
                     ? 1 + 0.1 * log((double)k->rope_factor)
                     : 1;
    float rest = (float)((double)k->attn_factor / own);
    return fabsf(rest - 1) < 1e-6f ? 1 : rest;
}

static void put_scaling(KeyWriter *w) {
    static const char *const names[] = {[ROPE_SCALING_LINEAR] = "linear",
                                        [ROPE_SCALING_YARN] = "yarn",
                                        [ROPE_SCALING_LONGROPE] = "longrope"};
    const LayerKind *k = w->rotating;
    bool is_yarn = k->rope_scaling == ROPE_SCALING_YARN;
    if (k->rope_scaling == ROPE_SCALING_NONE || k->rope_scaling == ROPE_SCALING_LLAMA3) return;
    gguf_put_str(w->keys, field_key(w, FIELD_rope_scaling), str_of(names[k->rope_scaling]));
    if (is_yarn || k->rope_scaling == ROPE_SCALING_LINEAR)
        gguf_put_f32(w->keys, field_key(w, FIELD_rope_factor), k->rope_factor);
    if (is_yarn) {
        gguf_put_f32(w->keys, field_key(w, FIELD_yarn_beta_fast), k->yarn_beta_fast);
        gguf_put_f32(w->keys, field_key(w, FIELD_yarn_beta_slow), k->yarn_beta_slow);
    }
    float factor = stated_attn_factor(k);
    if (factor != 1 || !is_yarn) gguf_put_f32(w->keys, field_key(w, FIELD_attn_factor), factor);
}

static void put_rope(KeyWriter *w) {
    const LayerKind *k = w->rotating;
    if (is_stated(w->stated, FIELD_rope_dim))
        gguf_put_u32(w->keys, field_key(w, FIELD_rope_dim), k->rope_dim);
    if (is_stated(w->stated, FIELD_rope_base))
        gguf_put_f32(w->keys, field_key(w, FIELD_rope_base), k->rope_base);
    put_scaling(w);
    if (is_stated(w->stated, FIELD_original_context) && w->c->original_context != w->c->context)
        gguf_put_u32(w->keys, field_key(w, FIELD_original_context), w->c->original_context);
}

void contract_put_keys(GgufKeys *keys, const Stated *stated, Arena *arena) {
    const Contract *c = &stated->values;
    KeyWriter w = {keys, stated, c, &arch_infos[c->architecture], arena, NULL, NULL, NULL};
    find_kinds(&w);
    gguf_put_str(keys, field_rows[FIELD_architecture].key, str_of(w.arch->name));
    put_counts(&w);
    put_norm(&w);
    put_scales(&w);
    put_layers(&w);
    put_rope(&w);
}

size_t contract_factor_tensors(const Stated *stated, TensorInfo *out) {
    static const FieldId fields[CONTRACT_MAX_FACTORS] = {
        FIELD_rope_factors_short, FIELD_rope_factors_long, FIELD_rope_freq_factors};
    KeyWriter w = {.c = &stated->values};
    size_t n = 0;
    find_kinds(&w);
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const F32List *list = field_at_kind(w.c, fields[i], (uint32_t)(w.rotating - w.c->kinds));
        if (!list->count) continue;
        out[n++] = (TensorInfo){.name = str_of(field_rows[fields[i]].key),
                                .n_dims = 1,
                                .dims = {list->count, 1, 1, 1},
                                .type = block_type_named("F32"),
                                .n_weights = list->count,
                                .n_bytes = list->count * sizeof(float),
                                .data = (const uint8_t *)list->at};
    }
    return n;
}
