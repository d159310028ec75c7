// The API's answers: what is read of a good one, and every way in which one is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "hub/listing.h"

#define SHA "0123456789abcdef0123456789abcdef01234567"
#define LFS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILE_OF(path, size)                                                                        \
    "{\"type\": \"file\", \"path\": \"" path "\", \"oid\": \"" SHA "\", \"size\": " size "}"

static Arena arena;

static HubListing read_tree(const char *json) {
    HubListing l = {0};
    Err err = {0};
    if (!hub_read_tree(&l, &arena, str_of(json), &err)) fail_msg("%s", err.text);
    return l;
}

static void test_files_of_a_page(void **state) {
    (void)state;
    HubListing l = read_tree(
        "[{\"type\": \"directory\", \"path\": \"sub\", \"oid\": \"x\", \"size\": 0}," FILE_OF(
            "README.md",
            "7") ", {\"type\": \"file\", \"path\": \"sub/m.gguf\", \"oid\": \"" SHA
                 "\", \"size\": 9, \"lfs\": {\"oid\": \"" LFS
                 "\", \"size\": 1125899906842624, \"pointerSize\": 1}, \"xetHash\": \"0\"}]");
    assert_int_equal(l.count, 2);
    assert_true(str_is(l.files[0].path, "README.md") && l.files[0].sha256.len == 0);
    assert_true(l.files[0].n_bytes == 7 && str_is(l.files[0].git_id, SHA));
    assert_true(str_is(l.files[1].sha256, LFS) && l.files[1].n_bytes == UINT64_C(1) << 50);
    assert_ptr_equal(hub_find_file(&l, STR("sub/m.gguf")), &l.files[1]);
    assert_null(hub_find_file(&l, STR("m.gguf")));
    Err err = {0};
    assert_true(
        hub_read_tree(&l, &arena, STR("[" FILE_OF("more", "1") "]"), &err)); // a further page
    assert_int_equal(l.count, 3);
}

static void test_trees_that_are_wrong(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"", "line 1"},
        {"<html>", "line 1"},
        {"{}", "expected a JSON array"},
        {"[1]", "\"path\": absent"},
        {"[{\"type\": \"file\"}]", "\"path\": absent"},
        {"[" FILE_OF("../../etc/passwd", "1") "]", "path inside the repository"},
        {"[" FILE_OF("/etc/passwd", "1") "]", "path inside the repository"},
        {"[" FILE_OF("a/../../b", "1") "]", "path inside the repository"},
        {"[" FILE_OF("a\\\\b", "1") "]", "path inside the repository"},
        {"[" FILE_OF("a\\u001b[2J", "1") "]", "a\\u001B[2J"},
        {"[" FILE_OF("a\\u0000b", "1") "]", "\\u0000"},
        {"[" FILE_OF("a", "-1") "]", "-1, expected 0 to"},
        {"[" FILE_OF("a", "1125899906842625") "]", "expected 0 to 1125899906842624"},
        {"[" FILE_OF("a", "99999999999999999999999") "]", "too big integer"},
        {"[" FILE_OF("a", "1e999") "]", "real number overflow"},
        {"[" FILE_OF("a", "1.5") "]", "another type"},
        {"[" FILE_OF("a", "null") "]", "another type"},
        {"[{\"path\": \"a\", \"oid\": \"xyz\", \"size\": 1}]", "\"oid\" is no digest"},
        {"[{\"path\": \"a\", \"oid\": \"" SHA "\", \"size\": 1, \"lfs\": 5}]",
         "\"lfs\": another type"},
        {"[{\"path\": \"a\", \"oid\": \"" SHA "\", \"size\": 1, \"lfs\": {\"oid\": \"" SHA
         "\", \"size\": 1}}]",
         "\"oid\" is no digest"},
        {"[{\"path\": \"a\", \"path\": \"b\"}]", "duplicate"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        HubListing l = {0};
        Err err = {0};
        if (hub_read_tree(&l, &arena, str_of(rows[i].json), &err)) fail_msg("%s", rows[i].json);
        assert_int_equal(err.kind, ERR_FORMAT);
        if (!strstr(err.text, rows[i].says)) fail_msg("%s: %s", rows[i].json, err.text);
    }
}

