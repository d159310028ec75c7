// What a contract refuses: files that are sound GGUF and say something wrong, contradictory or
// unknown. Each case spoils a valid model in one named way and expects words of the message.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/size.h"
#include "contract/model_spec.h"

static void drop_key(FileSpec *s, const char *name) {
    spec_drop_key(s, name);
}
static void reshape(FileSpec *s, const char *tensor, uint64_t n_cols, uint64_t n_rows) {
    spec_drop_tensor(s, tensor);
    spec_add_tensor(s, tensor, "F32", n_rows ? 2 : 1, (uint64_t[]){n_cols, n_rows});
}
static void put_list(FileSpec *s, const char *key, const int32_t *items, size_t n) {
    spec_drop_key(s, key);
    spec_add_i32s(s, key, items, n);
}

// ---- architecture

static void unknown_architecture(FileSpec *s) {
    model_put_string(s, "general.architecture", "gemma3n");
}
static void no_architecture(FileSpec *s) {
    drop_key(s, "general.architecture");
}
static void architecture_of_number(FileSpec *s) {
    model_put_u32(s, "general.architecture", 3);
}
static void architecture_of_list(FileSpec *s) {
    drop_key(s, "general.architecture");
    spec_add_strings(s, "general.architecture", (const char *const[]){"llama"}, 1);
}
static void other_architecture(FileSpec *s) { // keys keep their llama prefix
    model_put_string(s, "general.architecture", "phi3");
}

// ---- absent

static void no_block_count(FileSpec *s) {
    drop_key(s, "llama.block_count");
}
static void no_embedding_length(FileSpec *s) {
    drop_key(s, "llama.embedding_length");
}
static void no_feed_forward_length(FileSpec *s) {
    drop_key(s, "llama.feed_forward_length");
}
static void no_head_count(FileSpec *s) {
    drop_key(s, "llama.attention.head_count");
}
static void no_eps(FileSpec *s) {
    drop_key(s, "llama.attention.layer_norm_rms_epsilon");
}
static void no_context(FileSpec *s) {
    drop_key(s, "llama.context_length");
}
static void no_rope_base(FileSpec *s) {
    drop_key(s, "llama.rope.freq_base");
}
static void no_window(FileSpec *s) {
    drop_key(s, "phi3.attention.sliding_window");
}
static void no_rope_dim_and_no_factors(FileSpec *s) {
    drop_key(s, "phi3.rope.dimension_count");
    drop_key(s, "phi3.rope.scaling.attn_factor");
    model_put_u32(s, "phi3.rope.scaling.original_context_length", 64);
    spec_drop_tensor(s, "rope_factors_short.weight");
    spec_drop_tensor(s, "rope_factors_long.weight");
}
static void no_original_context(FileSpec *s) {
    drop_key(s, "phi3.rope.scaling.original_context_length");
}
static void no_tokenizer_model(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.model");
}
static void tokenizer_of_another_kind(FileSpec *s) {
    model_put_string(s, "tokenizer.ggml.model", "bert");
}
static void no_pre_tokenizer(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.pre");
}
static void no_tokens(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.tokens");
}
static void no_token_types(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.token_type");
}
static void no_merges(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.merges");
}
static void no_scores(FileSpec *s) {
    model_put_string(s, "tokenizer.ggml.model", "llama");
}
static void no_eos(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.eos_token_id");
}
static void bos_added_but_not_named(FileSpec *s) {
    drop_key(s, "tokenizer.ggml.bos_token_id");
    spec_set_value(s, "tokenizer.ggml.add_bos_token", "\1", 1);
}

// ---- of the wrong type, a list, out of range

