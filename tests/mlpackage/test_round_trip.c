// What the writer puts into model.mlmodel, the reader finds there again: the same program in text,
// the same notes. And what other writers may put differently means the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mlpackage/model.h"
#include "mlpackage/sheet.h"

// The encoded program of `text`, and what the reader makes of it, printed.
static void assert_round_trip(const char *text) {
    Arena arena = {0};
    Err err = {0};
    MilProgram *p = mil_parse(&arena, str_of(text), &err);
    if (!p || !mil_validate(p, "text", &err)) fail_msg("%s", err.text);
    PackageSource source = {.program = p};
    StrBuf bytes = {0}, printed = {0};
    model_encode(&source, &bytes);
    Package read = {0};
    if (!model_decode(&read, &arena, bytes.at, bytes.len, &err)) fail_msg("%s", err.text);
    mil_print(read.program, &printed);
    assert_string_equal(printed.at, text);
    strbuf_free(&bytes);
    strbuf_free(&printed);
    arena_free(&arena);
}

static void test_functions_states_and_tuples(void **state) {
    (void)state;
    assert_round_trip(
        "program 9 default decode\n"
        "func decode(x: fp16[1, 4, 1, 1], cache: state<fp16[1, 4, 1, 1]>) {\n"
        "  w: fp16[8, 4, 1, 1] = constexpr_blockwise_shift_scale(data = int8[8, 4, 1, 1]"
        "(blob(\"@model_path/weights/weight.bin\", 64)), scale = fp16[1, 1, 1, 1]([0.5]))\n"
        "  pad_type: string = const(val = \"valid\")\n"
        "  y: fp16[1, 8, 1, 1] = conv(x = x, weight = w, pad_type = pad_type)\n"
        "  a: fp16[1, 4, 1, 1], b: fp16[1, 4, 1, 1] = split(x = y, num_splits = int32(2), axis = "
        "int32(1))\n"
        "  sum: fp16[1, 4, 1, 1] = add(x = a, y = b) name \"sum of \\\"halves\\\"\"\n"
        "  write_state(input = cache, data = sum) name \"cache_write\"\n"
        "  ab: fp16[1, 12, 1, 1] = concat(values = (a, b, sum), axis = int32(1), interleave = "
        "bool(false))\n"
        "} -> (ab, y)\n"
        "func other(n: int32[3]) opset \"CoreML7\" {\n"
        "  r: fp32[?, ?, ?] = fill(shape = n)\n"
        "} -> (r)\n");
}

// Parameters as attributes, among them the op's own name in its sorted place.
static void test_old_constexpr_ops(void **state) {
    (void)state;
    assert_round_trip(
        "program 8\n"
        "func main(x: fp16[1, 4, 1, 1]) {\n"
        "  w: fp16[8, 4, 1, 1] = constexpr_affine_dequantize(quantized_data = int8[8, 4, 1, 1]"
        "(blob(\"@model_path/weights/weight.bin\", 64)), zero_point = int8(0), scale = fp16(0.5), "
        "axis = int32(0))\n"
        "  pad_type: string = const(val = \"valid\")\n"
        "  y: fp16[1, 8, 1, 1] = conv(x = x, weight = w, pad_type = pad_type)\n"
        "} -> (y)\n");
}

