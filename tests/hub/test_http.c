// URLs: whom the token may go to, and names as parts of one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "hub/http.h"

static void test_one_origin(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"https://huggingface.co", "https://huggingface.co/u/r", true},
        {"https://huggingface.co", "https://HuggingFace.co:443/x", true},
        {"https://huggingface.co", "https://cdn-lfs.huggingface.co/x", false},
        {"https://huggingface.co", "https://huggingface.co.evil.org/x", false},
        {"https://huggingface.co", "https://huggingface.co@evil.org/x", false},
        {"https://huggingface.co", "http://huggingface.co/x", false},
        {"https://huggingface.co", "https://huggingface.co:8443/x", false},
        {"http://127.0.0.1:8000", "http://127.0.0.1:8000/x", true},
        {"http://127.0.0.1:8000", "http://127.0.0.1:8001/x", false},
        {"http://127.0.0.1:8000", "http://localhost:8000/x", false},
        {"https://huggingface.co", "", false},
        {"https://huggingface.co", "/x", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (http_same_origin(rows[i].a, rows[i].b) != rows[i].is_same) fail_msg("%s", rows[i].b);
}

static void expect_path(const char *path, bool keeps_slashes, const char *expected) {
    StrBuf url = {0};
    http_add_path(&url, str_of(path), keeps_slashes);
    assert_string_equal(url.at, expected);
    strbuf_free(&url);
}

static void test_paths_as_parts_of_a_url(void **state) {
    (void)state;
    expect_path("a/B-1._~", true, "a/B-1._~");
    expect_path("refs/pr/1", false, "refs%2Fpr%2F1");
    expect_path("a b?c#d%e&f", true, "a%20b%3Fc%23d%25e%26f");
    expect_path("\xc3\xa9", true, "%C3%A9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_origin),
        cmocka_unit_test(test_paths_as_parts_of_a_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
