// What a valid file says is what the reader says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "gguf/spec.h"

static void open_spec(Gguf *g, FileSpec *s) {
    Str bytes = spec_bytes(s);
    Err err = {0};
    if (!gguf_open_bytes(g, &s->arena, bytes.at, bytes.len, "test.gguf", &err))
        fail_msg("%s", err.text);
}

static void test_sample_keys(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init_sample(&s);
    open_spec(&g, &s);
    assert_int_equal(g.n_keys, 7);
    assert_true(str_is(g.keys[0].name, "general.architecture"));
    const GgufKey *names = gguf_find_key(&g, STR("x.names"));
    assert_int_equal(names->type, GGUF_ARRAY);
    assert_int_equal(names->item_type, GGUF_STRING);
    assert_int_equal(names->n_items, 2);
    assert_true(str_is(names->strings[0], "one") && str_is(names->strings[1], ""));
    assert_int_equal(names->encoded.len, 4 + 8 + 8 + 3 + 8);
    assert_null(gguf_find_key(&g, STR("x.name")));
    assert_null(gguf_find_key(&g, STR("")));
    gguf_close(&g);
    spec_free(&s);
}

static void test_sample_tensors(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init_sample(&s);
    open_spec(&g, &s);
    assert_int_equal(g.n_tensors, 3);
    const TensorInfo *b = gguf_find_tensor(&g, STR("b.weight"));
    assert_ptr_equal(b, &g.tensors[1]);
    assert_string_equal(b->type->name, "Q8_0");
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 64);
    assert_int_equal(b->dims[1], 2);
    assert_int_equal(b->dims[2], 1);
    assert_int_equal(b->dims[3], 1);
    assert_int_equal(b->n_weights, 128);
    assert_int_equal(b->n_bytes, 4 * 34);
    for (size_t i = 0; i < b->n_bytes; i++) assert_int_equal(b->data[i], (64 + i) % 251);
    assert_null(gguf_find_tensor(&g, STR("b.weigh")));
    assert_null(gguf_find_tensor(&g, STR("b.weights")));
    gguf_close(&g);
    spec_free(&s);
}

static void test_version_2_reads_alike(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init_sample(&s);
    s.version = 2;
    open_spec(&g, &s);
    assert_int_equal(g.version, 2);
    assert_int_equal(g.n_tensors, 3);
    gguf_close(&g);
    spec_free(&s);
}

static void test_alignment_key_moves_the_data(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    s.alignment = 256;
    spec_add_u32(&s, "general.alignment", 256);
    spec_add_tensor(&s, "a", "I8", 1, (uint64_t[]){5});
    spec_add_tensor(&s, "b", "I8", 1, (uint64_t[]){1});
    open_spec(&g, &s);
    assert_int_equal(g.alignment, 256);
    assert_int_equal(g.tensors[1].data - g.tensors[0].data, 256);
    assert_int_equal(g.tensors[0].data[4], 4);
    gguf_close(&g);
    spec_free(&s);
}

static void test_alignment_is_32_when_not_stated(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    spec_add_tensor(&s, "a", "I8", 1, (uint64_t[]){5});
    open_spec(&g, &s);
    assert_int_equal(g.alignment, 32);
    assert_int_equal(g.tensors[0].data[0], 0);
    assert_int_equal(g.tensors[0].data[4], 4);
    gguf_close(&g);
    spec_free(&s);
}

static void test_file_without_keys_and_tensors(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    open_spec(&g, &s);
    assert_int_equal(g.n_keys, 0);
    assert_int_equal(g.n_tensors, 0);
    assert_null(gguf_find_key(&g, STR("a")));
    assert_null(gguf_find_tensor(&g, STR("a")));
    gguf_close(&g);
    spec_free(&s);
}

static void test_longest_names(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    static char key[65535 + 1], tensor[64 + 1];
    memset(key, 'k', sizeof key - 1);
    memset(tensor, 't', sizeof tensor - 1);
    spec_add_u32(&s, key, 1);
    spec_add_tensor(&s, tensor, "F32", 4, (uint64_t[]){1, 2, 3, 4});
    open_spec(&g, &s);
    assert_non_null(gguf_find_key(&g, str_of(key)));
    assert_int_equal(gguf_find_tensor(&g, str_of(tensor))->n_weights, 24);
    gguf_close(&g);
    spec_free(&s);
}

static void test_empty_arrays(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    spec_add_key(&s, "numbers", GGUF_ARRAY, "\6\0\0\0\0\0\0\0\0\0\0\0", 12);
    spec_add_key(&s, "strings", GGUF_ARRAY, "\x08\0\0\0\0\0\0\0\0\0\0\0", 12);
    open_spec(&g, &s);
    for (size_t i = 0; i < 2; i++) {
        Str str;
        double number;
        assert_int_equal(g.keys[i].n_items, 0);
        assert_false(gguf_str(&g.keys[i], 0, &str));
        assert_false(gguf_f64(&g.keys[i], 0, &number));
    }
    gguf_close(&g);
    spec_free(&s);
}

static void test_blocks_without_decoder_open_by_name(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init(&s);
    spec_add_tensor(&s, "a", "Q8_1", 2, (uint64_t[]){64, 3});
    spec_add_tensor(&s, "b", "Q4_2", 1, (uint64_t[]){64}); // gone before GGUF
    open_spec(&g, &s);
    assert_string_equal(g.tensors[0].type->name, "Q8_1");
    assert_false(g.tensors[0].type->is_decodable);
    assert_non_null(strstr(g.tensors[1].type->advice, "ggml has retired it"));
    assert_int_equal(g.tensors[0].n_bytes, 6 * 36);
    assert_int_equal(g.tensors[1].n_bytes, 4 * 10);
    gguf_close(&g);
    spec_free(&s);
}

