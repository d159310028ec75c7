// read.c — the fields of a contract that say what a layer is made of, each with its source; then
// the other parts in turn (read.h).
#include "contract/read.h"

#include <math.h>

#include "base/size.h"

// A key of other converters that repeats a field under a name of their own. Nothing but the same
// value can be meant by it.
static void check_copy(ContractReader *r, const char *suffix, double value, FieldId field) {
    const GgufKey *k = r->failed ? NULL : reader_arch_key(r, suffix);
    double stated;
    if (!k || !reader_is_one_for_all(r, k)) return;
    if (!gguf_f64(k, 0, &stated))
        reader_fail(r, "key '%.*s': type %s, expected a number", STR_ARG(k->name),
                    gguf_type_name(k->item_type));
    else if ((float)stated != (float)value)
        reader_fail(r, "key '%.*s': %g, but %s is %g by %.*s", STR_ARG(k->name), stated,
                    field_name(field), value, STR_ARG(r->model->sources[field].text));
    else
        reader_harmless(r, k->name, arena_printf(r->arena, "repeats %s", field_name(field)).at);
}

static void read_architecture(ContractReader *r, Contract *c) {
    const char *key = field_rows[FIELD_architecture].key;
    const GgufKey *k = reader_key(r, key);
    Str name;
    if (!k || k->type != GGUF_STRING || !gguf_str(k, 0, &name)) {
        reader_fail(r, "key '%s' is absent or not a string", key);
        return;
    }
    r->arch = arch_named(name);
    const char *reason = arch_unsupported(name);
    if (!r->arch || reason) {
        reader_fail(r, "architecture '%.*s' is not supported%s%s; known are %.*s", STR_ARG(name),
                    reason ? ": " : "", reason ? reason : "", STR_ARG(arch_list(r->arena)));
        return;
    }
    c->architecture = (Architecture)(r->arch - arch_infos);
    reader_source(r, FIELD_architecture, SOURCE_KEY, k->name);
}

static void read_head_dim(ContractReader *r, Contract *c) {
    const char *width = field_rows[FIELD_d_model].key, *heads = field_rows[FIELD_n_heads].key;
    if (!read_field(r, FIELD_head_dim)) {
        c->head_dim = c->d_model / c->n_heads;
        reader_derived(r, FIELD_head_dim, "%s / %s = %u / %u", width, heads, c->d_model,
                       c->n_heads);
        if (c->head_dim * c->n_heads != c->d_model ||
            c->head_dim < field_rows[FIELD_head_dim].least)
            reader_fail(r, "no %s, and %s %u is not divisible by %s %u",
                        field_rows[FIELD_head_dim].key, width, c->d_model, heads, c->n_heads);
    }
    if (!read_field(r, FIELD_head_dim_v)) {
        c->head_dim_v = c->head_dim;
        reader_unstated(r, FIELD_head_dim_v, "as wide as a key head");
    }
    check_copy(r, "attention.head_dim", c->head_dim, FIELD_head_dim);
}

static void read_shape(ContractReader *r, Contract *c) {
    need_field(r, FIELD_n_layers, NULL);
    need_field(r, FIELD_d_model, NULL);
    need_field(r, FIELD_n_heads, NULL);
    need_field(r, FIELD_d_ff, NULL);
    if (!read_field(r, FIELD_n_kv_heads)) {
        c->n_kv_heads = c->n_heads;
        reader_unstated(r, FIELD_n_kv_heads, "every query head has its own");
    }
    if (r->failed) return;
    if (c->n_heads % c->n_kv_heads)
        reader_fail(r, "%u query heads (%s) cannot share %u key and value heads (%s) evenly",
                    c->n_heads, field_rows[FIELD_n_heads].key, c->n_kv_heads,
                    field_rows[FIELD_n_kv_heads].key);
    read_head_dim(r, c);
    need_field(r, FIELD_context, NULL);
}

static void read_norm(ContractReader *r, Contract *c) {
    if (c->norm == NORM_LAYER) {
        // The converter's base class writes the other key too; no graph of a layer norm reads it.
        if (!read_field_from(r, FIELD_norm_eps, "attention.layer_norm_epsilon"))
            reader_fail(
                r,
                "key '%s.attention.layer_norm_epsilon' is absent: the file does not say what norms "
                "add to the variance; to state it: --set %s.attention.layer_norm_epsilon=VALUE",
                r->arch->name, r->arch->name);
        check_copy(r, "attention.layer_norm_rms_epsilon", (double)c->norm_eps, FIELD_norm_eps);
        return;
    }
    need_field(r, FIELD_norm_eps, "what norms add to the mean square");
    check_copy(r, "attention.layer_norm_epsilon", (double)c->norm_eps, FIELD_norm_eps);
}

