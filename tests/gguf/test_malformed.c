// Files that are wrong in one way each: every one is refused, with a message that says what is
// wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "gguf/spec.h"

// Opens `bytes` from a block of exactly their size, so that a sanitizer sees each byte read beyond.
static bool opens(Str bytes, Err *err) {
    *err = (Err){0};
    uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(exact);
    if (bytes.len) memcpy(exact, bytes.at, bytes.len);
    Arena arena = {0};
    Gguf g;
    bool ok = gguf_open_bytes(&g, &arena, exact, bytes.len, "test.gguf", err);
    gguf_close(&g);
    arena_free(&arena);
    free(exact);
    return ok;
}

// ---- header

static void wrong_magic(FileSpec *s) {
    s->magic[3] = 'X';
}
static void version_1(FileSpec *s) {
    s->version = 1;
}
static void version_4(FileSpec *s) {
    s->version = 4;
}
static void version_0(FileSpec *s) {
    s->version = 0;
}
static void big_endian_2(FileSpec *s) {
    s->version = 0x02000000;
}
static void big_endian_3(FileSpec *s) {
    s->version = 0x03000000;
}
static void key_count_beyond_file(FileSpec *s) {
    s->n_keys = 1000;
}
static void key_count_largest(FileSpec *s) {
    s->n_keys = UINT64_MAX;
}
static void key_count_beyond_limit(FileSpec *s) {
    s->n_keys = 65537;
    s->data_bytes = 1 << 20;
}
static void tensor_count_beyond_file(FileSpec *s) {
    s->n_tensors = 1000;
}
static void tensor_count_largest(FileSpec *s) {
    s->n_tensors = UINT64_MAX;
}
static void tensor_count_beyond_limit(FileSpec *s) {
    s->n_tensors = 65537;
    s->data_bytes = 1 << 22;
}

// ---- keys

