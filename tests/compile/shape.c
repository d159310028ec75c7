#include "compile/shape.h"

#include "gguf/blocks.h"

const Shape shape_phi4_mini = {
    .n_layers = 32,
    .d_model = 3072,
    .n_heads = 24,
    .n_kv_heads = 8,
    .head_dim = 128,
    .head_dim_v = 128,
    .d_ff = 8192,
    .n_vocab = 200064,
    .rope_dim = 96,
    .context = 131072,
};
const Shape shape_llama_8b = {
    .n_layers = 32,
    .d_model = 4096,
    .n_heads = 32,
    .n_kv_heads = 8,
    .head_dim = 128,
    .head_dim_v = 128,
    .d_ff = 14336,
    .n_vocab = 128256,
    .rope_dim = 128,
    .context = 131072,
    .is_interleaved = true,
};

uint32_t random_below(uint32_t *seed, uint32_t n) {
    *seed ^= *seed << 13, *seed ^= *seed >> 17, *seed ^= *seed << 5; // xorshift32
    return *seed % n;
}

static uint32_t between(uint32_t *seed, uint32_t low, uint32_t high) {
    return low + random_below(seed, high - low + 1);
}

Shape shape_random(uint32_t *seed) {
    Shape s = {
        .n_layers = between(seed, 1, 4),
        .n_kv_heads = between(seed, 1, 4),
        .head_dim = 8 * between(seed, 1, 16),
        .d_ff = 8 * between(seed, 1, 60),
        .n_vocab =
            between(seed, 1, 3) == 1 ? between(seed, 65530, 400000) : between(seed, 40, 3000),
        .has_biases = random_below(seed, 3) == 0,
        .is_interleaved = random_below(seed, 2) == 0,
        .attn_softcap = random_below(seed, 4) == 0 ? 50 : 0,
        .final_softcap = random_below(seed, 4) == 0 ? 30 : 0,
        .residual_scale = random_below(seed, 4) == 0 ? 0.25f : 1,
        .logit_scale = random_below(seed, 4) == 0 ? 0.5f : 1,
    };
    s.n_heads = s.n_kv_heads * between(seed, 1, 9);
    s.head_dim_v = s.head_dim;
    s.rope_dim = random_below(seed, 2) ? s.head_dim : 2 * between(seed, 1, s.head_dim / 2);
    s.d_model = 16 * between(seed, 1, 20);
    static const uint32_t contexts[] = {64, 100, 256, 480, 500, 505, 511, 512, 2048, 4096, 16384};
    s.context = contexts[random_below(seed, sizeof contexts / sizeof contexts[0])];
    return s;
}

static Rows rows_of(Arena *arena, const char *name, uint32_t layer, size_t n_rows, size_t n_cols) {
    TensorInfo *t = arena_new(arena, TensorInfo);
    const BlockType *type = block_type_named("F16");
    *t = (TensorInfo){
        .name = arena_printf(arena, "blk.%u.%s", layer, name),
        .n_dims = 2,
        .dims = {n_cols, n_rows, 1, 1},
        .type = type,
        .n_weights = n_rows * n_cols,
        .n_bytes = 2 * n_rows * n_cols,
    };
    return (Rows){t, 0, n_rows};
}

// A vector is weights of one row.
static Rows vector_of(Arena *arena, const char *name, uint32_t layer, size_t n) {
    Rows rows = rows_of(arena, name, layer, 1, n);
    rows.n_rows = n;
    return rows;
}

static LayerWeights layer_of(const Shape *s, uint32_t i, Arena *a) {
    size_t q = (size_t)s->n_heads * s->head_dim, k = (size_t)s->n_kv_heads * s->head_dim;
    size_t v = (size_t)s->n_kv_heads * s->head_dim_v, heads = (size_t)s->n_heads * s->head_dim_v;
    LayerWeights w = {
        .attn_norm = vector_of(a, "attn_norm", i, s->d_model),
        .q = rows_of(a, "q", i, q, s->d_model),
        .k = rows_of(a, "k", i, k, s->d_model),
        .v = rows_of(a, "v", i, v, s->d_model),
        .attn_out = rows_of(a, "attn_out", i, s->d_model, heads),
        .ffn_norm = vector_of(a, "ffn_norm", i, s->d_model),
        .gate = rows_of(a, "gate", i, s->d_ff, s->d_model),
        .up = rows_of(a, "up", i, s->d_ff, s->d_model),
        .down = rows_of(a, "down", i, s->d_model, s->d_ff),
    };
    if (!s->has_biases) return w;
    w.q_bias = vector_of(a, "q_bias", i, q);
    w.k_bias = vector_of(a, "k_bias", i, k);
    w.v_bias = vector_of(a, "v_bias", i, v);
    w.attn_out_bias = vector_of(a, "attn_out_bias", i, s->d_model);
    return w;
}

Model *shape_model(const Shape *s, Arena *arena) {
    Model *m = arena_new(arena, Model);
    m->contract = (Contract){
        .architecture = s->is_interleaved ? ARCH_LLAMA : ARCH_PHI3,
        .n_layers = s->n_layers,
        .d_model = s->d_model,
        .n_heads = s->n_heads,
        .n_kv_heads = s->n_kv_heads,
        .head_dim = s->head_dim,
        .head_dim_v = s->head_dim_v,
        .d_ff = s->d_ff,
        .n_vocab = s->n_vocab,
        .norm = NORM_RMS,
        .norm_eps = 1e-5f,
        .rope_style = s->is_interleaved ? ROPE_INTERLEAVED : ROPE_HALF,
        .context = s->context,
        .original_context = s->context,
        .attn_scale = 0.125f,
        .attn_softcap = s->attn_softcap,
        .final_softcap = s->final_softcap,
        .embedding_scale = 1,
        .kinds = {{.rope_dim = s->rope_dim,
                   .rope_base = 10000,
                   .rope_factor = 1,
                   .attn_factor = 1,
                   .is_gated = true,
                   .has_qkv_bias = s->has_biases,
                   .has_out_bias = s->has_biases}},
        .residual_scale = s->residual_scale != 0 ? s->residual_scale : 1,
        .logit_scale = s->logit_scale != 0 ? s->logit_scale : 1,
    };
    m->weights.embedding = rows_of(arena, "token_embd", 0, s->n_vocab, s->d_model);
    m->weights.output_norm = vector_of(arena, "output_norm", 0, s->d_model);
    m->weights.head = rows_of(arena, "head", 0, s->n_vocab, s->d_model);
    m->weights.layers = arena_array(arena, s->n_layers, LayerWeights);
    for (uint32_t i = 0; i < s->n_layers; i++) m->weights.layers[i] = layer_of(s, i, arena);
    return m;
}
