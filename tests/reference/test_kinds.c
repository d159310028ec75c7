// Layers of several kinds: each is computed by its own window and rotary tables.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "reference/reference.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"
enum { N_TOKENS = 9, N_LAYERS = 4 };

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    float keys[N_LAYERS]; // of each layer: sum of |rotated rows|, by the tap
    float context[N_LAYERS];
} Fixture;

static void watch(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                  size_t n_tokens) {
    Fixture *t = context;
    float *sum = place == TAP_ROTATED ? t->keys : place == TAP_ATTN_CONTEXT ? t->context : NULL;
    for (size_t i = 0; sum && i < width * n_tokens; i++) sum[layer] += (float)(i + 1) * rows[i];
}

// Runs a text under `c`; what the tap saw is in the fixture.
static void run(Fixture *t, const Contract *c) {
    static const uint32_t ids[N_TOKENS] = {2038, 54, 1987, 501, 680, 7, 99, 1200, 3};
    Err err = {0};
    memset(t->keys, 0, sizeof t->keys);
    memset(t->context, 0, sizeof t->context);
    ReferenceOptions options = {.n_positions = N_TOKENS, .tap = watch, .tap_context = t};
    Reference *r = reference_open(&t->model, c, &options, NULL, &err);
    if (!r || !reference_feed(r, ids, N_TOKENS, NULL, false, &err)) fail_msg("%s", err.text);
    reference_close(r);
}

static int open_model(void **state) {
    static Fixture t;
    Err err = {0};
    assert_true(gguf_open(&t.g, &t.arena, MODEL, &err));
    assert_true(model_read(&t.model, &t.g, &t.arena, &err));
    assert_int_equal(t.model.contract.n_layers, N_LAYERS);
    *state = &t;
    return 0;
}

static int close_model(void **state) {
    Fixture *t = *state;
    gguf_close(&t->g);
    arena_free(&t->arena);
    return 0;
}

// The first layer whose numbers differ from those of the model as it is.
static uint32_t first_other(const float *found, const float *stated) {
    uint32_t layer = 0;
    while (layer < N_LAYERS && found[layer] == stated[layer]) layer++;
    return layer;
}

static void test_a_kind_changes_its_own_layers(void **state) {
    Fixture *t = *state;
    static const uint32_t kinds[] = {0, 0, 1, 0};
    run(t, &t->model.contract);
    float keys[N_LAYERS], context[N_LAYERS];
    memcpy(keys, t->keys, sizeof keys);
    memcpy(context, t->context, sizeof context);

    Contract c = t->model.contract;
    c.kind_of_layer = (U32List){kinds, COUNT_OF(kinds)};
    c.kinds[1] = c.kinds[0];
    run(t, &c);
    assert_int_equal(first_other(t->keys, keys), N_LAYERS); // the same kind under two names
    assert_int_equal(first_other(t->context, context), N_LAYERS);

    c.kinds[1].rope_base *= 10;
    run(t, &c);
    assert_int_equal(first_other(t->keys, keys), 2);
    c.kinds[1] = c.kinds[0];
    c.kinds[1].attn_window = 3;
    run(t, &c);
    assert_int_equal(first_other(t->context, context), 2);
    assert_int_equal(first_other(t->keys, keys), 3); // by the stream that comes from there
    c.kinds[1] = c.kinds[0];
    c.kinds[1].attn_factor *= 2;
    run(t, &c);
    assert_int_equal(first_other(t->keys, keys), 2);
    c.kinds[1] = c.kinds[0];
    c.kinds[1].activation = ACTIVATION_GELU_TANH;
    run(t, &c);
    assert_int_equal(first_other(t->context, context), 3);
}

// A contract that asks for norms whose weights the model lacks.
static void test_norms_without_weights_are_refused(void **state) {
    Fixture *t = *state;
    ReferenceOptions options = {.n_positions = N_TOKENS};
    Contract c = t->model.contract;
    Err err = {0};
    c.kinds[0].qk_norm = QK_NORM_HEAD;
    assert_null(reference_open(&t->model, &c, &options, NULL, &err));
    assert_non_null(strstr(err.text, "'q_norm'"));
    c = t->model.contract;
    c.kinds[0].norm_placement = NORM_BOTH;
    assert_null(reference_open(&t->model, &c, &options, NULL, &err));
    assert_non_null(strstr(err.text, "'attn_post_norm'"));
    assert_int_equal(err.kind, ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kind_changes_its_own_layers),
        cmocka_unit_test(test_norms_without_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