static void count_of_string(FileSpec *s) {
    model_put_string(s, "llama.block_count", "2");
}
static void count_of_float(FileSpec *s) {
    model_put_f32(s, "llama.embedding_length", 32);
}
static void count_negative(FileSpec *s) {
    model_put_u32(s, "llama.block_count", UINT32_MAX);
    spec_key(s, "llama.block_count")->type = GGUF_I32;
}
static void float_of_string(FileSpec *s) {
    model_put_string(s, "llama.rope.freq_base", "10000");
}
static void kv_heads_one_a_layer(FileSpec *s) {
    put_list(s, "llama.attention.head_count_kv", (const int32_t[]){2, 4}, 2);
}
static void ff_one_a_layer(FileSpec *s) {
    put_list(s, "llama.feed_forward_length", (const int32_t[]){48, 48, 48}, 3);
}
static void eps_a_list(FileSpec *s) {
    put_list(s, "llama.attention.layer_norm_rms_epsilon", (const int32_t[]){1, 2}, 2);
}
static void layers_a_list(FileSpec *s) {
    put_list(s, "llama.block_count", (const int32_t[]){2, 2}, 2);
}
static void heads_a_list_of_strings(FileSpec *s) {
    drop_key(s, "llama.attention.head_count");
    spec_add_strings(s, "llama.attention.head_count", (const char *const[]){"4", "4"}, 2);
}
static void copy_of_head_dim(FileSpec *s) {
    spec_add_u32(s, "llama.attention.head_dim", 16);
}
static void copy_of_eps(FileSpec *s) {
    spec_add_f32(s, "llama.attention.layer_norm_epsilon", 1e-3f);
}
static void stop_list_of_one(FileSpec *s) {
    spec_add_u32(s, "tokenizer.ggml.eos_token_ids", 1);
}
static void stop_list_beyond(FileSpec *s) {
    spec_add_i32s(s, "tokenizer.ggml.eos_token_ids", (const int32_t[]){7, 10}, 2);
}
static void hadamard(FileSpec *s) { // weights were turned: they mean something else
    spec_add_string(s, "prism.hadamard.kind", "block");
}
static void original_shape(FileSpec *s) {
    spec_add_i32s(s, "comfy.gguf.orig_shape.token_embd.weight", (const int32_t[]){10, 32}, 2);
}
static void unknown_of_a_known_publisher(FileSpec *s) {
    spec_add_string(s, "mradermacher.weights", "rotated");
}
static void no_layers(FileSpec *s) {
    model_put_u32(s, "llama.block_count", 0);
}
static void too_many_layers(FileSpec *s) {
    model_put_u32(s, "llama.block_count", 5000);
}
static void no_heads(FileSpec *s) {
    model_put_u32(s, "llama.attention.head_count", 0);
}
static void no_kv_heads(FileSpec *s) {
    model_put_u32(s, "llama.attention.head_count_kv", 0);
}
static void eps_0(FileSpec *s) {
    model_put_f32(s, "llama.attention.layer_norm_rms_epsilon", 0);
}
static void eps_nan(FileSpec *s) {
    model_put_u32(s, "llama.attention.layer_norm_rms_epsilon", 0x7FC00000);
    spec_key(s, "llama.attention.layer_norm_rms_epsilon")->type = GGUF_F32;
}
static void eps_1(FileSpec *s) {
    model_put_f32(s, "llama.attention.layer_norm_rms_epsilon", 1);
}
static void base_0(FileSpec *s) {
    model_put_f32(s, "llama.rope.freq_base", 0);
}
static void base_infinite(FileSpec *s) {
    model_put_u32(s, "llama.rope.freq_base", 0x7F800000);
    spec_key(s, "llama.rope.freq_base")->type = GGUF_F32;
}
static void rope_dim_beyond_head(FileSpec *s) {
    model_put_u32(s, "phi3.rope.dimension_count", 10);
}
static void rope_dim_odd(FileSpec *s) {
    model_put_u32(s, "phi3.rope.dimension_count", 3);
}
static void rope_dim_0(FileSpec *s) {
    model_put_u32(s, "phi3.rope.dimension_count", 0);
}
static void original_beyond_context(FileSpec *s) {
    model_put_u32(s, "phi3.rope.scaling.original_context_length", 65);
}
static void original_of_1(FileSpec *s) { // ln 1 would divide the attention factor by zero
    model_put_u32(s, "phi3.rope.scaling.original_context_length", 1);
}
static void attn_factor_negative(FileSpec *s) {
    model_put_f32(s, "phi3.rope.scaling.attn_factor", -1);
}
static void scaling_type_unknown(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.type", "dynamic");
}
static void scaling_type_of_number(FileSpec *s) {
    spec_add_u32(s, "llama.rope.scaling.type", 1);
}
static void policy_of_number(FileSpec *s) {
    model_put_u32(s, "tokenizer.ggml.add_bos_token", 1);
}
static void eos_beyond_vocabulary(FileSpec *s) {
    model_put_u32(s, "tokenizer.ggml.eos_token_id", 10);
}
static void eos_a_letter(FileSpec *s) {
    model_put_u32(s, "tokenizer.ggml.eos_token_id", 4);
}
static void eot_a_letter(FileSpec *s) {
    spec_add_u32(s, "tokenizer.ggml.eot_token_id", 0);
}
static void eom_a_byte(FileSpec *s) {
    spec_add_u32(s, "tokenizer.ggml.eom_token_id", 8);
    put_list(s, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1, 1, 1, 3, 3, 3, 6, 1}, 10);
}
static void bos_of_string(FileSpec *s) {
    model_put_string(s, "tokenizer.ggml.bos_token_id", "<s>");
}
static void eos_a_list(FileSpec *s) {
    put_list(s, "tokenizer.ggml.eos_token_id", (const int32_t[]){7, 6}, 2);
}
static void tokens_of_numbers(FileSpec *s) {
    put_list(s, "tokenizer.ggml.tokens", (const int32_t[]){1, 2, 3}, 3);
}
static void types_too_few(FileSpec *s) {
    put_list(s, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1}, 3);
}
static void type_negative(FileSpec *s) {
    put_list(s, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, -1, 1, 1, 3, 3, 3, 5, 1}, 10);
}
static void scores_too_many(FileSpec *s) {
    spec_add_i32s(s, "tokenizer.ggml.scores", (const int32_t[11]){0}, 11);
}
static void template_of_number(FileSpec *s) {
    model_put_u32(s, "tokenizer.chat_template", 1);
}
static void pre_of_number(FileSpec *s) {
    model_put_u32(s, "tokenizer.ggml.pre", 1);
}
static void sentencepiece_pre_of_number(FileSpec *s) {
    model_put_string(s, "tokenizer.ggml.model", "llama");
    pre_of_number(s);
}

