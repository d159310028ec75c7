// What a tap sees: every place of every layer once a batch, in the order of the enum, and rows that
// fit together: each stream is the one before plus the branch between them. What a nudge changes at
// a place, and no more, is what the model goes on with.
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
static const uint32_t ids[N_TOKENS] = {2038, 54, 1987, 501, 680};

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
    assert_true(reference_feed(r, ids, N_TOKENS, NULL, false, &err));
    assert_int_equal(w.next, m.contract.n_layers * PLACES + 1);
    reference_close(r);
    gguf_close(&g);
    arena_free(&arena);
}

// ---- nudges

typedef struct {
    uint64_t seen[4096];
    size_t n[4096]; // numbers that came with it
    size_t n_seen, n_first;
    uint64_t target; // of the call that changes its rows; UINT64_MAX: none
} Nudges;

static void nudge(void *context, uint64_t which, float *rows, size_t n) {
    Nudges *s = context;
    assert_true(s->n_seen < COUNT_OF(s->seen));
    for (size_t i = 0; i < s->n_seen; i++) assert_true(s->seen[i] != which);
    s->n[s->n_seen] = n;
    s->seen[s->n_seen++] = which;
    s->n_first += (uint32_t)which == 0;
    for (size_t i = 0; which == s->target && i < n; i++) rows[i] += (float)(i % 3);
}

static void run_nudged(const Model *m, LayerNudge *how, Nudges *s, float *logits) {
    Err err = {0};
    ReferenceOptions options = {.n_positions = N_TOKENS, .nudge = how, .nudge_context = s};
    Reference *r = reference_open(m, &m->contract, &options, NULL, &err);
    assert_non_null(r);
    assert_true(reference_feed(r, ids, N_TOKENS, logits, false, &err));
    reference_close(r);
}

static void test_what_a_nudge_changes_is_gone_on_with(void **state) {
    (void)state;
    Err err = {0};
    Arena arena = {0};
    Gguf g;
    Model m;
    assert_true(gguf_open(&g, &arena, MODEL, &err) && model_read(&m, &g, &arena, &err));
    size_t n_vocab = m.contract.n_vocab, bytes = n_vocab * sizeof(float);
    float *plain = arena_array(&arena, n_vocab, float),
          *other = arena_array(&arena, n_vocab, float);
    run_nudged(&m, NULL, NULL, plain);
    static Nudges all;
    all = (Nudges){.target = UINT64_MAX};
    run_nudged(&m, nudge, &all, other);
    assert_memory_equal(plain, other, bytes);
    // The last stream, and a layer's twelve places and scores of each query of each head.
    size_t places = 13, queries = (size_t)N_TOKENS * m.contract.n_heads;
    assert_int_equal(all.n_first, m.contract.n_layers * places + 1);
    assert_int_equal(all.n_seen, m.contract.n_layers * (places - 1 + queries) + 1);
    for (size_t i = 0; i < all.n_seen; i++) {
        static Nudges one;
        one = (Nudges){.target = all.seen[i]};
        run_nudged(&m, nudge, &one, other);
        // Scores are as many as the query's token has before it and itself; of one, softmax makes 1
        // of any. In the last layer the last token's alone lead to its logits.
        bool is_of_scores = all.n[i] <= N_TOKENS;
        uint64_t last = (all.seen[all.n_seen - 1] >> 32) - (PLACES + 1); // first of the last layer
        bool is_last_layer = all.seen[i] >> 32 >= last;
        if (is_of_scores && (all.n[i] == 1 || (is_last_layer && all.n[i] < N_TOKENS)))
            assert_memory_equal(plain, other, bytes);
        else
            assert_true(memcmp(plain, other, bytes) != 0);
    }
    gguf_close(&g);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_come_in_order_and_add_up),
        cmocka_unit_test(test_what_a_nudge_changes_is_gone_on_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
