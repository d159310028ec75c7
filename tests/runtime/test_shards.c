// A bundle's packages as a session's model, over an engine that records what it is asked to do:
// which functions run on which rows, what the host computes and how often, where logits land.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "decoder/ports.h"
#include "runtime/fake_bundle.h"
#include "runtime/session.h"

static const uint32_t ids[] = {1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0};

// What a hidden row comes to in two packages.
enum { ADDED = 2 + 4 };

typedef struct {
    FakeBundle *fake;
    Session *session;
    float logits[FAKE_VOCAB];
    Err err;
} Fixture;

// A host that counts its work.
static size_t n_rope, n_mask, n_place;

static void count_rope(const Host *h, HostStep *step, uint32_t kind) {
    n_rope++;
    host_ops.fill_rope(h, step, kind);
}

static void count_mask(const Host *h, HostStep *step, uint32_t kind) {
    n_mask++;
    host_ops.fill_mask(h, step, kind);
}

static void count_place(const Host *h, HostStep *step) {
    n_place++;
    host_ops.fill_place(h, step);
}

static void open_fixture_of(Fixture *t, FakeBundle *fake, const HostOps *host) {
    *t = (Fixture){.fake = fake};
    Execution how = {.engine = &fake_engine, .host = host, .arithmetic = ARITHMETIC_FP16};
    t->session = session_open(model_runner_open_bundle(&t->fake->bundle, &how, &t->err), &t->err);
    if (!t->session) fail_msg("%s", t->err.text);
}

static void open_fixture(Fixture *t, const HostOps *host) {
    open_fixture_of(t, fake_bundle_open(), host);
}

static void close_fixture(Fixture *t) {
    session_close(t->session);
    fake_bundle_close(t->fake);
}

static void feed(Fixture *t, uint32_t n) {
    t->fake->n_calls = 0;
    if (!session_feed(t->session, ids + session_position(t->session), n, t->logits, NULL, &t->err))
        fail_msg("%s", t->err.text);
}

static void expect_logits(const Fixture *t, uint32_t token) {
    for (uint32_t i = 0; i < FAKE_VOCAB; i++)
        assert_true(t->logits[i] == (2 * (float)token + 0.5f + 2 * ADDED) / 4 + (float)i);
}

static void expect_call(const Fixture *t, size_t i, int package, const char *function,
                        int32_t begin, int32_t end) {
    const FakeCall *call = &t->fake->calls[i];
    assert_true(i < t->fake->n_calls);
    assert_int_equal(call->package, package);
    assert_string_equal(call->function, function);
    if (strcmp(function, "head") == 0) return;
    assert_int_equal(call->kv_begin, begin);
    assert_int_equal(call->kv_end, end);
    assert_true(call->first_mask == 0); // every row sees the first slot
}

static void test_a_step_goes_through_every_package(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    assert_string_equal(session_engine(t.session), "fake (fp16)");
    feed(&t, 1);
    assert_int_equal(t.fake->n_calls, 3);
    expect_call(&t, 0, 0, "decode", 0, 1);
    expect_call(&t, 1, 1, "decode", 0, 1);
    expect_call(&t, 2, 1, "head", 0, 0);
    expect_logits(&t, ids[0]);
    feed(&t, 1);
    expect_call(&t, 0, 0, "decode", 1, 2);
    expect_logits(&t, ids[1]);
    close_fixture(&t);
}

// Whole chunks, a padded rest of 4 or more, single steps for less and where padding does not fit.
static void test_chunks(void **state) {
    (void)state;
    static const struct {
        uint32_t before, n;
        const char *first, *second;
        size_t n_layer_calls; // of both packages
    } rows[] = {
        {0, 8, "prefill", "head", 2},     {0, 9, "prefill", "decode", 4},
        {0, 4, "prefill", "head", 2},     {0, 3, "decode", "decode", 6},
        {0, 12, "prefill", "prefill", 4}, {12, 8, "prefill", "head", 2},
        {13, 7, "decode", "decode", 14},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Fixture t;
        open_fixture(&t, NULL);
        feed(&t, rows[i].before);
        feed(&t, rows[i].n);
        assert_int_equal(session_position(t.session), rows[i].before + rows[i].n);
        assert_int_equal(t.fake->n_calls, rows[i].n_layer_calls + 1);
        assert_string_equal(t.fake->calls[0].function, rows[i].first);
        assert_string_equal(t.fake->calls[2].function, rows[i].second);
        expect_logits(&t, ids[rows[i].before + rows[i].n - 1]);
        close_fixture(&t);
    }
}

