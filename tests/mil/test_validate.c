// The validator: each way a program can be wrong, made from one that is right.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/function.h"

static const char good_text[] =
    "program 9\n"
    "func main(x: fp16[1, 4, 1, 2], cache: state<fp16[1, 4, 1, 2]>) {\n"
    "  w: fp16[8, 4, 1, 1] = constexpr_blockwise_shift_scale("
    "data = int8[8, 4, 1, 1](blob(\"@model_path/weights/weight.bin\", 64)), scale = fp16[1, 1, 1, "
    "1]([0.5]))\n"
    "  old: fp16[1, 4, 1, 2] = read_state(input = cache)\n"
    "  sum: fp16[1, 4, 1, 2] = add(x = x, y = old)\n"
    "  write_state(input = cache, data = sum) name \"cache_write\"\n"
    "  axis: int32 = const(val = 1)\n"
    "  y: fp16[1, 8, 1, 2] = conv(x = sum, weight = w)\n"
    "  top: fp16[1, 1, 1, 2], at: int32[1, 1, 1, 2] = topk(x = y, axis = axis)\n"
    "} -> (top, at)\n";

// `text` with its one `from` replaced by `to`; lives in `arena`.
static Str replaced(Arena *arena, const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    assert_non_null(at);
    assert_null(strstr(at + 1, from));
    return arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void assert_verdict(Arena *arena, const MilProgram *p, const char *words) {
    Err err = {0};
    bool is_valid = mil_validate(p, "model.mlmodel", &err);
    if (is_valid != !words || (words && !strstr(err.text, words)))
        print_message("wanted %s: %s\n", words ? words : "nothing", err.text);
    assert_int_equal(is_valid, !words);
    if (words) {
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_memory_equal(err.text, "model.mlmodel: ", 15);
        assert_non_null(strstr(err.text, words));
    }
    arena_free(arena);
}

static void test_a_good_program_passes(void **state) {
    (void)state;
    Arena arena = {0};
    assert_verdict(&arena, mil_parse(&arena, str_of(good_text), NULL), NULL);
}

static void test_broken_text(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        // names
        {"func main", "func other", "a single function must be called main"},
        {"program 9", "program 9 default decode", "the default function 'decode' does not exist"},
        {"]>) {", "]>) opset \"CoreML9\" {",
         "function 'main': opset 'CoreML9' in specification version 9"},
        {"]>) {", "]>) opset \"CoreML\" {",
         "function 'main': opset 'CoreML' in specification version 9"},
        {", cache: state", ", x: state<fp16[1]>, cache: state", "value 'x' is defined twice"},
        {"axis: int32 = const(val = 1)", "axis: int32 = const(val = 1) old: int32 = const(val = 2)",
         "value 'old' is defined twice"},
        {"axis: int32 = const(val = 1)",
         "axis: int32 = const(val = 1) fp32: int32 = const(val = 2)",
         "value name 'fp32' is not an identifier or is a reserved word"},
        // inputs and outputs
        {"x: fp16[1, 4, 1, 2],", "x: bool[1, 4, 1, 2],",
         "input 'x' is bool; specification version 9 takes fp32, int32, fp16"},
        {"x: fp16[1, 4, 1, 2],", "x: fp16[1, 4, 1, 2], n: int32,", "input 'n' is a scalar"},
        {"x: fp16[1, 4, 1, 2],", "x: fp16[1, ?, 1, 2],", "input 'x' has an open shape"},
        {"state<fp16[1, 4, 1, 2]>", "state<fp16[1, 4, 1, ?]>",
         "state 'cache' is state<fp16[1, 4, 1, ?]>, expected fp16 of a fixed shape"},
        {"state<fp16[1, 4, 1, 2]>", "state<fp32[1, 4, 1, 2]>",
         "state 'cache' is state<fp32[1, 4, 1, 2]>"},
        {"-> (top, at)", "-> ()", "the function has no outputs"},
        {"-> (top, at)", "-> (top, top)", "output 'top' is given twice"},
        {"-> (top, at)", "-> (cache)", "output 'cache' is a state"},
        {"} -> (top, at)", "c: bool[1, 1, 1, 2] = less(x = top, y = top) } -> (c)",
         "output 'c' is bool"},
        // types
        {"y: fp16[1, 8, 1, 2] =", "y: fp16[1, 8, 2, 1] =",
         "conv 'y': output 'y' is declared fp16[1, 8, 2, 1] but comes out as fp16[1, 8, 1, 2]"},
        {"y: fp16[1, 8, 1, 2] =", "y: fp16[1, ?, 1, 2] =",
         "conv 'y': output 'y' is declared fp16[1, ?, 1, 2]"},
        {"y: fp16[1, 8, 1, 2] =", "y: fp32[1, 8, 1, 2] =",
         "conv 'y': output 'y' is declared fp32[1, 8, 1, 2]"},
        {"y: fp16[1, 8, 1, 2] =", "y: fp16[8, 1, 2] =",
         "conv 'y': output 'y' is declared fp16[8, 1, 2]"},
        {"w: fp16[8, 4, 1, 1] =", "w: fp16[8, 4, 1, 2] =",
         "constexpr_blockwise_shift_scale 'w': output 'w' is declared"},
        {"old: fp16[1, 4, 1, 2] =", "old: state<fp16[1, 4, 1, 2]> =",
         "read_state 'old': output 'old' is declared state<fp16[1, 4, 1, 2]>"},
        // operands
        {"add(x = x, y = old)", "add(x = x)", "add 'sum': y is missing"},
        {"add(x = x, y = old)", "add(x = x, y = (old, old))",
         "add 'sum': y is given 2 values, expected one"},
        {"add(x = x, y = old)", "add(x = x, y = cache)", "add 'sum': y is a state"},
        {"read_state(input = cache)", "read_state(input = x)",
         "read_state 'old': input is a tensor, expected a state"},
        {"data = sum) name", "data = w) name",
         "write_state 'cache_write': data is fp16[8, 4, 1, 1] but the state holds"},
        {"topk(x = y, axis = axis)", "topk(x = y, axis = x)",
         "topk 'top': axis is fp16, expected int32"},
        {"axis: int32 = const(val = 1)", "axis: int32 = cast(x = x, dtype = string(\"int32\"))",
         "cast 'axis': output 'axis' is declared int32 but comes out"},
        {"add(x = x, y = old)", "add(x = x, y = fp16[1](blob(\"w\", 64)))",
         "add 'sum': y is a literal in a weight file"},
        {"scale = fp16[1, 1, 1, 1]([0.5])", "scale = x",
         "scale is 'x', which is computed at run time"},
        // constants
        {"weight.bin\", 64)", "weight.bin\", 65)", "weight record at offset 65, expected"},
        {"weight.bin\", 64)", "weight.bin\", 0)", "weight record at offset 0, expected"},
        {"axis: int32 = const(val = 1)",
         "axis: int32 = const(val = 1) c: bool[2] = const(val = blob(\"w\", 64))",
         "constant 'c' of type bool[2] cannot live in a weight file"},
        {"axis: int32 = const(val = 1)",
         "axis: int32 = const(val = 1) c: fp16[?] = const(val = blob(\"w\", 64))",
         "constant 'c' of type fp16[?] has no fixed size"},
        // ranks
        {"axis: int32 = const(val = 1)",
         "axis: int32 = const(val = 1) r: fp16[1, 1, 1, 4, 1, 2] = expand_dims(x = x, axes = "
         "int32[2]([0, 1]))",
         "expand_dims 'r': the result has rank 6; Core ML computes with at most 5"},
        {"axis: int32 = const(val = 1)",
         "axis: int32 = const(val = 1) c: fp16[1, 1, 1, 1, 1, 1] = const(val = [1]) s: fp16 = "
         "reduce_sum(x = c)",
         "reduce_sum 's': x has rank 6"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        Err err = {0};
        Str text = replaced(&arena, good_text, cases[i].from, cases[i].to);
        MilProgram *p = mil_parse(&arena, text, &err);
        if (!p) print_message("%s\n", err.text);
        assert_non_null(p);
        assert_verdict(&arena, p, cases[i].words);
    }
}

// A dim that run-time values decide agrees with any declared one.
static void test_dims_decided_at_run_time(void **state) {
    (void)state;
    static const char *const outputs[] = {"fp32[?, ?]", "fp32[3, ?]", "fp32[3, 4]"};
    for (size_t i = 0; i < COUNT_OF(outputs); i++) {
        Arena arena = {0};
        Str text = arena_printf(
            &arena, "program 9 func main(n: int32[2]) { y: %s = fill(shape = n) } -> (y)",
            outputs[i]);
        assert_verdict(&arena, mil_parse(&arena, text, NULL), NULL);
    }
}

static void test_optional_parameters_may_be_omitted(void **state) {
    (void)state;
    Arena arena = {0};
    Str text = replaced(&arena, good_text, "topk(x = y, axis = axis)",
                        "topk(x = y, axis = axis, k = int32(1), sort = bool(false))");
    assert_verdict(&arena, mil_parse(&arena, text, NULL), NULL);
}

static void test_versions(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"program 7 func main(x: fp16[4]) { y: fp16[4] = exp(x = x) } -> (y)", NULL},
        {"program 8 func main(x: fp16[4]) opset \"CoreML6\" { y: fp16[4] = exp(x = x) } -> (y)",
         NULL},
        {"program 7 func main(x: fp16[4]) opset \"CoreML7\" { y: fp16[4] = exp(x = x) } -> (y)",
         "opset 'CoreML7' in specification version 7"},
        {"program 6 func main(x: fp16[4]) {} -> (x)",
         "input 'x' is fp16; specification version 6 takes fp32, int32 there"},
        {"program 9 func main(x: int8[4]) {} -> (x)", "input 'x' is int8"},
        {"program 10 func main(x: int8[4]) {} -> (x)", NULL},
        {"program 8 func main(x: fp16[4], s: state<fp16[2]>) {} -> (x)",
         "state 's' in specification version 8, expected 9 or later"},
        {"program 8 default main func main(x: fp16[4]) {} -> (x)",
         "a default function in specification version 8, expected 9 or later"},
        {"program 9 default main func main(x: fp16[4]) {} -> (x)", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        assert_verdict(&arena, mil_parse(&arena, str_of(cases[i].text), NULL), cases[i].words);
    }
}

