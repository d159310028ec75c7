// Where an engine plans to run a bundle, over one that plans on demand.
#include "runtime/device_plan.h"

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
    Arena arena;
    DevicePlan plan;
    StrBuf text; // of the plan
    Err err;     // of a strict use of it
    bool is_strict;
} Fixture;

enum { FUNCTIONS = 5 }; // of the fake bundle: two of each package, and the head

static void open_fixture(Fixture *t) {
    *t = (Fixture){.fake = fake_bundle_open()};
    t->plan.arena = &t->arena;
}

static void ask(Fixture *t, const EngineInfo *engine) {
    Execution how = {.engine = engine, .plan = &t->plan};
    ModelRunner *m = model_runner_open_bundle(&t->fake->bundle, &how, &t->err);
    if (!m) fail_msg("%s", t->err.text);
    m->ops->close(m);
    device_plan_print(&t->plan, &t->text);
    t->is_strict = device_plan_is_whole(&t->plan, &t->err);
}

static void close_fixture(Fixture *t) {
    strbuf_free(&t->text);
    arena_free(&t->arena);
    fake_bundle_close(t->fake);
}

static void test_all_on_the_neural_engine(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    ask(&t, &fake_device);
    assert_true(t.plan.is_made && t.is_strict);
    assert_int_equal(t.plan.compute_total, 2 * FUNCTIONS);
    assert_string_equal(t.text.at, "planned for the Neural Engine: conv 5/5, compute 10/10 "
                                   "(planned, not measured)");
    close_fixture(&t);
}

static void test_the_first_operations_off_it_are_named(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    t.fake->product_device = RUNNER_ON_CPU;
    ask(&t, &fake_device);
    assert_false(t.is_strict);
    assert_int_equal(t.plan.n_off, FUNCTIONS);
    assert_string_equal(t.text.at,
                        "planned for the Neural Engine: conv 5/5, compute 5/10; off it: decode "
                        "layer_00_scores ios18.matmul on the CPU, prefill layer_00_scores "
                        "ios18.matmul on the CPU, decode layer_00_scores ios18.matmul on the CPU, "
                        "and 2 more (planned, not measured)");
    assert_int_equal(t.err.kind, ERR_SYSTEM);
    assert_non_null(strstr(t.err.text, "--strict: not every operation is planned"));
    assert_non_null(strstr(t.err.text, "layer_00_scores"));
    close_fixture(&t);
}

static void test_every_operation_off_it_is_kept(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    t.fake->product_device = RUNNER_ON_CPU;
    t.fake->conv_device = RUNNER_ON_GPU;
    ask(&t, &fake_device);
    assert_int_equal(t.plan.n_off, 2 * FUNCTIONS);
    assert_int_equal(t.plan.conv_ane, 0);
    for (size_t i = 0; i < t.plan.n_off; i++)
        assert_int_equal(t.plan.off[i].device, i % 2 ? RUNNER_ON_CPU : RUNNER_ON_GPU);
    assert_non_null(strstr(t.text.at, "ios18.conv on the GPU"));
    assert_non_null(
        strstr(t.text.at, "nothing runs there: Core ML plans this for models too small"));
    close_fixture(&t);
}

static void test_a_machine_without_one_is_said(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    t.fake->lacks_ane = true;
    ask(&t, &fake_device);
    assert_false(t.is_strict);
    assert_non_null(strstr(t.text.at, "this machine has no Neural Engine"));
    close_fixture(&t);
}

static void test_a_plan_that_is_not_given_ends_nothing_but_a_strict_use(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    t.fake->has_no_plan = true;
    ask(&t, &fake_device);
    assert_false(t.is_strict);
    assert_string_equal(t.text.at,
                        "it is not known where the operations will run: package 1: no plan today");
    close_fixture(&t);
}

static void test_an_engine_without_plans_is_not_asked(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t);
    ask(&t, &fake_engine);
    assert_false(t.plan.is_made || t.is_strict);
    assert_int_equal(t.err.kind, ERR_USAGE);
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_on_the_neural_engine),
        cmocka_unit_test(test_the_first_operations_off_it_are_named),
        cmocka_unit_test(test_every_operation_off_it_is_kept),
        cmocka_unit_test(test_a_machine_without_one_is_said),
        cmocka_unit_test(test_a_plan_that_is_not_given_ends_nothing_but_a_strict_use),
        cmocka_unit_test(test_an_engine_without_plans_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
