// config_file.c — writes the contract as config.json. A value for which a class of transformers has
// no key must equal the one that the class computes with.
#include <math.h>

#include "huggingface/impl.h"

static bool is_plain(const Contract *c) {
    const LayerKind *k = &c->kinds[0];
    return contract_n_kinds(c) == 1 && c->norm == NORM_RMS && k->qk_norm == QK_NORM_NONE &&
           k->norm_placement == NORM_PRE && k->activation == ACTIVATION_SILU &&
           c->attn_softcap == 0 && c->final_softcap == 0 && c->embedding_scale == 1 &&
           c->residual_scale == 1 && c->logit_scale == 1 && c->norm_offset == 0;
}

static bool check_expressible(const Contract *c, const HfForm *form, Err *err) {
    const LayerKind *k = &c->kinds[0];
    if (!is_plain(c))
        return err_set(
            err, ERR_FORMAT,
            "lathe cannot export this architecture: it does not know the keys of its config.json "
            "for norms, caps and scales");
    if (fabs((double)c->attn_scale * sqrt((double)c->head_dim) - 1) > 1e-5)
        return err_set(err, ERR_FORMAT,
                       "attn_scale is %g, expected 1 / sqrt(head_dim) = %g: transformers' class "
                       "has no key for "
                       "another",
                       (double)c->attn_scale, 1 / sqrt((double)c->head_dim));
    if (c->head_dim_v != c->head_dim)
        return err_set(
            err, ERR_FORMAT,
            "head_dim_v is %u, expected head_dim = %u: transformers' class has no key for another",
            c->head_dim_v, c->head_dim);
    if (!form->has_head_dim && c->head_dim * c->n_heads != c->d_model)
        return err_set(
            err, ERR_FORMAT,
            "head_dim is %u, expected d_model / n_heads = %u: transformers' class has no key "
            "for another",
            c->head_dim, c->d_model / c->n_heads);
    if (!form->has_window && k->attn_window)
        return err_set(err, ERR_FORMAT,
                       "attn_window is %u, expected 0: transformers' class has no window",
                       k->attn_window);
    return true;
}

static void put(json_t *config, const char *key, uint32_t value) {
    json_object_set_new(config, key, json_integer(value));
}

static json_t *stop_ids(const Contract *c) {
    if (c->stop_ids.count == 1) return json_integer(c->stop_ids.at[0]);
    json_t *ids = json_array();
    for (size_t i = 0; i < c->stop_ids.count; i++)
        json_array_append_new(ids, json_integer(c->stop_ids.at[i]));
    return ids;
}

static void put_ids(json_t *config, const Contract *c) {
    json_object_set_new(config, "bos_token_id",
                        c->bos_id == NO_TOKEN ? json_null() : json_integer(c->bos_id));
    json_object_set_new(config, "eos_token_id", stop_ids(c));
}

json_t *hf_config(const Contract *c, const HfForm *form, HfFloat number, Arena *arena, Err *err) {
    (void)arena;
    const LayerKind *k = &c->kinds[0];
    if (!check_expressible(c, form, err)) return NULL;
    const char *type, *class = contract_hf_class(c->architecture, &type);
    json_t *config = json_pack("{s:[s], s:s, s:s, s:s, s:b}", "architectures", class, "model_type",
                               type, "dtype", hf_float_dtype(number), "hidden_act", "silu",
                               "tie_word_embeddings", c->is_head_tied);
    put(config, "hidden_size", c->d_model);
    put(config, "intermediate_size", c->d_ff);
    put(config, "num_hidden_layers", c->n_layers);
    put(config, "num_attention_heads", c->n_heads);
    put(config, "num_key_value_heads", c->n_kv_heads);
    put(config, "vocab_size", c->n_vocab);
    put(config, "max_position_embeddings", c->context);
    if (form->has_head_dim) put(config, "head_dim", c->head_dim);
    if (form->has_window && k->attn_window) put(config, "sliding_window", k->attn_window);
    if (form->has_window && !k->attn_window)
        json_object_set_new(config, "sliding_window", json_null());
    if (form->has_attention_bias)
        json_object_set_new(config, "attention_bias",
                            json_boolean(k->has_qkv_bias || k->has_out_bias));
    json_object_set_new(config, "rms_norm_eps", hf_real(c->norm_eps));
    json_object_set_new(config, "pad_token_id", json_null());
    put_ids(config, c);
    if (hf_config_rope(config, c, err)) return config;
    json_decref(config);
    return NULL;
}

json_t *hf_generation_config(const Contract *c) {
    json_t *config = json_object();
    put_ids(config, c);
    return config;
}