static void test_constants_of_every_dtype(void **state) {
    (void)state;
    assert_round_trip("program 9\n"
                      "func main() {\n"
                      "  a: bool[2] = const(val = [true, false])\n"
                      "  b: string[2] = const(val = [\"\", \"a \\\"b\\\" \\\\ \\n \\x01\"])\n"
                      "  c: fp16[6] = const(val = [0.1, -0, 6.55e+04, inf, -inf, 0x7e01])\n"
                      "  d: fp32[4] = const(val = [0.1, 1e-45, 3.4028235e+38, 0xffc00000])\n"
                      "  e: fp64[2] = const(val = [0.1, 0x7ff8000000000000])\n"
                      "  f: bf16[2] = const(val = [1.5, -inf])\n"
                      "  g: int8[2] = const(val = [-128, 127])\n"
                      "  h: int16[2] = const(val = [-32768, 32767])\n"
                      "  i: int32[2] = const(val = [-2147483648, 2147483647])\n"
                      "  j: int64[2] = const(val = [-9223372036854775808, 9223372036854775807])\n"
                      "  k: int4[3] = const(val = [-8, 7, 1])\n"
                      "  l: uint8[1] = const(val = [255])\n"
                      "  m: uint16[1] = const(val = [65535])\n"
                      "  n: uint32[1] = const(val = [4294967295])\n"
                      "  p: uint4[3] = const(val = [1, 15, 2])\n"
                      "  q: uint2[3] = const(val = [1, 2, 3])\n"
                      "  r: uint1[9] = const(val = [1, 0, 1, 1, 0, 0, 0, 0, 1])\n"
                      "  s: uint6[3] = const(val = [1, 2, 63])\n"
                      "  t: uint3[4] = const(val = [1, 2, 3, 7])\n"
                      "  u: int32[0] = const(val = [])\n"
                      "  v: int32 = const(val = 5)\n"
                      "  w: int32[2, 2] = const(val = [1, 2, 3, 4])\n"
                      "  x: fp32[0, 3] = const(val = [])\n"
                      "  y: string[0] = const(val = [])\n"
                      "  z: fp16[7] = const(val = blob(\"@model_path/weights/weight.bin\", 128))\n"
                      "} -> (v)\n");
}

static bool contains(Str whole, Str part) {
    for (size_t i = 0; i + part.len <= whole.len; i++)
        if (memcmp(whole.at + i, part.at, part.len) == 0) return true;
    return false;
}