static void read_attention(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    if (!read_field(r, FIELD_attn_scale)) {
        // Gemma's largest models scale by d_model / n_heads instead. llama.cpp knows them by the
        // number of their layers; all others have heads of 256 dims.
        if (r->arch->has_two_scales && c->head_dim != 256 && c->head_dim * c->n_heads != c->d_model)
            reader_absent(
                r, FIELD_attn_scale,
                arena_printf(r->arena,
                             "how scores are scaled: 1 / sqrt(head_dim), %g, or 1 / sqrt(d_model / "
                             "n_heads), %g, by config.json's query_pre_attn_scalar",
                             1 / sqrt((double)c->head_dim),
                             1 / sqrt((double)c->d_model / c->n_heads))
                    .at);
        c->attn_scale = (float)(1.0 / sqrt((double)c->head_dim));
        reader_derived(r, FIELD_attn_scale, "1 / sqrt(head_dim) = 1 / sqrt(%u)", c->head_dim);
    }
    if (r->arch->has_windows) return; // of some layers: read_kinds()
    if (!read_field(r, FIELD_attn_window)) {
        if (r->arch->has_window_key)
            reader_absent(r, FIELD_attn_window, "how far a query sees (0 for everything)");
        kind->attn_window = 0;
        reader_unstated(r, FIELD_attn_window, "every earlier position is seen");
    }
}

// A scale or cap that the file states where its architecture has a key for it, and `unless_stated`
// otherwise. A key that the architecture has not is left unread, and so refused.
static void read_scale(ContractReader *r, FieldId field, float unless_stated, const char *rule) {
    float *at = field_place(&r->model->contract, field);
    uint64_t bit = UINT64_C(1) << field;
    if (r->arch->must_have & bit) {
        need_field(r, field, NULL);
    } else if (!(r->arch->may_have & bit) || !read_field(r, field)) {
        *at = unless_stated;
        reader_source(r, field, SOURCE_ARCHITECTURE, rule ? str_of(rule) : str_of(r->arch->name));
    }
}

static void read_scales(ContractReader *r, Contract *c) {
    const ArchInfo *a = r->arch;
    float root = sqrtf((float)c->d_model);
    read_scale(r, FIELD_embedding_scale, a->embeds_by_root_d ? root : 1,
               a->embeds_by_root_d ? "sqrt(d_model)" : NULL);
    read_scale(r, FIELD_residual_scale, 1, NULL);
    read_scale(r, FIELD_logit_scale, 1, NULL);
    read_scale(r, FIELD_attn_softcap, a->attn_softcap, NULL);
    read_scale(r, FIELD_final_softcap, a->final_softcap, NULL);
    if (a->divides_logits && c->logit_scale > 0) {
        Source from = r->model->sources[FIELD_logit_scale];
        reader_source(r, FIELD_logit_scale, from.kind,
                      arena_printf(r->arena, "%.*s, which divides", STR_ARG(from.text)));
        c->logit_scale = 1 / c->logit_scale;
    }
}

// What the architecture's row states.
static void take_arch_facts(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    static const FieldId fields[] = {
        FIELD_norm,          FIELD_norm_offset, FIELD_qk_norm,  FIELD_norm_placement,
        FIELD_kind_of_layer, FIELD_activation,  FIELD_is_gated,
    };
    const ArchInfo *a = r->arch;
    c->norm = a->norm;
    c->norm_offset = a->norm_offset;
    kind->qk_norm = a->qk_norm;
    kind->norm_placement = a->norm_placement;
    c->kind_of_layer = (U32List){NULL, 0}; // all layers are alike
    kind->activation = a->activation;
    kind->is_gated = !a->is_ungated;
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        reader_source(r, fields[i], SOURCE_ARCHITECTURE, str_of(a->name));
    c->rope_style = a->rope_style;
    reader_source(r, FIELD_rope_style, SOURCE_ARCHITECTURE, str_of(a->rope_reason));
}

