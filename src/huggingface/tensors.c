// tensors.c — the tensors of a checkpoint, in the order of the model.
#include <string.h>

#include "huggingface/impl.h"

static const HfForm forms[ARCH_COUNT] = {
#define FORM(architecture, ...) [ARCH_##architecture] = {.is_known = true, __VA_ARGS__},
#include "huggingface/forms.def"
#undef FORM
};

const HfForm *hf_form(Architecture architecture) {
    return forms[architecture].is_known ? &forms[architecture] : NULL;
}

typedef struct {
    HfTensors *out;
    const Model *m;
    const HfForm *form;
    Arena *arena;
    uint32_t layer;
} Lister;

static HfTensor *add(Lister *l, const char *name, size_t n_rows, size_t n_cols) {
    HfTensor *t = &l->out->at[l->out->count++];
    *t = (HfTensor){.name = name, .n_rows = n_rows, .n_cols = n_cols};
    return t;
}

// A tensor of the layer, made of `roles`, which have the same columns.
static void add_of_layer(Lister *l, const char *suffix, const WeightRole *roles, size_t n) {
    const Contract *c = &l->m->contract;
    HfTensor *t = add(l, arena_printf(l->arena, "model.layers.%u.%s", l->layer, suffix).at, 0,
                      weight_dim(c, weight_infos[roles[0]].n_cols));
    for (size_t i = 0; i < n; i++) {
        const WeightInfo *info = &weight_infos[roles[i]];
        bool is_q = roles[i] == WEIGHT_q || roles[i] == WEIGHT_q_bias;
        bool is_k = roles[i] == WEIGHT_k || roles[i] == WEIGHT_k_bias;
        t->parts[i] = weight_rows(&l->m->weights, roles[i], l->layer);
        t->parts[i].n_rows = weight_dim(c, info->n_rows);
        if (l->form->permutes_pairs && (is_q || is_k))
            t->n_heads[i] = is_q ? c->n_heads : c->n_kv_heads;
        t->n_rows += t->parts[i].n_rows;
    }
    t->n_parts = n;
}

#define ADD(suffix, ...)                                                                           \
    add_of_layer(l, suffix, (const WeightRole[]){__VA_ARGS__},                                     \
                 sizeof((const WeightRole[]){__VA_ARGS__}) / sizeof(WeightRole))

static void add_attention(Lister *l) {
    const LayerKind *kind = contract_layer(&l->m->contract, l->layer);
    // The class has biases at all four projections or at none; what the model lacks is zeros.
    bool has_biases = kind->has_qkv_bias || kind->has_out_bias;
    if (l->form->stacks_qkv) {
        ADD("self_attn.qkv_proj.weight", WEIGHT_q, WEIGHT_k, WEIGHT_v);
    } else {
        ADD("self_attn.q_proj.weight", WEIGHT_q);
        ADD("self_attn.k_proj.weight", WEIGHT_k);
        ADD("self_attn.v_proj.weight", WEIGHT_v);
    }
    ADD("self_attn.o_proj.weight", WEIGHT_attn_out);
    if (!has_biases) return;
    ADD("self_attn.q_proj.bias", WEIGHT_q_bias);
    ADD("self_attn.k_proj.bias", WEIGHT_k_bias);
    ADD("self_attn.v_proj.bias", WEIGHT_v_bias);
    if (l->form->has_attention_bias) ADD("self_attn.o_proj.bias", WEIGHT_attn_out_bias);
}

static void add_layer(Lister *l) {
    ADD("input_layernorm.weight", WEIGHT_attn_norm);
    add_attention(l);
    ADD("post_attention_layernorm.weight", WEIGHT_ffn_norm);
    if (l->form->stacks_gate_up) {
        ADD("mlp.gate_up_proj.weight", WEIGHT_gate, WEIGHT_up);
    } else {
        ADD("mlp.gate_proj.weight", WEIGHT_gate);
        ADD("mlp.up_proj.weight", WEIGHT_up);
    }
    ADD("mlp.down_proj.weight", WEIGHT_down);
}

static void add_of_model(Lister *l, const char *name, WeightRole role) {
    const Contract *c = &l->m->contract;
    HfTensor *t = add(l, name, weight_dim(c, weight_infos[role].n_rows),
                      weight_dim(c, weight_infos[role].n_cols));
    t->parts[0] = weight_rows(&l->m->weights, role, 0);
    t->n_parts = 1;
}

bool hf_list_tensors(HfTensors *out, const Model *m, const HfForm *form, Arena *arena, Err *err) {
    enum { MOST_IN_A_LAYER = 16, OF_THE_MODEL = 3 };
    const Contract *c = &m->contract;
    size_t room = (size_t)c->n_layers * MOST_IN_A_LAYER + OF_THE_MODEL;
    *out = (HfTensors){.at = arena_array(arena, room, HfTensor)};
    Lister l = {out, m, form, arena, 0};
    add_of_model(&l, "model.embed_tokens.weight", WEIGHT_embedding);
    for (; l.layer < c->n_layers; l.layer++) add_layer(&l);
    add_of_model(&l, "model.norm.weight", WEIGHT_output_norm);
    if (!c->is_head_tied) add_of_model(&l, "lm_head.weight", WEIGHT_head);
    for (size_t i = 0; i < out->count; i++)
        if (form->stacks_qkv && strstr(out->at[i].name, "_proj.bias"))
            return err_set(err, ERR_FORMAT,
                           "a model of this architecture with biases has no class "
                           "of transformers that reads it");
    return true;
}
