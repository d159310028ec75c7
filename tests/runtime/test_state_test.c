// Whether an engine keeps what is written into KV states, over one that forgets on demand.
#include "runtime/state_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/fake_bundle.h"
#include "runtime/model_runner.h"

typedef struct {
    FakeBundle *fake;
    Shards shards;
    Err err;
} Fixture;

static void open_fixture(Fixture *t, const EngineInfo *engine) {
    *t = (Fixture){.fake = fake_bundle_open()};
    Execution how = {.engine = engine};
    if (!shards_open(&t->shards, &t->fake->bundle, &how, &t->err)) fail_msg("%s", t->err.text);
}

static void close_fixture(Fixture *t) {
    shards_close(&t->shards);
    fake_bundle_close(t->fake);
}

static void test_states_that_are_kept_pass_and_are_reset(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_device);
    if (!states_are_kept(&t.shards, &t.err)) fail_msg("%s", t.err.text);
    assert_int_equal(t.fake->n_calls, 3 * FAKE_PACKAGES);
    const FakeCall *last = &t.fake->calls[t.fake->n_calls - 1];
    assert_string_equal(last->function, "prefill");
    assert_int_equal(last->kv_begin, 2);
    assert_int_equal(t.fake->n_resets, FAKE_PACKAGES);
    close_fixture(&t);
}

static void expect_refusal(Fixture *t, const char *text) {
    assert_false(states_are_kept(&t->shards, &t->err));
    assert_int_equal(t->err.kind, ERR_SYSTEM);
    if (!strstr(t->err.text, text)) fail_msg("'%s' is not in: %s", text, t->err.text);
    close_fixture(t);
}

static void test_an_earlier_slot_that_changes_is_refused(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_device);
    t.fake->loses_slots_of = 1;
    expect_refusal(&t, "package 1: state 'kv': slot 0 changed when slot 1 was written");
}

static void test_a_slot_that_nothing_reached_is_refused(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_device);
    t.fake->ignores_slots_of = 0;
    expect_refusal(&t, "package 0: state 'kv': slot 0 is all zeros after it was written");
}

static void test_the_cure_is_the_other_form(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_device);
    t.fake->loses_slots_of = 0;
    expect_refusal(&t, "fake device does not keep states written in the form --kv slice; "
                       "convert again with --kv overwrite");
    open_fixture(&t, &fake_device);
    t.fake->loses_slots_of = 0;
    t.fake->bundle.chain.kv = STR("overwrite");
    expect_refusal(&t, "convert again with --kv rows");
}

// Prefill's padded rows do not fit after two slots: decode alone is asked.
static void test_a_short_context_is_asked_by_decode_alone(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_device);
    t.fake->bundle.chain.context = 1 + FAKE_ROWS;
    assert_true(states_are_kept(&t.shards, &t.err));
    assert_int_equal(t.fake->n_calls, 2 * FAKE_PACKAGES);
    close_fixture(&t);
}

static void test_an_engine_that_offers_no_states_is_not_asked(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, &fake_engine);
    assert_true(states_are_kept(&t.shards, &t.err));
    assert_int_equal(t.fake->n_calls, 0);
    close_fixture(&t);
}

static void test_a_model_runner_is_not_made_of_an_engine_that_forgets(void **state) {
    (void)state;
    FakeBundle *fake = fake_bundle_open();
    Execution how = {.engine = &fake_device};
    Err err = {0};
    fake->loses_slots_of = 1;
    assert_null(model_runner_open_bundle(&fake->bundle, &how, &err));
    assert_non_null(strstr(err.text, "slot 0 changed"));
    fake_bundle_close(fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_that_are_kept_pass_and_are_reset),
        cmocka_unit_test(test_an_earlier_slot_that_changes_is_refused),
        cmocka_unit_test(test_a_slot_that_nothing_reached_is_refused),
        cmocka_unit_test(test_the_cure_is_the_other_form),
        cmocka_unit_test(test_a_short_context_is_asked_by_decode_alone),
        cmocka_unit_test(test_an_engine_that_offers_no_states_is_not_asked),
        cmocka_unit_test(test_a_model_runner_is_not_made_of_an_engine_that_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