// Padding writes slots after the tokens, which the next rows take over.
static void test_padding_does_not_move_the_position(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    feed(&t, 5);
    expect_call(&t, 0, 0, "prefill", 0, FAKE_ROWS);
    feed(&t, 1);
    expect_call(&t, 0, 0, "decode", 5, 6);
    close_fixture(&t);
}

static void test_the_host_computes_once_a_step(void **state) {
    (void)state;
    HostOps counting = host_ops;
    counting.fill_rope = count_rope;
    counting.fill_mask = count_mask;
    counting.fill_place = count_place;
    Fixture t;
    open_fixture(&t, &counting);
    n_rope = n_mask = n_place = 0;
    feed(&t, 10); // a chunk and two steps, through two packages each
    assert_int_equal(t.fake->n_calls, 3 * FAKE_PACKAGES + 1);
    assert_int_equal(n_rope, 3);
    assert_int_equal(n_mask, 3);
    assert_int_equal(n_place, 3);
    close_fixture(&t);
}

// decode takes as many rows as prefill would: a single token goes through it, too, at the end of the
// context as well, and two go at once.
static void test_one_function_for_single_tokens_and_chunks(void **state) {
    (void)state;
    Fixture t;
    FakeBundle *fake = fake_bundle_open();
    fake_bundle_make_one(fake);
    open_fixture_of(&t, fake, NULL);
    feed(&t, 1);
    assert_int_equal(t.fake->n_calls, 3);
    expect_call(&t, 0, 0, "decode", 0, FAKE_ROWS);
    expect_call(&t, 1, 1, "decode", 0, FAKE_ROWS);
    expect_call(&t, 2, 1, "head", 0, 0);
    expect_logits(&t, ids[0]);
    feed(&t, 2);
    expect_call(&t, 0, 0, "decode", 1, 1 + FAKE_ROWS);
    assert_int_equal(t.fake->n_calls, 3);
    expect_logits(&t, ids[2]);
    feed(&t, FAKE_CONTEXT - 4);
    feed(&t, 1);
    expect_call(&t, 0, 0, "decode", FAKE_CONTEXT - 1, FAKE_CONTEXT - 1 + FAKE_ROWS);
    expect_logits(&t, ids[FAKE_CONTEXT - 1]);
    close_fixture(&t);
}

typedef struct {
    size_t n, first;
    float last[FAKE_VOCAB];
} Taken;

static void take(void *context, size_t i, const float *logits) {
    Taken *taken = context;
    if (taken->n++ == 0) taken->first = i;
    memcpy(taken->last, logits, sizeof taken->last);
}

static void test_logits_of_the_rows_asked_for(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    Taken taken = {0};
    assert_true(session_feed_each(t.session, ids, 9, 6, take, &taken, NULL));
    assert_int_equal(taken.n, 3);
    assert_int_equal(taken.first, 6);
    memcpy(t.logits, taken.last, sizeof t.logits);
    expect_logits(&t, ids[8]);
    close_fixture(&t);
}

static void test_reset_and_rewind(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    feed(&t, 6);
    session_rewind(t.session, 2);
    assert_int_equal(t.fake->n_resets, 0); // stale slots are masked
    feed(&t, 1);
    expect_call(&t, 0, 0, "decode", 2, 3);
    session_reset(t.session);
    assert_int_equal(session_position(t.session), 0);
    assert_int_equal(t.fake->n_resets, FAKE_PACKAGES);
    close_fixture(&t);
}

static void test_rows_that_are_not_finite_empty_the_session(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    feed(&t, 8);
    t.fake->spoils = true;
    assert_false(session_feed(t.session, ids, 4, t.logits, NULL, &t.err));
    assert_int_equal(t.err.kind, ERR_FORMAT);
    assert_non_null(strstr(t.err.text, "rows of positions 8 to 11 are not finite in fake (fp16)"));
    assert_int_equal(session_position(t.session), 0);
    assert_int_equal(t.fake->n_resets, FAKE_PACKAGES);
    feed(&t, 1);
    expect_logits(&t, ids[0]);
    close_fixture(&t);
}

