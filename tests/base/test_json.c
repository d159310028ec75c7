// What cannot stand in JSON as it is must not be lost on the way into a report.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "mlpackage/scratch.h"

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
    check(STR("\x80\x7f"), "?\x7f");
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
        {{"\xc2\x80\xc2\x9f", 4}, "\"\\u0080\\u009F\""},
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

// ---- members that must be there

typedef struct {
    const char *json, *message; // NULL: is read
} NeedRow;

// Reads member "m" of each row's object by `read`, and compares the error.
static void check_rows(const NeedRow *rows, size_t n, void (*read)(JsonReader *, const json_t *)) {
    for (size_t i = 0; i < n; i++) {
        Arena arena = {0};
        Err err = {0};
        JsonReader reader = {.arena = &arena, .err = &err};
        json_t *object = json_loads(rows[i].json, 0, NULL);
        read(&reader, object);
        assert_int_equal(reader.failed, rows[i].message != NULL);
        assert_string_equal(err.text, rows[i].message ? rows[i].message : "");
        json_decref(object);
        arena_free(&arena);
    }
}

static void read_count(JsonReader *n, const json_t *object) {
    uint32_t value = need_u32(n, object, "m");
    assert_true(n->failed ? value == 0 : value == 7 || value == UINT32_MAX);
}

