// test_device.c — the adapter (src/coreml/device.m) over the double: what it promises, fault by fault.
//
//     test_device PACKAGE.mlpackage
//
// The package is one of a bundle: functions decode and prefill with states. Each test compares with a run of the engine
// on the same inputs, number by number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "coreml/device.h"
#include "double.h"

static const char *package;
static char compiled[4096];

static int compile_once(void **state) {
    (void)state;
    Err err = {0};
    double_clear();
    snprintf(compiled, sizeof compiled, "%s.mlmodelc-%ld", package, (long)getpid());
    if (!coreml_compile(package, compiled, &err)) fail_msg("%s", err.text);
    return 0;
}

static int remove_compiled(void **state) {
    (void)state;
    char command[5000];
    snprintf(command, sizeof command, "rm -rf '%s'", compiled);
    return system(command);
}

static int clear(void **state) {
    (void)state;
    double_clear();
    return 0;
}

static CoremlModel *open_function(const char *name) {
    Err err = {0};
    CoremlModel *m = coreml_open(compiled, name, COREML_CPU_AND_ANE, &err);
    if (!m) fail_msg("%s", err.text);
    return m;
}

// Halves between -1 and 1 by position and step: the same for model and backend.
static void fill(uint16_t *out, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (uint16_t)((seed >> 16 & 0x83ff) | 0x3400);
    }
}

static void fill_inputs(CoremlModel *m, unsigned step) {
    for (size_t i = 0; i < coreml_n_inputs(m); i++) {
        const CoremlPort *p = coreml_input_at(m, i);
        if (p->type == COREML_FP16)
            fill(p->at, p->count, step * 31 + (unsigned)i);
        else if (p->type == COREML_INT32)
            ((int32_t *)p->at)[0] = (int32_t)step + (strstr(p->name, "end") != NULL);
    }
}

// The same run by the engine alone. Ports of model and backend are matched by name.
static void run_backend(Backend *b, BackendState *s, CoremlModel *m) {
    char why[256];
    for (size_t i = 0; i < backend_n_ports(b, BACKEND_INPUT); i++) {
        BackendPort p;
        backend_port(b, BACKEND_INPUT, i, &p);
        backend_put(b, i, coreml_input(m, str_of(p.name))->at);
    }
    if (!backend_run(b, s, why, sizeof why)) fail_msg("%s", why);
}

static void compare(Backend *b, CoremlModel *m) {
    for (size_t i = 0; i < backend_n_ports(b, BACKEND_OUTPUT); i++) {
        BackendPort p;
        backend_port(b, BACKEND_OUTPUT, i, &p);
        uint16_t *expected = malloc(p.count * 2);
        backend_get(b, i, expected);
        assert_memory_equal(coreml_output(m, str_of(p.name))->at, expected, p.count * 2);
        free(expected);
    }
}

static CoremlCounts run_steps(int n_steps) {
    char why[256];
    Err err = {0};
    CoremlModel *m = open_function("decode");
    CoremlState *s = coreml_state_open(m, &err);
    Backend *b = backend_open(package, "decode", why, sizeof why);
    BackendState *bs = backend_state_open(b);
    for (int step = 0; step < n_steps; step++) {
        fill_inputs(m, (unsigned)step);
        if (!coreml_run(m, s, NULL, &err)) fail_msg("%s", err.text);
        run_backend(b, bs, m);
        compare(b, m);
    }
    CoremlCounts counts = coreml_counts(m);
    coreml_state_close(s);
    coreml_close(m);
    backend_state_close(bs);
    backend_close(b);
    return counts;
}

static void test_runs_give_the_engines_numbers(void **state) {
    (void)state;
    CoremlCounts c = run_steps(20);
    assert_int_equal(c.n_runs, 20);
    assert_int_equal(c.n_declined, 0);
}

static void test_declined_backings_are_copied_and_counted(void **state) {
    (void)state;
    double_set(DOUBLE_declines_backings, 3);
    CoremlCounts c = run_steps(6);
    assert_true(c.n_declined >= 4);
    assert_int_equal(c.n_padded, 0);
}

