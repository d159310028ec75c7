// What the engine refuses and with which words, conversions that no reference states, taps, and
// the plan's reuse of buffers. Ops one by one: tests/oracle/test_engine_ops.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "engine/count_allocations.h"
#include "engine/plan.h"
#include "engine/program.h"

#define MAIN(inputs, body, outputs)                                                                \
    "program 9 default main\nfunc main(" inputs ") {\n" body "} -> (" outputs ")\n"

// ---- refused at open

static const struct {
    const char *text, *words;
} refused[] = {
    {MAIN("x: fp16[1, 4, 8, 8]",
          "  y: fp16[1, 4, 4, 4] = avg_pool(x = x, kernel_sizes = int32[2]([2, 2]), strides = "
          "int32[2]([2, 2]), pad_type = string(\"valid\"))\n",
          "y"),
     "function 'main', op 'y': the engine has no avg_pool"},
    {MAIN("x: fp16[1, 4, 8, 8]",
          "  y: fp16[1, 4, 4, 4] = max_pool(x = x, kernel_sizes = int32[2]([2, 2]), strides = "
          "int32[2]([2, 2]), pad_type = string(\"valid\"))\n",
          "y"),
     "op 'y': the engine has no max_pool"},
    {MAIN("x: fp16[1, 4, 8, 8]",
          "  y: fp16[1, 4, 4, 4] = l2_pool(x = x, kernel_sizes = int32[2]([2, 2]), strides = "
          "int32[2]([2, 2]), pad_type = string(\"valid\"))\n",
          "y"),
     "op 'y': the engine has no l2_pool"},
    {MAIN("x: fp16[1, 2, 2]",
          "  up = conv_transpose(x = x, weight = fp16[2, 1, 1]([1, 1])) name \"upsampling\"\n",
          "up"),
     "op 'upsampling': the engine has no conv_transpose"},
    {MAIN(
         "x: fp16[3]",
         "  mask, values = constexpr_sparse_blockwise_shift_scale(data_mask = uint1[3]([1, 0, 1]), "
         "nonzero_data = int8[2]([1, 2]), scale = fp16[1]([1]))\n",
         "x"),
     "the engine has no constexpr_sparse_blockwise_shift_scale"},
    {MAIN("x: fp16[3]",
          "  mask, values = constexpr_lut_to_sparse(indices_mask = uint1[3]([1, 0, 1]), "
          "indices_nonzero_data = uint1[2]([1, 0]), lut = fp16[1, 2, 1]([1, 2]))\n",
          "x"),
     "the engine has no constexpr_lut_to_sparse"},
    {MAIN("n: int32[2]", "  y = fill(shape = n, value = fp16(1))\n", "y"),
     "'y' is fp16[?, ?], a shape not known before the run; the engine runs fixed shapes only"},
    {MAIN("x: fp16[?, 3]", "  y = relu(x = x)\n", "y"), "'x' is fp16[?, 3], a shape not known"},
};

static void test_refused_at_open(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        Program p;
        Err err = {0};
        assert_false(program_try(&p, refused[i].text, ARITHMETIC_FP16, &err));
        if (err.kind != ERR_FORMAT || !strstr(err.text, refused[i].words))
            fail_msg("case %zu: %s", i, err.text);
        program_close(&p);
    }
}

static void test_every_op_the_engine_lacks_is_among_them(void **state) {
    (void)state;
    for (int i = 0; i < MIL_OP_COUNT; i++) {
        const MilOpInfo *info = mil_op((MilOpcode)i);
        bool is_tried = op_row(info) != NULL;
        for (size_t k = 0; k < COUNT_OF(refused); k++) {
            char words[100];
            snprintf(words, sizeof words, "the engine has no %s", info->name);
            is_tried = is_tried || strstr(refused[k].words, words);
        }
        if (!is_tried) fail_msg("%s", info->name);
    }
}

static void test_names_of_functions_and_arithmetics(void **state) {
    (void)state;
    Program p;
    program_open(&p, MAIN("x: fp16[3]", "  y = relu(x = x)\n", "y"), ARITHMETIC_FP16, 1);
    Err err = {0};
    assert_null(engine_open(&p.package, STR("other"), ARITHMETIC_FP16, NULL, &err));
    assert_non_null(strstr(err.text, "the package has no function 'other'"));
    assert_null(engine_input(p.engine, STR("y")));
    assert_null(engine_output(p.engine, STR("x")));
    assert_null(engine_output_at(p.engine, 1));
    program_close(&p);
    for (int a = 0; a < ARITHMETIC_COUNT; a++) {
        Arithmetic found;
        assert_true(arithmetic_named(arithmetic_name((Arithmetic)a), &found, &err));
        assert_int_equal(found, a);
    }
    Arithmetic found;
    assert_false(arithmetic_named("bf16", &found, &err));
    assert_non_null(strstr(err.text, "arithmetic 'bf16': expected fp32, fp16 or ane"));
}

