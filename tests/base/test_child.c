// Children: how they ended, what they wrote, and that they can be ended with what they started.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/map.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static char log_path[4200];

static ChildEnd run_shell(const char *script, double most_seconds, const char *const *environment) {
    const char *const arguments[] = {"sh", "-c", script, NULL};
    Child child = {.arguments = arguments,
                   .environment = environment,
                   .log = log_path,
                   .most_seconds = most_seconds,
                   .stage = "test"};
    ChildEnd end;
    Err err = {0};
    assert_true(child_run(&child, &end, &err));
    return end;
}

static void assert_logged(const char *text) {
    FileMap map = {0};
    assert_true(map_file(&map, log_path, NULL));
    assert_true(str_is((Str){(const char *)map.at, map.len}, text));
    unmap_file(&map);
}

static void test_exit_code_and_output(void **state) {
    (void)state;
    ChildEnd end = run_shell("echo out; echo err >&2; exit 7", 0, NULL);
    assert_true(end.code == 7 && end.signal == 0 && !end.is_late);
    assert_logged("out\nerr\n");
    end = run_shell("cat", 0, NULL); // its input is empty
    assert_int_equal(end.code, 0);
    assert_logged("");
}

static void test_a_signal_is_no_exit_code(void **state) {
    (void)state;
    ChildEnd end = run_shell("kill -9 $$", 0, NULL);
    assert_true(end.code == -1 && end.signal == SIGKILL && !end.is_late);
}

static void test_values_replace_those_of_this_process(void **state) {
    (void)state;
    const char *const environment[] = {"LATHE_CHILD_TEST=new", NULL};
    setenv("LATHE_CHILD_TEST", "old", 1);
    setenv("LATHE_CHILD_TEST_2", "kept", 1);
    run_shell("echo $LATHE_CHILD_TEST $LATHE_CHILD_TEST_2", 0, environment);
    assert_logged("new kept\n");
}

static void test_what_is_late_ends_with_all_it_started(void **state) {
    (void)state;
    // The grandchild would write after the child was ended.
    ChildEnd end = run_shell("(sleep 1; echo late) & sleep 30", 0.2, NULL);
    assert_true(end.is_late && end.seconds < 10);
    run_shell("sleep 1.2", 0, NULL);
    assert_logged("");
}

static bool never(void *context) {
    (void)context;
    return false;
}

static void test_the_caller_can_end_it(void **state) {
    (void)state;
    const char *const arguments[] = {"sleep", "30", NULL};
    Progress progress = {.goes_on = never};
    Child child = {.arguments = arguments, .progress = &progress, .stage = "test"};
    ChildEnd end;
    Err err = {0};
    assert_false(child_run(&child, &end, &err));
    assert_int_equal(err.kind, ERR_STOPPED);
}

static void test_a_program_that_is_not_there(void **state) {
    (void)state;
    const char *const arguments[] = {"/nowhere/program", NULL};
    Child child = {.arguments = arguments, .stage = "test"};
    ChildEnd end;
    Err err = {0};
    assert_false(child_run(&child, &end, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "/nowhere/program: cannot start it"));
}

static int open_scratch(void **state) {
    (void)state;
    scratch = scratch_open("child");
    snprintf(log_path, sizeof log_path, "%s/log", scratch.path);
    return 0;
}

static int close_scratch(void **state) {
    (void)state;
    scratch_close(&scratch);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_code_and_output),
        cmocka_unit_test(test_a_signal_is_no_exit_code),
        cmocka_unit_test(test_values_replace_those_of_this_process),
        cmocka_unit_test(test_what_is_late_ends_with_all_it_started),
        cmocka_unit_test(test_the_caller_can_end_it),
        cmocka_unit_test(test_a_program_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, open_scratch, close_scratch);
}
