// tensors.c — the tensors of a checkpoint, in the order of the model.
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

// A tensor of the layer called `name`, made of the `n` weights from `first` on, which have the same columns.
static void add_named(Lister *l, const char *name, WeightRole first, size_t n) {
    const Contract *c = &l->m->contract;
    HfTensor *t = add(l, arena_printf(l->arena, "model.layers.%u.%s", l->layer, name).at, 0,
                      weight_dim(c, weight_infos[first].n_cols));
    for (size_t i = 0; i < n; i++) {
        WeightRole role = (WeightRole)(first + i);
        bool is_q = role == WEIGHT_q || role == WEIGHT_q_bias;
        bool is_k = role == WEIGHT_k || role == WEIGHT_k_bias;
        t->parts[i] = weight_rows(&l->m->weights, role, l->layer);
        t->parts[i].n_rows = weight_dim(c, weight_infos[role].n_rows);
        if (l->form->permutes_pairs && (is_q || is_k))
            t->n_heads[i] = is_q ? c->n_heads : c->n_kv_heads;
        t->n_rows += t->parts[i].n_rows;
    }
    t->n_parts = n;
}

// The weights [first, first + n) of the layer: in the one tensor that the class has for them, or each in its own.
static void add_weights(Lister *l, WeightRole first, size_t n) {
    Architecture a = l->m->contract.architecture;
    const char *stack = hf_stack_name(a, first);
    if (stack) {
        add_named(l, stack, first, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_named(l, hf_weight_name(a, (WeightRole)(first + i)), (WeightRole)(first + i), 1);
}

static void add_layer(Lister *l) {
    const LayerKind *kind = contract_layer(&l->m->contract, l->layer);
    // The class has biases at all four projections or at none; what the model lacks is zeros.
    bool has_biases = kind->has_qkv_bias || kind->has_out_bias;
    add_weights(l, WEIGHT_attn_norm, 1);
    add_weights(l, WEIGHT_q, 3);
    if (has_biases) add_weights(l, WEIGHT_q_bias, 3);
    add_weights(l, WEIGHT_attn_out, 1);
    if (has_biases && l->form->has_attention_bias) add_weights(l, WEIGHT_attn_out_bias, 1);
    add_weights(l, WEIGHT_ffn_norm, 1);
    add_weights(l, WEIGHT_gate, 2);
    add_weights(l, WEIGHT_down, 1);
}

static void add_of_model(Lister *l, WeightRole role) {
    const Contract *c = &l->m->contract;
    const char *name = hf_weight_name(c->architecture, role);
    HfTensor *t = add(l, name, weight_dim(c, weight_infos[role].n_rows),
                      weight_dim(c, weight_infos[role].n_cols));
    t->parts[0] = weight_rows(&l->m->weights, role, 0);
    t->n_parts = 1;
}

bool hf_list_tensors(HfTensors *out, const Model *m, const HfForm *form, Arena *arena, Err *err) {
    enum { MOST_IN_A_LAYER = 16, OF_THE_MODEL = 3 };
    const Contract *c = &m->contract;
    const LayerKind *kind = &c->kinds[0];
    bool has_biases = kind->has_qkv_bias || kind->has_out_bias;
    if (has_biases && hf_stack_name(c->architecture, WEIGHT_q))
        return err_set(err, ERR_FORMAT,
                       "a model of this architecture with biases has no class of transformers that "
                       "reads it");
    size_t room = (size_t)c->n_layers * MOST_IN_A_LAYER + OF_THE_MODEL;
    *out = (HfTensors){.at = arena_array(arena, room, HfTensor)};
    Lister l = {out, m, form, arena, 0};
    add_of_model(&l, WEIGHT_embedding);
    for (; l.layer < c->n_layers; l.layer++) add_layer(&l);
    add_of_model(&l, WEIGHT_output_norm);
    if (!c->is_head_tied) add_of_model(&l, WEIGHT_head);
    return true;
}
