// The text form: what is printed parses back to the same program, and what is wrong is refused with
// its line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/build.h"

static void assert_prints_as(const MilProgram *p, const char *expected) {
    StrBuf text = {0};
    mil_print(p, &text);
    assert_string_equal(text.at, expected);
    strbuf_free(&text);
}

// Parses, prints, and compares with the text itself.
static void assert_round_trip(const char *text) {
    Arena arena = {0};
    Err err = {0};
    MilProgram *p = mil_parse(&arena, str_of(text), &err);
    if (!p) print_message("message: %s\n", err.text);
    assert_non_null(p);
    assert_prints_as(p, text);
    arena_free(&arena);
}

static void assert_refused(const char *text, const char *words) {
    Arena arena = {0};
    Err err = {0};
    assert_null(mil_parse(&arena, str_of(text), &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.text, words)) print_message("message: %s\n", err.text);
    assert_non_null(strstr(err.text, words));
    arena_free(&arena);
}

static const char whole_text[] =
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
    "} -> (r)\n";

static void test_whole_program_round_trip(void **state) {
    (void)state;
    assert_round_trip(whole_text);
}

static void test_constants_of_every_dtype_round_trip(void **state) {
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
                      "  o: uint64[1] = const(val = [18446744073709551615])\n"
                      "  p: uint4[3] = const(val = [1, 15, 2])\n"
                      "  q: uint2[3] = const(val = [1, 2, 3])\n"
                      "  r: uint1[9] = const(val = [1, 0, 1, 1, 0, 0, 0, 0, 1])\n"
                      "  s: uint6[3] = const(val = [1, 2, 63])\n"
                      "  t: uint3[4] = const(val = [1, 2, 3, 7])\n"
                      "  u: int32[0] = const(val = [])\n"
                      "  v: int32 = const(val = 5)\n"
                      "  w: int32[2, 2] = const(val = [1, 2, 3, 4])\n"
                      "  x: fp16[7] = const(val = blob(\"@model_path/weights/weight.bin\", 128))\n"
                      "} -> (u)\n");
}