// ---- refused at run, by value

static const struct {
    const char *text;
    int32_t n[3];
    const char *words; // NULL: runs
} by_value[] = {
    {MAIN("x: fp16[5, 2], n: int32[3]", "  y = gather(x = x, indices = n)\n", "y"),
     {0, 4, 2},
     NULL},
    {MAIN("x: fp16[5, 2], n: int32[3]", "  y = gather(x = x, indices = n)\n", "y"),
     {0, 4, 5},
     "op 'y' (gather): indices[2] is 5, outside of an axis of 5"},
    {MAIN("x: fp16[5, 2], n: int32[3]", "  y = gather(x = x, indices = n)\n", "y"),
     {0, -1, 2},
     "indices[1] is -1, outside"},
    {MAIN("x: fp16[3, 3, 3], n: int32[3]", "  y = gather_nd(x = x, indices = n)\n", "y"),
     {0, 3, 0},
     "op 'y' (gather_nd)"},
    {MAIN("x: fp16[3], n: int32[3]", "  y = gather_along_axis(x = x, indices = n)\n", "y"),
     {0, INT32_MAX, 0},
     "op 'y' (gather_along_axis)"},
    {MAIN("x: fp16[5], n: int32[3]",
          "  y = scatter(data = x, indices = n, updates = fp16[3]([1, 2, 3]))\n", "y"),
     {0, 7, 1},
     "op 'y' (scatter)"},
    {MAIN("x: fp16[5], n: int32[3]",
          "  y = scatter_along_axis(data = x, indices = n, updates = fp16[3]([1, 2, 3]))\n", "y"),
     {0, -7, 1},
     "op 'y' (scatter_along_axis)"},
    {MAIN("x: fp16[5, 2, 2], n: int32[3]",
          "  y = scatter_nd(data = x, indices = n, updates = fp16(1))\n", "y"),
     {5, 0, 0},
     "op 'y' (scatter_nd)"},
    {MAIN("x: fp16[4, 4, 4], n: int32[3]",
          "  y: fp16[2, 2, 2] = slice_by_size(x = x, begin = n, size = int32[3]([2, 2, 2]))\n",
          "y"),
     {2, 2, 2},
     NULL},
    {MAIN("x: fp16[4, 4, 4], n: int32[3]",
          "  y: fp16[2, 2, 2] = slice_by_size(x = x, begin = n, size = int32[3]([2, 2, 2]))\n",
          "y"),
     {0, 3, 0},
     "axis 1: begin 3 and size 2 reach outside of 4"},
};

static void test_refused_by_value(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(by_value); i++) {
        Program p;
        program_open(&p, by_value[i].text, ARITHMETIC_FP16, 1);
        memcpy(engine_input(p.engine, STR("n"))->i32, by_value[i].n, sizeof by_value[i].n);
        Err err = {0};
        bool ok = engine_run(p.engine, NULL, &err);
        if (ok != !by_value[i].words || (!ok && !strstr(err.text, by_value[i].words)))
            fail_msg("case %zu: %s", i, ok ? "ran" : err.text);
        program_close(&p);
    }
}

// ---- casts: towards zero, to the nearest end, NaN to zero; integers wrap

static void test_casts_to_integers(void **state) {
    (void)state;
    static const struct {
        const char *dtype;
        float x;
        int32_t result;
    } cases[] = {
        {"int32", 1e10f, INT32_MAX},
        {"int32", -1e10f, INT32_MIN},
        {"int32", INFINITY, INT32_MAX},
        {"int32", -INFINITY, INT32_MIN},
        {"int32", NAN, 0},
        {"int32", -2.9f, -2},
        {"int32", 2147483520.0f, 2147483520},
        {"int8", 300, 44},
        {"uint8", -1, 255},
        {"bool", 0.25f, 1},
        {"bool", -0.0f, 0},
        {"bool", NAN, 1},
        {"int16", 40000, -25536},
        {"uint16", 65535, 65535},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 MAIN("x: fp32[1]", "  y = cast(x = x, dtype = string(\"%s\"))\n", "y"),
                 cases[i].dtype);
        Program p;
        program_open(&p, text, ARITHMETIC_FP32, 1);
        program_input(&p, "x")[0] = cases[i].x;
        program_run(&p);
        int32_t got = engine_output_at(p.engine, 0)->i32[0];
        if (got != cases[i].result)
            fail_msg("%g to %s: got %d", (double)cases[i].x, cases[i].dtype, got);
        program_close(&p);
    }
}

// ---- taps

typedef struct {
    char names[200];
    float sum;
} Seen;

