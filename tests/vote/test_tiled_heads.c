// Query heads that share kv heads by turns: the reference over reordered rows gives the logits of a
// model in which every query head has its own copy of the kv head that it shares.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "quant/quant.h"
#include "vote/tiled_heads.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"
enum { N_IDS = 40 };

// The kv heads of `rows`, one a query head: head h gets kv head h % n_kv_heads.
static Rows copy_a_head(const Contract *c, Rows rows, size_t head_dim, Arena *arena) {
    size_t n_cols = rows.tensor->dims[0], n_rows = c->n_heads * head_dim;
    float *numbers = arena_array(arena, n_rows * n_cols, float);
    for (size_t row = 0; row < n_rows; row++) {
        size_t kv_head = row / head_dim % c->n_kv_heads;
        decode_row(rows.tensor, rows.first_row + kv_head * head_dim + row % head_dim,
                   numbers + row * n_cols);
    }
    TensorInfo *t = arena_new(arena, TensorInfo);
    *t = *rows.tensor;
    t->type = block_type_named("F32");
    t->dims[1] = n_rows;
    t->n_weights = n_rows * n_cols;
    t->n_bytes = t->n_weights * sizeof(float);
    t->data = (const uint8_t *)numbers;
    return (Rows){.tensor = t, .n_rows = n_rows};
}

static void last_logits(const Model *m, WeightRow *weights, void *context, float *logits) {
    uint32_t ids[N_IDS];
    Err err = {0};
    for (uint32_t i = 0; i < N_IDS; i++) ids[i] = (i * 37 + 11) % 2000;
    ReferenceOptions options = {
        .n_positions = N_IDS, .weights = weights, .weights_context = context};
    Reference *r = reference_open(m, &m->contract, &options, NULL, &err);
    if (!r || !reference_feed(r, ids, N_IDS, logits, false, &err)) fail_msg("%s", err.text);
    reference_close(r);
}

static double off(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void test_heads_shared_by_turns(void **state) {
    (void)state;
    Arena arena = {0};
    Gguf g;
    Model m;
    Err err = {0};
    if (!gguf_open(&g, &arena, MODEL, &err) || !model_read(&m, &g, &arena, &err))
        fail_msg("%s", err.text);
    const Contract *c = &m.contract;
    assert_true(c->n_kv_heads > 1 && c->n_kv_heads < c->n_heads); // else there is nothing to see

    Model wide = m;
    wide.weights.layers = arena_array(&arena, c->n_layers, LayerWeights);
    memcpy(wide.weights.layers, m.weights.layers, c->n_layers * sizeof(LayerWeights));
    for (uint32_t i = 0; i < c->n_layers; i++) {
        LayerWeights *w = &wide.weights.layers[i];
        assert_null(w->k_bias.tensor);
        w->k = copy_a_head(c, w->k, c->head_dim, &arena);
        w->v = copy_a_head(c, w->v, c->head_dim_v, &arena);
    }
    wide.contract.n_kv_heads = c->n_heads;

    float *found = arena_array(&arena, c->n_vocab, float);
    float *wanted = arena_array(&arena, c->n_vocab, float);
    float *grouped = arena_array(&arena, c->n_vocab, float);
    last_logits(&m, tiled_heads_row, &m, found);
    last_logits(&wide, NULL, NULL, wanted);
    last_logits(&m, NULL, NULL, grouped);
    // Sums over heads go in another order; heads in groups are another model.
    assert_true(off(found, wanted, c->n_vocab) <= 1e-3);
    assert_true(off(grouped, wanted, c->n_vocab) >= 1);
    gguf_close(&g);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads_shared_by_turns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
