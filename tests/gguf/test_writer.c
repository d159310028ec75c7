// What the writer writes, the reader reads, byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/spec.h"
#include "gguf/writer.h"

typedef struct {
    char path[512];
    Arena arena;
    Gguf from, to;
    Err err;
} Copy;

static int set_up(void **state) {
    Copy *c = calloc(1, sizeof *c);
    if (!c) return -1;
    const char *dir = getenv("LATHE_TEST_TMP");
    snprintf(c->path, sizeof c->path, "%s/gguf-writer-%ld.gguf", dir ? dir : "/tmp",
             (long)getpid());
    *state = c;
    return 0;
}

static int tear_down(void **state) {
    Copy *c = *state;
    unlink(c->path);
    gguf_close(&c->from);
    gguf_close(&c->to);
    arena_free(&c->arena);
    free(c);
    return 0;
}

static const GgufKey **all_keys(Copy *c) {
    const GgufKey **keys = arena_array(&c->arena, c->from.n_keys, const GgufKey *);
    for (size_t i = 0; i < c->from.n_keys; i++) keys[i] = &c->from.keys[i];
    return keys;
}

static const TensorInfo **all_tensors(Copy *c) {
    const TensorInfo **tensors = arena_array(&c->arena, c->from.n_tensors, const TensorInfo *);
    for (size_t i = 0; i < c->from.n_tensors; i++) tensors[i] = &c->from.tensors[i];
    return tensors;
}

static void write_and_open(Copy *c, const GgufKey *const *keys, size_t n_keys,
                           const TensorInfo *const *tensors, size_t n_tensors) {
    if (!gguf_write(c->path, c->from.alignment, keys, n_keys, tensors, n_tensors, &c->err) ||
        !gguf_open(&c->to, &c->arena, c->path, &c->err))
        fail_msg("%s", c->err.text);
}

// hello-phi3 is laid out as the writer does it: version 3, tensors in file order, zeros between.
static void test_whole_model_is_written_as_it_was(void **state) {
    Copy *c = *state;
    assert_true(gguf_open(&c->from, &c->arena, LATHE_MODELS "/hello-phi3-q8_0.gguf", &c->err));
    write_and_open(c, all_keys(c), c->from.n_keys, all_tensors(c), c->from.n_tensors);
    assert_int_equal(c->to.n_bytes, c->from.n_bytes);
    assert_memory_equal(c->to.parts[0].map.at, c->from.parts[0].map.at, c->from.n_bytes);
}

static void test_some_keys_and_tensors_in_other_order(void **state) {
    Copy *c = *state;
    assert_true(gguf_open(&c->from, &c->arena, LATHE_MODELS "/hello-phi3-q8_0.gguf", &c->err));
    const GgufKey *keys[] = {gguf_find_key(&c->from, STR("tokenizer.ggml.merges")),
                             gguf_find_key(&c->from, STR("general.architecture"))};
    const TensorInfo *tensors[] = {gguf_find_tensor(&c->from, STR("token_embd.weight")),
                                   gguf_find_tensor(&c->from, STR("rope_factors_long.weight"))};
    write_and_open(c, keys, 2, tensors, 2);
    assert_int_equal(c->to.n_keys, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(str_eq(c->to.keys[i].name, keys[i]->name));
        assert_int_equal(c->to.keys[i].type, keys[i]->type);
        assert_true(str_eq(c->to.keys[i].encoded, keys[i]->encoded));
        assert_true(str_eq(c->to.tensors[i].name, tensors[i]->name));
        assert_ptr_equal(c->to.tensors[i].type, tensors[i]->type);
        assert_memory_equal(c->to.tensors[i].dims, tensors[i]->dims, sizeof tensors[i]->dims);
        assert_memory_equal(c->to.tensors[i].data, tensors[i]->data, tensors[i]->n_bytes);
    }
}

static void test_stated_alignment_is_kept(void **state) {
    Copy *c = *state;
    FileSpec s;
    spec_init(&s);
    s.alignment = 16384; // more than the writer's piece of zeros
    spec_add_u32(&s, "general.alignment", 16384);
    spec_add_tensor(&s, "a", "I8", 1, (uint64_t[]){5});
    spec_add_tensor(&s, "b", "I8", 1, (uint64_t[]){6});
    Str bytes = spec_bytes(&s);
    assert_true(gguf_open_bytes(&c->from, &c->arena, bytes.at, bytes.len, "spec", &c->err));
    write_and_open(c, all_keys(c), 1, all_tensors(c), 2);
    assert_int_equal(c->to.alignment, 16384);
    assert_int_equal(c->to.tensors[1].data - c->to.tensors[0].data, 16384);
    assert_memory_equal(c->to.tensors[1].data, c->from.tensors[1].data, 6);
    spec_free(&s);
}

static void test_nothing_at_all(void **state) {
    Copy *c = *state;
    c->from.alignment = 32;
    write_and_open(c, NULL, 0, NULL, 0);
    assert_int_equal(c->to.n_keys, 0);
    assert_int_equal(c->to.n_tensors, 0);
}

static void test_directory_that_is_not_there(void **state) {
    Copy *c = *state;
    assert_false(gguf_write("no-such-directory/x.gguf", 32, NULL, 0, NULL, 0, &c->err));
    assert_int_equal(c->err.kind, ERR_SYSTEM);
    assert_non_null(strstr(c->err.text, "no-such-directory/x.gguf"));
}

#define COPY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        COPY_TEST(test_whole_model_is_written_as_it_was),
        COPY_TEST(test_some_keys_and_tensors_in_other_order),
        COPY_TEST(test_stated_alignment_is_kept),
        COPY_TEST(test_nothing_at_all),
        COPY_TEST(test_directory_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