static void note(void *context, const MilOp *op, const EngineTensor *output) {
    Seen *s = context;
    size_t n = strlen(s->names);
    snprintf(s->names + n, sizeof s->names - n, "%.*s/%.*s ", STR_ARG(op->name),
             STR_ARG(output->name));
    if (output->f32) s->sum += output->f32[0];
}

static void test_a_tap_sees_every_result_once(void **state) {
    (void)state;
    Program p;
    program_open(&p,
                 MAIN("x: fp16[2, 2]",
                      "  a = add(x = x, y = fp16(1))\n"
                      "  view = reshape(x = a, shape = int32[1]([4]))\n"
                      "  low, high = split(x = view, num_splits = int32(2), axis = int32(0)) name "
                      "\"halves\"\n"
                      "  y = mul(x = low, y = high)\n",
                      "y"),
                 ARITHMETIC_FP16, 1);
    Seen seen = {0};
    engine_set_tap(p.engine, note, &seen);
    for (int i = 0; i < 4; i++) program_input(&p, "x")[i] = (float)i;
    program_run(&p);
    assert_string_equal(seen.names, "a/a view/view halves/low halves/high y/y ");
    assert_true(seen.sum == 1 + 1 + 1 + 3 + 3);
    program_close(&p);
}

// ---- the plan

// Long chains over few sizes, with values that live on: each op takes two earlier values.
static void random_chain(StrBuf *text, uint32_t seed, int n_ops) {
    static const char *const calls[] = {
        "add(x = v%d, y = v%d)",
        "mul(x = v%d, y = v%d)",
        "sub(x = v%d, y = v%d)",
        "maximum(x = v%d, y = v%d)",
    };
    static const char *const one[] = {
        "tanh(x = v%d)",
        "transpose(x = v%d, perm = int32[2]([1, 0]))",
        "softmax(x = v%d, axis = int32(-1))",
        "identity(x = v%d)",
        "reshape(x = v%d, shape = int32[2]([8, 8]))",
        "reverse(x = v%d, axes = int32[1]([0]))",
    };
    strbuf_printf(text, "program 9 default main\nfunc main(v0: fp16[8, 8], v1: fp16[8, 8]) {\n");
    for (int i = 2; i < n_ops + 2; i++) {
        seed = seed * 1664525 + 1013904223;
        int a = (int)(seed >> 8) % i, b = i - 1 - (int)(seed >> 20) % (i < 4 ? i : 4);
        strbuf_printf(text, "  v%d = ", i);
        if (seed >> 31)
            strbuf_printf(text, calls[(seed >> 4) % COUNT_OF(calls)], a, b);
        else
            strbuf_printf(text, one[(seed >> 4) % COUNT_OF(one)], seed >> 30 & 1 ? a : b);
        strbuf_printf(text, "\n");
    }
    strbuf_printf(text, "} -> (v%d, v%d, v%d)\n", n_ops + 1, n_ops / 2, n_ops / 3);
}

static void test_reuse_of_buffers_changes_no_number(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++) {
        StrBuf text = {0};
        random_chain(&text, seed, 24);
        Program p;
        program_open(&p, text.at, ARITHMETIC_FP16, 2);
        Err err = {0};
        Engine *plain = engine_open_planned(&p.package, STR("main"), ARITHMETIC_FP16, p.pool,
                                            PLAN_AS_WRITTEN, &err);
        assert_non_null(plain);
        assert_true(engine_workspace_bytes(p.engine) < engine_workspace_bytes(plain));
        Engine *engines[] = {p.engine, plain};
        for (int e = 0; e < 2; e++) {
            for (int i = 0; i < 64; i++) {
                engine_input(engines[e], STR("v0"))->f32[i] = (float)(i % 7) / 4 - 0.5f;
                engine_input(engines[e], STR("v1"))->f32[i] = (float)(i % 5) / 8;
            }
            size_t before = allocations_so_far();
            assert_true(engine_run(engines[e], NULL, &err));
            assert_int_equal(allocations_so_far(), before);
        }
        for (uint32_t o = 0; o < 3; o++)
            if (memcmp(engine_output_at(p.engine, o)->f32, engine_output_at(plain, o)->f32,
                       64 * sizeof(float)) != 0)
                fail_msg("seed %u, output %u:\n%s", seed, o, text.at);
        engine_close(plain);
        program_close(&p);
        strbuf_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_at_open),
        cmocka_unit_test(test_every_op_the_engine_lacks_is_among_them),
        cmocka_unit_test(test_names_of_functions_and_arithmetics),
        cmocka_unit_test(test_refused_by_value),
        cmocka_unit_test(test_casts_to_integers),
        cmocka_unit_test(test_a_tap_sees_every_result_once),
        cmocka_unit_test(test_reuse_of_buffers_changes_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