// ---- contradictions within the file

static void kv_heads_do_not_divide(FileSpec *s) {
    model_put_u32(s, "llama.attention.head_count_kv", 3);
}
static void heads_do_not_divide(FileSpec *s) {
    model_put_u32(s, "llama.attention.head_count", 6);
}
static void key_length_against_shape(FileSpec *s) {
    spec_add_u32(s, "llama.attention.key_length", 16);
    model_put_u32(s, "llama.rope.dimension_count", 16);
}
static void value_length_against_shape(FileSpec *s) {
    spec_add_u32(s, "llama.attention.value_length", 16);
}
static void fewer_heads_than_rows(FileSpec *s) { // 2 heads of 16: kv rows would be 32
    model_put_u32(s, "llama.attention.head_count", 2);
    model_put_u32(s, "llama.rope.dimension_count", 16);
}
static void half_a_llama_head(FileSpec *s) {
    model_put_u32(s, "llama.rope.dimension_count", 4);
}
static void whole_head_against_factors(FileSpec *s) {
    model_put_u32(s, "phi3.rope.dimension_count", 8);
}
static void d_ff_against_shape(FileSpec *s) {
    model_put_u32(s, "phi3.feed_forward_length", 96);
}
static void d_model_against_shape(FileSpec *s) {
    model_put_u32(s, "llama.embedding_length", 64);
    model_put_u32(s, "llama.rope.dimension_count", 16);
}
static void vocab_size_against_tokens(FileSpec *s) {
    spec_add_u32(s, "llama.vocab_size", 11);
}
static void embedding_against_tokens(FileSpec *s) {
    reshape(s, "token_embd.weight", 32, 12);
}
static void head_against_vocabulary(FileSpec *s) {
    spec_add_tensor(s, "output.weight", "F32", 2, (uint64_t[]){32, 11});
}
static void norm_of_two_dimensions(FileSpec *s) {
    reshape(s, "output_norm.weight", 32, 2);
}
static void more_layers_than_tensors(FileSpec *s) {
    model_put_u32(s, "llama.block_count", 3);
}
static void fewer_layers_than_tensors(FileSpec *s) {
    model_put_u32(s, "llama.block_count", 1);
}
static void longrope_without_factors(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.type", "longrope");
}
static void linear_with_factors(FileSpec *s) {
    spec_add_string(s, "phi3.rope.scaling.type", "linear");
}
static void none_with_long_factors(FileSpec *s) {
    spec_add_string(s, "phi3.rope.scaling.type", "none");
}
static void yarn_with_rope_freqs(FileSpec *s) {
    model_add_rope_freqs(s);
    spec_add_string(s, "llama.rope.scaling.type", "yarn");
}
static void short_factors_alone(FileSpec *s) {
    spec_drop_tensor(s, "rope_factors_long.weight");
}
static void both_kinds_of_factors(FileSpec *s) {
    spec_add_tensor(s, "rope_freqs.weight", "F32", 1, (uint64_t[]){2});
    spec_set_floats(s, "rope_freqs.weight", (float[]){1, 2}, 2);
}
static void factor_0(FileSpec *s) {
    spec_set_floats(s, "rope_factors_long.weight", (float[]){1, 0}, 2);
}
static void factor_nan(FileSpec *s) {
    model_add_rope_freqs(s);
    spec_set_floats(s, "rope_freqs.weight", (float[]){1, 2, NAN, 8}, 4);
}
static void factors_too_few(FileSpec *s) {
    reshape(s, "rope_factors_long.weight", 1, 0);
}
static void factors_lost(FileSpec *s) { // what is left reads as a model of 64 unstretched positions
    spec_drop_tensor(s, "rope_factors_short.weight");
    spec_drop_tensor(s, "rope_factors_long.weight");
}
static void attn_factor_without_scaling(FileSpec *s) {
    spec_add_f32(s, "llama.rope.scaling.attn_factor", 1.2f);
}
static void yarn_without_factor(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.type", "yarn");
}
static void yarn_without_original_context(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.type", "yarn");
    spec_add_f32(s, "llama.rope.scaling.factor", 4);
}
static void ext_factor_is_factor(FileSpec *s) { // seen in the wild: the stretch written here
    spec_add_string(s, "llama.rope.scaling.type", "yarn");
    spec_add_f32(s, "llama.rope.scaling.factor", 64);
    spec_add_u32(s, "llama.rope.scaling.original_context_length", 16);
    spec_add_f32(s, "llama.rope.scaling.yarn_ext_factor", 64);
}
static void beta_negative(FileSpec *s) {
    ext_factor_is_factor(s);
    model_put_f32(s, "llama.rope.scaling.yarn_ext_factor", 1);
    spec_add_f32(s, "llama.rope.scaling.yarn_beta_fast", -0.5f);
}
static void yarn_factor_of_string(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.yarn_attn_factor", "1");
}
static void factor_with_longrope(FileSpec *s) {
    spec_add_f32(s, "phi3.rope.scaling.factor", 4);
}
static void two_factors(FileSpec *s) {
    spec_add_f32(s, "llama.rope.scaling.factor", 4);
    spec_add_f32(s, "llama.rope.scale_linear", 4);
}

