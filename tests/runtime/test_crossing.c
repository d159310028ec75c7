// LongRoPE's factor sets by running length, in a session over either engine: fed in one call, in
// chunks or step by step across the original context, after a rewind and when a conversation is
// shortened below it again, the logits are those of one forward pass over the same tokens by a
// fresh reference under the set of that length.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "convert/convert.h"
#include "runtime/session.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"

// The model's own original context is 1024; a smaller one crosses sooner, by the same code.
enum { ORIGINAL = 96, CONTEXT = 256, N_IDS = 140 };

// Fresh fp32 passes differ in the order of sums only.
#define REFERENCE_OFF 2e-3
// fp16 packages: rms over a vocabulary. Measured 0.01; keys of the other factor set cost 0.97.
#define BUNDLE_OFF 0.1

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Bundle bundle;
    Session *session;
    uint32_t ids[N_IDS];
    float *found, *wanted;
    char note[128];
    size_t n_notes, n_left; // notes; chunks until reading is stopped (0: never)
    double most_off;
} Crossing;

static bool goes_on(void *context) {
    Crossing *c = context;
    return c->n_left == 0 || --c->n_left > 0;
}

static void note(void *context, const char *text) {
    Crossing *c = context;
    snprintf(c->note, sizeof c->note, "%s", text);
    c->n_notes++;
}

static void open_model(Crossing *c) {
    Err err = {0};
    *c = (Crossing){0};
    if (!gguf_open(&c->g, &c->arena, MODEL, &err) || !model_read(&c->model, &c->g, &c->arena, &err))
        fail_msg("%s", err.text);
    assert_int_equal(c->model.contract.original_context, 1024);
    c->model.contract.original_context = ORIGINAL;
    for (uint32_t i = 0; i < N_IDS; i++) c->ids[i] = (i * 37 + 11) % 2000;
    c->found = calloc(c->model.contract.n_vocab, sizeof(float));
    c->wanted = calloc(c->model.contract.n_vocab, sizeof(float));
}

static void open_reference(Crossing *c) {
    Err err = {0};
    open_model(c);
    c->most_off = REFERENCE_OFF;
    ReferenceOptions options = {.n_positions = CONTEXT};
    c->session = session_open(model_runner_open_reference(&c->model, &options, NULL, &err), &err);
    if (!c->session) fail_msg("%s", err.text);
}

static void open_bundle(Crossing *c) {
    Err err = {0};
    Chain chain;
    const char *tmp = getenv("LATHE_TEST_TMP");
    open_model(c);
    c->most_off = BUNDLE_OFF;
    ConvertJob job = {
        .model_path = MODEL,
        .out_path = arena_printf(&c->arena, "%s/test_crossing.lathe", tmp ? tmp : ".").at,
        .chosen = {[USE_context] = "256"},
        .options = {.prefill_rows = 64, .target = target_named("macos27"), .weights = WEIGHTS_F16},
        .replaces = true,
        .tool_version = "lathe test",
    };
    if (!bundle_convert(&chain, &c->arena, &job, &err) ||
        !bundle_open(&c->bundle, &c->arena, job.out_path, &err))
        fail_msg("%s", err.text);
    c->bundle.chain.contract.original_context = ORIGINAL;
    Execution how = {.arithmetic = ARITHMETIC_FP16};
    c->session = session_open(model_runner_open_bundle(&c->bundle, &how, &err), &err);
    if (!c->session) fail_msg("%s", err.text);
}

static void close_all(Crossing *c) {
    session_close(c->session);
    if (c->bundle.dir) bundle_close(&c->bundle);
    free(c->found);
    free(c->wanted);
    gguf_close(&c->g);
    arena_free(&c->arena);
}

// One pass over ids [0, n) by a reference that knows nothing of crossings: the set is given.
static void pass(Crossing *c, size_t n) {
    Err err = {0};
    ReferenceOptions options = {
        .n_positions = CONTEXT,
        .rope_factors = n > ORIGINAL ? ROPE_FACTORS_LONG : ROPE_FACTORS_SHORT,
    };
    Reference *r = reference_open(&c->model, &c->model.contract, &options, NULL, &err);
    if (!r || !reference_feed(r, c->ids, n, c->wanted, false, &err)) fail_msg("%s", err.text);
    reference_close(r);
}

static double off(const Crossing *c) {
    double squares = 0;
    size_t n = c->model.contract.n_vocab;
    for (size_t i = 0; i < n; i++) {
        double d = (double)c->found[i] - (double)c->wanted[i];
        squares += d * d;
    }
    return sqrt(squares / (double)n);
}

static bool feed_until(Crossing *c, size_t end, Err *err) {
    Progress watch = {.context = c, .goes_on = goes_on, .note = note};
    size_t at = session_position(c->session);
    return session_feed(c->session, c->ids + at, end - at, c->found, &watch, err);
}