// ---- arrays that no text could make

typedef void Damage(MilProgram *p, MilFunction *f);

static MilOp *op_named(MilFunction *f, const char *name) {
    for (uint32_t i = 0; i < f->n_ops; i++)
        if (str_is(f->ops[i].name, name)) return &f->ops[i];
    return NULL;
}

static void swap_ops(MilProgram *p,
                     MilFunction *f) { // uses before definitions, all indices in range
    (void)p;
    MilOp *sum = op_named(f, "sum");
    f->operands[sum->args[1].first] = mil_find_value(f, STR("y"));
}
static void operand_out_of_range(MilProgram *p, MilFunction *f) {
    (void)p;
    f->operands[0].at = f->n_values;
}
static void operands_out_of_range(MilProgram *p, MilFunction *f) {
    (void)p;
    op_named(f, "sum")->args[0].first = UINT32_MAX;
}
static void output_out_of_range(MilProgram *p, MilFunction *f) {
    (void)p;
    f->outputs[0].at = f->n_values;
}
static void input_out_of_range(MilProgram *p, MilFunction *f) {
    (void)p;
    f->inputs[0].at = f->n_values;
}
static void input_twice(MilProgram *p, MilFunction *f) {
    (void)p;
    f->inputs[1] = f->inputs[0];
}
static void input_forgotten(MilProgram *p, MilFunction *f) {
    (void)p;
    f->n_inputs--;
}
static void results_of_another_op(MilProgram *p, MilFunction *f) {
    (void)p;
    op_named(f, "sum")->first_output = 0;
}
static void results_out_of_range(MilProgram *p, MilFunction *f) {
    (void)p;
    MilOp *write = op_named(f, "cache_write");
    write->n_outputs = 1;
    write->first_output = UINT32_MAX;
}
static void no_info(MilProgram *p, MilFunction *f) {
    (void)p;
    f->ops[1].info = NULL;
}
static void bad_rank(MilProgram *p, MilFunction *f) {
    (void)p;
    f->values[0].type.rank = MIL_MAX_RANK + 1;
}
static void bad_dim(MilProgram *p, MilFunction *f) {
    (void)p;
    f->values[0].type.dims[0] = -2;
}
static void bad_dtype(MilProgram *p, MilFunction *f) {
    (void)p;
    f->values[0].type.dtype = MIL_DTYPE_COUNT;
}
static void short_constant(MilProgram *p, MilFunction *f) {
    (void)p;
    MilData *data = arena_new(f->arena, MilData);
    *data = *mil_value(f, mil_find_value(f, STR("axis")))->data;
    data->n_bytes--;
    f->values[mil_find_value(f, STR("axis")).at].data = data;
}
static void const_without_data(MilProgram *p, MilFunction *f) {
    (void)p;
    f->values[mil_find_value(f, STR("axis")).at].data = NULL;
}
static void literal_as_output(MilProgram *p, MilFunction *f) {
    (void)p;
    for (uint32_t i = 0; i < f->n_values; i++)
        if (f->values[i].data && f->values[i].op == MIL_NO_OP) f->outputs[0].at = i;
}
static void bad_version(MilProgram *p, MilFunction *f) {
    (void)f;
    p->spec_version = 11;
}
static void function_twice(MilProgram *p, MilFunction *f) {
    p->default_function = f->name;
    mil_function_new(p, f->name);
}
static void no_function(MilProgram *p, MilFunction *f) {
    (void)f;
    p->n_functions = 0;
}