// ---- missing and unknown

static void no_embedding(FileSpec *s) {
    spec_drop_tensor(s, "token_embd.weight");
}
static void no_output_norm(FileSpec *s) {
    spec_drop_tensor(s, "output_norm.weight");
}
static void no_down(FileSpec *s) {
    spec_drop_tensor(s, "blk.1.ffn_down.weight");
}
static void no_gate(FileSpec *s) {
    spec_drop_tensor(s, "blk.0.ffn_gate.weight");
}
static void no_v(FileSpec *s) {
    spec_drop_tensor(s, "blk.0.attn_v.weight");
}
static void bias_of_q_alone(FileSpec *s) {
    spec_add_tensor(s, "blk.0.attn_q.bias", "F32", 1, (uint64_t[]){32});
}
static void bias_of_one_layer(FileSpec *s) {
    spec_add_tensor(s, "blk.1.attn_output.bias", "F32", 1, (uint64_t[]){32});
}
static void unknown_key(FileSpec *s) {
    spec_add_f32(s, "llama.attention.temperature_scale", 0.1f);
}
static void unknown_key_of_another_prefix(FileSpec *s) {
    spec_add_u32(s, "phi3.block_count", 2);
}
static void logit_scale(FileSpec *s) {
    spec_add_f32(s, "llama.logit_scale", 8);
}
static void softcap(FileSpec *s) {
    spec_add_f32(s, "llama.attn_logit_softcapping", 50);
}
static void experts(FileSpec *s) {
    spec_add_u32(s, "llama.expert_count", 8);
}
static void unknown_tokenizer_key(FileSpec *s) {
    spec_add_u32(s, "tokenizer.ggml.normalizer", 1);
}
static void unknown_tensor(FileSpec *s) {
    spec_add_tensor(s, "blk.0.attn_q_norm.weight", "F32", 1, (uint64_t[]){8});
}
static void unknown_tensor_of_no_layer(FileSpec *s) {
    spec_add_tensor(s, "token_types.weight", "F32", 2, (uint64_t[]){32, 2});
}
static void type_not_decodable(FileSpec *s) {
    spec_drop_tensor(s, "blk.0.ffn_down.weight");
    spec_add_tensor(s, "blk.0.ffn_down.weight", "Q4_0_4_4", 2, (uint64_t[]){32, 48});
    model_put_u32(s, "llama.feed_forward_length", 32);
    for (int i = 0; i < 2; i++) {
        reshape(s, arena_printf(&s->arena, "blk.%d.ffn_gate.weight", i).at, 32, 32);
        reshape(s, arena_printf(&s->arena, "blk.%d.ffn_up.weight", i).at, 32, 32);
    }
    spec_tensor(s, "blk.0.ffn_down.weight")->dims[1] = 32;
}

