// A model in three files opens as one by any of them, and is refused when the files do not fit
// together.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/size.h"
#include "gguf/spec.h"

enum { N_PARTS = 3 };

typedef struct {
    FileSpec parts[N_PARTS];
    char paths[N_PARTS][512];
    Arena arena;
    Gguf g;
    Err err;
} Model;

static void add_u16(FileSpec *s, const char *name, unsigned value) {
    const unsigned char bytes[2] = {(unsigned char)value, (unsigned char)(value >> 8)};
    spec_add_key(s, name, GGUF_U16, bytes, 2);
}

static const char *scratch_dir(void) {
    const char *dir = getenv("LATHE_TEST_TMP");
    return dir ? dir : "/tmp";
}

// Parts with 1, 0 and 2 tensors, keys of the types that gguf-split writes.
static int set_up(void **state) {
    Model *m = calloc(1, sizeof *m);
    if (!m) return -1;
    for (unsigned i = 0; i < N_PARTS; i++) {
        FileSpec *s = &m->parts[i];
        spec_init(s);
        if (i == 0) spec_add_string(s, "general.architecture", "llama");
        add_u16(s, "split.no", i);
        add_u16(s, "split.count", N_PARTS);
        spec_add_key(s, "split.tensors.count", GGUF_I32, "\3\0\0\0", 4);
        snprintf(m->paths[i], sizeof m->paths[i], "%s/gguf-split-%ld-%05u-of-%05d.gguf",
                 scratch_dir(), (long)getpid(), i + 1, N_PARTS);
    }
    spec_add_tensor(&m->parts[0], "a", "F32", 1, (uint64_t[]){4});
    spec_add_tensor(&m->parts[2], "b", "F16", 2, (uint64_t[]){4, 2});
    spec_add_tensor(&m->parts[2], "c", "I8", 1, (uint64_t[]){3});
    *state = m;
    return 0;
}

static int tear_down(void **state) {
    Model *m = *state;
    for (unsigned i = 0; i < N_PARTS; i++) {
        unlink(m->paths[i]);
        spec_free(&m->parts[i]);
    }
    gguf_close(&m->g);
    arena_free(&m->arena);
    free(m);
    return 0;
}

static void write_parts(Model *m) {
    for (unsigned i = 0; i < N_PARTS; i++) {
        Str bytes = spec_bytes(&m->parts[i]);
        if (!file_write(m->paths[i], bytes.at, bytes.len, &m->err)) fail_msg("%s", m->err.text);
    }
}

static void expect_refusal(Model *m, unsigned part, const char *message) {
    assert_false(gguf_open(&m->g, &m->arena, m->paths[part], &m->err));
    assert_int_equal(m->err.kind, ERR_FORMAT);
    if (!strstr(m->err.text, message)) fail_msg("expected '%s', got '%s'", message, m->err.text);
}

static void test_opens_by_any_part(void **state) {
    Model *m = *state;
    write_parts(m);
    for (unsigned i = 0; i < N_PARTS; i++) {
        if (!gguf_open(&m->g, &m->arena, m->paths[i], &m->err)) fail_msg("%s", m->err.text);
        assert_int_equal(m->g.n_parts, N_PARTS);
        assert_int_equal(m->g.n_tensors, 3);
        assert_int_equal(m->g.n_keys, 4);
        assert_non_null(gguf_find_key(&m->g, STR("general.architecture")));
        const TensorInfo *c = gguf_find_tensor(&m->g, STR("c"));
        assert_ptr_equal(c, &m->g.tensors[2]);
        assert_int_equal(c->data[2], 34); // byte 32 + 2 of the third part's data
        assert_int_equal(gguf_find_tensor(&m->g, STR("b"))->n_bytes, 16);
        gguf_close(&m->g);
    }
}

static void test_digest_is_of_all_parts_in_order(void **state) {
    Model *m = *state;
    write_parts(m);
    assert_true(gguf_open(&m->g, &m->arena, m->paths[1], &m->err));
    Hasher *hasher = hasher_new();
    size_t n_bytes = 0;
    for (unsigned i = 0; i < N_PARTS; i++) {
        Str bytes = spec_bytes(&m->parts[i]);
        hasher_add(hasher, bytes.at, bytes.len);
        n_bytes += bytes.len;
    }
    assert_int_equal(m->g.n_bytes, n_bytes);
    assert_string_equal(gguf_digest(&m->g, NULL).hex, hasher_end(hasher).hex);
}

static void test_missing_part_is_named(void **state) {
    Model *m = *state;
    write_parts(m);
    unlink(m->paths[1]);
    expect_refusal(m, 2, "-00002-of-00003.gguf: missing; the model needs part 2 of 3");
}

static void test_damaged_part_is_named(void **state) {
    Model *m = *state;
    m->parts[2].data_bytes--;
    write_parts(m);
    expect_refusal(m, 0, "-00003-of-00003.gguf: tensor 'c'");
}