static void key_type_unknown(FileSpec *s) {
    spec_key(s, "x.count")->type = GGUF_TYPE_COUNT;
}
static void key_name_empty(FileSpec *s) {
    KeySpec *k = spec_key(s, "x.count");
    k->name.len = k->name_bytes = 0;
}
static void key_name_too_long(FileSpec *s) {
    KeySpec *k = spec_key(s, "x.count");
    k->name_bytes = k->name.len = 65536;
    char *name = arena_array(&s->arena, k->name.len, char);
    memset(name, 'k', k->name.len);
    k->name.at = name;
}
static void key_name_beyond_file(FileSpec *s) {
    spec_key(s, "x.sizes")->name_bytes = 60000;
}
static void key_name_largest(FileSpec *s) {
    spec_key(s, "x.count")->name_bytes = UINT64_MAX;
}
static void key_name_with_escape(FileSpec *s) {
    spec_key(s, "x.count")->name = STR("x.\033[2Jt");
}
static void key_name_with_zero(FileSpec *s) {
    spec_key(s, "x.count")->name = STR("x.c\0unt");
}
static void key_name_not_ascii(FileSpec *s) {
    spec_key(s, "x.count")->name = STR("x.c\303\274nt");
}
static void key_twice(FileSpec *s) {
    spec_add_u32(s, "x.count", 7);
}
static void key_twice_of_other_type(FileSpec *s) {
    spec_add_string(s, "x.count", "7");
}
static void bool_of_2(FileSpec *s) {
    spec_set_value(s, "x.flag", "\2", 1);
}
static void bool_item_of_255(FileSpec *s) {
    spec_set_value(s, "x.flags", "\7\0\0\0\3\0\0\0\0\0\0\0\0\1\xFF", 15);
}
static void string_beyond_file(FileSpec *s) {
    spec_set_value(s, "general.architecture", "\0\0\1\0\0\0\0\0llama", 13);
}
static void string_largest(FileSpec *s) {
    spec_set_value(s, "general.architecture", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFllama", 13);
}
static void array_of_arrays(FileSpec *s) {
    spec_set_value(s, "x.sizes", "\x09\0\0\0\1\0\0\0\0\0\0\0", 12);
}
static void array_type_unknown(FileSpec *s) {
    spec_set_value(s, "x.sizes", "\x0D\0\0\0\0\0\0\0\0\0\0\0", 12);
}
static void array_beyond_file(FileSpec *s) {
    spec_set_value(s, "x.sizes", "\3\0\0\0\0\0\1\0\0\0\0\0", 12);
}
// 2^63 items of 2 bytes: the product wraps to 0.
static void array_product_wraps(FileSpec *s) {
    spec_set_value(s, "x.sizes", "\3\0\0\0\0\0\0\0\0\0\0\x80", 12);
}
static void string_array_beyond_file(FileSpec *s) {
    spec_set_value(s, "x.names", "\x08\0\0\0\0\0\1\0\0\0\0\0", 12);
}
static void string_item_beyond_file(FileSpec *s) {
    spec_set_value(s, "x.names", "\x08\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0", 20);
}
static void alignment_0(FileSpec *s) {
    spec_set_value(s, "general.alignment", "\0\0\0\0", 4);
}
static void alignment_4(FileSpec *s) {
    spec_set_value(s, "general.alignment", "\4\0\0\0", 4);
}
static void alignment_24(FileSpec *s) {
    spec_set_value(s, "general.alignment", "\x18\0\0\0", 4);
}
static void alignment_2_to_31(FileSpec *s) {
    spec_set_value(s, "general.alignment", "\0\0\0\x80", 4);
}
static void alignment_of_string(FileSpec *s) {
    KeySpec *k = spec_key(s, "general.alignment");
    k->type = GGUF_STRING;
    k->value = (Str){"\2\0\0\0\0\0\0\0"
                     "32",
                     10};
}
static void alignment_of_array(FileSpec *s) {
    KeySpec *k = spec_key(s, "general.alignment");
    k->type = GGUF_ARRAY;
    k->value = (Str){"\4\0\0\0\1\0\0\0\0\0\0\0\x20\0\0\0", 16};
}

// ---- tensors

static void tensor_name_empty(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->name.len = t->name_bytes = 0;
}
static void tensor_name_of_65(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->name = STR("a.name.of.65.bytes.is.one.more.than.ggml.has.room.for.in.a.tensor");
    t->name_bytes = t->name.len;
    assert_int_equal(t->name.len, 65);
}
static void tensor_name_with_newline(FileSpec *s) {
    spec_tensor(s, "b.weight")->name = STR("b\nweight");
}
static void tensor_name_largest(FileSpec *s) {
    spec_tensor(s, "b.weight")->name_bytes = UINT64_MAX;
}
static void tensor_name_beyond_file(FileSpec *s) {
    spec_tensor(s, "c.weight")->name_bytes = 64;
    s->data_bytes = 0;
}
static void no_dimensions(FileSpec *s) {
    spec_tensor(s, "b.weight")->n_dims = 0;
}
static void five_dimensions(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->n_dims = 5;
    for (int i = 2; i < 5; i++) t->dims[i] = 1;
}
static void dimensions_largest(FileSpec *s) {
    spec_tensor(s, "b.weight")->n_dims = UINT32_MAX;
}
static void first_dimension_0(FileSpec *s) {
    spec_tensor(s, "b.weight")->dims[0] = 0;
}
static void second_dimension_0(FileSpec *s) {
    spec_tensor(s, "b.weight")->dims[1] = 0;
}
static void dimension_largest(FileSpec *s) {
    spec_tensor(s, "b.weight")->dims[1] = UINT64_MAX;
}
// 2^32 * 2^32: wraps to 0, which would look like an empty tensor.
static void shape_wraps(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->dims[0] = t->dims[1] = UINT64_C(1) << 32;
}
// 2^61 weights of 8 bytes.
static void size_wraps(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->type = block_type_named("F64")->id;
    t->dims[0] = UINT64_C(1) << 31;
    t->dims[1] = UINT64_C(1) << 30;
}
static void row_of_half_a_block(FileSpec *s) {
    TensorSpec *t = spec_tensor(s, "b.weight");
    t->dims[0] = 16; // 16 * 8 weights are whole blocks, but no row is
    t->dims[1] = 8;
}
static void type_unknown(FileSpec *s) {
    spec_tensor(s, "b.weight")->type = 4711;
}
static void type_largest(FileSpec *s) {
    spec_tensor(s, "b.weight")->type = UINT32_MAX;
}
static void offset_not_aligned(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset += 8;
    s->data_bytes += 8;
}
static void offset_beyond_file(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset = 1 << 20;
}
static void offset_largest(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset = UINT64_MAX - 31;
}
static void last_byte_missing(FileSpec *s) {
    s->data_bytes--;
}
static void data_missing(FileSpec *s) {
    s->data_bytes = 0;
}
static void same_offset(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset = spec_tensor(s, "b.weight")->offset;
}
static void overlap_by_tail(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset -= 32;
}
static void inside_another(FileSpec *s) {
    spec_tensor(s, "c.weight")->offset = 32;
}
static void tensor_twice(FileSpec *s) {
    spec_tensor(s, "c.weight")->name = STR("b.weight");
}

static const struct {
    void (*spoil)(FileSpec *s);
    const char *message; // some of it
} cases[] = {
    {wrong_magic, "test.gguf: not a GGUF file"},
    {version_0, "GGUF version 0, expected 2 or 3"},
    {version_1, "GGUF version 1, expected 2 or 3"},
    {version_4, "GGUF version 4, expected 2 or 3"},
    {big_endian_2, "big-endian"},
    {big_endian_3, "big-endian"},
    {key_count_beyond_file, "1000 keys"},
    {key_count_largest, "18446744073709551615 keys"},
    {key_count_beyond_limit, "65537 keys, expected at most 65536"},
    {tensor_count_beyond_file, "1000 tensors"},
    {tensor_count_largest, "18446744073709551615 tensors"},
    {tensor_count_beyond_limit, "65537 tensors, expected at most 65536"},

    {key_type_unknown, "key 'x.count': value type 13, expected 0 to 12"},
    {key_name_empty, "key 3 of 7 has a name of 0 bytes"},
    {key_name_too_long, "key 3 of 7 has a name of 65536 bytes, expected 1 to 65535"},
    {key_name_beyond_file, "ends inside key 7 of 7"},
    {key_name_largest, "key 3 of 7 has a name of 18446744073709551615 bytes"},
    {key_name_with_escape, "key 3 of 7 has byte 0x1b in its name (byte 3 of 7)"},
    {key_name_with_zero, "key 3 of 7 has byte 0x00 in its name"},
    {key_name_not_ascii, "key 3 of 7 has byte 0xc3 in its name"},
    {key_twice, "key 'x.count' occurs twice"},
    {key_twice_of_other_type, "key 'x.count' occurs twice"},
    {bool_of_2, "key 'x.flag': a bool of value 2, expected 0 or 1"},
    {bool_item_of_255, "key 'x.flags': a bool of value 255"},
    {string_beyond_file, "key 'general.architecture': a string of 65536 bytes"},
    {string_largest, "key 'general.architecture': a string of 18446744073709551615 bytes"},
    {array_of_arrays, "key 'x.sizes': an array of arrays"},
    {array_type_unknown, "key 'x.sizes': value type 13"},
    {array_beyond_file, "key 'x.sizes': 65536 items of i16"},
    {array_product_wraps, "key 'x.sizes': 9223372036854775808 items of i16"},
    {string_array_beyond_file, "key 'x.names': 65536 items of string"},
    {string_item_beyond_file, "key 'x.names': a string of 65536 bytes"},
    {alignment_0, "key 'general.alignment': 0, expected a power of two"},
    {alignment_4, "key 'general.alignment': 4, expected a power of two from 8"},
    {alignment_24, "key 'general.alignment': 24, expected a power of two"},
    {alignment_2_to_31, "key 'general.alignment': 2147483648, expected a power of two"},
    {alignment_of_string, "key 'general.alignment': a value of type string, expected u32"},
    {alignment_of_array, "key 'general.alignment': a value of type array, expected u32"},

    {tensor_name_empty, "tensor 2 of 3 has a name of 0 bytes"},
    {tensor_name_of_65, "tensor 2 of 3 has a name of 65 bytes, expected 1 to 64"},
    {tensor_name_with_newline, "tensor 2 of 3 has byte 0x0a in its name"},
    {tensor_name_largest, "tensor 2 of 3 has a name of 18446744073709551615 bytes"},
    {tensor_name_beyond_file, "ends inside tensor 3 of 3"},
    {no_dimensions, "tensor 'b.weight': 0 dimensions, expected 1 to 4"},
    {five_dimensions, "tensor 'b.weight': 5 dimensions, expected 1 to 4"},
    {dimensions_largest, "tensor 'b.weight': 4294967295 dimensions"},
    {first_dimension_0, "tensor 'b.weight': dimension 1 of 2 is 0"},
    {second_dimension_0, "tensor 'b.weight': dimension 2 of 2 is 0"},
    {dimension_largest, "tensor 'b.weight': dimension 2 of 2 is 18446744073709551615"},
    {shape_wraps, "tensor 'b.weight': its 2 dimensions multiply to more than 2^64"},
    {size_wraps, "tensor 'b.weight': 2305843009213693952 weights of F64 take more than 2^64 bytes"},
    {row_of_half_a_block, "tensor 'b.weight': rows of 16 weights, but Q8_0 comes in blocks of 32"},
    {type_unknown, "tensor 'b.weight': unknown weight type 4711"},
    {type_largest, "tensor 'b.weight': unknown weight type 4294967295"},
    {offset_not_aligned, "tensor 'c.weight': offset 232, expected a multiple of the alignment 32"},
    {offset_beyond_file, "tensor 'c.weight': 8 bytes at offset 1048576 of 232 bytes of data"},
    {offset_largest, "tensor 'c.weight': 8 bytes at offset 18446744073709551584"},
    {last_byte_missing, "tensor 'c.weight': 8 bytes at offset 224 of 231 bytes of data"},
    {data_missing, "tensor 'a.weight': 64 bytes at offset 0 of 0 bytes of data"},
    {same_offset, "overlap"},
    {overlap_by_tail,
     "tensors 'b.weight' (136 bytes at offset 64) and 'c.weight' (at 192) overlap"},
    {inside_another, "tensors 'a.weight' (64 bytes at offset 0) and 'c.weight' (at 32) overlap"},
    {tensor_twice, "tensor 'b.weight' occurs twice"},
};

static void test_each_case_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FileSpec s;
        spec_init_sample(&s);
        cases[i].spoil(&s);
        Err err;
        if (opens(spec_bytes(&s), &err)) fail_msg("accepted: %s", cases[i].message);
        if (!strstr(err.text, cases[i].message))
            fail_msg("expected '%s', got '%s'", cases[i].message, err.text);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_true(strncmp(err.text, "test.gguf: ", 11) == 0);
        spec_free(&s);
    }
}