static const struct {
    const char *arch;
    void (*spoil)(FileSpec *s);
    const char *message; // some of it
} cases[] = {
    {"llama", unknown_architecture,
     "architecture 'gemma3n' is not supported: lathe lacks its four residual streams"},
    {"llama", no_architecture, "key 'general.architecture' is absent"},
    {"llama", architecture_of_number, "key 'general.architecture' is absent or not a string"},
    {"llama", architecture_of_list, "key 'general.architecture' is absent or not a string"},
    {"llama", other_architecture, "key 'phi3.block_count' is absent"},

    {"llama", no_block_count, "key 'llama.block_count' is absent: the file does not say its"},
    {"llama", no_embedding_length, "key 'llama.embedding_length' is absent"},
    {"llama", no_feed_forward_length, "key 'llama.feed_forward_length' is absent"},
    {"llama", no_head_count, "key 'llama.attention.head_count' is absent"},
    {"llama", no_eps, "key 'llama.attention.layer_norm_rms_epsilon' is absent"},
    {"llama", no_context, "key 'llama.context_length' is absent"},
    {"llama", no_rope_base, "key 'llama.rope.freq_base' is absent: the file does not say its"},
    {"phi3", no_window, "key 'phi3.attention.sliding_window' is absent: the file does not say how"},
    {"phi3", no_rope_dim_and_no_factors,
     "key 'phi3.rope.dimension_count' is absent: the file does not say how many of the 8 dims"},
    {"phi3", no_original_context,
     "key 'phi3.rope.scaling.original_context_length' is absent, but the scaling depends on it"},
    {"llama", no_tokenizer_model, "key 'tokenizer.ggml.model' is absent"},
    {"llama", tokenizer_of_another_kind,
     "key 'tokenizer.ggml.model': 'bert' is not supported; known are gpt2, llama and gemma4"},
    {"llama", no_pre_tokenizer, "key 'tokenizer.ggml.pre' is absent"},
    {"llama", no_tokens, "key 'tokenizer.ggml.tokens' is absent"},
    {"llama", no_token_types,
     "key 'tokenizer.ggml.token_type' is absent: the file does not say which"},
    {"llama", no_merges, "key 'tokenizer.ggml.merges' is absent: byte-level BPE needs it"},
    {"llama", no_scores, "key 'tokenizer.ggml.scores' is absent: a SentencePiece vocabulary needs"},
    {"llama", no_eos, "key 'tokenizer.ggml.eos_token_id' is absent: no token would end an answer"},
    {"llama", bos_added_but_not_named, "texts begin with a token, but key "},

    {"llama", count_of_string, "key 'llama.block_count': type string, expected a whole number"},
    {"llama", count_of_float, "key 'llama.embedding_length': type f32, expected a whole number"},
    {"llama", count_negative, "key 'llama.block_count': type i32, expected a whole number"},
    {"llama", float_of_string, "key 'llama.rope.freq_base': type string, expected a number"},
    {"llama", kv_heads_one_a_layer,
     "key 'llama.attention.head_count_kv': a list with one value per layer (2); lathe expects the "
     "same for "
     "all, but layer 0 has 2 and layer 1 has 4"},
    {"llama", ff_one_a_layer,
     "key 'llama.feed_forward_length': a list of 3 values, expected one number, or one for each of "
     "2 layers"},
    {"llama", eps_a_list,
     "key 'llama.attention.layer_norm_rms_epsilon': a list with one value per layer (2)"},
    {"llama", layers_a_list, "key 'llama.block_count': a list of 2 values, expected one number"},
    {"llama", heads_a_list_of_strings,
     "key 'llama.attention.head_count': a list of type string, expected numbers"},
    {"llama", copy_of_head_dim, "key 'llama.attention.head_dim': 16, but head_dim is 8 by"},
    {"llama", copy_of_eps,
     "key 'llama.attention.layer_norm_epsilon': 0.001, but norm_eps is 1e-05"},
    {"llama", stop_list_of_one, "'tokenizer.ggml.eos_token_ids': 1 values of type u32, expected a"},
    {"llama", stop_list_beyond, "item 1 is not a token id below 10"},
    {"llama", hadamard, "key 'prism.hadamard.kind': lathe does not know it"},
    {"llama", original_shape,
     "key 'comfy.gguf.orig_shape.token_embd.weight': lathe does not know it"},
    {"llama", unknown_of_a_known_publisher, "key 'mradermacher.weights': lathe does not know it"},
    {"llama", no_layers, "key 'llama.block_count': 0, expected 1 to 4096"},
    {"llama", too_many_layers, "key 'llama.block_count': 5000, expected 1 to 4096"},
    {"llama", no_heads, "key 'llama.attention.head_count': 0, expected 1 to"},
    {"llama", no_kv_heads, "key 'llama.attention.head_count_kv': 0, expected 1 to"},
    {"llama", eps_0, "key 'llama.attention.layer_norm_rms_epsilon': 0, expected"},
    {"llama", eps_nan, "key 'llama.attention.layer_norm_rms_epsilon': nan, expected"},
    {"llama", eps_1, "key 'llama.attention.layer_norm_rms_epsilon': 1, expected 1e-12 to 0.01"},
    {"llama", base_0, "key 'llama.rope.freq_base': 0, expected 2 to"},
    {"llama", base_infinite, "key 'llama.rope.freq_base': inf, expected 2 to"},
    {"phi3", rope_dim_beyond_head, "key 'phi3.rope.dimension_count': 10, expected 0 to 8"},
    {"phi3", rope_dim_odd, "key 'phi3.rope.dimension_count': 3, expected an even number"},
    {"phi3", rope_dim_0, "key 'phi3.rope.dimension_count': 0, expected 2 or more"},
    {"phi3", original_beyond_context,
     "key 'phi3.rope.scaling.original_context_length': 65, expected 2 to 64"},
    {"phi3", original_of_1, "key 'phi3.rope.scaling.original_context_length': 1, expected 2 to 64"},
    {"phi3", attn_factor_negative, "key 'phi3.rope.scaling.attn_factor': -1, expected"},
    {"llama", scaling_type_unknown,
     "key 'llama.rope.scaling.type': 'dynamic', expected none, linear, yarn or longrope"},
    {"llama", scaling_type_of_number, "key 'llama.rope.scaling.type': expected a string"},
    {"llama", policy_of_number,
     "key 'tokenizer.ggml.add_bos_token': type u32, expected true or false"},
    {"llama", eos_beyond_vocabulary,
     "key 'tokenizer.ggml.eos_token_id': 10, expected a token id below 10"},
    {"llama", bos_of_string,
     "key 'tokenizer.ggml.bos_token_id': type string, expected the number of a token"},
    {"llama", eos_a_letter,
     "key 'tokenizer.ggml.eos_token_id': token 4 \"ab\" is ordinary text, so answers would end"},
    {"llama", eot_a_letter, "key 'tokenizer.ggml.eot_token_id': token 0 \"a\" is ordinary text"},
    {"llama", eom_a_byte, "key 'tokenizer.ggml.eom_token_id': token 8 \"<spare>\" is ordinary"},
    {"llama", eos_a_list, "key 'tokenizer.ggml.eos_token_id': a list, expected one token id"},
    {"llama", tokens_of_numbers, "key 'tokenizer.ggml.tokens' is absent or not a list of strings"},
    {"llama", types_too_few,
     "key 'tokenizer.ggml.token_type': 3 items, but 'tokenizer.ggml.tokens' lists 10 tokens"},
    {"llama", type_negative, "key 'tokenizer.ggml.token_type': item 2 is not a token type"},
    {"llama", scores_too_many, "key 'tokenizer.ggml.scores': 11 items"},
    {"llama", template_of_number, "key 'tokenizer.chat_template': type u32, expected a string"},
    {"llama", pre_of_number, "key 'tokenizer.ggml.pre' is absent or not a string"},
    {"llama", sentencepiece_pre_of_number, "key 'tokenizer.ggml.pre': type u32, expected a string"},

    {"llama", kv_heads_do_not_divide, "4 query heads (attention.head_count) cannot share 3 key"},
    {"llama", heads_do_not_divide,
     "no attention.key_length, and embedding_length 32 is not divisible by attention.head_count 6"},
    {"llama", key_length_against_shape,
     "tensor 'blk.0.attn_q.weight': shape [32, 32] (row length first), but the file's keys ask for "
     "[32, 64]"},
    {"llama", value_length_against_shape, "tensor 'blk.0.attn_v.weight': shape [32, 16]"},
    {"llama", fewer_heads_than_rows, "tensor 'blk.0.attn_k.weight': shape [32, 16]"},
    {"llama", half_a_llama_head,
     "key 'llama.rope.dimension_count': 4, but llama files rotate whole heads, here of 8 dims"},
    {"phi3", whole_head_against_factors,
     "tensor 'rope_factors_short.weight': 2 factors, one per pair of rotated dims, but "
     "key 'phi3.rope.dimension_count' says 8 dims, which are 4 pairs"},
    {"phi3", d_ff_against_shape, "tensor 'blk.0.ffn_up.weight': shape [32, 96]"},
    {"llama", d_model_against_shape, "tensor 'token_embd.weight': shape [32, 10]"},
    {"llama", vocab_size_against_tokens,
     "key 'llama.vocab_size' is 11, but 'tokenizer.ggml.tokens' lists 10 tokens"},
    {"llama", embedding_against_tokens,
     "tensor 'token_embd.weight' has 12 rows, but 'tokenizer.ggml.tokens' lists 10 tokens"},
    {"llama", head_against_vocabulary, "tensor 'output.weight': shape [32, 11]"},
    {"llama", norm_of_two_dimensions,
     "tensor 'output_norm.weight': shape [32, 2] (row length first), but the file\'s keys ask for "
     "[32]"},
    {"llama", more_layers_than_tensors, "tensor 'blk.2.attn_norm.weight' is missing"},
    {"llama", fewer_layers_than_tensors,
     "tensor 'blk.1.attn_norm.weight': lathe knows no such tensor for architecture llama"},
    {"llama", longrope_without_factors,
     "key 'llama.rope.scaling.type' is longrope, but rope_factors_long"},
    {"phi3", linear_with_factors,
     "rope.scaling.type' contradicts the file's tensors: it has rope_"},
    {"phi3", none_with_long_factors,
     "rope.scaling.type' contradicts the file's tensors: it has rope_"},
    {"llama", yarn_with_rope_freqs,
     "rope.scaling.type' contradicts the file's tensors: it has rope_"},
    {"phi3", short_factors_alone,
     "tensor 'rope_factors_long.weight' is missing; LongRoPE needs rope_factors_short and "},
    {"phi3", both_kinds_of_factors, "two scalings in one file"},
    {"phi3", factor_0, "tensor 'rope_factors_long.weight': factor 1 is 0, expected a positive"},
    {"llama", factor_nan, "tensor 'rope_freqs.weight': factor 2 is nan, expected a positive"},
    {"phi3", factors_too_few, "tensor 'rope_factors_long.weight': 1 factors"},
    {"phi3", factors_lost,
     "key 'phi3.rope.scaling.original_context_length': 16 of 64 positions, but neither"},
    {"llama", attn_factor_without_scaling,
     "key 'llama.rope.scaling.attn_factor': 1.2, but neither"},
    {"llama", yarn_without_factor,
     "key 'llama.rope.scaling.factor' is absent, but linear and yarn scaling need it"},
    {"llama", yarn_without_original_context,
     "key 'llama.rope.scaling.original_context_length' is absent, but the scaling depends on it"},
    {"llama", ext_factor_is_factor,
     "key 'llama.rope.scaling.yarn_ext_factor': 64, expected 0 to 1"},
    {"llama", beta_negative, "'llama.rope.scaling.yarn_beta_fast': -0.5, expected 0 to"},
    {"llama", yarn_factor_of_string,
     "'llama.rope.scaling.yarn_attn_factor': type string, expected"},
    {"phi3", factor_with_longrope,
     "key 'phi3.rope.scaling.factor': 4 belongs to linear or yarn scaling"},
    {"llama", two_factors, "key 'llama.rope.scale_linear': lathe does not know it"},

    {"llama", no_embedding, "tensor 'token_embd.weight' is missing"},
    {"llama", no_output_norm, "tensor 'output_norm.weight' is missing"},
    {"llama", no_down, "tensor 'blk.1.ffn_down.weight' is missing"},
    {"llama", no_gate, "tensor 'blk.0.ffn_gate.weight' is missing"},
    {"llama", no_v, "tensor 'blk.0.attn_v.weight' is missing"},
    {"llama", bias_of_q_alone, "layer 0: some of attn_q.bias, attn_k.bias and attn_v.bias"},
    {"llama", bias_of_one_layer, "layers 0 and 1 differ in which projections have a bias"},
    {"llama", unknown_key,
     "key 'llama.attention.temperature_scale': lathe does not know it for architecture llama"},
    {"llama", unknown_key_of_another_prefix, "key 'phi3.block_count': lathe does not know it"},
    {"llama", logit_scale, "key 'llama.logit_scale': lathe does not know it"},
    {"llama", softcap, "key 'llama.attn_logit_softcapping': lathe does not know it"},
    {"llama", experts, "key 'llama.expert_count': lathe does not know it"},
    {"llama", unknown_tokenizer_key, "key 'tokenizer.ggml.normalizer': lathe does not know it"},
    {"llama", unknown_tensor,
     "tensor 'blk.0.attn_q_norm.weight': lathe knows no such tensor for architecture llama"},
    {"llama", unknown_tensor_of_no_layer,
     "tensor 'token_types.weight': lathe knows no such tensor"},
    {"llama", type_not_decodable,
     "tensor 'blk.0.ffn_down.weight': type Q4_0_4_4 is not supported: ggml has retired it"},
};

