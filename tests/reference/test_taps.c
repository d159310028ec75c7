// What a tap sees: every place of every layer once a batch, in the order of the enum, and rows that
// fit together: each stream is the one before plus the branch between them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/size.h"
#include "reference/reference.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"
enum { N_TOKENS = 5, PLACES = TAP_FFN_OUT_NORMED + 1 };

typedef struct {
    const Contract *contract;
    uint32_t next; // place and layer that must come next, as layer * PLACES + place
    float stream[N_TOKENS * 128], branch[N_TOKENS * 128];
} Watch;

static size_t width_of(const Contract *c, TapPlace place) {
    size_t qkv = (size_t)(c->n_heads + c->n_kv_heads) * c->head_dim;
    switch (place) {
    case TAP_QKV:
    case TAP_ROTATED: return qkv + (size_t)c->n_kv_heads * c->head_dim_v;
    case TAP_ATTN_CONTEXT: return (size_t)c->n_heads * c->head_dim_v;
    case TAP_GATE:
    case TAP_UP:
    case TAP_GATED: return c->d_ff;
    case TAP_STREAM:
    case TAP_ATTN_NORMED:
    case TAP_ATTN_OUT:
    case TAP_POST_ATTN_RESIDUAL:
    case TAP_FFN_NORMED:
    case TAP_FFN_OUT:
    case TAP_ATTN_OUT_NORMED:
    case TAP_FFN_OUT_NORMED: return c->d_model;
    }
    return 0;
}

static void watch(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                  size_t n_tokens) {
    Watch *w = context;
    size_t n = N_TOKENS * w->contract->d_model;
    bool is_post =
        w->next % PLACES == TAP_ATTN_OUT_NORMED || w->next % PLACES == TAP_FFN_OUT_NORMED;
    w->next += is_post; // the model has no norms after its branches
    assert_int_equal(layer * PLACES + place, w->next++);
    assert_int_equal(n_tokens, N_TOKENS);
    assert_int_equal(width, width_of(w->contract, place));
    if (place == TAP_ATTN_OUT || place == TAP_FFN_OUT) memcpy(w->branch, rows, n * sizeof *rows);
    if (place != TAP_STREAM && place != TAP_POST_ATTN_RESIDUAL) return;
    for (size_t i = 0; w->next > 1 && i < n; i++)
        assert_true(rows[i] == w->stream[i] + w->branch[i] * w->contract->residual_scale);
    memcpy(w->stream, rows, n * sizeof *rows);
}

static void test_places_come_in_order_and_add_up(void **state) {
    (void)state;
    Err err = {0};
    Arena arena = {0};
    Gguf g;
    Model m;
    assert_true(gguf_open(&g, &arena, MODEL, &err) && model_read(&m, &g, &arena, &err));
    Watch w = {.contract = &m.contract};
    ReferenceOptions options = {.n_positions = N_TOKENS, .tap = watch, .tap_context = &w};
    Reference *r = reference_open(&m, &m.contract, &options, NULL, &err);
    assert_non_null(r);
    const uint32_t ids[N_TOKENS] = {2038, 54, 1987, 501, 680};
    assert_true(reference_feed(r, ids, N_TOKENS, NULL, false, &err));
    assert_int_equal(w.next, m.contract.n_layers * PLACES + 1);
    reference_close(r);
    gguf_close(&g);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_come_in_order_and_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