static void test_sample_opens(void **state) {
    (void)state;
    FileSpec s;
    spec_init_sample(&s);
    Err err;
    if (!opens(spec_bytes(&s), &err)) fail_msg("%s", err.text);
    spec_free(&s);
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    FileSpec s;
    spec_init_sample(&s);
    Str whole = spec_bytes(&s);
    for (size_t n = 0; n < whole.len; n++) {
        Err err;
        if (opens((Str){whole.at, n}, &err)) fail_msg("accepted when cut to %zu bytes", n);
        assert_int_equal(err.kind, ERR_FORMAT);
    }
    spec_free(&s);
}

// Whatever one byte of the header becomes, the file opens or is refused; nothing is read outside
// it.
static void test_every_byte_changed_is_survived(void **state) {
    (void)state;
    FileSpec s;
    spec_init_sample(&s);
    Str whole = spec_bytes(&s);
    char *bytes = arena_array(&s.arena, whole.len, char);
    static const unsigned char masks[] = {0x01, 0x80, 0xFF};
    size_t n_refused = 0;
    for (size_t at = 0; at < whole.len - s.data_bytes; at++)
        for (size_t m = 0; m < COUNT_OF(masks); m++) {
            memcpy(bytes, whole.at, whole.len);
            bytes[at] = (char)(bytes[at] ^ masks[m]);
            Err err;
            if (opens((Str){bytes, whole.len}, &err)) continue;
            assert_int_equal(err.kind, ERR_FORMAT);
            n_refused++;
        }
    assert_true(n_refused > 500);
    spec_free(&s);
}

// A long name must not push the reason out of the message.
static void test_long_key_name_leaves_room_for_the_reason(void **state) {
    (void)state;
    FileSpec s;
    spec_init_sample(&s);
    KeySpec *k = spec_key(&s, "x.flag");
    char *name = arena_array(&s.arena, 65535, char);
    memset(name, 'k', 65535);
    k->name = (Str){name, k->name_bytes = 65535};
    k->value = STR("\2");
    Err err;
    assert_false(opens(spec_bytes(&s), &err));
    assert_non_null(strstr(err.text, "a bool of value 2, expected 0 or 1"));
    spec_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_opens),
        cmocka_unit_test(test_each_case_is_refused_by_name),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_byte_changed_is_survived),
        cmocka_unit_test(test_long_key_name_leaves_room_for_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
