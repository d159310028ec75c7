// What a watch on an engine sees: sizes, sums, rows of zeros, and which ops belong to a norm, on
// programs whose numbers are worked by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "gates/range_watch.h"

typedef struct {
    Arena arena;
    Package package;
    Engine *engine;
    RangeWatch watch;
    Err err;
} Fixture;

static void open_program(Fixture *t, const char *text, Arithmetic arithmetic) {
    *t = (Fixture){0};
    t->package.program = mil_parse(&t->arena, str_of(text), &t->err);
    if (!t->package.program) fail_msg("%s", t->err.text);
    t->engine = engine_open(&t->package, STR("main"), arithmetic, NULL, &t->err);
    if (!t->engine) fail_msg("%s", t->err.text);
    range_watch(&t->watch, t->engine, mil_find_function(t->package.program, STR("main")), true,
                &t->arena);
}

static void close_program(Fixture *t) {
    engine_close(t->engine);
    arena_free(&t->arena);
}

static float *input(Fixture *t, const char *name) {
    return engine_input(t->engine, str_of(name))->f32;
}

static void run(Fixture *t, bool keeps) {
    range_watch_start(&t->watch);
    assert_true(engine_run(t->engine, NULL, &t->err));
    if (keeps) assert_true(range_watch_keep(&t->watch, &t->err));
}

static const OpRange *seen(const Fixture *t, const char *op) {
    for (uint32_t i = 0; i < t->watch.f->n_ops; i++)
        if (str_is(t->watch.ops[i].op->name, op)) return &t->watch.ops[i];
    fail_msg("no op %s", op);
    return NULL;
}

// A norm as it is usually written.
static const char plain_norm[] =
    "program 9 default main\n"
    "func main(x: fp16[1, 4, 1, 3]) {\n"
    "  squares: fp16[1, 4, 1, 3] = mul(x = x, y = x)\n"
    "  mean: fp16[1, 1, 1, 3] = reduce_mean(x = squares, axes = int32[1]([1]), keep_dims = "
    "bool(true))\n"
    "  total: fp16[1, 1, 1, 3] = add(x = mean, y = fp16(0.001))\n"
    "  root: fp16[1, 1, 1, 3] = rsqrt(x = total)\n"
    "  y: fp16[1, 4, 1, 3] = mul(x = x, y = root)\n"
    "  doubled: fp16[1, 4, 1, 3] = add(x = y, y = y)\n"
    "} -> (doubled)\n";

