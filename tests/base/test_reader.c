// Untrusted bytes: the first short read sticks, and nothing after it moves or gives a value.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/size.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xFF};

static void test_numbers_are_little_endian(void **state) {
    (void)state;
    Reader r = reader_over(bytes, sizeof bytes);
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0302);
    assert_int_equal(read_u32(&r), 0x07060504);
    assert_int_equal(read_u64(&r), 0x0F0E0D0C0B0A0908);
    assert_int_equal(reader_left(&r), 1);
    assert_int_equal(read_u8(&r), 0xFF);
    assert_false(r.short_read);
    assert_int_equal(reader_left(&r), 0);
}

static void test_the_first_short_read_sticks(void **state) {
    (void)state;
    for (size_t n = 0; n < 8; n++) {
        Reader r = reader_over(bytes, n);
        assert_int_equal(read_u64(&r), 0);
        assert_true(r.short_read);
        assert_int_equal(reader_left(&r), 0);
        assert_int_equal(read_u8(&r), 0); // though a byte is there
        assert_null(read_bytes(&r, 0));
        assert_int_equal(read_str(&r, 1).len, 0);
    }
}

static void test_strings_stay_in_place(void **state) {
    (void)state;
    Reader r = reader_over(bytes, 4);
    Str s = read_str(&r, 4);
    assert_ptr_equal(s.at, bytes);
    assert_int_equal(s.len, 4);
    assert_int_equal(read_str(&r, 0).len, 0);
    assert_false(r.short_read);
}

static void test_lengths_beyond_memory_are_short(void **state) {
    (void)state;
    Reader r = reader_over(bytes, sizeof bytes);
    assert_int_equal(read_str(&r, UINT64_MAX).len, 0);
    assert_true(r.short_read);
    r = reader_over(bytes, sizeof bytes);
    assert_null(read_bytes(&r, SIZE_MAX));
    assert_true(r.short_read);
}

static void test_no_bytes_at_all(void **state) {
    (void)state;
    Reader r = reader_over(NULL, 0);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.short_read);
}

static void test_sizes_report_overflow(void **state) {
    (void)state;
    size_t n;
    assert_true(mul_size(SIZE_MAX / 2, 2, &n) && n == SIZE_MAX - 1);
    assert_false(mul_size(SIZE_MAX / 2 + 1, 2, &n));
    assert_true(mul_size(SIZE_MAX, 0, &n) && n == 0);
    assert_true(add_size(SIZE_MAX, 0, &n));
    assert_false(add_size(SIZE_MAX, 1, &n));
    assert_true(round_up(0, 32) == 0 && round_up(1, 32) == 32 && round_up(32, 32) == 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_little_endian),
        cmocka_unit_test(test_the_first_short_read_sticks),
        cmocka_unit_test(test_strings_stay_in_place),
        cmocka_unit_test(test_lengths_beyond_memory_are_short),
        cmocka_unit_test(test_no_bytes_at_all),
        cmocka_unit_test(test_sizes_report_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