static void test_each_case_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FileSpec s;
        Model m;
        Err err;
        model_spec_of(&s, cases[i].arch);
        cases[i].spoil(&s);
        if (model_spec_read(&s, &m, &err)) fail_msg("accepted: %s", cases[i].message);
        if (!strstr(err.text, cases[i].message))
            fail_msg("expected '%s', got '%s'", cases[i].message, err.text);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_null(strchr(err.text, '\n'));
        spec_free(&s);
    }
}

static void test_unspoilt_models_are_read(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "phi3"};
    for (size_t a = 0; a < COUNT_OF(archs); a++) {
        FileSpec s;
        Model m;
        Err err;
        model_spec_of(&s, archs[a]);
        if (!model_spec_read(&s, &m, &err)) fail_msg("%s: %s", archs[a], err.text);
        spec_free(&s);
    }
}

// Any key but those that only describe, and any tensor, is needed, or a derivation answers for it:
// nothing that is left out changes a value in silence.
static void test_every_key_left_out_shows(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "phi3"};
    for (size_t a = 0; a < COUNT_OF(archs); a++) {
        FileSpec whole;
        model_spec_of(&whole, archs[a]);
        Model truth, m;
        Err err;
        assert_true(model_spec_read(&whole, &truth, &err));
        for (size_t k = 0; k < whole.keys_there; k++) {
            Str name = whole.keys[k].name;
            if (str_is(name, "general.name")) continue;
            FileSpec s;
            model_spec_of(&s, archs[a]);
            spec_drop_key(&s, arena_cstr(&s.arena, name));
            if (!model_spec_read(&s, &m, &err)) {
                spec_free(&s);
                continue;
            }
            size_t n_derived = 0;
            for (int f = 0; f < FIELD_COUNT; f++)
                n_derived += m.sources[f].kind != truth.sources[f].kind;
            bool same_digest =
                strcmp(contract_digest(&m.contract).hex, contract_digest(&truth.contract).hex) == 0;
            if (n_derived == 0 && !same_digest)
                fail_msg("without '%.*s' a value changed and its source does not say so",
                         STR_ARG(name));
            if (n_derived == 0) fail_msg("'%.*s' is not read", STR_ARG(name));
            spec_free(&s);
        }
        spec_free(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unspoilt_models_are_read),
        cmocka_unit_test(test_each_case_is_refused_by_name),
        cmocka_unit_test(test_every_key_left_out_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