// Bytes as coremltools packs them (its int4, uint4, uint1, uint2, uint3 and uint6 immediates).
static void test_sub_byte_constants_are_packed_low_bits_first(void **state) {
    (void)state;
    static const struct {
        const char *constant;
        uint8_t bytes[3];
        size_t n_bytes;
    } cases[] = {
        {"int4[3] = const(val = [-8, 7, 1])", {0x78, 0x01}, 2},
        {"uint4[3] = const(val = [1, 15, 2])", {0xF1, 0x02}, 2},
        {"uint1[9] = const(val = [1,0,1,1,0,0,0,0,1])", {0x0D, 0x01}, 2},
        {"uint2[3] = const(val = [1, 2, 3])", {0x39}, 1},
        {"uint3[4] = const(val = [1, 2, 3, 7])", {0xD1, 0x0E}, 2},
        {"uint6[3] = const(val = [1, 2, 63])", {0x81, 0xF0, 0x03}, 3},
        {"fp16[1] = const(val = [-2])", {0x00, 0xC0}, 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Str text =
            arena_printf(&arena, "program 9 func main() { c: %s } -> (c)", cases[i].constant);
        MilProgram *p = mil_parse(&arena, text, NULL);
        assert_non_null(p);
        const MilData *data = p->functions[0]->values[0].data;
        assert_int_equal(data->n_bytes, cases[i].n_bytes);
        assert_memory_equal(data->bytes, cases[i].bytes, cases[i].n_bytes);
        arena_free(&arena);
    }
}

static void test_every_half_round_trips(void **state) {
    (void)state;
    Arena arena = {0};
    MilProgram *p = mil_program_new(&arena, 9);
    Builder b = builder_begin(p, "main", NULL);
    uint16_t *halves = arena_array(&arena, 65536, uint16_t);
    for (uint32_t h = 0; h < 65536; h++) halves[h] = (uint16_t)h;
    build_literal(&b, MIL_TENSOR(MIL_F16, 65536), halves, 131072);
    ValueId axis = build_const_int(&b, "axis", 0);
    const BuildArg args[] = {{"values", &(ValueId){0}, 1}, {"axis", &axis, 1}};
    build_op(&b, "c", MIL_OP_concat, args, COUNT_OF(args));
    StrBuf text = {0};
    mil_print(p, &text);
    MilProgram *again = mil_parse(&arena, strbuf_str(&text), NULL);
    assert_non_null(again);
    const MilFunction *f = again->functions[0];
    const MilValue *v = NULL;
    for (uint32_t i = 0; i < f->n_values; i++)
        if (f->values[i].op == MIL_NO_OP) v = &f->values[i];
    assert_non_null(v);
    assert_int_equal(v->data->n_bytes, 131072);
    assert_memory_equal(v->data->bytes, halves, 131072);
    strbuf_free(&text);
    arena_free(&arena);
}

static void test_missing_types_are_inferred(void **state) {
    (void)state;
    Arena arena = {0};
    Err err = {0};
    MilProgram *p = mil_parse(&arena,
                              STR("program 9 # a comment\n"
                                  "func main(x: fp16[2, 6]) {\n"
                                  " v, i = topk(x = x, k = int32(3)) # another\n"
                                  " s = reduce_sum(x = v) } -> (s, i)"),
                              &err);
    assert_non_null(p);
    assert_prints_as(p, "program 9\n"
                        "func main(x: fp16[2, 6]) {\n"
                        "  v: fp16[2, 3], i: int32[2, 3] = topk(x = x, k = int32(3))\n"
                        "  s: fp16 = reduce_sum(x = v)\n"
                        "} -> (s, i)\n");
    arena_free(&arena);
}

static void test_names_may_be_spelled_like_keywords(void **state) {
    (void)state;
    assert_round_trip("program 9\n"
                      "func main(func: fp16[2]) {\n"
                      "  opset: fp16[2] = exp(x = func)\n"
                      "  name: fp16[2] = exp(x = opset)\n"
                      "  int4: fp16[2] = exp(x = name)\n"
                      "  blob: fp16[2] = exp(x = int4)\n"
                      "} -> (blob, opset)\n");
}

static void test_builder_and_text_make_the_same_program(void **state) {
    (void)state;
    Arena arena = {0};
    MilProgram *p = mil_program_new(&arena, 9);
    Builder b = builder_begin(p, "main", NULL);
    ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, 4, 1, 1));
    build_output(&b, build_softmax(&b, "y", x, 1));
    assert_prints_as(p, "program 9\n"
                        "func main(x: fp16[1, 4, 1, 1]) {\n"
                        "  y_axis_0: int32 = const(val = 1)\n"
                        "  y: fp16[1, 4, 1, 1] = softmax(x = x, axis = y_axis_0)\n"
                        "} -> (y)\n");
    arena_free(&arena);
}