// A number for each layer; one number is every layer's.
static F32List read_layer_numbers(ContractReader *r, FieldId field) {
    const FieldRow *row = &field_rows[field];
    uint32_t n = r->model->contract.n_layers;
    const GgufKey *k = r->failed ? NULL : reader_field_key(r, field);
    if (!k) {
        reader_absent(r, field, arena_printf(r->arena, "its %s", row->doc).at);
        return (F32List){NULL, 0};
    }
    if (k->type == GGUF_ARRAY && k->n_items != n)
        reader_fail(r, "key '%s': a list of %zu values, expected one for each of %u layers",
                    row->key, k->n_items, n);
    float *values = arena_array(r->arena, n, float);
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        double value;
        if (!gguf_f64(k, k->type == GGUF_ARRAY ? i : 0, &value))
            reader_fail(r, "key '%s': type %s, expected numbers", row->key,
                        gguf_type_name(k->item_type));
        else if (!(value >= row->least && value <= row->most))
            reader_fail(r, "key '%s': %g for layer %u, expected %g to %g", row->key, value, i,
                        row->least, row->most);
        else
            values[i] = (float)value;
    }
    reader_source(r, field, SOURCE_KEY, k->name);
    return (F32List){values, n};
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

// The numbers of an activation that has some. Checkpoints keep both alphas so that training cannot make them negative.
static void read_activation(ContractReader *r, Contract *c) {
    static const FieldId fields[] = {FIELD_xielu_alpha_p, FIELD_xielu_alpha_n, FIELD_xielu_beta,
                                     FIELD_xielu_eps};
    bool is_used = r->arch->activation == ACTIVATION_XIELU;
    F32List lists[COUNT_OF(fields)] = {0};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (is_used)
            lists[i] = read_layer_numbers(r, fields[i]);
        else
            reader_source(r, fields[i], SOURCE_ARCHITECTURE, str_of(r->arch->name));
    }
    if (!is_used || r->failed) return;
    float *alpha_p = arena_array(r->arena, c->n_layers, float);
    float *alpha_n = arena_array(r->arena, c->n_layers, float);
    for (uint32_t i = 0; i < c->n_layers; i++) {
        alpha_p[i] = (float)softplus((double)lists[0].at[i]);
        alpha_n[i] = (float)(softplus((double)lists[1].at[i]) + (double)lists[2].at[i]);
    }
    c->xielu_alpha_p = (F32List){alpha_p, c->n_layers};
    c->xielu_alpha_n = (F32List){alpha_n, c->n_layers};
    c->xielu_beta = lists[2];
    c->xielu_eps = lists[3];
    reader_derived(r, FIELD_xielu_alpha_p, "softplus of %s", field_rows[FIELD_xielu_alpha_p].key);
    reader_derived(r, FIELD_xielu_alpha_n, "softplus of %s, plus %s",
                   field_rows[FIELD_xielu_alpha_n].key, field_rows[FIELD_xielu_beta].key);
}

// Models of another size under the architecture's name compute something else.
static void refuse_others(ContractReader *r, const Contract *c) {
    const ArchInfo *a = r->arch;
    bool is_other = (a->other_layers && c->n_layers == a->other_layers) ||
                    (a->other_vocab && c->n_vocab == a->other_vocab);
    if (is_other)
        reader_fail(r, "architecture '%s' with %u layers and %u tokens is not supported: %s",
                    a->name, c->n_layers, c->n_vocab, a->other);
}

bool model_read(Model *m, const Gguf *g, Arena *arena, Err *err) {
    *m = (Model){0};
    ContractReader r = {
        .model = m,
        .g = g,
        .arena = arena,
        .err = err,
        .is_key_used = arena_array(arena, g->n_keys, bool),
        .is_tensor_used = arena_array(arena, g->n_tensors, bool),
        .harmless = arena_array(arena, g->n_keys + g->n_tensors, Harmless),
    };
    Contract *c = &m->contract;
    read_architecture(&r, c);
    if (r.failed) return false;
    take_arch_facts(&r, c);
    read_shape(&r, c);
    read_norm(&r, c);
    if (!r.failed) read_scales(&r, c);
    if (!r.failed) read_attention(&r, c);
    if (!r.failed) read_activation(&r, c);
    if (!r.failed) read_rope(&r);
    if (!r.failed) read_kinds(&r);
    if (!r.failed) read_vocabulary(&r);
    if (!r.failed) refuse_others(&r, c);
    if (!r.failed) bind_weights(&r);
    if (!r.failed) read_leftovers(&r);
    m->harmless = r.harmless;
    m->n_harmless = r.n_harmless;
    return !r.failed;
}
