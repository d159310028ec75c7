// The writer against a second writing of the format: the worked example byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "mlpackage/example.h"
#include "mlpackage/scratch.h"
#include "mlpackage/sheet.h"

// Published with the sheet; made there by coremltools 9 (tests/oracle/test_packages.py repeats it).
static const char model_sha256[] =
    "6dc27de3b0f6f9796707f3aaad10e68d8077bc28ffeeb47cde97ff664d360078";
static const char weights_sha256[] =
    "50bb9a7e521014c1b01d86735cad3c156bcc0beff3e2f9143b56c6f77e40cca1";
enum { MODEL_BYTES = 1095 };

typedef struct {
    Scratch scratch;
    Arena arena;
    const char *package;
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    Err err = {0};
    fixture = (Fixture){.scratch = scratch_open("coreml-example")};
    fixture.package = path_join(&fixture.arena, fixture.scratch.path, "example.mlpackage");
    if (!example_write(fixture.package, &err)) fail_msg("%s", err.text);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *t = *state;
    scratch_close(&t->scratch);
    arena_free(&t->arena);
    return 0;
}

static void assert_file(Fixture *t, const char *name, Str wanted, const char *sha256) {
    FileMap map;
    Err err;
    if (!map_file(&map, path_join(&t->arena, t->package, name), &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < wanted.len && i < map.len; i++)
        if (map.at[i] != (uint8_t)wanted.at[i])
            fail_msg("%s: byte %zu is %02x, expected %02x", name, i, map.at[i],
                     (unsigned)(uint8_t)wanted.at[i]);
    assert_int_equal(map.len, wanted.len);
    assert_string_equal(sha256_bytes(map.at, map.len).hex, sha256);
    unmap_file(&map);
}

static void test_the_sheet_is_the_published_one(void **state) {
    (void)state;
    StrBuf sheet = {0};
    sheet_encode(sheet_example, &sheet);
    assert_int_equal(sheet.len, MODEL_BYTES);
    assert_string_equal(sha256_bytes(sheet.at, sheet.len).hex, model_sha256);
    strbuf_free(&sheet);
}

static void test_model_is_the_sheet(void **state) {
    StrBuf sheet = {0};
    sheet_encode(sheet_example, &sheet);
    assert_file(*state, "Data/com.apple.CoreML/model.mlmodel", strbuf_str(&sheet), model_sha256);
    strbuf_free(&sheet);
}

static void test_weights_are_the_sheet(void **state) {
    unsigned char bytes[SHEET_EXAMPLE_WEIGHT_BYTES];
    sheet_example_weights(bytes);
    assert_file(*state, "Data/com.apple.CoreML/weights/weight.bin",
                (Str){(const char *)bytes, sizeof bytes}, weights_sha256);
}

static void test_it_reads_back(void **state) {
    Fixture *t = *state;
    Package p;
    Err err = {0};
    if (!package_open(&p, &t->arena, t->package, &err)) fail_msg("%s", err.text);
    const MilFunction *f = mil_find_function(p.program, STR("main"));
    const MilOp *unpack = &f->ops[0];
    assert_int_equal(unpack->info->opcode, MIL_OP_constexpr_blockwise_shift_scale);
    size_t n;
    const int8_t *codes = package_data(&p, mil_value(f, mil_operand(f, unpack, 0)), &n);
    assert_int_equal(n, 32);
    for (int i = 0; i < 32; i++) assert_int_equal(codes[i], i - 16);
    package_close(&p);
}

static void test_a_second_package_of_that_name_is_refused(void **state) {
    Fixture *t = *state;
    Err err = {0};
    assert_false(example_write(t->package, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "already exists"));
    assert_true(path_exists(path_join(&t->arena, t->package, "Manifest.json")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sheet_is_the_published_one),
        cmocka_unit_test(test_model_is_the_sheet),
        cmocka_unit_test(test_weights_are_the_sheet),
        cmocka_unit_test(test_it_reads_back),
        cmocka_unit_test(test_a_second_package_of_that_name_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
