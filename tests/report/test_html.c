// What comes from a file cannot leave its place in the page.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "report/html.h"

static void assert_text(Str in, const char *out) {
    StrBuf b = {0};
    html_text(&b, in);
    assert_string_equal(b.at ? b.at : "", out);
    strbuf_free(&b);
}

static void test_markup_is_escaped(void **state) {
    (void)state;
    assert_text(STR("<script>alert('1')</script>"),
                "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
    assert_text(STR("a\" onload=\"x & y"), "a&quot; onload=&quot;x &amp; y");
    assert_text(STR(""), "");
    assert_text(STR("Grüße 你好 🙂\n\t"), "Grüße 你好 🙂\n\t");
}

// A byte of no sequence must not take the next ones along: they may be markup.
static void test_broken_utf8_is_replaced_byte_by_byte(void **state) {
    (void)state;
    assert_text(STR("\xC3<b>"), "\uFFFD&lt;b&gt;");
    assert_text(STR("\xE4\xBD<"), "\uFFFD\uFFFD&lt;");
    assert_text(STR("\xF0\x9F\x99"), "\uFFFD\uFFFD\uFFFD");
    assert_text(STR("\xC0\xBC"), "\uFFFD\uFFFD");                     // overlong <
    assert_text(STR("\xE0\x80\xBC"), "\uFFFD\uFFFD\uFFFD");           // the same in three
    assert_text(STR("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");           // a surrogate
    assert_text(STR("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD"); // behind U+10FFFF
    assert_text((Str){"\0\x01\x7F", 3}, "\uFFFD\uFFFD\uFFFD");
}

static void test_long_names_can_be_broken(void **state) {
    (void)state;
    StrBuf b = {0};
    html_name(&b, "a_b.c_<x>_");
    assert_string_equal(b.at, "a_<wbr>b.<wbr>c_<wbr>&lt;x&gt;_");
    strbuf_free(&b);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {
        {0, "0"},           {3, "3"},
        {-17, "-17"},       {4096, "4096"},
        {0.25, "0.25"},     {1.0 / 3, "0.3333"},
        {0.001, "0.001"},   {0.0009, "9.00e-04"},
        {123456, "123456"}, {1e6, "1.00e+06"},
        {NAN, "–"},         {INFINITY, "–"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        StrBuf b = {0};
        html_number(&b, cases[i].x);
        assert_string_equal(b.at, cases[i].text);
        strbuf_free(&b);
    }
}

static void test_bytes(void **state) {
    (void)state;
    static const struct {
        double n;
        const char *text;
    } cases[] = {{512, "512 B"},
                 {1024, "1.0 KiB"},
                 {1048576.0 * 960.5, "960.5 MiB"},
                 {3.0 * (1 << 30), "3.0 GiB"},
                 {5e12, "4656.6 GiB"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        StrBuf b = {0};
        html_bytes(&b, cases[i].n);
        assert_string_equal(b.at, cases[i].text);
        strbuf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markup_is_escaped),
        cmocka_unit_test(test_broken_utf8_is_replaced_byte_by_byte),
        cmocka_unit_test(test_long_names_can_be_broken),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