static void test_padded_rows_are_copied_by_their_strides(void **state) {
    (void)state;
    double_set(DOUBLE_pads_rows, 1);
    CoremlCounts c = run_steps(4);
    assert_true(c.n_padded >= 4);
}

// The double aborts when inputs change that it holds.
static void test_inputs_that_the_framework_holds_are_not_written(void **state) {
    (void)state;
    double_set(DOUBLE_holds_inputs, 1);
    CoremlCounts c = run_steps(40);
    assert_int_equal(c.n_held, 40);
    double_clear();
    assert_int_equal(run_steps(5).n_held, 0);
}

// What is held outlives the model.
static void test_held_inputs_outlive_the_model(void **state) {
    (void)state;
    double_set(DOUBLE_holds_inputs, 1);
    run_steps(2);
    double_let_go();
    assert_int_equal(double_n_alive(), 0);
}

static void test_states_are_shared_by_the_functions_of_a_package(void **state) {
    (void)state;
    Err err = {0};
    CoremlModel *decode = open_function("decode"), *prefill = open_function("prefill");
    CoremlState *s = coreml_state_open(prefill, &err);
    const CoremlPort *p = coreml_state_at(prefill, 0);
    uint16_t *before = calloc(p->count, 2), *after = calloc(p->count, 2);
    fill_inputs(prefill, 0);
    int32_t rows = (int32_t)coreml_input(prefill, STR("x"))->dims[3];
    const CoremlPort *end = coreml_input(prefill, STR("kv_end"));
    if (end) ((int32_t *)end->at)[0] = rows;
    assert_true(coreml_run(prefill, s, NULL, &err));
    assert_true(coreml_state_read(s, p->name, before, p->count, &err));
    fill_inputs(decode, (unsigned)rows);
    assert_true(coreml_run(decode, s, NULL, &err));
    assert_true(coreml_state_read(s, p->name, after, p->count, &err));
    size_t n_changed = 0, n_kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        n_changed += before[i] != after[i];
        n_kept += before[i] != 0 && before[i] == after[i];
    }
    assert_true(n_changed > 0 && n_kept > 0);
    free(before);
    free(after);
    coreml_state_close(s);
    coreml_close(decode);
    coreml_close(prefill);
}

static void test_states_are_read_and_written_whole(void **state) {
    (void)state;
    Err err = {0};
    CoremlModel *m = open_function("decode");
    CoremlState *s = coreml_state_open(m, &err);
    const CoremlPort *p = coreml_state_at(m, 0);
    uint16_t *in = calloc(p->count, 2), *out = calloc(p->count, 2);
    fill(in, p->count, 7);
    assert_true(coreml_state_write(s, p->name, in, p->count, &err));
    assert_true(coreml_state_read(s, p->name, out, p->count, &err));
    assert_memory_equal(in, out, p->count * 2);
    assert_false(coreml_state_read(s, p->name, out, p->count - 1, &err));
    assert_false(coreml_state_read(s, "none", out, p->count, &err));
    assert_non_null(strstr(err.text, "none"));
    free(in);
    free(out);
    coreml_state_close(s);
    coreml_close(m);
}

static void assert_open_fails(DoubleFault fault, const char *text) {
    Err err = {0};
    double_set(fault, 1);
    assert_null(coreml_open(compiled, "decode", COREML_CPU_AND_ANE, &err));
    if (!strstr(err.text, text)) fail_msg("'%s' is not in: %s", text, err.text);
}

static void test_failures_of_loading_are_explained(void **state) {
    (void)state;
    assert_open_fails(DOUBLE_load_throws, "the double throws at load");
    double_clear();
    assert_open_fails(DOUBLE_load_misleads,
                      "the compiler of the Neural Engine refused the program");
    double_clear();
    assert_open_fails(DOUBLE_load_says_macho, "lathe cache --clear");
    double_clear();
    Err err = {0};
    assert_null(coreml_open(compiled, "no_such_function", COREML_CPU_AND_ANE, &err));
    assert_null(coreml_open("/nowhere", NULL, COREML_CPU_AND_ANE, &err));
}