static void test_array_of_200000_strings(void **state) {
    (void)state;
    enum { N = 200000 };
    FileSpec s;
    Gguf g;
    spec_init(&s);
    StrBuf value = {0};
    put_le(&value, GGUF_STRING, 4);
    put_le(&value, N, 8);
    for (int i = 0; i < N; i++) {
        char text[16];
        snprintf(text, sizeof text, "token%d", i);
        put_str(&value, text);
    }
    spec_add_key(&s, "tokens", GGUF_ARRAY, value.at, value.len);
    strbuf_free(&value);
    open_spec(&g, &s);
    Str last;
    assert_true(gguf_str(&g.keys[0], N - 1, &last));
    assert_true(str_is(last, "token199999"));
    assert_false(gguf_str(&g.keys[0], N, &last));
    gguf_close(&g);
    spec_free(&s);
}

// The largest table that is allowed, found again name by name.
static void test_65536_tensors_are_found(void **state) {
    (void)state;
    enum { N = 65536 };
    Arena arena = {0};
    StrBuf file = {0};
    strbuf_add(&file, STR("GGUF"));
    put_le(&file, 3, 4);
    put_le(&file, N, 8);
    put_le(&file, 0, 8);
    char name[16];
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "t%u", (i * 40503u) % N); // a permutation: 40503 is odd
        put_str(&file, name);
        put_le(&file, 1, 4);
        put_le(&file, 1, 8);
        put_le(&file, block_type_named("I8")->id, 4);
        put_le(&file, UINT64_C(32) * i, 8);
    }
    strbuf_extend(&file, (size_t)round_up(file.len, 32) - file.len + (size_t)N * 32);
    Gguf g;
    Err err = {0};
    if (!gguf_open_bytes(&g, &arena, file.at, file.len, "large", &err)) fail_msg("%s", err.text);
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof name, "t%u", (i * 40503u) % N);
        assert_ptr_equal(gguf_find_tensor(&g, str_of(name)), &g.tensors[i]);
    }
    gguf_close(&g);
    strbuf_free(&file);
    arena_free(&arena);
}

// Counts and sizes as the PyPI package gguf 0.19 reads them; the digest as sha256sum prints it.
static void test_hello_phi3(void **state) {
    (void)state;
    Arena arena = {0};
    Gguf g;
    Err err = {0};
    if (!gguf_open(&g, &arena, LATHE_MODELS "/hello-phi3-q8_0.gguf", &err))
        fail_msg("%s", err.text);
    assert_int_equal(g.version, 3);
    assert_int_equal(g.n_keys, 30);
    assert_int_equal(g.n_tensors, 28);
    assert_int_equal(g.n_parts, 1);
    assert_int_equal(g.n_bytes, 1178912);
    const GgufKey *tokens = gguf_find_key(&g, STR("tokenizer.ggml.tokens"));
    assert_int_equal(tokens->n_items, 2048);
    const TensorInfo *embedding = gguf_find_tensor(&g, STR("token_embd.weight"));
    assert_string_equal(embedding->type->name, "Q8_0");
    assert_int_equal(embedding->dims[0], 128);
    assert_int_equal(embedding->dims[1], 2048);
    assert_int_equal(embedding->n_bytes, 278528);
    assert_int_equal(embedding->data - g.parts[0].map.at, 60192);
    assert_string_equal(gguf_digest(&g, NULL).hex,
                        "78d3aea0c5b833f2e0d0ca7c7b5131c959e3064a2b893cb9fde55bf3dc3b18b5");
    gguf_close(&g);
    arena_free(&arena);
}

static void test_digest_of_borrowed_bytes(void **state) {
    (void)state;
    FileSpec s;
    Gguf g;
    spec_init_sample(&s);
    open_spec(&g, &s);
    Str bytes = spec_bytes(&s);
    assert_string_equal(gguf_digest(&g, NULL).hex, sha256_bytes(bytes.at, bytes.len).hex);
    gguf_close(&g);
    spec_free(&s);
}

static void test_missing_file_is_a_system_error(void **state) {
    (void)state;
    Arena arena = {0};
    Gguf g;
    Err err = {0};
    assert_false(gguf_open(&g, &arena, "no-such-model.gguf", &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "no-such-model.gguf"));
    gguf_close(&g);
    arena_free(&arena);
}

static void test_directory_is_refused(void **state) {
    (void)state;
    Arena arena = {0};
    Gguf g;
    Err err = {0};
    assert_false(gguf_open(&g, &arena, LATHE_MODELS, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
    arena_free(&arena);
}

static void test_close_of_zeroed_and_closed(void **state) {
    (void)state;
    Gguf g = {0};
    gguf_close(&g);
    gguf_close(&g);
    assert_null(gguf_find_key(&g, STR("a")));
    assert_null(gguf_find_tensor(&g, STR("a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_keys),
        cmocka_unit_test(test_sample_tensors),
        cmocka_unit_test(test_version_2_reads_alike),
        cmocka_unit_test(test_alignment_key_moves_the_data),
        cmocka_unit_test(test_alignment_is_32_when_not_stated),
        cmocka_unit_test(test_file_without_keys_and_tensors),
        cmocka_unit_test(test_longest_names),
        cmocka_unit_test(test_empty_arrays),
        cmocka_unit_test(test_blocks_without_decoder_open_by_name),
        cmocka_unit_test(test_array_of_200000_strings),
        cmocka_unit_test(test_65536_tensors_are_found),
        cmocka_unit_test(test_hello_phi3),
        cmocka_unit_test(test_digest_of_borrowed_bytes),
        cmocka_unit_test(test_missing_file_is_a_system_error),
        cmocka_unit_test(test_directory_is_refused),
        cmocka_unit_test(test_close_of_zeroed_and_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
