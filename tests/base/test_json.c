// What cannot stand in JSON as it is must not be lost on the way into a report.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"

static void check(Str s, const char *expected) {
    json_t *value = json_of_str(s);
    assert_string_equal(json_string_value(value), expected);
    json_decref(value);
}

static void test_text_stays(void **state) {
    (void)state;
    check(STR(""), "");
    check((Str){NULL, 0}, "");
    check(STR("d\xc3\xa9j\xc3\xa0 vu"), "d\xc3\xa9j\xc3\xa0 vu");
}

static void test_a_message_cut_within_a_character_keeps_its_words(void **state) {
    (void)state;
    check(STR("token 5 is '\xe5\x88"), "token 5 is '??");
    check(STR("\xff is no \xc3\xa9"), "? is no ??");
}

static void test_quotes_show_what_would_move_a_cursor(void **state) {
    (void)state;
    static const struct {
        Str text;
        const char *quoted;
    } rows[] = {
        {{"", 0}, "\"\""},
        {{"d\xc3\xa9j\xc3\xa0 \"vu\"", sizeof "d\xc3\xa9j\xc3\xa0 \"vu\"" - 1},
         "\"d\xc3\xa9j\xc3\xa0 \\\"vu\\\"\""},
        {{"\x1b[31m\n", sizeof "\x1b[31m\n" - 1}, "\"\\u001B[31m\\n\""},
        {{"\x7f\xc2\x9b\xc2\xa0", sizeof "\x7f\xc2\x9b\xc2\xa0" - 1}, "\"\\u007F\\u009B\xc2\xa0\""},
    };
    Arena arena = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Str quoted = json_quoted(&arena, rows[i].text);
        assert_string_equal(arena_cstr(&arena, quoted), rows[i].quoted);
    }
    arena_free(&arena);
}

static void test_tame_text_has_no_controls(void **state) {
    (void)state;
    char text[] = "\x1b[31m \xc2\x9b \x7f\r\n\xc3\xa9 \xc2\xa0 \xc2", lines[] = "a\nb\t";
    str_replace_controls(text, 0);
    assert_string_equal(text, "?[31m ?? ???\xc3\xa9 \xc2\xa0 \xc2");
    str_replace_controls(lines, '\n');
    assert_string_equal(lines, "a\nb?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays),
        cmocka_unit_test(test_quotes_show_what_would_move_a_cursor),
        cmocka_unit_test(test_tame_text_has_no_controls),
        cmocka_unit_test(test_a_message_cut_within_a_character_keeps_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