static void assert_run_fails(DoubleFault fault, const char *text) {
    Err err = {0};
    CoremlModel *m = open_function("decode");
    CoremlState *s = coreml_state_open(m, &err);
    fill_inputs(m, 0);
    double_set(fault, 1);
    assert_false(coreml_run(m, s, NULL, &err));
    if (!strstr(err.text, text)) fail_msg("'%s' is not in: %s", text, err.text);
    double_clear();
    coreml_state_close(s);
    coreml_close(m);
}

static void test_what_does_not_fit_its_description_is_refused(void **state) {
    (void)state;
    assert_open_fails(DOUBLE_describes_doubles, "data type 0x10040, expected fp16, fp32 or int32");
    double_clear();
    assert_open_fails(DOUBLE_load_says_nothing, "no error was given");
    double_clear();
    assert_run_fails(DOUBLE_gives_other_type, "as the model describes it");
    double_set(DOUBLE_declines_backings, 1);
    Err err = {0};
    CoremlModel *m = open_function("decode");
    CoremlState *s = coreml_state_open(m, &err);
    fill_inputs(m, 0);
    double_set(DOUBLE_gives_short_arrays, 1);
    assert_false(coreml_run(m, s, NULL, &err));
    assert_non_null(strstr(err.text, "by its strides"));
    coreml_state_close(s);
    coreml_close(m);
}

static void test_states_that_are_not_made_are_errors(void **state) {
    (void)state;
    Err err = {0};
    CoremlModel *m = open_function("decode");
    double_set(DOUBLE_makes_no_state, 1);
    assert_null(coreml_state_open(m, &err));
    assert_non_null(strstr(err.text, "made no state"));
    double_clear();
    double_set(DOUBLE_state_throws, 1);
    assert_null(coreml_state_open(m, &err));
    assert_non_null(strstr(err.text, "the double throws at a state"));
    coreml_close(m);
}

// The head: no states, and all its outputs by number.
static void test_a_function_without_states_runs(void **state) {
    (void)state;
    char why[256];
    Err err = {0};
    CoremlModel *m = open_function("head");
    Backend *b = backend_open(package, "head", why, sizeof why);
    assert_int_equal(coreml_n_states(m), 0);
    fill_inputs(m, 3);
    if (!coreml_run(m, NULL, NULL, &err)) fail_msg("%s", err.text);
    run_backend(b, NULL, m);
    compare(b, m);
    assert_true(coreml_n_outputs(m) > 0);
    for (size_t i = 0; i < coreml_n_outputs(m); i++)
        assert_ptr_equal(coreml_output_at(m, i),
                         coreml_output(m, str_of(coreml_output_at(m, i)->name)));
    coreml_close(m);
    backend_close(b);
}

static void test_the_framework_is_there_and_may_state_no_version(void **state) {
    (void)state;
    char version[64] = "?";
    coreml_framework_version(version, sizeof version);
    assert_true(coreml_is_present() && version[0] != '?');
}

static void test_failures_of_compiling_are_explained(void **state) {
    (void)state;
    Err err = {0};
    char path[5000];
    snprintf(path, sizeof path, "%s-2", compiled);
    double_set(DOUBLE_compile_fails, 1);
    assert_false(coreml_compile(package, path, &err));
    assert_non_null(strstr(err.text, "the double fails to compile"));
    assert_int_equal(access(path, F_OK), -1);
    double_clear();
    assert_false(coreml_compile("/nowhere", path, &err));
    assert_false(coreml_compile(package, "/nowhere/compiled", &err));
    assert_non_null(strstr(err.text, "cannot move the compiled model to this place"));
}