static void test_part_with_other_number(void **state) {
    Model *m = *state;
    spec_set_value(&m->parts[1], "split.no", "\2\0", 2);
    write_parts(m);
    expect_refusal(
        m, 0, "part 2 (counted from 0) of 3, but the file name is part 2 (counted from 1) of 3");
}

static void test_part_with_other_count(void **state) {
    Model *m = *state;
    spec_set_value(&m->parts[2], "split.count", "\4\0", 2);
    write_parts(m);
    expect_refusal(m, 0, "part 2 (counted from 0) of 4");
}

static void test_part_without_number(void **state) {
    Model *m = *state;
    KeySpec *k = spec_key(&m->parts[1], "split.no");
    k->name = STR("other.no");
    write_parts(m);
    expect_refusal(m, 0, "key 'split.no': missing or not an integer");
}

static void test_tensor_count_that_parts_do_not_hold(void **state) {
    Model *m = *state;
    spec_set_value(&m->parts[0], "split.tensors.count", "\4\0\0\0", 4);
    write_parts(m);
    expect_refusal(m, 0, "'split.tensors.count': 4, but the 3 parts hold 3");
}

static void test_tensor_in_two_parts(void **state) {
    Model *m = *state;
    spec_tensor(&m->parts[2], "c")->name = STR("a");
    write_parts(m);
    expect_refusal(m, 1, "tensor 'a' occurs in two parts");
}

static void test_later_part_contradicts_the_first(void **state) {
    Model *m = *state;
    spec_add_string(&m->parts[1], "general.architecture", "phi3");
    write_parts(m);
    expect_refusal(m, 0, "key 'general.architecture' has another value in the model's first part");
}

// The same bytes as another type are another value.
static void test_later_part_has_another_type(void **state) {
    Model *m = *state;
    spec_add_key(&m->parts[0], "x", GGUF_I32, "\xFF\xFF\xFF\xFF", 4);
    spec_add_key(&m->parts[1], "x", GGUF_U32, "\xFF\xFF\xFF\xFF", 4);
    write_parts(m);
    expect_refusal(m, 0, "key 'x' has another value in the model's first part");
}

static void test_later_part_has_a_key_of_its_own(void **state) {
    Model *m = *state;
    spec_add_u32(&m->parts[2], "llama.context_length", 4096);
    write_parts(m);
    expect_refusal(m, 0, "key 'llama.context_length' is missing in the model's first part");
}

static void test_later_part_may_repeat_a_key(void **state) {
    Model *m = *state;
    spec_add_string(&m->parts[1], "general.architecture", "llama");
    write_parts(m);
    if (!gguf_open(&m->g, &m->arena, m->paths[0], &m->err)) fail_msg("%s", m->err.text);
}

static void test_number_outside_the_count(void **state) {
    Model *m = *state;
    static const char *const paths[] = {"x-00000-of-00003.gguf", "x-00004-of-00003.gguf",
                                        "x-00001-of-01000.gguf"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        snprintf(m->paths[0], sizeof m->paths[0], "%s", paths[i]);
        expect_refusal(m, 0, "expected 1 to at most 999");
    }
}

// A part under a name of its own must not pass for the whole model.
static void test_renamed_part(void **state) {
    Model *m = *state;
    snprintf(m->paths[0], sizeof m->paths[0], "%s/gguf-split-%ld-renamed.gguf", scratch_dir(),
             (long)getpid());
    write_parts(m);
    expect_refusal(m, 0, "is one of 3 parts of a model; name it NAME-00001-of-00003.gguf");
    Str bytes = spec_bytes(&m->parts[0]);
    assert_false(gguf_open_bytes(&m->g, &m->arena, bytes.at, bytes.len, "bytes", &m->err));
    assert_non_null(strstr(m->err.text, "bytes is one of 3 parts"));
}

static void test_single_file_named_like_a_part(void **state) {
    Model *m = *state;
    snprintf(m->paths[0], sizeof m->paths[0], "%s/gguf-split-%ld-00001-of-00001.gguf",
             scratch_dir(), (long)getpid());
    spec_set_value(&m->parts[0], "split.count", "\1\0", 2);
    write_parts(m);
    if (!gguf_open(&m->g, &m->arena, m->paths[0], &m->err)) fail_msg("%s", m->err.text);
    assert_int_equal(m->g.n_tensors, 1);
}

#define PART_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PART_TEST(test_opens_by_any_part),
        PART_TEST(test_digest_is_of_all_parts_in_order),
        PART_TEST(test_missing_part_is_named),
        PART_TEST(test_damaged_part_is_named),
        PART_TEST(test_part_with_other_number),
        PART_TEST(test_part_with_other_count),
        PART_TEST(test_part_without_number),
        PART_TEST(test_tensor_count_that_parts_do_not_hold),
        PART_TEST(test_tensor_in_two_parts),
        PART_TEST(test_later_part_contradicts_the_first),
        PART_TEST(test_later_part_has_another_type),
        PART_TEST(test_later_part_has_a_key_of_its_own),
        PART_TEST(test_later_part_may_repeat_a_key),
        PART_TEST(test_number_outside_the_count),
        PART_TEST(test_renamed_part),
        PART_TEST(test_single_file_named_like_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