static void test_whole_numbers(void **state) {
    (void)state;
    static const NeedRow rows[] = {
        {"{\"m\": 7}", NULL},
        {"{\"m\": 4294967295}", NULL},
        {"{\"m\": 4294967296}", "member \"m\": 4294967296, expected 0 to 4294967295"},
        {"{\"m\": -1}", "member \"m\": -1, expected 0 to 4294967295"},
        {"{\"m\": 7.0}", "member \"m\": another type, expected a whole number"},
        {"{\"m\": \"7\"}", "member \"m\": another type, expected a whole number"},
        {"{\"m\": null}", "member \"m\": another type, expected a whole number"},
        {"{}", "member \"m\": absent, expected a whole number"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, read_count);
}

static void read_others(JsonReader *n, const json_t *object) {
    double number = need_number(n, object, "m");
    bool flag = need_bool(n, object, "b");
    Str text = need_str(n, object, "s");
    if (n->failed) return;
    assert_true(number == 2 && flag);
    assert_int_equal(text.len, 3); // a NUL inside is part of it
}

static void test_numbers_booleans_and_strings(void **state) {
    (void)state;
    static const NeedRow rows[] = {
        {"{\"m\": 2, \"b\": true, \"s\": \"abc\"}", NULL},
        {"{\"m\": 2.0, \"b\": true, \"s\": \"\xc3\xa9!\"}", NULL},
        {"{\"m\": true, \"b\": 1, \"s\": 1}", "member \"m\": another type, expected a number"},
        {"{\"m\": 2, \"b\": 1, \"s\": 1}", "member \"b\": another type, expected true or false"},
        {"{\"m\": 2, \"b\": true, \"s\": 1}", "member \"s\": another type, expected a string"},
        {"{\"m\": 2, \"b\": true}", "member \"s\": absent, expected a string"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, read_others);
}

static void read_list(JsonReader *n, const json_t *object) {
    size_t count;
    const json_t *array = need_array(n, object, "m", 2, &count);
    assert_int_equal(count, n->failed ? 0 : 2);
    assert_int_equal(json_array_size(array), count);
    need_object(n, object, "o");
}

static void test_lists_and_objects(void **state) {
    (void)state;
    static const NeedRow rows[] = {
        {"{\"m\": [1, 2], \"o\": {}}", NULL},
        {"{\"m\": [1, 2, 3], \"o\": {}}", "member \"m\": 3 items, expected at most 2"},
        {"{\"m\": {}, \"o\": {}}", "member \"m\": another type, expected an array"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, read_list);
}

static void read_two(JsonReader *n, const json_t *object) {
    need_u32(n, object, "first");
    need_str(n, need_object(n, object, "second"), "third");
    need_bool(n, object, "m");
}

static void test_the_first_failure_is_the_one_reported(void **state) {
    (void)state;
    static const NeedRow rows[] = {
        {"{\"m\": 1}", "member \"first\": absent, expected a whole number"}};
    check_rows(rows, 1, read_two);
}

static void test_after_a_failure_all_is_zero(void **state) {
    (void)state;
    Arena arena = {0};
    Err err = {0};
    JsonReader n = {.arena = &arena, .err = &err};
    json_t *object =
        json_loads("{\"i\": 7, \"b\": true, \"s\": \"abc\", \"a\": [1], \"o\": {}}", 0, NULL);
    assert_true(need_u32(&n, object, "i") == 7 && need_bool(&n, object, "b"));
    assert_ptr_equal(need_object(&n, object, "o"), json_object_get(object, "o"));
    need_bool(&n, object, "none");
    size_t count = 9;
    assert_int_equal(need_u32(&n, object, "i"), 0);
    assert_true(need_number(&n, object, "i") == 0);
    assert_false(need_bool(&n, object, "b"));
    assert_int_equal(need_str(&n, object, "s").len, 0);
    assert_null(need_object(&n, object, "o"));
    assert_null(need_array(&n, object, "a", 2, &count));
    assert_int_equal(count, 0);
    // The one that fails gives zero as well.
    static const char *const wrong[] = {"s", "o"};
    for (size_t i = 0; i < 2; i++) {
        JsonReader fresh[4];
        for (size_t k = 0; k < 4; k++) fresh[k] = (JsonReader){.arena = &arena, .err = &err};
        assert_int_equal(need_u32(&fresh[0], object, wrong[i]), 0);
        assert_true(need_number(&fresh[1], object, wrong[i]) == 0);
        assert_false(need_bool(&fresh[2], object, wrong[i]));
        assert_int_equal(need_str(&fresh[3], object, "i").len, 0);
        for (size_t k = 0; k < 4; k++) assert_true(fresh[k].failed);
    }
    json_decref(object);
    arena_free(&arena);
}

// ---- files

static void test_what_is_written_is_text_with_a_newline(void **state) {
    (void)state;
    static const char text[] = "{\n \"b\": 0.10000000000000001,\n \"a\": [\n  1\n ]\n}\n";
    Scratch scratch = scratch_open("test-json");
    Arena arena = {0};
    Err err = {0};
    const char *path = path_join(&arena, scratch.path, "f.json");
    json_t *value = json_pack("{s:f, s:[i]}", "b", 0.1, "a", 1);
    char *said = json_text(value);
    assert_string_equal(said, text);
    free(said);
    assert_true(json_write_file(value, path, &err));
    json_t *back = json_read_file(path, &err);
    assert_true(json_equal(back, value));
    Sha256 digest;
    assert_true(sha256_file(&digest, path, &err));
    assert_string_equal(digest.hex, sha256_bytes(text, sizeof text - 1).hex);
    assert_false(json_write_file(value, path_join(&arena, path, "below-a-file"), &err));
    assert_non_null(strstr(err.text, "below-a-file"));
    assert_null(json_read_file(path_join(&arena, scratch.path, "none"), &err));
    json_decref(back);
    json_decref(value);
    scratch_close(&scratch);
    arena_free(&arena);
}

static void test_files_are_one_object_without_a_key_twice(void **state) {
    (void)state;
    static const struct {
        const char *text, *message; // NULL: is read
    } rows[] = {
        {"{\"a\": 1}\n", NULL},
        {"", "line 1: '[' or '{' expected near end of file"},
        {"[1]", "expected a JSON object"},
        {"{\"a\": 1, \"a\": 1}", "line 1: duplicate object key"},
        {"{\"a\": 1} x", "line 1: end of file expected near 'x'"},
        {"{\"a\":\n \"\xff\"}", "line 2: unable to decode byte 0xff"},
    };
    Scratch scratch = scratch_open("test-json");
    Arena arena = {0};
    const char *path = path_join(&arena, scratch.path, "f.json");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Err err = {0};
        Sha256 digest;
        assert_true(file_write(path, rows[i].text, strlen(rows[i].text), &err));
        json_t *value = json_read_digest(path, &digest, &err);
        assert_int_equal(value != NULL, rows[i].message == NULL);
        assert_string_equal(digest.hex, sha256_bytes(rows[i].text, strlen(rows[i].text)).hex);
        if (rows[i].message) {
            assert_int_equal(err.kind, ERR_FORMAT);
            assert_non_null(strstr(err.text, "f.json: "));
            assert_non_null(strstr(err.text, rows[i].message));
        }
        json_decref(value);
    }
    scratch_close(&scratch);
    arena_free(&arena);
}

static void test_own_digest_covers_all_other_members(void **state) {
    (void)state;
    json_t *a = json_loads("{\"x\": 1, \"y\": [0.1]}", 0, NULL);
    json_t *b = json_loads("{\"y\": [0.1], \"sha256\": \"any\", \"x\": 1}", 0, NULL);
    assert_string_equal(json_own_sha256(a).hex, json_own_sha256(b).hex);
    assert_non_null(json_object_get(b, "sha256")); // is not taken out
    static const char compact[] = "{\"x\":1,\"y\":[0.10000000000000001]}";
    assert_string_equal(json_own_sha256(a).hex, sha256_bytes(compact, sizeof compact - 1).hex);
    json_object_set_new(a, "x", json_integer(2));
    assert_string_not_equal(json_own_sha256(a).hex, json_own_sha256(b).hex);
    json_decref(a);
    json_decref(b);
}

static void test_reals_that_json_cannot_write_are_null(void **state) {
    (void)state;
    static const double bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) assert_true(json_is_null(json_of_real(bad[i])));
    json_t *value = json_of_real(1.5);
    assert_true(json_real_value(value) == 1.5);
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays),
        cmocka_unit_test(test_quotes_show_what_would_move_a_cursor),
        cmocka_unit_test(test_tame_text_has_no_controls),
        cmocka_unit_test(test_a_message_cut_within_a_character_keeps_its_words),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_numbers_booleans_and_strings),
        cmocka_unit_test(test_lists_and_objects),
        cmocka_unit_test(test_the_first_failure_is_the_one_reported),
        cmocka_unit_test(test_after_a_failure_all_is_zero),
        cmocka_unit_test(test_what_is_written_is_text_with_a_newline),
        cmocka_unit_test(test_files_are_one_object_without_a_key_twice),
        cmocka_unit_test(test_own_digest_covers_all_other_members),
        cmocka_unit_test(test_reals_that_json_cannot_write_are_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
