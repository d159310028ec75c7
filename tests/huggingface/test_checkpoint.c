// Files of weights that are wrong in one way each: every one is refused, with a message that says what is wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "huggingface/checkpoint.h"

// A header and `n_data` bytes after it, in a block of exactly their size, so that a sanitizer sees each byte read
// beyond. `n_header` is what the file says; 0: the truth.
typedef struct {
    const char *what, *header;
    size_t n_data;
    uint64_t n_header;
    const char *message;
} Case;

static bool reads(Checkpoint *c, Arena *arena, const Case *k, uint8_t **block, Err *err) {
    size_t n = strlen(k->header);
    uint64_t stated = k->n_header ? k->n_header : n;
    *err = (Err){0};
    *block = calloc(1, 8 + n + k->n_data);
    assert_non_null(*block);
    for (unsigned i = 0; i < 8; i++) (*block)[i] = (uint8_t)(stated >> 8 * i);
    memcpy(*block + 8, k->header, n);
    return checkpoint_read(c, arena, *block, 8 + n + k->n_data, err);
}

#define A          "{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]}"
#define B(offsets) ", \"b\": {\"dtype\": \"F16\", \"shape\": [4], \"data_offsets\": [" offsets "]}}"
#define ONE(row)   "{\"a\": {" row "}}"
#define F32(rest)  ONE("\"dtype\": \"F32\", " rest)

static void test_good_file(void **state) {
    (void)state;
    Arena arena = {0};
    Checkpoint c;
    Err err;
    uint8_t *block;
    const Case k = {"",
                    "{\"__metadata__\": {\"format\": \"pt\"}, "
                    "\"b\": {\"dtype\": \"F16\", \"shape\": [4, 1], "
                    "\"data_offsets\": [24, 32]}, "
                    "\"a\": {\"dtype\": \"F32\", \"shape\": [2, 3], "
                    "\"data_offsets\": [0, 24]}}   ",
                    32, 0, ""};
    assert_true(reads(&c, &arena, &k, &block, &err));
    assert_int_equal(c.count, 2);
    assert_true(str_is(c.at[0].name, "a")); // in the order of the data
    assert_int_equal(c.at[0].n_dims, 2);
    assert_int_equal(c.at[0].dims[0], 3); // innermost first
    assert_int_equal(c.at[0].dims[1], 2);
    assert_ptr_equal(c.at[0].data, block + 8 + strlen(k.header));
    assert_int_equal(c.at[1].n_bytes, 8);
    assert_string_equal(c.at[1].type->name, "F16");
    arena_free(&arena);
    free(block);
}