static void test_a_run_that_fails_empties_the_session(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, NULL);
    feed(&t, 8);
    t.fake->fails = true;
    assert_false(session_feed(t.session, ids, 1, t.logits, NULL, &t.err));
    assert_int_equal(t.err.kind, ERR_SYSTEM);
    assert_string_equal(t.err.text, "package 0: the device is gone");
    assert_int_equal(session_position(t.session), 0);
    assert_int_equal(t.fake->n_resets, FAKE_PACKAGES);
    close_fixture(&t);
}

// Slots [n_fed, until) are copies of the first ones, whatever n_fed.
static void test_repeated_states(void **state) {
    (void)state;
    FakeBundle *fake = fake_bundle_open();
    Execution how = {.engine = &fake_engine};
    Shards shards;
    assert_true(shards_open(&shards, &fake->bundle, &how, NULL));
    shards_repeat_states(&shards, 5, 17);
    assert_int_equal(fake->n_copied_slots, 12 * FAKE_PACKAGES);
    shards_close(&shards);
    fake_bundle_close(fake);
}

// The layer of the second package sees a window of two slots, that of the first sees all.
static FakeBundle *open_two_kinds(void) {
    static const uint32_t kinds[] = {0, 1};
    FakeBundle *fake = fake_bundle_open();
    Contract *c = &fake->bundle.chain.contract;
    c->kind_of_layer = (U32List){kinds, 2};
    c->kinds[1] = c->kinds[0];
    c->kinds[1].attn_window = 2;
    fake->names_kinds = true;
    return fake;
}

static void test_each_package_gets_the_tables_of_its_layers(void **state) {
    (void)state;
    FakeBundle *fake = open_two_kinds();
    Execution how = {.engine = &fake_engine};
    Shards shards;
    Err err = {0};
    if (!shards_open(&shards, &fake->bundle, &how, &err)) fail_msg("%s", err.text);
    float x[FAKE_WIDTH] = {0};
    assert_true(shards_run_layers(&shards, x, 3, 1, NULL));
    assert_int_equal(fake->n_calls, 2);
    assert_true(fake->calls[0].first_mask == 0);
    assert_true(fake->calls[1].first_mask == MASK_OFF);
    shards_close(&shards);
    fake_bundle_close(fake);
}

static void expect_refusal(FakeBundle *fake, const char *text) {
    Execution how = {.engine = &fake_engine};
    Shards shards;
    Err err = {0};
    assert_false(shards_open(&shards, &fake->bundle, &how, &err));
    if (!strstr(err.text, text)) fail_msg("%s", err.text);
    fake_bundle_close(fake);
}

static void test_a_bundle_with_other_ports_is_refused(void **state) {
    (void)state;
    FakeBundle *fake = fake_bundle_open();
    fake->lacks = "cos";
    expect_refusal(fake, "package 0: no input 'cos', the contract asks for 1 numbers");
    fake = fake_bundle_open();
    fake->lacks = "kv_end_00";
    expect_refusal(fake, "no input 'kv_end_00', the contract asks for 4 integers");
    fake = open_two_kinds();
    fake->lacks = "mask_1";
    expect_refusal(fake, "package 1: no input 'mask_1', the contract asks for 28 numbers");
    fake = fake_bundle_open();
    fake->lacks = "hidden";
    expect_refusal(fake, "output 'hidden'");
    fake = fake_bundle_open();
    fake->bundle.chain.state_rows = FAKE_SLOTS + 1;
    expect_refusal(fake, "input 'mask': 28 numbers, the contract asks for 29");
    fake = fake_bundle_open();
    fake->bundle.chain.shards[1].end_logit = FAKE_VOCAB - 1;
    expect_refusal(fake, "gives 5 logits, expected 2 and 4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_goes_through_every_package),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_padding_does_not_move_the_position),
        cmocka_unit_test(test_the_host_computes_once_a_step),
        cmocka_unit_test(test_one_function_for_single_tokens_and_chunks),
        cmocka_unit_test(test_logits_of_the_rows_asked_for),
        cmocka_unit_test(test_reset_and_rewind),
        cmocka_unit_test(test_rows_that_are_not_finite_empty_the_session),
        cmocka_unit_test(test_a_run_that_fails_empties_the_session),
        cmocka_unit_test(test_repeated_states),
        cmocka_unit_test(test_each_package_gets_the_tables_of_its_layers),
        cmocka_unit_test(test_a_bundle_with_other_ports_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
