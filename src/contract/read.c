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
    if (!r->arch) {
        reader_fail(r, "architecture '%.*s' is not supported; known are %.*s", STR_ARG(name),
                    STR_ARG(arch_list(r->arena)));
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
    need_field(r, FIELD_norm_eps, "what its norms add to the mean square");
    check_copy(r, "attention.layer_norm_epsilon", (double)c->norm_eps, FIELD_norm_eps);
}

static void read_attention(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    if (!read_field(r, FIELD_attn_scale)) {
        c->attn_scale = (float)(1.0 / sqrt((double)c->head_dim));
        reader_derived(r, FIELD_attn_scale, "1 / sqrt(head_dim) = 1 / sqrt(%u)", c->head_dim);
    }
    if (!read_field(r, FIELD_attn_window)) {
        if (r->arch->has_window_key)
            reader_absent(r, FIELD_attn_window, "how far a query sees (0 for everything)");
        kind->attn_window = 0;
        reader_unstated(r, FIELD_attn_window, "every earlier position is seen");
    }
}

// What the architecture's row states. A file with a key for one of these anyway (granite-like) is
// caught as an unread key.
static void take_arch_facts(ContractReader *r, Contract *c) {
    LayerKind *kind = &c->kinds[0];
    static const FieldId fields[] = {
        FIELD_norm,           FIELD_norm_offset, FIELD_attn_softcap,
        FIELD_final_softcap,  FIELD_qk_norm,     FIELD_norm_placement,
        FIELD_kind_of_layer,  FIELD_activation,  FIELD_embedding_scale,
        FIELD_residual_scale, FIELD_logit_scale,
    };
    const ArchInfo *a = r->arch;
    c->norm = a->norm;
    c->norm_offset = a->norm_offset;
    c->attn_softcap = a->attn_softcap;
    c->final_softcap = a->final_softcap;
    kind->qk_norm = a->qk_norm;
    kind->norm_placement = a->norm_placement;
    c->kind_of_layer = (U32List){NULL, 0}; // all layers are alike
    kind->activation = a->activation;
    c->embedding_scale = a->embedding_scale;
    c->residual_scale = a->residual_scale;
    c->logit_scale = a->logit_scale;
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        reader_source(r, fields[i], SOURCE_ARCHITECTURE, str_of(a->name));
    c->rope_style = a->rope_style;
    reader_source(r, FIELD_rope_style, SOURCE_ARCHITECTURE, str_of(a->rope_reason));
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
    if (!r.failed) read_attention(&r, c);
    if (!r.failed) read_rope(&r);
    if (!r.failed) read_vocabulary(&r);
    if (!r.failed) bind_weights(&r);
    if (!r.failed) read_leftovers(&r);
    m->harmless = r.harmless;
    m->n_harmless = r.n_harmless;
    return !r.failed;
}