static void test_roles_are_read_from_the_graph(void **state) {
    (void)state;
    static const struct {
        const char *text, *op;
        RangeRole role;
    } cases[] = {
        {plain_norm, "squares", RANGE_NORM_INPUT},
        {plain_norm, "mean", RANGE_NORM_SUM},
        {plain_norm, "total", RANGE_OTHER},
        {plain_norm, "root", RANGE_NORM_SCALE},
        {plain_norm, "y", RANGE_OTHER},
        // by the largest element, a sum of squares, a quotient by the root
        {"program 9 default main\n"
         "func main(x: fp16[2, 5]) {\n"
         "  size: fp16[2, 5] = abs(x = x)\n"
         "  most: fp16[2, 1] = reduce_max(x = size, axes = int32[1]([1]), keep_dims = bool(true))\n"
         "  unit: fp16[2, 5] = real_div(x = x, y = most)\n"
         "  sum: fp16[2, 1] = reduce_sum_square(x = unit, axes = int32[1]([1]), keep_dims = "
         "bool(true))\n"
         "  root: fp16[2, 1] = sqrt(x = sum)\n"
         "  y: fp16[2, 5] = real_div(x = unit, y = root)\n"
         "} -> (y)\n",
         "unit", RANGE_NORM_INPUT},
        {"program 9 default main\n"
         "func main(x: fp16[2, 5]) {\n"
         "  y: fp16[2, 5] = layer_norm(x = x, axes = int32[1]([1]))\n"
         "} -> (y)\n",
         "y", RANGE_NORM_INPUT},
        // a sum that reaches no root is none, softmax's least of all
        {"program 9 default main\n"
         "func main(x: fp16[2, 5]) {\n"
         "  powers: fp16[2, 5] = exp(x = x)\n"
         "  sum: fp16[2, 1] = reduce_sum(x = powers, axes = int32[1]([1]), keep_dims = "
         "bool(true))\n"
         "  y: fp16[2, 5] = real_div(x = powers, y = sum)\n"
         "} -> (y)\n",
         "sum", RANGE_OTHER},
        {"program 9 default main\n"
         "func main(x: fp16[2, 5]) {\n"
         "  y: fp16[2, 2] = matmul(x = x, y = x, transpose_y = bool(true))\n"
         "} -> (y)\n",
         "y", RANGE_PRODUCT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Fixture t;
        open_program(&t, cases[i].text, ARITHMETIC_FP32);
        RangeRole role = seen(&t, cases[i].op)->role;
        if (role != cases[i].role)
            fail_msg("case %zu: '%s' is %s", i, cases[i].op, range_role_name(role));
        close_program(&t);
    }
}

static void test_sizes_over_runs(void **state) {
    (void)state;
    Fixture t;
    open_program(&t, plain_norm, ARITHMETIC_FP32);
    for (int i = 0; i < 12; i++) input(&t, "x")[i] = (float)i / 4;
    run(&t, true);
    input(&t, "x")[5] = -40;
    run(&t, true);
    input(&t, "x")[5] = 0;
    run(&t, true);
    const OpRange *squares = seen(&t, "squares");
    assert_true(squares->in == 40 && squares->out == 1600);
    assert_true(range_size(squares) == 1600 && range_size(seen(&t, "y")) == seen(&t, "y")->out);
    assert_true(range_limit(squares->role) == 65504 && range_limit(RANGE_PRODUCT) == 32752);
    // column 2 of the second run: 0.5, -40, 2, 2.75
    assert_true(fabsf(seen(&t, "mean")->out - (0.25f + 1600 + 4 + 7.5625f) / 4) < 1e-3f);
    close_program(&t);
}

// |x| of 300 squares beyond fp16, the inverse of its root is 0, and so is the row: three columns,
// of which one is like that and one is zero from the start.
static void test_a_norm_that_loses_a_row(void **state) {
    (void)state;
    Fixture t[2];
    for (int a = 0; a < 2; a++) {
        open_program(&t[a], plain_norm, a ? ARITHMETIC_ANE : ARITHMETIC_FP32);
        for (int i = 0; i < 12; i++)
            input(&t[a], "x")[i] = i % 3 == 0 ? 300 : i % 3 == 1 ? 0 : 1.5f;
        run(&t[a], true);
        run(&t[a], false); // not kept, not counted
    }
    assert_int_equal(seen(&t[0], "y")->n_zero, 1);
    assert_int_equal(seen(&t[1], "y")->n_zero, 2);
    assert_int_equal(seen(&t[0], "root")->n_zero, 0);
    assert_int_equal(seen(&t[1], "root")->n_zero, 1);
    assert_int_equal(seen(&t[0], "squares")->n_broken, 0);
    assert_int_equal(seen(&t[1], "squares")->n_broken, 4);
    assert_true(isinf(seen(&t[1], "squares")->out) && seen(&t[0], "squares")->out == 90000);
    for (int a = 0; a < 2; a++) close_program(&t[a]);
}

// Sums of 17 columns, one more than a strip, by conv, matmul and linear.
static const char *const products[] = {
    "program 9 default main\n"
    "func main(x: fp16[1, 3, 1, 17], w: fp16[2, 3, 1, 1]) {\n"
    "  y: fp16[1, 2, 1, 17] = conv(x = x, weight = w, bias = fp16[2]([-0.5, 0.25]))\n"
    "} -> (y)\n",
    "program 9 default main\n"
    "func main(x: fp16[1, 3, 1, 17], w: fp16[2, 3, 1, 1]) {\n"
    "  a: fp16[2, 3] = reshape(x = w, shape = int32[2]([2, 3]))\n"
    "  b: fp16[3, 17] = reshape(x = x, shape = int32[2]([3, 17]))\n"
    "  y: fp16[2, 17] = matmul(x = a, y = b)\n"
    "} -> (y)\n",
};

static void test_sums_of_products(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(products); i++) {
        Fixture t;
        open_program(&t, products[i], ARITHMETIC_FP32);
        float *x = input(&t, "x"), *w = input(&t, "w");
        for (int k = 0; k < 51; k++) x[k] = 0.125f;
        w[0] = 2, w[1] = -3, w[2] = 0x1p-14f; // exponents 1 - 3, 1 - 3, -14 - 3: the last is lost
        w[3] = -1, w[4] = 1, w[5] = 4;
        x[16] = -100; // first input row, last column: beyond the strip
        run(&t, true);
        run(&t, true);
        float bias = i == 0 ? 0.25f : 0;
        const OpRange *y = seen(&t, "y");
        float bound = 2 * 100 + 3 * 0.125f + 0x1p-17f + (i == 0 ? 0.5f : 0);
        assert_true(fabsf(y->sums.bound - bound) < 1e-4f);
        // Twice: each run's sums are added.
        double row0 = 16 * (5 * 0.125 + 0x1p-17) + 200 + 0.375 + 0x1p-17;
        double row1 = 16 * 6 * 0.125 + 100 + 5 * 0.125;
        double all = 2 * (row0 + row1 + 17 * (2 * (double)bias + (double)bias));
        assert_true(fabs(y->sums.all - all) < 1e-2);
        assert_true(fabs(y->sums.lost - 2 * 17 * 0x1p-17) < 1e-7);
        assert_true(fabsf(y->out - (i == 0 ? 200.875f : 200.375f)) < 1e-3f); // row 0: all add up
        close_program(&t);
    }
}

static void test_growing_near_a_limit(void **state) {
    (void)state;
    Fixture t;
    open_program(&t, products[1], ARITHMETIC_FP32);
    float *x = input(&t, "x"), *w = input(&t, "w");
    w[0] = 1;
    static const struct {
        float x;
        bool grew;
    } steps[] = {{4000, false}, {4090, false}, {4200, true},   {4210, false},
                 {4000, false}, {30000, true}, {30500, false}, {31200, true}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        x[0] = steps[i].x;
        run(&t, true);
        // The limit of a sum is 32752, of which an eighth is 4094; growth counts from 2 % on.
        assert_int_equal(t.watch.grew, steps[i].grew);
    }
    close_program(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_are_read_from_the_graph),
        cmocka_unit_test(test_sizes_over_runs),
        cmocka_unit_test(test_a_norm_that_loses_a_row),
        cmocka_unit_test(test_sums_of_products),
        cmocka_unit_test(test_growing_near_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
