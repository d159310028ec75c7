// Views of strings, and the buffer that builds them.
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"

static void test_compare(void **state) {
    (void)state;
    static const Str nothing = {NULL, 0};
    assert_true(str_eq(nothing, STR("")) && str_is(STR("ab"), "ab") && !str_is(STR("ab"), "abc"));
    assert_true(!str_starts(STR("abc"), STR("ac")) && !str_ends(STR("abc"), STR("ac")));
    assert_true(str_starts(STR("abc"), STR("ab")) && !str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")));
    assert_true(str_starts(nothing, nothing) && str_ends(STR("a"), nothing) &&
                str_ends(nothing, nothing));
    assert_int_equal(str_compare(STR("a"), STR("a")), 0);
    assert_int_equal(str_compare(nothing, STR("")), 0);
    assert_true(str_compare(STR("a"), STR("ab")) < 0 && str_compare(STR("b"), STR("ab")) > 0);
    assert_true(str_compare(STR("\x7f"), STR("\x80")) < 0); // bytes are unsigned
}

static void test_cut_keeps_characters_whole(void **state) {
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac"; // a, two bytes, three bytes
    static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 6, 6};
    for (size_t most = 0; most < sizeof lengths / sizeof *lengths; most++)
        assert_int_equal(str_cut(STR(text), most).len, lengths[most]);
}

static void test_buffer_grows_and_stays_terminated(void **state) {
    (void)state;
    StrBuf b = {0};
    assert_string_equal(strbuf_str(&b).at, "");
    for (int i = 0; i < 300; i++) strbuf_add_char(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 300);
    assert_int_equal(b.at[300], 0);
    assert_int_equal(b.at[299], 'a' + 299 % 26);
    strbuf_printf(&b, "%0*d", 1000, 7);
    assert_int_equal(b.len, 1300);
    assert_string_equal(b.at + 1297, "007");
    strbuf_free(&b);
    assert_int_equal(b.len, 0);
    strbuf_add(&b, STR("again")); // usable after it was freed
    strbuf_add(&b, (Str){NULL, 0});
    assert_string_equal(b.at, "again");
    strbuf_free(&b);
}

static void test_buffer_fills_exactly_at_every_length(void **state) {
    (void)state;
    // The first capacity is 64: the final NUL must fit below, at and above it.
    for (size_t n = 60; n < 70; n++) {
        StrBuf b = {0};
        char *start = strbuf_extend(&b, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(start[i], 0);
            start[i] = 'x';
        }
        assert_int_equal(strlen(b.at), n);
        assert_true(b.cap > n);
        strbuf_free(&b);
    }
}

static void test_buffer_is_extended_after_what_it_has(void **state) {
    (void)state;
    StrBuf b = {0};
    strbuf_add(&b, STR("ab"));
    memcpy(strbuf_extend(&b, 2), "cd", 2);
    strbuf_printf(&b, "%s", "");
    strbuf_add_char(&b, 'e');
    assert_string_equal(b.at, "abcde");
    assert_int_equal(b.len, 5);
    strbuf_free(&b);
}

static void test_floats_read_back(void **state) {
    (void)state;
    static const struct {
        float x;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {-3, "-3"},
        {0.1f, "0.1"},
        {1e-5f, "1e-05"},
        {1.0954451f, "1.0954452"},
        {9999999, "9999999"},
        {1e7f, "1e+07"},
        {FLT_MAX, "3.4028235e+38"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        StrBuf b = {0};
        strbuf_add_float(&b, rows[i].x);
        assert_string_equal(b.at, rows[i].text);
        assert_true(strtof(b.at, NULL) == rows[i].x);
        strbuf_free(&b);
    }
}

static void test_long_names_are_cut_in_messages(void **state) {
    (void)state;
    char *name = calloc(1, 10000);
    memset(name, 'n', 9999);
    StrBuf b = {0};
    strbuf_printf(&b, "%.*s", STR_ARG(str_of(name)));
    assert_int_equal(b.len, 4096);
    strbuf_free(&b);
    free(name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_cut_keeps_characters_whole),
        cmocka_unit_test(test_buffer_grows_and_stays_terminated),
        cmocka_unit_test(test_buffer_fills_exactly_at_every_length),
        cmocka_unit_test(test_buffer_is_extended_after_what_it_has),
        cmocka_unit_test(test_floats_read_back),
        cmocka_unit_test(test_long_names_are_cut_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