static const Case cases[] = {
    {"header beyond the file", A "}", 24, 1000, "a header of 1000 bytes in a file of"},
    {"largest header", A "}", 24, UINT64_MAX, "a header of 18446744073709551615 bytes"},
    {"header beyond the limit", A "}", 24, 100000001, "expected at most 100000000"},
    {"no JSON", "{\"a\": ", 24, 0, "its header: line 1"},
    {"no object", "[1]", 24, 0, "expected an object"},
    {"a name twice", A ", \"a\": 1}", 24, 0, "duplicate object key"},
    {"a row that is none", "{\"a\": 1}", 0, 0, "tensor 'a': expected an object"},
    {"an empty name", "{\"\": {}}", 0, 0, "a tensor's name: expected 1 to 256 printable"},
    {"a name with a control", "{\"a\\u001b[1m\": {}}", 0, 0, "a tensor's name"},
    {"another member", F32("\"shape\": [1], \"data_offsets\": [0, 4], \"more\": 1"), 4, 0,
     "a member that the format"},
    {"no dtype", ONE("\"shape\": [1], \"data_offsets\": [0, 4]"), 4, 0, "dtype is not a text"},
    {"dtype of 8 bits", ONE("\"dtype\": \"F8_E4M3\", \"shape\": [4], \"data_offsets\": [0, 4]"), 4,
     0, "dtype F8_E4M3; lathe reads F32, F16 and BF16"},
    {"a quantised dtype", ONE("\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [0, 4]"), 4, 0,
     "dtype U8"},
    {"no shape", F32("\"data_offsets\": [0, 4]"), 4, 0, "expected a list of 1 to 4 sizes"},
    {"five dims", F32("\"shape\": [1, 1, 1, 1, 1], \"data_offsets\": [0, 4]"), 4, 0,
     "expected a list of 1 to 4 sizes"},
    {"a size of 0", F32("\"shape\": [0, 4], \"data_offsets\": [0, 0]"), 0, 0,
     "expected sizes of 1 or more"},
    {"a size below 0", F32("\"shape\": [-1], \"data_offsets\": [0, 4]"), 4, 0,
     "expected sizes of 1 or more"},
    {"a real size", F32("\"shape\": [1.0], \"data_offsets\": [0, 4]"), 4, 0,
     "expected sizes of 1 or more"},
    {"a product beyond size_t",
     F32("\"shape\": [9223372036854775807, 4], \"data_offsets\": [0, 4]"), 4, 0,
     "whose product fits"},
    {"bytes beyond size_t", F32("\"shape\": [9223372036854775807], \"data_offsets\": [0, 4]"), 4, 0,
     "its bytes do not fit"},
    {"no offsets", F32("\"shape\": [1]"), 4, 0, "expected [begin, end]"},
    {"three offsets", F32("\"shape\": [1], \"data_offsets\": [0, 4, 4]"), 4, 0,
     "expected [begin, end]"},
    {"a begin below 0", F32("\"shape\": [1], \"data_offsets\": [-4, 0]"), 4, 0,
     "expected [begin, end]"},
    {"an end before its begin", F32("\"shape\": [1], \"data_offsets\": [4, 0]"), 4, 0,
     "expected [begin, end]"},
    {"an end beyond the file", F32("\"shape\": [2], \"data_offsets\": [0, 8]"), 4, 0,
     "bytes 0 to 8 of 4 bytes of data"},
    {"fewer bytes than the shape", F32("\"shape\": [2], \"data_offsets\": [0, 4]"), 4, 0,
     "4 bytes, but its shape and dtype take 8"},
    {"two that overlap", A B("20, 28"), 28, 0, "tensor 'b': overlaps the one before it"},
    {"two in one place",
     A ", \"b\": {\"dtype\": \"F32\", \"shape\": [6], \"data_offsets\": [0, 24]}}", 24, 0,
     "overlaps the one before it"},
    {"a gap", A B("26, 34"), 34, 0, "tensor 'b': bytes before it belong to no tensor"},
    {"a gap at the beginning", F32("\"shape\": [1], \"data_offsets\": [4, 8]"), 8, 0,
     "bytes before it belong to no tensor"},
    {"bytes at the end", A "}", 25, 0, "1 bytes at the end belong to no tensor"},
};

static void test_each_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Checkpoint c;
        Err err;
        uint8_t *block;
        if (reads(&c, &arena, &cases[i], &block, &err)) fail_msg("%s: was read", cases[i].what);
        if (err.kind != ERR_FORMAT || !strstr(err.text, cases[i].message))
            fail_msg("%s: '%s'", cases[i].what, err.text);
        arena_free(&arena);
        free(block);
    }
}

static void test_cut_off_anywhere(void **state) {
    (void)state;
    const Case k = {"", A B("24, 32"), 32, 0, ""};
    size_t n = 8 + strlen(k.header) + k.n_data;
    uint8_t *block;
    Arena arena = {0};
    Checkpoint c;
    Err err;
    assert_true(reads(&c, &arena, &k, &block, &err));
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, block, cut);
        assert_false(checkpoint_read(&c, &arena, part, cut, &err));
        free(part);
    }
    arena_free(&arena);
    free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_each_is_refused),
        cmocka_unit_test(test_cut_off_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