static void test_broken_arrays(void **state) {
    (void)state;
    static const struct {
        Damage *damage;
        const char *words;
    } cases[] = {
        {swap_ops, "add 'sum': y 'y' is used before it is defined"},
        {operand_out_of_range, "data is not a value"},
        {operands_out_of_range, "add 'sum': x is out of bounds"},
        {output_out_of_range, "output 0 is not a named value"},
        {input_out_of_range, "input 0 is not a value"},
        {input_twice, "input 'x' is declared twice"},
        {input_forgotten, "2 values have no defining op, but 1 inputs are declared"},
        {results_of_another_op, "value 'sum' names an op that does not define it"},
        {results_out_of_range, "output index out of range"},
        {no_info, "op 1 is unknown"},
        {bad_rank, "value 'x' has rank 7"},
        {bad_dim, "value 'x': dim 0 is out of range"},
        {bad_dtype, "value 'x' has an unknown type"},
        {short_constant, "constant 'axis' of type int32 has 3 bytes, expected 4"},
        {const_without_data, "const 'axis' does not define one constant"},
        {literal_as_output, "output 0 is not a named value"},
        {bad_version, "specification version 11, expected 6 to 10"},
        {function_twice, "function 'main' is defined twice"},
        {no_function, "no default function (functions: 0)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Arena arena = {0};
        MilProgram *p = mil_parse(&arena, str_of(good_text), NULL);
        cases[i].damage(p, p->functions[0]);
        assert_verdict(&arena, p, cases[i].words);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_program_passes),
        cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_dims_decided_at_run_time),
        cmocka_unit_test(test_optional_parameters_may_be_omitted),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_broken_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