static void test_failures_of_a_run_leave_the_process_alive(void **state) {
    (void)state;
    Err err = {0};
    bool is_exhausted = true;
    CoremlModel *m = open_function("decode");
    CoremlState *s = coreml_state_open(m, &err);
    fill_inputs(m, 0);
    double_set(DOUBLE_run_fails, 1);
    assert_false(coreml_run(m, s, &is_exhausted, &err));
    assert_false(is_exhausted);
    assert_non_null(strstr(err.text, "--kv"));
    double_clear();
    double_set(DOUBLE_lacks_output, 1);
    assert_false(coreml_run(m, s, NULL, &err));
    assert_non_null(strstr(err.text, "missing"));
    double_clear();
    double_set(DOUBLE_run_exhausts, 1);
    assert_false(coreml_run(m, s, &is_exhausted, &err));
    assert_true(is_exhausted);
    coreml_state_close(s);
    coreml_close(m);
}

typedef struct {
    size_t n, n_ane, n_without;
} Seen;

static void see(void *context, const CoremlPlanOp *op) {
    Seen *seen = context;
    seen->n++;
    seen->n_without += !op->has_usage;
    seen->n_ane += op->has_usage && op->preferred == COREML_ON_ANE;
    assert_true(op->op[0] && op->output[0]);
}

static void test_plans_name_each_operation(void **state) {
    (void)state;
    Err err = {0};
    Seen seen = {0};
    assert_true(coreml_plan(compiled, "decode", COREML_CPU_AND_ANE, see, &seen, &err));
    assert_true(seen.n > 10 && seen.n_without > 0 && seen.n_ane + seen.n_without == seen.n);
    double_set(DOUBLE_plans_cpu, 1);
    seen = (Seen){0};
    assert_true(coreml_plan(compiled, "decode", COREML_CPU_AND_ANE, see, &seen, &err));
    assert_int_equal(seen.n_ane, 0);
    assert_false(coreml_plan(compiled, "no_such_function", COREML_CPU_AND_ANE, see, &seen, &err));
    double_clear();
    double_set(DOUBLE_plan_fails, 1);
    assert_false(coreml_plan(compiled, "decode", COREML_CPU_AND_ANE, see, &seen, &err));
    double_clear();
    double_set(DOUBLE_plans_gpu, 1);
    seen = (Seen){0};
    assert_true(coreml_plan(compiled, "decode", COREML_CPU_AND_ANE, see, &seen, &err));
    assert_int_equal(seen.n_ane, 0);
    double_clear();
    assert_int_equal(coreml_n_ane_cores(), 16);
    double_set(DOUBLE_has_no_ane, 1);
    assert_int_equal(coreml_n_ane_cores(), 0);
}

static void test_nothing_is_left_alive(void **state) {
    (void)state;
    run_steps(2);
    assert_int_equal(double_n_alive(), 0);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: test_device PACKAGE.mlpackage\n");
        return 2;
    }
    package = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_runs_give_the_engines_numbers, clear),
        cmocka_unit_test_setup(test_declined_backings_are_copied_and_counted, clear),
        cmocka_unit_test_setup(test_padded_rows_are_copied_by_their_strides, clear),
        cmocka_unit_test_setup(test_inputs_that_the_framework_holds_are_not_written, clear),
        cmocka_unit_test_setup(test_held_inputs_outlive_the_model, clear),
        cmocka_unit_test_setup(test_states_are_shared_by_the_functions_of_a_package, clear),
        cmocka_unit_test_setup(test_states_are_read_and_written_whole, clear),
        cmocka_unit_test_setup(test_failures_of_loading_are_explained, clear),
        cmocka_unit_test_setup(test_what_does_not_fit_its_description_is_refused, clear),
        cmocka_unit_test_setup(test_states_that_are_not_made_are_errors, clear),
        cmocka_unit_test_setup(test_a_function_without_states_runs, clear),
        cmocka_unit_test_setup(test_the_framework_is_there_and_may_state_no_version, clear),
        cmocka_unit_test_setup(test_failures_of_compiling_are_explained, clear),
        cmocka_unit_test_setup(test_failures_of_a_run_leave_the_process_alive, clear),
        cmocka_unit_test_setup(test_plans_name_each_operation, clear),
        cmocka_unit_test_setup(test_nothing_is_left_alive, clear),
    };
    return cmocka_run_group_tests(tests, compile_once, remove_compiled);
}