static void test_an_endless_nest_is_refused(void **state) {
    (void)state;
    enum { DEEP = 1 << 20 };
    char *text = malloc(DEEP);
    memset(text, '[', DEEP);
    HubListing l = {0};
    Err err = {0};
    assert_false(hub_read_tree(&l, &arena, (Str){text, DEEP}, &err));
    free(text);
}

static void test_more_files_than_a_repository_has(void **state) {
    (void)state;
    StrBuf text = {0};
    strbuf_add_char(&text, '[');
    for (int i = 0; i <= HUB_MAX_FILES; i++)
        strbuf_printf(&text, "%s{\"path\":\"%d\",\"oid\":\"" SHA "\",\"size\":1}", i ? "," : "", i);
    strbuf_add_char(&text, ']');
    HubListing l = {0};
    Err err = {0};
    assert_false(hub_read_tree(&l, &arena, strbuf_str(&text), &err));
    assert_non_null(strstr(err.text, "more than"));
    strbuf_free(&text);
}

static void test_whose_quantisation_it_is(void **state) {
    (void)state;
    static const struct {
        const char *card, *tags, *base;
    } rows[] = {
        {"null", "[]", ""},
        {"{}", "[]", ""},
        {"{\"base_model\": \"o/m\"}", "[]", "o/m"},
        {"{\"base_model\": [\"o/m\"]}", "[\"base_model:o/m\", \"base_model:quantized:o/m\"]",
         "o/m"},
        {"{\"base_model\": \"o/m\", \"base_model_relation\": \"quantized\"}",
         "[\"base_model:finetune:o/m\"]", "o/m"},
        {"{\"base_model\": \"o/m\", \"base_model_relation\": \"finetune\"}", "[]", ""},
        {"{\"base_model\": \"o/m\"}", "[\"base_model:finetune:o/m\"]", ""},
        {"{\"base_model\": \"o/m\"}", "[\"base_model:merge:o/m\", 7, null]", ""},
        {"{\"base_model\": [\"o/m\", \"o/n\"]}", "[]", ""}, // a merge
        {"{\"base_model\": [[\"o/m\"]]}", "[]", ""},
        {"{\"base_model\": \"../../m\"}", "[]", ""},
        {"{\"base_model\": \"https://elsewhere/m\"}", "[]", ""},
        {"{\"base_model\": 7}", "7", ""},
        {"\"base_model\"", "[]", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        StrBuf json = {0};
        strbuf_printf(&json, "{\"sha\": \"" SHA "\", \"cardData\": %s, \"tags\": %s}", rows[i].card,
                      rows[i].tags);
        HubRepo repo;
        Err err = {0};
        if (!hub_read_repo(&repo, &arena, strbuf_str(&json), &err)) fail_msg("%s", err.text);
        if (!str_is(repo.base, rows[i].base))
            fail_msg("%s: '%.*s'", rows[i].card, STR_ARG(repo.base));
        assert_true(str_is(repo.commit, SHA));
        strbuf_free(&json);
    }
}

static void test_repositories_that_are_wrong(void **state) {
    (void)state;
    static const char *const rows[] = {"",
                                       "[]",
                                       "{}",
                                       "{\"sha\": 5}",
                                       "{\"sha\": \"main\"}",
                                       "{\"sha\": \"../../../../../../../../../../../../../x\"}",
                                       "{\"sha\": \"" SHA "\""};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        HubRepo repo;
        Err err = {0};
        if (hub_read_repo(&repo, &arena, str_of(rows[i]), &err)) fail_msg("%s", rows[i]);
        assert_int_equal(err.kind, ERR_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_a_page),
        cmocka_unit_test(test_trees_that_are_wrong),
        cmocka_unit_test(test_an_endless_nest_is_refused),
        cmocka_unit_test(test_more_files_than_a_repository_has),
        cmocka_unit_test(test_whose_quantisation_it_is),
        cmocka_unit_test(test_repositories_that_are_wrong),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return n_failed;
}
