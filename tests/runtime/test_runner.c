// The CPU engine behind the runner interface: ports in order, states left out; what is written is
// copied; states shared, reset and copied; and the table of engines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "coreml/device.h"
#include "runtime/engines.h"
#include "runtime/runner_cpu.h"

// Two functions over one state: `main` puts x over it and gives what was there, `look` only looks.
static const char text[] = "program 9\n"
                           "func main(at: int32[1], kv: state<fp16[1, 4, 2]>, x: fp16[1, 4, 2]) {\n"
                           "  before: fp16[1, 4, 2] = read_state(input = kv)\n"
                           "  write_state(input = kv, data = x)\n"
                           "  sum: fp16[1, 4, 2] = add(x = before, y = x)\n"
                           "} -> (before, sum)\n"
                           "func look(kv: state<fp16[1, 4, 2]>) {\n"
                           "  held: fp16[1, 4, 2] = read_state(input = kv)\n"
                           "  y: fp16[1, 4, 2] = relu(x = held)\n"
                           "} -> (y)\n";

enum { N = 8 };

typedef struct {
    Arena arena;
    Package package;
    Runner *main, *look;
    RunnerState *state;
    float x[N];
} Fixture;

static Runner *open_runner(Fixture *t, const char *function, Arithmetic arithmetic) {
    Err err = {0};
    Runner *r = runner_cpu.open(&t->package, str_of(function),
                                &(RunnerOpening){.arithmetic = arithmetic}, &err);
    if (!r) fail_msg("%s", err.text);
    return r;
}

static void open_fixture(Fixture *t, Arithmetic arithmetic) {
    Err err = {0};
    *t = (Fixture){0};
    t->package.program = mil_parse(&t->arena, str_of(text), &err);
    if (!t->package.program) fail_msg("%s", err.text);
    t->package.path = "text";
    t->main = open_runner(t, "main", arithmetic);
    t->look = open_runner(t, "look", arithmetic);
    t->state = runner_cpu.state_open(t->main, &err);
    for (int i = 0; i < N; i++) t->x[i] = (float)i + 1;
}

static void close_fixture(Fixture *t) {
    runner_state_close(t->state);
    runner_close(t->main);
    runner_close(t->look);
    arena_free(&t->arena);
}

static void run(Fixture *t, RunnerState *state, float *before, float *sum) {
    Err err = {0};
    if (!runner_cpu.run(t->main, state, &err)) fail_msg("%s", err.text);
    if (before) runner_cpu.read(t->main, 0, before);
    if (sum) runner_cpu.read(t->main, 1, sum);
}

static void held(Fixture *t, RunnerState *state, float *y) {
    assert_true(runner_cpu.run(t->look, state, NULL));
    runner_cpu.read(t->look, 0, y);
}

static void test_ports(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, ARITHMETIC_FP16);
    assert_int_equal(t.main->n_inputs, 2); // the state is not among them
    assert_int_equal(t.main->n_outputs, 2);
    assert_int_equal(runner_find_input(t.main, "at"), 0);
    assert_int_equal(runner_find_input(t.main, "x"), 1);
    assert_int_equal(runner_find_input(t.main, "kv"), RUNNER_NO_PORT);
    assert_int_equal(runner_find_input(t.main, "sum"), RUNNER_NO_PORT);
    assert_int_equal(runner_find_output(t.main, "sum"), 1);
    assert_false(t.main->inputs[0].is_float);
    assert_true(t.main->inputs[1].is_float);
    assert_int_equal(t.main->inputs[0].count, 1);
    assert_int_equal(t.main->inputs[1].count, N);
    Err err = {0};
    assert_null(runner_cpu.open(&t.package, STR("nothing"),
                                &(RunnerOpening){.arithmetic = ARITHMETIC_FP16}, &err));
    assert_non_null(strstr(err.text, "'nothing'"));
    close_fixture(&t);
}