static void test_refuses_broken_text(void **state) {
    (void)state;
#define IN_MAIN(statement) "program 9\nfunc main(x: fp16[2]) {\n" statement "\n} -> (x)"
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "line 1: expected 'program', found 'the end'"},
        {"program 5", "line 1: specification version 5, expected 6 to 10"},
        {"program 9 function", "expected 'func'"},
        {"program 9\nfunc main() opset \"CoreML8", "line 2: a string does not end"},
        {"program 9\nfunc main(x: fp16[2]", "line 2: expected ')', found 'the end'"},
        {"program 9\nfunc main(x) {} -> (x)", "line 2: expected ':', found ') {} -> (x)'"},
        {"program 9\nfunc main() {", "line 2: expected a statement, found 'the end'"},
        {"program 9\nfunc main() {} (x)", "line 2: expected '-', found '(x)'"},
        {"program 9\nfunc main() {} -> (x)", "line 2: 'x' is used before it is defined"},
        {IN_MAIN("y = exp(x = z)"), "line 3: 'z' is used before it is defined"},
        {IN_MAIN("y = exp(x = y)"), "line 3: 'y' is used before it is defined"},
        {IN_MAIN("y = expo(x = x)"), "line 3: 'expo' is not an op of specification version 9"},
        {IN_MAIN("y = exp(z = x)"), "line 3: exp: parameter 'z' is unknown"},
        {IN_MAIN("y = exp(x = x, x = x)"), "line 3: exp: parameter 'x' is given twice"},
        {IN_MAIN("y = exp()"), "line 3: exp 'y': x is missing"},
        {IN_MAIN("y = exp(x = x"), "expected ')'"},
        {IN_MAIN("y: fp17[2] = exp(x = x)"), "line 3: 'fp17' is not a type"},
        {IN_MAIN("y: fp16[2, = exp(x = x)"), "expected a number"},
        {IN_MAIN("y: fp16[1, 1, 1, 1, 1, 1, 1] = exp(x = x)"), "more than 6 dims"},
        {IN_MAIN("y: fp16[-1] = exp(x = x)"), "a dim is '-1'"},
        {IN_MAIN("y: fp16[99999999999999999999] = exp(x = x)"), "a dim is '99999999999999999999'"},
        {IN_MAIN("y, z = exp(x = x)"), "exp has 1 outputs, 2 are named"},
        {IN_MAIN("y = const(val = 1)"), "a const must have one output, with its type"},
        {IN_MAIN("y: int8, z: int8 = const(val = 1)"),
         "a const must have one output, with its type"},
        {IN_MAIN("y: int8[1] = const(x = [1])"), "expected 'val'"},
        {IN_MAIN("y: int8[1] = const(val = [128])"), "'128' is not a number of int8"},
        {IN_MAIN("y: uint8[1] = const(val = [-1])"), "'-1' is not a number of uint8"},
        {IN_MAIN("y: int4[1] = const(val = [8])"), "'8' is not a number of int4"},
        {IN_MAIN("y: fp16[1] = const(val = [1.5x])"), "'1.5x' is not a number of fp16"},
        {IN_MAIN("y: fp16[1] = const(val = [0x1ffff])"), "'0x1ffff' is not a number of fp16"},
        {IN_MAIN("y: bool[1] = const(val = [1])"), "expected true or false"},
        {IN_MAIN("y: int8[2] = const(val = [1])"), "expected ','"},
        {IN_MAIN("y: int8[1] = const(val = [1, 2])"), "expected ']'"},
        {IN_MAIN("y: int8[1] = const(val = 1)"), "expected '['"},
        {IN_MAIN("y: int8[1000000000] = const(val = [1])"),
         "more elements than the text has room for"},
        {IN_MAIN("y: int8[?] = const(val = [1])"), "unknown dim"},
        {IN_MAIN("y: string = const(val = \"\\q\")"), "a string has '\\q'"},
        {IN_MAIN("y: int8[2] = const(val = blob(\"w\", -1))"), "a blob's offset is '-1'"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) assert_refused(cases[i].text, cases[i].words);
}

// Every prefix of a program is refused or a program; none reads beyond its end.
static void test_every_prefix_is_survived(void **state) {
    (void)state;
    for (size_t n = 0; n < sizeof whole_text; n++) {
        Arena arena = {0};
        char *copy = arena_alloc(&arena, n ? n : 1, 1);
        memcpy(copy, whole_text, n);
        mil_parse(&arena, (Str){copy, n}, NULL);
        arena_free(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_program_round_trip),
        cmocka_unit_test(test_constants_of_every_dtype_round_trip),
        cmocka_unit_test(test_sub_byte_constants_are_packed_low_bits_first),
        cmocka_unit_test(test_every_half_round_trips),
        cmocka_unit_test(test_missing_types_are_inferred),
        cmocka_unit_test(test_names_may_be_spelled_like_keywords),
        cmocka_unit_test(test_builder_and_text_make_the_same_program),
        cmocka_unit_test(test_refuses_broken_text),
        cmocka_unit_test(test_every_prefix_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
