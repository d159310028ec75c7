// read_kinds.c — layers that differ: by a window, a rotary base or scaling of their own, or by not
// rotating at all. Which ones is a pattern of the architecture, or a list that the file has.
//
// Kind 0 is that of the first layer; what has been read of the model so far is true of the layers
// that see everything.
#include "contract/read.h"

// How far a query sees in layers that have a window; 0 where the file has none.
static uint32_t read_window(ContractReader *r) {
    Contract *c = &r->model->contract;
    c->kinds[0].attn_window = 0;
    if (!read_field(r, FIELD_attn_window)) {
        if (r->arch->has_window_key)
            reader_absent(r, FIELD_attn_window, "how far a query sees (0 for everything)");
        reader_unstated(r, FIELD_attn_window, "every earlier position is seen");
    }
    uint32_t window = c->kinds[0].attn_window;
    c->kinds[0].attn_window = 0;
    return window;
}

// Which layers are of the last place of a period: true where a layer sees everything.
static void read_pattern(ContractReader *r, bool *is_last) {
    const GgufKey *k = reader_arch_key(r, "attention.sliding_window_pattern");
    uint32_t n_layers = r->model->contract.n_layers, period = r->arch->period;
    uint64_t stated;
    if (k && k->type == GGUF_ARRAY) {
        if (k->n_items != n_layers) {
            reader_fail(r, "key '%.*s': a list of %zu values, expected one for each of %u layers",
                        STR_ARG(k->name), k->n_items, n_layers);
            return;
        }
        for (uint32_t i = 0; i < n_layers; i++) {
            bool is_local = false, is_flag = gguf_bool(k, i, &is_local);
            if (!is_flag)
                reader_fail(r, "key '%.*s': a list of type %s, expected true or false for a layer",
                            STR_ARG(k->name), gguf_type_name(k->item_type));
            is_last[i] = is_flag && !is_local;
        }
        return;
    }
    if (k && (!gguf_u64(k, 0, &stated) || stated == 0 || stated > UINT32_MAX))
        reader_fail(r, "key '%.*s': expected a whole number of 1 or more", STR_ARG(k->name));
    else if (k)
        period = (uint32_t)stated;
    for (uint32_t i = 0; i < n_layers; i++) is_last[i] = (i + 1) % period == 0;
}

// The kind with a window.
static LayerKind local_kind(ContractReader *r, uint32_t window) {
    const ArchInfo *a = r->arch;
    Contract *c = &r->model->contract;
    LayerKind local = c->kinds[0];
    if (a->stretches_global_only) {
        uint32_t rope_dim = local.rope_dim;
        kind_drop_rope(&local);
        local.rope_dim = rope_dim;
    }
    if (a->has_local_base) {
        float global = local.rope_base;
        if (a->local_base > 0) c->kinds[0].rope_base = a->local_base;
        read_field_from(r, FIELD_rope_base, "rope.freq_base_swa");
        local.rope_base = c->kinds[0].rope_base;
        c->kinds[0].rope_base = global;
    }
    local.attn_window = window;
    return local;
}

// Kinds in the order in which the layers have them.
static void put_kinds(ContractReader *r, const bool *is_last, LayerKind other, LayerKind last) {
    Contract *c = &r->model->contract;
    uint32_t *kind_of = arena_array(r->arena, c->n_layers, uint32_t);
    bool differ = false;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        kind_of[i] = is_last[i] != is_last[0];
        differ |= kind_of[i] != 0;
    }
    c->kinds[0] = is_last[0] ? last : other;
    if (!differ) return;
    c->kinds[1] = is_last[0] ? other : last;
    c->kind_of_layer = (U32List){kind_of, c->n_layers};
}

void read_kinds(ContractReader *r) {
    Contract *c = &r->model->contract;
    const ArchInfo *a = r->arch;
    if (!a->period) return;
    bool *is_last = arena_array(r->arena, c->n_layers, bool);
    uint32_t window = a->has_windows ? read_window(r) : 0;
    if (a->has_windows && !window) return; // all layers are alike, and see everything
    read_pattern(r, is_last);
    if (r->failed) return;
    LayerKind last = c->kinds[0], other = a->has_windows ? local_kind(r, window) : last;
    if (a->rope_layers != ROPE_ON_ALL) kind_drop_rope(&last);
    put_kinds(r, is_last, other, last);
    reader_derived(r, FIELD_kind_of_layer, "%s: of each %u layers the last %s", a->name, a->period,
                   a->has_windows ? "sees everything" : "does not rotate");
}