static void test_inputs_are_copies_and_functions_share_states(void **state) {
    (void)state;
    Fixture t;
    float before[N], sum[N], y[N];
    int32_t at = 3;
    open_fixture(&t, ARITHMETIC_FP16);
    runner_cpu.write(t.main, 0, &at);
    runner_cpu.write(t.main, 1, t.x);
    memset(t.x, 0, sizeof t.x);
    run(&t, t.state, before, sum);
    for (int i = 0; i < N; i++) assert_true(before[i] == 0 && sum[i] == (float)i + 1);
    held(&t, t.state, y);
    for (int i = 0; i < N; i++) assert_true(y[i] == (float)i + 1);
    runner_cpu.state_reset(t.state);
    held(&t, t.state, y);
    for (int i = 0; i < N; i++) assert_true(y[i] == 0);
    close_fixture(&t);
}

static void test_states_are_copied_as_the_copy_stores_them(void **state) {
    (void)state;
    Fixture t, exact;
    float y[N];
    open_fixture(&t, ARITHMETIC_FP16);
    open_fixture(&exact, ARITHMETIC_FP32);
    exact.x[0] = 1.0f + 0x1p-12f; // between two numbers of binary16
    runner_cpu.write(exact.main, 1, exact.x);
    run(&exact, exact.state, NULL, NULL);
    held(&exact, exact.state, y);
    assert_true(y[0] == exact.x[0]);
    runner_cpu.state_copy(t.state, exact.state);
    runner_cpu.state_copy(exact.state, t.state); // to see it without rounding
    held(&exact, exact.state, y);
    assert_true(y[0] == 1);
    for (int i = 1; i < N; i++) assert_true(y[i] == (float)i + 1);
    close_fixture(&t);
    close_fixture(&exact);
}

static void test_slots_are_copied(void **state) {
    (void)state;
    static const float wanted[N] = {1, 2, 3, 4, 1, 2, 3, 4};
    static const uint32_t from[] = {0, 1, 0, 1};
    Fixture t;
    float y[N];
    open_fixture(&t, ARITHMETIC_FP16);
    runner_cpu.write(t.main, 1, t.x);
    run(&t, t.state, NULL, NULL);
    runner_cpu.state_gather(t.state, 3, from, 3); // of no state
    runner_cpu.state_gather(t.state, 4, from, 4);
    held(&t, t.state, y);
    assert_memory_equal(y, wanted, sizeof wanted);
    close_fixture(&t);
}

static void test_taps_are_of_the_engine_that_has_them(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, ARITHMETIC_FP16);
    assert_non_null(runner_tapped(t.main));
    assert_null(runner_tapped(NULL));
    close_fixture(&t);
    for (size_t i = 0; i < ENGINE_COUNT; i++) {
        bool has_taps = engines[i].runner && engines[i].runner->tapped;
        assert_int_equal(has_taps, (engines[i].capabilities & ENGINE_HAS_TAPS) != 0);
    }
}

static void test_engines_by_name_and_by_what_they_run(void **state) {
    (void)state;
    const EngineInfo *e;
    Err err = {0};
    assert_true(engine_choose(&e, "reference", ENGINE_RUNS_BUNDLES, &err));
    assert_string_equal(e->name, "reference");
    assert_true(engine_choose(&e, NULL, ENGINE_RUNS_BUNDLES, &err));
    assert_string_equal(e->name, "cpu");
    assert_true(engine_choose(&e, NULL, ENGINE_RUNS_MODELS, &err));
    assert_string_equal(e->name, "reference");
    if (coreml_is_present()) {
        assert_true(engine_choose(&e, "coreml", ENGINE_RUNS_BUNDLES, &err));
    } else {
        assert_false(engine_choose(&e, "coreml", ENGINE_RUNS_BUNDLES, &err));
        assert_string_equal(err.text, "--engine coreml: not on this system; use --engine cpu");
    }
    assert_false(engine_choose(&e, "gpu", ENGINE_RUNS_BUNDLES, &err));
    assert_non_null(strstr(err.text, "--engine gpu: expected cpu"));
    assert_int_equal(err.kind, ERR_USAGE);
    char label[48];
    engine_label(&engines[ENGINE_cpu], ARITHMETIC_ANE, label, sizeof label);
    assert_string_equal(label, "cpu (ane, a model)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_inputs_are_copies_and_functions_share_states),
        cmocka_unit_test(test_states_are_copied_as_the_copy_stores_them),
        cmocka_unit_test(test_slots_are_copied),
        cmocka_unit_test(test_taps_are_of_the_engine_that_has_them),
        cmocka_unit_test(test_engines_by_name_and_by_what_they_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
