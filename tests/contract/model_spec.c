#include "contract/model_spec.h"

#include "base/size.h"

enum { D_MODEL = 32, D_FF = 48, Q_ROWS = 32, KV_ROWS = 16, N_TOKENS = 10, N_LAYERS = 2 };

static const char *const tokens[N_TOKENS] = {
    "a", "b", "c", "d", "ab", "<|user|>", "<|end|>", "<|endoftext|>", "<spare>", "<|im_end|>"};
// normal 1, control 3, unused 5
static const int32_t types[N_TOKENS] = {1, 1, 1, 1, 1, 3, 3, 3, 5, 1};

static const char *full(FileSpec *s, const char *arch, const char *suffix) {
    return arena_printf(&s->arena, "%s.%s", arch, suffix).at;
}

static void add_keys(FileSpec *s, const char *arch) {
    spec_add_string(s, "general.architecture", arch);
    spec_add_string(s, "general.name", "Test");
    spec_add_u32(s, full(s, arch, "block_count"), N_LAYERS);
    spec_add_u32(s, full(s, arch, "embedding_length"), D_MODEL);
    spec_add_u32(s, full(s, arch, "feed_forward_length"), D_FF);
    spec_add_u32(s, full(s, arch, "attention.head_count"), 4);
    spec_add_u32(s, full(s, arch, "attention.head_count_kv"), 2);
    spec_add_f32(s, full(s, arch, "attention.layer_norm_rms_epsilon"), 1e-5f);
    spec_add_u32(s, full(s, arch, "context_length"), 64);
    spec_add_f32(s, full(s, arch, "rope.freq_base"), 10000);
    spec_add_string(s, "tokenizer.ggml.model", "gpt2");
    spec_add_string(s, "tokenizer.ggml.pre", "gpt-2");
    spec_add_strings(s, "tokenizer.ggml.tokens", tokens, N_TOKENS);
    spec_add_i32s(s, "tokenizer.ggml.token_type", types, N_TOKENS);
    const char *merges[] = {"a b"};
    spec_add_strings(s, "tokenizer.ggml.merges", merges, COUNT_OF(merges));
    spec_add_u32(s, "tokenizer.ggml.bos_token_id", 7);
    spec_add_u32(s, "tokenizer.ggml.eos_token_id", 7);
    spec_add_bool(s, "tokenizer.ggml.add_bos_token", false);
    spec_add_string(s, "tokenizer.chat_template", "{{ messages[0].content }}");
}

static void add_matrix(FileSpec *s, const char *name, uint64_t n_cols, uint64_t n_rows) {
    spec_add_tensor(s, name, "F32", 2, (uint64_t[]){n_cols, n_rows});
}

static void add_vector(FileSpec *s, const char *name, uint64_t n) {
    spec_add_tensor(s, name, "F32", 1, (uint64_t[]){n});
}

static const char *in_layer(FileSpec *s, int layer, const char *what) {
    return arena_printf(&s->arena, "blk.%d.%s", layer, what).at;
}

static void add_ends(FileSpec *s) {
    add_matrix(s, "token_embd.weight", D_MODEL, N_TOKENS);
    add_vector(s, "output_norm.weight", D_MODEL);
}

void model_spec_llama(FileSpec *s) {
    spec_init(s);
    add_keys(s, "llama");
    spec_add_u32(s, "llama.rope.dimension_count", 8);
    add_ends(s);
    for (int i = 0; i < N_LAYERS; i++) {
        add_vector(s, in_layer(s, i, "attn_norm.weight"), D_MODEL);
        add_matrix(s, in_layer(s, i, "attn_q.weight"), D_MODEL, Q_ROWS);
        add_matrix(s, in_layer(s, i, "attn_k.weight"), D_MODEL, KV_ROWS);
        add_matrix(s, in_layer(s, i, "attn_v.weight"), D_MODEL, KV_ROWS);
        add_matrix(s, in_layer(s, i, "attn_output.weight"), Q_ROWS, D_MODEL);
        add_vector(s, in_layer(s, i, "ffn_norm.weight"), D_MODEL);
        add_matrix(s, in_layer(s, i, "ffn_gate.weight"), D_MODEL, D_FF);
        add_matrix(s, in_layer(s, i, "ffn_up.weight"), D_MODEL, D_FF);
        add_matrix(s, in_layer(s, i, "ffn_down.weight"), D_FF, D_MODEL);
    }
}

void model_spec_phi3(FileSpec *s) {
    spec_init(s);
    add_keys(s, "phi3");
    spec_add_u32(s, "phi3.rope.dimension_count", 4);
    spec_add_u32(s, "phi3.rope.scaling.original_context_length", 16);
    spec_add_f32(s, "phi3.rope.scaling.attn_factor", 1.25f);
    spec_add_u32(s, "phi3.attention.sliding_window", 262144);
    add_ends(s);
    add_vector(s, "rope_factors_short.weight", 2);
    add_vector(s, "rope_factors_long.weight", 2);
    spec_set_floats(s, "rope_factors_short.weight", (float[]){1, 1.5f}, 2);
    spec_set_floats(s, "rope_factors_long.weight", (float[]){1, 4}, 2);
    for (int i = 0; i < N_LAYERS; i++) {
        add_vector(s, in_layer(s, i, "attn_norm.weight"), D_MODEL);
        add_matrix(s, in_layer(s, i, "attn_qkv.weight"), D_MODEL, Q_ROWS + 2 * KV_ROWS);
        add_matrix(s, in_layer(s, i, "attn_output.weight"), Q_ROWS, D_MODEL);
        add_vector(s, in_layer(s, i, "ffn_norm.weight"), D_MODEL);
        add_matrix(s, in_layer(s, i, "ffn_up.weight"), D_MODEL, 2 * D_FF);
        add_matrix(s, in_layer(s, i, "ffn_down.weight"), D_FF, D_MODEL);
    }
}

void model_spec_of(FileSpec *s, const char *arch) {
    if (str_is(str_of(arch), "phi3"))
        model_spec_phi3(s);
    else
        model_spec_llama(s);
}

static void drop_if_there(FileSpec *s, const char *key) {
    for (size_t i = 0; i < s->keys_there; i++)
        if (str_is(s->keys[i].name, key)) {
            spec_drop_key(s, key);
            return;
        }
}

void model_put_u32(FileSpec *s, const char *key, uint32_t value) {
    drop_if_there(s, key);
    spec_add_u32(s, key, value);
}

void model_put_f32(FileSpec *s, const char *key, float value) {
    drop_if_there(s, key);
    spec_add_f32(s, key, value);
}

void model_put_string(FileSpec *s, const char *key, const char *value) {
    drop_if_there(s, key);
    spec_add_string(s, key, value);
}

void model_add_rope_freqs(FileSpec *s) {
    add_vector(s, "rope_freqs.weight", 4);
    spec_set_floats(s, "rope_freqs.weight", (float[]){1, 2, 4, 8}, 4);
}

bool model_spec_read(FileSpec *s, Model *m, Err *err) {
    Gguf *g = arena_new(&s->arena, Gguf);
    Str bytes = spec_bytes(s);
    *err = (Err){0};
    return gguf_open_bytes(g, &s->arena, bytes.at, bytes.len, "test.gguf", err) &&
           model_read(m, g, &s->arena, err);
}
