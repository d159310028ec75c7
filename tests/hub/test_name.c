// Names from a command line and from the hub: what they may become part of, and what they may not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "hub/name.h"

static void test_a_name_has_four_parts(void **state) {
    (void)state;
    static const struct {
        const char *text, *repo, *revision, *which, *again;
    } rows[] = {
        {"hf:u/r", "u/r", "main", "", "hf:u/r"},
        {"hf:u/r:Q8_0", "u/r", "main", "Q8_0", "hf:u/r:Q8_0"},
        {"hf:a-b/c.d_e@v1.0:sub/x-Q4_K_M.gguf", "a-b/c.d_e", "v1.0", "sub/x-Q4_K_M.gguf",
         "hf:a-b/c.d_e@v1.0:sub/x-Q4_K_M.gguf"},
        {"hf:u/r@refs/pr/1", "u/r", "refs/pr/1", "", "hf:u/r@refs/pr/1"},
        {"hf:u/r@main:F16", "u/r", "main", "F16", "hf:u/r:F16"},
    };
    Arena arena = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err = {0};
        HubName name;
        assert_true(hub_name_read(&name, rows[i].text, &err));
        assert_true(str_is(name.repo, rows[i].repo));
        assert_true(str_is(name.revision, rows[i].revision));
        assert_true(str_is(name.which, rows[i].which));
        assert_string_equal(hub_name_text(&arena, &name), rows[i].again);
    }
    arena_free(&arena);
}

static void test_what_is_no_name(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "u/r",
        "hf:",
        "hf:r",
        "hf:u/",
        "hf:/r",
        "hf:u/r/x",
        "hf:../r",
        "hf:u/..",
        "hf:u/r..s",
        "hf:u/a--b",
        "hf:.u/r",
        "hf:-u/r",
        "hf:u/r:",
        "hf:u/r@",
        "hf:u/r:../x",
        "hf:u/r:/x",
        "hf:u/r@../../x",
        "hf:u r/s",
        "hf:u/r?x",
        "hf:u/r#x",
        "hf:u/r%2e",
        "hf:u/r:a\nb",
        "hf:u/r:a\\b",
        "hf:u/r@a//b",
        "hf:u/\xc3\xa9",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err = {0};
        HubName name;
        if (hub_name_read(&name, rows[i], &err)) fail_msg("'%s' was read", rows[i]);
        assert_int_equal(err.kind, ERR_USAGE);
    }
}

static void test_paths_stay_in_their_folder(void **state) {
    (void)state;
    static const char *const good[] = {"a",   "a/b", ".gitattributes", "a b", "d\xc3\xa9",
                                       "..a", "a..", "a/..b"};
    static const char *const bad[] = {"",       "/",    "/a",  "a/",   "a//b",     ".",    "..",
                                      "a/../b", "../a", "a/.", "a\\b", "a\x1b[1m", "a\x7f"};
    for (size_t i = 0; i < COUNT_OF(good); i++) assert_true(hub_is_path(str_of(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (hub_is_path(str_of(bad[i]))) fail_msg("'%s' passed", bad[i]);
    assert_false(hub_is_path((Str){"a\0b", 3}));
    char longest[HUB_MAX_PATH + 1];
    memset(longest, 'a', sizeof longest);
    assert_true(hub_is_path((Str){longest, HUB_MAX_PATH}));
    assert_false(hub_is_path((Str){longest, HUB_MAX_PATH + 1}));
    assert_true(hub_is_file_name(STR("a.gguf")));
    assert_false(hub_is_file_name(STR("a/b.gguf")));
    assert_false(hub_is_file_name(STR(".a.gguf")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_has_four_parts),
        cmocka_unit_test(test_what_is_no_name),
        cmocka_unit_test(test_paths_stay_in_their_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
