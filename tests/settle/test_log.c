// What is read from a child's log.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "mlpackage/scratch.h"
#include "settle/log.h"

static Scratch scratch;
static Arena arena;

static const char *written(const char *text) {
    const char *path = path_join(&arena, scratch.path, "a.log");
    assert_true(file_write(path, text, strlen(text), NULL));
    return path;
}

static void test_the_reason_is_the_commands_error_and_not_what_follows(void **state) {
    (void)state;
    const char *log =
        written("noise\nlathe convert: no option '--x'\nusage: lathe convert MODEL\n");
    assert_string_equal(log_reason(log, &arena), "no option '--x'");
}

static void test_without_such_a_line_it_is_the_last(void **state) {
    (void)state;
    assert_string_equal(log_reason(written("a\nstate 'kv': lost\n\n"), &arena), "state 'kv': lost");
    assert_string_equal(log_reason(written(""), &arena), "");
    assert_string_equal(log_reason("/nowhere/a.log", &arena), "");
    assert_string_equal(log_reason(written("red \x1b[31m\n"), &arena), "red ?[31m");
}

static void test_texts_that_mislead_are_explained(void **state) {
    (void)state;
    json_t *rows =
        log_explained(written("x\nANECCompile() FAILED for model\nError: E5RT encountered an "
                              "STL exception. msg = x\n"));
    assert_int_equal(json_array_size(rows), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "id")), "U4a");
    json_decref(rows);
    rows = log_explained(written("all is well\n"));
    assert_int_equal(json_array_size(rows), 0);
    json_decref(rows);
}

static int open_scratch(void **state) {
    (void)state;
    scratch = scratch_open("settle-log");
    return 0;
}

static int close_scratch(void **state) {
    (void)state;
    arena_free(&arena);
    scratch_close(&scratch);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reason_is_the_commands_error_and_not_what_follows),
        cmocka_unit_test(test_without_such_a_line_it_is_the_last),
        cmocka_unit_test(test_texts_that_mislead_are_explained),
    };
    return cmocka_run_group_tests(tests, open_scratch, close_scratch);
}