// Fact sheet section 2.6: which member of TensorValue holds what, and how.
static void test_members_of_constants(void **state) {
    (void)state;
    static const struct {
        const char *constant, *tensor;
    } cases[] = {
        {"fp16[2] = const(val = [1, -2])", "7 bytes\n  1 values x003C00C0"},
        {"fp32[1] = const(val = [0.5])", "1 floats\n  1 values x0000003F"},
        {"fp64[1] = const(val = [0.5])", "6 doubles\n  1 values x000000000000E03F"},
        {"bf16[1] = const(val = [1])", "7 bytes\n  1 values x803F"},
        {"int8[1] = const(val = [-1])", "7 bytes\n  1 values xFF"},
        {"uint8[1] = const(val = [255])", "7 bytes\n  1 values xFF"},
        {"int16[1] = const(val = [-1])", "2 ints\n  1 values xFFFFFFFFFFFFFFFFFF01"},
        {"uint16[1] = const(val = [65535])", "2 ints\n  1 values [65535]"},
        {"int32[2] = const(val = [-1, 300])", "2 ints\n  1 values xFFFFFFFFFFFFFFFFFF01AC02"},
        {"uint32[1] = const(val = [4294967295])", "7 bytes\n  1 values xFFFFFFFF"},
        {"int64[1] = const(val = [300])", "5 longInts\n  1 values [300]"},
        {"bool[2] = const(val = [true, false])", "3 bools\n  1 values [1,0]"},
        {"string[2] = const(val = [\"a\", \"bc\"])",
         "4 strings\n  1 values \"a\"\n  1 values \"bc\""},
        {"int4[3] = const(val = [-8, 7, 1])", "7 bytes\n  1 values x7801"},
        {"int32[0] = const(val = [])", "2 ints"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        StrBuf tensor = {0}, wanted = {0}, found = {0};
        sheet_encode(cases[i].tensor, &tensor);
        // The record behind its length, so that nothing may stand behind it.
        strbuf_add_char(&wanted, 1 << 3 | 2);
        strbuf_add_char(&wanted, (char)tensor.len);
        strbuf_add(&wanted, strbuf_str(&tensor));
        Str text =
            arena_printf(&arena, "program 9 func main() { c: %s } -> (c)", cases[i].constant);
        PackageSource source = {.program = mil_parse(&arena, text, NULL)};
        assert_non_null(source.program);
        model_encode(&source, &found);
        if (!contains(strbuf_str(&found), strbuf_str(&wanted)))
            fail_msg("not as expected: %s", cases[i].constant);
        strbuf_free(&tensor);
        strbuf_free(&wanted);
        strbuf_free(&found);
        arena_free(&arena);
    }
}

// Proto3 leaves a 0 out, but not the record that would hold it: a dimension of 0 is an empty one.
static void test_a_dimension_of_0_is_an_empty_record(void **state) {
    (void)state;
    Arena arena = {0};
    StrBuf wanted = {0}, found = {0};
    sheet_encode("2 type TT(23; 0)", &wanted);
    PackageSource source = {
        .program = mil_parse(
            &arena, STR("program 9 func main() { c: int32[0] = const(val = []) } -> (c)"), NULL),
    };
    model_encode(&source, &found);
    assert_true(contains(strbuf_str(&found), strbuf_str(&wanted)));
    strbuf_free(&wanted);
    strbuf_free(&found);
    arena_free(&arena);
}

static void test_notes(void **state) {
    (void)state;
    Arena arena = {0};
    Err err = {0};
    const PackageNote notes[] = {{"b", "two\nlines"}, {"a", ""}, {"c", "\316\273"}};
    PackageSource source = {
        .program = mil_parse(
            &arena, STR("program 9 func main(x: fp16[1]) { y: fp16[1] = relu(x = x) } -> (y)"),
            NULL),
        .description = "what it is",
        .notes = notes,
        .n_notes = 3,
    };
    StrBuf bytes = {0};
    model_encode(&source, &bytes);
    Package p = {0};
    if (!model_decode(&p, &arena, bytes.at, bytes.len, &err)) fail_msg("%s", err.text);
    assert_int_equal(p.n_notes, 3);
    assert_string_equal(package_note(&p, "a"), "");
    assert_string_equal(package_note(&p, "b"), "two\nlines");
    assert_string_equal(package_note(&p, "c"), "\316\273");
    assert_null(package_note(&p, "d"));
    strbuf_free(&bytes);
    arena_free(&arena);
}

// ---- the same said differently

// Decodes the example with one line of its sheet replaced and prints the program.
static char *print_changed(const char *line, const char *by) {
    Arena arena = {0};
    Err err = {0};
    char *sheet = sheet_replace(sheet_example, line, by);
    StrBuf bytes = {0}, printed = {0};
    sheet_encode(sheet, &bytes);
    Package p = {0};
    if (!model_decode(&p, &arena, bytes.at, bytes.len, &err) ||
        !mil_validate(p.program, "sheet", &err))
        fail_msg("%s", err.text);
    mil_print(p.program, &printed);
    free(sheet);
    strbuf_free(&bytes);
    arena_free(&arena);
    return printed.at;
}

static void assert_means_the_same(const char *line, const char *by) {
    char *before = print_changed("specificationVersion 9", "specificationVersion 9");
    char *after = print_changed(line, by);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void test_other_spellings(void **state) {
    (void)state;
    // numbers one a field
    assert_means_the_same("1 values [0,0,0,0]", "1 v 0\n                      1 v 0\n"
                                                "                      1 v 0\n"
                                                "                      1 v 0");
    assert_means_the_same("1 shape [1,4,1,1]",
                          "1 s 1\n        1 s 4\n        1 s 1\n        1 s 1");
    // a varint longer than it has to be
    assert_means_the_same("2 offset 64", "raw x10C08000");
    // fields no reader of this version knows
    assert_means_the_same("  1 version 1", "  1 version 1\n  999 news \"x\"");
    assert_means_the_same("1 type \"conv\"", "1 type \"conv\"\n            77 news \"x\"");
    // an output whose shape the program alone states
    assert_means_the_same("        1 shape [1,8,1,1]\n", "");
    // the description behind the program
    assert_means_the_same("  1 version 1\n", "  3 docString \"\"\n  1 version 1\n");
}

static void test_reals_one_a_field(void **state) {
    (void)state;
    char *text = print_changed(
        "          3 operations\n            1 type \"conv\"",
        "          3 operations\n            1 type \"const\"\n            3 outputs\n"
        "              1 name \"f\"\n              2 type TT(11; 2)\n            5 attributes\n"
        "              1 key \"val\"\n              2 value\n                2 type TT(11; 2)\n"
        "                3 immediateValue\n                  1 tensor\n"
        "                    1 floats\n                      raw x0D0000003F\n"
        "                      raw x0D000080BF\n"
        "          3 operations\n            1 type \"conv\"");
    assert_non_null(strstr(text, "f: fp32[2] = const(val = [0.5, -1])"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_states_and_tuples),
        cmocka_unit_test(test_old_constexpr_ops),
        cmocka_unit_test(test_constants_of_every_dtype),
        cmocka_unit_test(test_members_of_constants),
        cmocka_unit_test(test_a_dimension_of_0_is_an_empty_record),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_reals_one_a_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
