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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays),
        cmocka_unit_test(test_a_message_cut_within_a_character_keeps_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
