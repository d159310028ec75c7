// Memory of one lifetime: zeroed, aligned, apart from each other, freed whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_allocations_are_zeroed_aligned_and_apart(void **state) {
    (void)state;
    Arena arena = {0};
    unsigned char *at[400];
    for (size_t i = 0; i < 400; i++) {
        size_t n = 1 + i * 37 % 5000; // small ones, and some beyond any block
        at[i] = arena_alloc(&arena, n, 1);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        for (size_t k = 0; k < n; k++) assert_int_equal(at[i][k], 0);
        memset(at[i], (int)(i % 251 + 1), n);
    }
    for (size_t i = 0; i < 400; i++)
        for (size_t k = 0; k < 1 + i * 37 % 5000; k++) assert_int_equal(at[i][k], i % 251 + 1);
    arena_free(&arena);
    assert_int_equal(arena.n_bytes, 0);
    assert_non_null(arena_alloc(&arena, 1, 1)); // usable again
    arena_free(&arena);
}

// An arena is one block after the other, not an allocation each.
static void test_small_allocations_lie_beside_each_other(void **state) {
    (void)state;
    Arena arena = {0};
    char *first = arena_alloc(&arena, 1, 1), *second = arena_alloc(&arena, 16, 1);
    assert_ptr_equal(second, first + 16);
    assert_ptr_equal(arena_alloc(&arena, 1, 1), second + 16);
    assert_int_equal(arena.n_bytes, 48);
    arena_free(&arena);
}

// A text's NUL is its own, also where what follows begins right after it.
static void test_texts_of_every_length_end(void **state) {
    (void)state;
    static const char text[] = "0123456789abcdef0123456789abcdef0123456789abcdef";
    Arena arena = {0};
    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = arena_cstr(&arena, (Str){text, n});
        memset(arena_alloc(&arena, 16, 1), 'x', 16);
        Str printed = arena_printf(&arena, "%.*s", (int)n, text);
        memset(arena_alloc(&arena, 16, 1), 'x', 16);
        assert_int_equal(strlen(copy), n);
        assert_int_equal(strlen(printed.at), n);
        assert_memory_equal(printed.at, text, n);
    }
    arena_free(&arena);
}

static void test_one_allocation_larger_than_all_blocks(void **state) {
    (void)state;
    enum { LARGE = 5 << 20 };
    Arena arena = {0};
    char *small = arena_cstr(&arena, STR("before"));
    char *large = arena_alloc(&arena, LARGE, 1);
    assert_int_equal(large[LARGE - 1], 0);
    large[LARGE - 1] = 1;
    assert_string_equal(small, "before");
    assert_string_equal(arena_cstr(&arena, STR("after")), "after");
    assert_true(arena.n_bytes >= LARGE);
    arena_free(&arena);
}

static void test_no_items_are_a_valid_allocation(void **state) {
    (void)state;
    Arena arena = {0};
    assert_non_null(arena_array(&arena, 0, uint64_t));
    arena_free(&arena);
}

static void test_copies_do_not_depend_on_their_source(void **state) {
    (void)state;
    Arena arena = {0};
    char text[] = "text";
    Str copy = arena_str(&arena, str_of(text));
    char *c_string = arena_cstr(&arena, (Str){text, 2});
    memset(text, 'x', 4);
    assert_true(str_is(copy, "text"));
    assert_true(str_is(arena_str(&arena, STR("a")), "a"));
    assert_string_equal(c_string, "te");
    Str printed = arena_printf(&arena, "%s-%0*d", "a", 500, 1);
    assert_int_equal(printed.len, 502);
    assert_int_equal(printed.at[502], 0);
    assert_string_equal(printed.at + 498, "0001");
    assert_int_equal(arena_str(&arena, (Str){NULL, 0}).len, 0);
    arena_free(&arena);
}

static void test_big_alloc_is_aligned_and_reports_what_it_cannot_have(void **state) {
    (void)state;
    Err err = {0};
    unsigned char *at = big_alloc(1000, "KV cache", &err);
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % 64, 0);
    for (size_t i = 0; i < 1000; i++) assert_int_equal(at[i], 0);
    free(at);
    assert_null(big_alloc(SIZE_MAX - 4096, "KV cache", &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "KV cache"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_small_allocations_lie_beside_each_other),
        cmocka_unit_test(test_texts_of_every_length_end),
        cmocka_unit_test(test_one_allocation_larger_than_all_blocks),
        cmocka_unit_test(test_no_items_are_a_valid_allocation),
        cmocka_unit_test(test_copies_do_not_depend_on_their_source),
        cmocka_unit_test(test_big_alloc_is_aligned_and_reports_what_it_cannot_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
