// bind.c — tensor names become typed places, once; after this no code looks at a name.
#include "contract/read.h"

static const char *layer_name(ContractReader *r, uint32_t layer, const char *what) {
    return arena_printf(r->arena, "blk.%u.%s", layer, what).at;
}

static Rows all_rows(const TensorInfo *t) {
    return (Rows){t, 0, t && t->n_dims > 1 ? t->dims[1] : t ? t->dims[0] : 0};
}

static Rows need_matrix(ContractReader *r, uint32_t layer, const char *what, size_t n_cols,
                        size_t n_rows) {
    return all_rows(need_tensor(r, layer_name(r, layer, what), n_cols, n_rows));
}

static Rows need_vector(ContractReader *r, uint32_t layer, const char *what, size_t n) {
    return all_rows(need_tensor(r, layer_name(r, layer, what), n, 0));
}

// A bias vector, or nothing when the file has none.
static Rows find_vector(ContractReader *r, uint32_t layer, const char *what, size_t n) {
    const TensorInfo *t = reader_tensor(r, layer_name(r, layer, what));
    if (t) check_tensor(r, t, n, 0);
    return all_rows(t);
}

static void bind_qkv(ContractReader *r, LayerWeights *w, uint32_t layer) {
    const Contract *c = &r->model->contract;
    size_t q = (size_t)c->n_heads * c->head_dim, k = (size_t)c->n_kv_heads * c->head_dim;
    size_t v = (size_t)c->n_kv_heads * c->head_dim_v, all = q + k + v;
    if (gguf_find_tensor(r->g, str_of(layer_name(r, layer, "attn_qkv.weight")))) {
        const TensorInfo *t =
            need_tensor(r, layer_name(r, layer, "attn_qkv.weight"), c->d_model, all);
        w->q = (Rows){t, 0, q};
        w->k = (Rows){t, q, k};
        w->v = (Rows){t, q + k, v};
        Rows bias = find_vector(r, layer, "attn_qkv.bias", all);
        if (bias.tensor) {
            w->q_bias = (Rows){bias.tensor, 0, q};
            w->k_bias = (Rows){bias.tensor, q, k};
            w->v_bias = (Rows){bias.tensor, q + k, v};
        }
        return;
    }
    w->q = need_matrix(r, layer, "attn_q.weight", c->d_model, q);
    w->k = need_matrix(r, layer, "attn_k.weight", c->d_model, k);
    w->v = need_matrix(r, layer, "attn_v.weight", c->d_model, v);
    w->q_bias = find_vector(r, layer, "attn_q.bias", q);
    w->k_bias = find_vector(r, layer, "attn_k.bias", k);
    w->v_bias = find_vector(r, layer, "attn_v.bias", v);
    if (!w->q_bias.tensor != !w->k_bias.tensor || !w->q_bias.tensor != !w->v_bias.tensor)
        reader_fail(r, "layer %u: some of attn_q.bias, attn_k.bias and attn_v.bias are missing",
                    layer);
}

static void bind_ffn(ContractReader *r, LayerWeights *w, uint32_t layer) {
    const Contract *c = &r->model->contract;
    bool is_fused = !gguf_find_tensor(r->g, str_of(layer_name(r, layer, "ffn_gate.weight"))) &&
                    r->arch->may_stack_gate_up;
    if (is_fused) {
        const TensorInfo *t =
            need_tensor(r, layer_name(r, layer, "ffn_up.weight"), c->d_model, 2 * (size_t)c->d_ff);
        w->gate = (Rows){t, 0, c->d_ff};
        w->up = (Rows){t, c->d_ff, c->d_ff};
    } else {
        w->gate = need_matrix(r, layer, "ffn_gate.weight", c->d_model, c->d_ff);
        w->up = need_matrix(r, layer, "ffn_up.weight", c->d_model, c->d_ff);
    }
    w->down = need_matrix(r, layer, "ffn_down.weight", c->d_ff, c->d_model);
}

static void bind_layer(ContractReader *r, LayerWeights *w, uint32_t layer) {
    const Contract *c = &r->model->contract;
    w->attn_norm = need_vector(r, layer, "attn_norm.weight", c->d_model);
    bind_qkv(r, w, layer);
    w->attn_out =
        need_matrix(r, layer, "attn_output.weight", (size_t)c->n_heads * c->head_dim_v, c->d_model);
    w->attn_out_bias = find_vector(r, layer, "attn_output.bias", c->d_model);
    w->ffn_norm = need_vector(r, layer, "ffn_norm.weight", c->d_model);
    bind_ffn(r, w, layer);
}

static void check_biases(ContractReader *r) {
    const LayerWeights *w = r->model->weights.layers;
    Contract *c = &r->model->contract;
    LayerKind *kind = &c->kinds[0];
    kind->has_qkv_bias = w[0].q_bias.tensor != NULL;
    kind->has_out_bias = w[0].attn_out_bias.tensor != NULL;
    for (uint32_t i = 1; i < c->n_layers; i++)
        if ((w[i].q_bias.tensor != NULL) != kind->has_qkv_bias ||
            (w[i].attn_out_bias.tensor != NULL) != kind->has_out_bias)
            reader_fail(r, "layers 0 and %u differ in which projections have a bias", i);
    reader_source(r, FIELD_has_qkv_bias, SOURCE_TENSOR,
                  kind->has_qkv_bias ? w[0].q_bias.tensor->name : STR("no such tensor"));
    reader_source(r, FIELD_has_out_bias, SOURCE_TENSOR,
                  kind->has_out_bias ? w[0].attn_out_bias.tensor->name : STR("no such tensor"));
}

void bind_weights(ContractReader *r) {
    ModelWeights *w = &r->model->weights;
    Contract *c = &r->model->contract;
    w->embedding = all_rows(need_tensor(r, "token_embd.weight", c->d_model, c->n_vocab));
    w->output_norm = all_rows(need_tensor(r, "output_norm.weight", c->d_model, 0));
    c->is_head_tied = !gguf_find_tensor(r->g, STR("output.weight"));
    if (c->is_head_tied) {
        w->head = w->embedding;
        reader_source(r, FIELD_is_head_tied, SOURCE_TENSOR, STR("no output.weight"));
    } else {
        w->head = all_rows(need_tensor(r, "output.weight", c->d_model, c->n_vocab));
        reader_source(r, FIELD_is_head_tied, SOURCE_TENSOR, STR("output.weight"));
    }
    w->layers = arena_array(r->arena, c->n_layers, LayerWeights);
    for (uint32_t i = 0; i < c->n_layers && !r->failed; i++) bind_layer(r, &w->layers[i], i);
    if (!r->failed) check_biases(r);
}
