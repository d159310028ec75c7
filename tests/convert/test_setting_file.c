// Settings under a name: written, found, read back, and refused where they are not what they say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "convert/setting_file.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static Arena arena;

static const SettingFile example = {.name = "m4",
                                    .options = "--kv overwrite --weights int8",
                                    .tool = "lathe 0",
                                    .system = "macOS 27.0",
                                    .os_build = "26A1",
                                    .chip = "Apple M4",
                                    .decode_ms = 12.5};

static void test_what_is_written_is_read(void **state) {
    (void)state;
    Err err = {0};
    SettingWords words;
    assert_true(setting_file_write(&example, scratch.path, &err));
    assert_true(
        setting_file_read(&words, path_join(&arena, scratch.path, "m4.json"), &arena, &err));
    assert_int_equal(words.n_words, 4);
    assert_string_equal(words.words[0], "--kv");
    assert_string_equal(words.words[3], "int8");
    assert_false(words.is_stand_in);
}

static void test_a_name_is_found_among_the_settings(void **state) {
    (void)state;
    Err err = {0};
    SettingWords words;
    SettingFile installed = example;
    installed.name = "by-name";
    installed.is_stand_in = true;
    setenv("LATHE_SETTINGS_DIR", path_join(&arena, scratch.path, "new/settings"), 1);
    assert_true(setting_file_install(&installed, &err));
    assert_true(setting_file_read(&words, "by-name", &arena, &err));
    assert_true(words.n_words == 4 && words.is_stand_in);
    assert_false(setting_file_read(&words, "other", &arena, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, "new/settings"));
}

static void test_names(void **state) {
    (void)state;
    static const char *const bad[] = {"", "a/b", "..", "-x", "a b", "\x1b"};
    assert_true(setting_name_check("m4-pro_27.0", NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(setting_name_check(bad[i], NULL));
}

static void test_files_that_are_wrong_in_one_way(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"{\"schema\": 2, \"stand_in\": false, \"options\": []}", "schema 2"},
        {"{\"schema\": 1, \"options\": []}", "stand_in"},
        {"{\"schema\": 1, \"stand_in\": false}", "options"},
        {"{\"schema\": 1, \"stand_in\": false, \"options\": [1]}", "item 0"},
        {"{\"schema\": 1, \"stand_in\": false, \"options\": [\"--kv\"]}", "'--kv'"},
        {"{\"schema\": 1, \"stand_in\": false, \"options\": [\"-o\", \"x\"]}", "'-o'"},
        {"{\"schema\": 1, \"stand_in\": false, \"options\": [\"--settings\", \"x\"]}",
         "'--settings'"},
        {"{\"schema\": 1, \"stand_in\": false, \"options\": [\"x\", \"--kv\"]}", "'x'"},
        {"[]", "x.json"},
    };
    const char *path = path_join(&arena, scratch.path, "x.json");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Err err = {0};
        SettingWords words;
        assert_true(file_write(path, wrong[i][0], strlen(wrong[i][0]), NULL));
        assert_false(setting_file_read(&words, path, &arena, &err));
        if (!strstr(err.text, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], err.text);
    }
}

static int open_scratch(void **state) {
    (void)state;
    scratch = scratch_open("setting");
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
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_name_is_found_among_the_settings),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_files_that_are_wrong_in_one_way),
    };
    return cmocka_run_group_tests(tests, open_scratch, close_scratch);
}