// Feeds up to `end` in one call and compares with one pass.
static void check_until(Crossing *c, size_t end) {
    Err err = {0};
    if (!feed_until(c, end, &err)) fail_msg("%s", err.text);
    assert_int_equal(session_position(c->session), end);
    assert_memory_equal(session_tokens(c->session), c->ids, end * sizeof *c->ids);
    pass(c, end);
    if (!(off(c) <= c->most_off)) fail_msg("at length %zu: off by %g", end, off(c));
}

static void check_all_ways(Crossing *c) {
    // Step by step across.
    check_until(c, ORIGINAL - 2);
    check_until(c, ORIGINAL - 1);
    check_until(c, ORIGINAL);
    assert_int_equal(c->n_notes, 0);
    check_until(c, ORIGINAL + 1);
    assert_int_equal(c->n_notes, 1);
    assert_string_equal(c->note, "position 97: the long factors apply; reading 96 tokens again");
    check_until(c, ORIGINAL + 2);
    check_until(c, N_IDS);
    assert_int_equal(c->n_notes, 1);
    // Back to a place beyond it, at it, and below it.
    session_rewind(c->session, ORIGINAL + 5);
    check_until(c, ORIGINAL + 9);
    assert_int_equal(c->n_notes, 1);
    session_rewind(c->session, ORIGINAL - 1);
    check_until(c, ORIGINAL);
    assert_int_equal(c->n_notes, 2);
    assert_string_equal(c->note, "position 96: the short factors apply; reading 95 tokens again");
    session_rewind(c->session, 40);
    check_until(c, 43);
    assert_int_equal(c->n_notes, 2);
    // A rewind below and a text that reaches beyond again.
    check_until(c, ORIGINAL + 20);
    session_rewind(c->session, 50);
    check_until(c, ORIGINAL + 30);
    assert_int_equal(c->n_notes, 3);
    // In one call, with nothing to read again.
    session_reset(c->session);
    check_until(c, N_IDS);
    session_reset(c->session);
    check_until(c, ORIGINAL);
    assert_int_equal(c->n_notes, 3);
}

static void test_reference_in_all_ways(void **state) {
    (void)state;
    Crossing c;
    open_reference(&c);
    check_all_ways(&c);
    close_all(&c);
}

static void test_bundle_in_all_ways(void **state) {
    (void)state;
    Crossing c;
    open_bundle(&c);
    check_all_ways(&c);
    close_all(&c);
}

// Reading again can be stopped, and what the session holds then is a beginning of the tokens.
static void check_stopping(Crossing *c) {
    Err err = {0};
    check_until(c, ORIGINAL);
    c->n_left = 2;
    assert_false(feed_until(c, ORIGINAL + 1, &err));
    assert_int_equal(err.kind, ERR_STOPPED);
    assert_true(session_position(c->session) < ORIGINAL);
    c->n_left = 0;
    check_until(c, ORIGINAL - 3);
    check_until(c, ORIGINAL + 1);
}

static void test_stopped_on_the_way(void **state) {
    (void)state;
    Crossing c;
    open_reference(&c);
    check_stopping(&c);
    close_all(&c);
    open_bundle(&c);
    check_stopping(&c);
    close_all(&c);
}

typedef struct {
    Crossing *c;
    size_t n_compared;
} Each;

static void compare_each(void *context, size_t i, const float *logits) {
    Each *e = context;
    if (i % 10 == 0) {
        Err err = {0};
        ReferenceOptions options = {.n_positions = CONTEXT, .rope_factors = ROPE_FACTORS_LONG};
        Reference *r = reference_open(&e->c->model, &e->c->model.contract, &options, NULL, &err);
        assert_true(r && reference_feed(r, e->c->ids, i + 1, e->c->wanted, false, &err));
        reference_close(r);
        memcpy(e->c->found, logits, e->c->model.contract.n_vocab * sizeof *logits);
        if (!(off(e->c) <= e->c->most_off)) fail_msg("logits of %zu: off by %g", i, off(e->c));
        e->n_compared++;
    }
}

// Logits of every token of one pass beyond the original context: all under the long set.
static void test_one_pass_has_one_set(void **state) {
    (void)state;
    Crossing c;
    Err err = {0};
    for (int is_bundle = 0; is_bundle < 2; is_bundle++) {
        if (is_bundle)
            open_bundle(&c);
        else
            open_reference(&c);
        Each each = {&c, 0};
        assert_true(session_feed_each(c.session, c.ids, N_IDS, 60, compare_each, &each, &err));
        assert_int_equal(each.n_compared, 8);
        close_all(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_in_all_ways),
        cmocka_unit_test(test_bundle_in_all_ways),
        cmocka_unit_test(test_stopped_on_the_way),
        cmocka_unit_test(test_one_pass_has_one_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
