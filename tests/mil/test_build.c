// The builder: what it makes, and what it refuses with which words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/build.h"
#include "mlpackage/blobs.h"

typedef struct {
    Arena arena;
    MilProgram *program;
    Builder b;
    Err err;
    ValueId x, y, cache; // fp16[1, 4, 1, 8], fp32[1, 4, 1, 8], state<fp16[1, 4, 1, 16]>
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    Fixture *t = &fixture;
    *t = (Fixture){0};
    t->program = mil_program_new(&t->arena, 9);
    t->b = builder_begin(t->program, "main", &t->err);
    t->x = build_input(&t->b, "x", MIL_TENSOR(MIL_F16, 1, 4, 1, 8));
    t->y = build_input(&t->b, "y32", MIL_TENSOR(MIL_F32, 1, 4, 1, 8));
    t->cache = build_state(&t->b, "cache", MIL_TENSOR(MIL_F16, 1, 4, 1, 16));
    assert_true(builder_ok(&t->b));
    *state = t;
    return 0;
}

static int tear_down(void **state) {
    Fixture *t = *state;
    arena_free(&t->arena);
    return 0;
}

static void assert_type(const Builder *b, ValueId v, MilType expected) {
    assert_true(builder_ok(b));
    StrBuf got = {0}, want = {0};
    mil_type_print(&mil_value(b->f, v)->type, &got);
    mil_type_print(&expected, &want);
    assert_string_equal(got.at, want.at);
    strbuf_free(&got);
    strbuf_free(&want);
}

static void assert_refused(const Fixture *t, const char *words) {
    assert_false(builder_ok(&t->b));
    assert_int_equal(t->err.kind, ERR_FORMAT);
    if (!strstr(t->err.text, words)) print_message("message: %s\n", t->err.text);
    assert_non_null(strstr(t->err.text, words));
}

static ValueId weight_of(Fixture *t, const char *name, int64_t rows, int64_t columns) {
    static const uint8_t scale_half[] = {0, 0x38}; // 0.5
    ValueId data =
        build_literal_blob(&t->b, MIL_TENSOR(MIL_I8, rows, columns, 1, 1), (MilPlace){0, 64});
    ValueId scale = build_literal(&t->b, MIL_TENSOR(MIL_F16, 1, 1, 1, 1), scale_half, 2);
    return build_constexpr_blockwise(&t->b, name, data, scale);
}

static void test_conv1x1_writes_defaults_in_the_spelling_of_coremltools(void **state) {
    Fixture *t = *state;
    ValueId w = weight_of(t, "w", 6, 4);
    assert_type(&t->b, w, MIL_TENSOR(MIL_F16, 6, 4, 1, 1));
    ValueId y = build_conv1x1(&t->b, "y", t->x, w, MIL_NO_VALUE);
    assert_type(&t->b, y, MIL_TENSOR(MIL_F16, 1, 6, 1, 8));

    static const char *const names[] = {
        "w", "y_strides_0", "y_pad_type_0", "y_pad_0", "y_dilations_0", "y_groups_0", "y"};
    assert_int_equal(t->b.f->n_ops, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_true(str_is(t->b.f->ops[i].name, names[i]));
        assert_true(str_is(t->b.f->values[t->b.f->ops[i].first_output].name, names[i]));
    }
}

static void test_a_state_is_read_and_written(void **state) {
    Fixture *t = *state;
    ValueId before = build_read_state(&t->b, "before", t->cache);
    ValueId begin = build_const_ints(&t->b, "begin", (int32_t[]){0, 0, 0, 4}, 4);
    ValueId end = build_const_ints(&t->b, "end", (int32_t[]){1, 4, 1, 12}, 4);
    ValueId after = build_slice_update(&t->b, "after", before, t->x, begin, end);
    build_write_state(&t->b, "write", t->cache, after);
    assert_type(&t->b, after, MIL_TENSOR(MIL_F16, 1, 4, 1, 16));
    assert_int_equal(t->b.f->ops[t->b.f->n_ops - 1].n_outputs, 0);
}

static void test_run_time_bounds_of_a_slice_update(void **state) {
    Fixture *t = *state;
    ValueId position = build_input(&t->b, "position", MIL_TENSOR(MIL_I32, 4));
    ValueId before = build_read_state(&t->b, "before", t->cache);
    ValueId after = build_slice_update(&t->b, "after", before, t->x, position, position);
    assert_type(&t->b, after, MIL_TENSOR(MIL_F16, 1, 4, 1, 16));
}

static void test_attention_shapes(void **state) {
    Fixture *t = *state;
    ValueId scores = build_matmul(&t->b, "scores", t->x, t->x, true, false); // [1, 4, 8, 8]
    assert_type(&t->b, scores, MIL_TENSOR(MIL_F16, 1, 4, 8, 8));
    ValueId weights = build_softmax(&t->b, "weights", scores, -1);
    ValueId joined = build_concat(&t->b, "joined", (ValueId[]){weights, scores}, 2, 1);
    assert_type(&t->b, joined, MIL_TENSOR(MIL_F16, 1, 8, 8, 8));
    ValueId turned = build_transpose(&t->b, "turned", joined, (int32_t[]){0, 2, 1, 3}, 4);
    ValueId flat = build_reshape(&t->b, "flat", turned, (int32_t[]){1, 64, 1, -1}, 4);
    assert_type(&t->b, flat, MIL_TENSOR(MIL_F16, 1, 64, 1, 8));
    ValueId part =
        build_slice(&t->b, "part", flat, (int32_t[]){0, 32, 0, 0}, (int32_t[]){1, 64, 1, 8}, 4);
    assert_type(&t->b, part, MIL_TENSOR(MIL_F16, 1, 32, 1, 8));
    ValueId mean = build_reduce(&t->b, "mean", MIL_OP_reduce_mean, part, 1, true);
    assert_type(&t->b, mean, MIL_TENSOR(MIL_F16, 1, 1, 1, 8));
    assert_type(&t->b, build_rsqrt(&t->b, "inv", mean, 1e-5f), MIL_TENSOR(MIL_F16, 1, 1, 1, 8));
}

static void test_outputs_of_split_are_numbered(void **state) {
    Fixture *t = *state;
    ValueId n = build_const_int(&t->b, "n", 2), axis = build_const_int(&t->b, "axis", 1);
    const BuildArg args[] = {{"x", &t->x, 1}, {"num_splits", &n, 1}, {"axis", &axis, 1}};
    ValueId first = build_op(&t->b, "halves", MIL_OP_split, args, COUNT_OF(args));
    assert_type(&t->b, first, MIL_TENSOR(MIL_F16, 1, 2, 1, 8));
    assert_true(str_is(mil_value(t->b.f, first)->name, "halves_0"));
    assert_true(str_is(mil_value(t->b.f, (ValueId){first.at + 1})->name, "halves_1"));
}

static void test_default_takes_the_dtype_of_its_group(void **state) {
    Fixture *t = *state;
    ValueId epsilon, y = build_unary(&t->b, "r", MIL_OP_rsqrt, t->x);
    epsilon = mil_find_value(t->b.f, STR("r_epsilon_0"));
    assert_type(&t->b, epsilon, mil_tensor(MIL_F16, 0, NULL));
    (void)y;
    build_unary(&t->b, "n", MIL_OP_layer_norm, t->x);
    assert_type(&t->b, mil_find_value(t->b.f, STR("n_epsilon_0")), mil_tensor(MIL_F32, 0, NULL));
    assert_type(&t->b, mil_find_value(t->b.f, STR("n_axes_0")), MIL_TENSOR(MIL_I32, 4));
}

// ---- refusals

static void test_refuses_two_dtypes(void **state) {
    Fixture *t = *state;
    t->b.scope = STR("layer 3");
    build_binary(&t->b, "sum", MIL_OP_add, t->x, t->y);
    assert_refused(t, "layer 3: add 'sum': x is fp16 but y is fp32");
}

static void test_refuses_dtype_outside_the_row(void **state) {
    Fixture *t = *state;
    ValueId n = build_input(&t->b, "n", MIL_TENSOR(MIL_I32, 2));
    build_unary(&t->b, "e", MIL_OP_exp, n);
    assert_refused(t, "exp 'e': x is int32, expected fp16 or fp32");
}

static void test_refuses_shapes_that_do_not_broadcast(void **state) {
    Fixture *t = *state;
    ValueId z = build_input(&t->b, "z", MIL_TENSOR(MIL_F16, 1, 3, 1, 8));
    build_binary(&t->b, "sum", MIL_OP_add, t->x, z);
    assert_refused(t, "add 'sum': shapes [1, 4, 1, 8] and [1, 3, 1, 8] do not broadcast");
}

static void test_refuses_wrong_rank(void **state) {
    Fixture *t = *state;
    ValueId z = build_input(&t->b, "z", MIL_TENSOR(MIL_F16, 4, 8));
    build_conv1x1(&t->b, "c", z, z, MIL_NO_VALUE);
    assert_refused(t, "conv 'c': x has rank 2");
}

static void test_refuses_weight_of_other_width(void **state) {
    Fixture *t = *state;
    build_conv1x1(&t->b, "c", t->x, weight_of(t, "w", 6, 5), MIL_NO_VALUE);
    assert_refused(t, "conv 'c': weight is [6, 5, 1, 1], expected 4 / 1 groups input channels");
}

static void test_refuses_missing_parameter(void **state) {
    Fixture *t = *state;
    build_unary(&t->b, "sum", MIL_OP_add, t->x);
    assert_refused(t, "add 'sum': y is missing");
}

static void test_refuses_unknown_parameter(void **state) {
    Fixture *t = *state;
    const BuildArg args[] = {{"x", &t->x, 1}, {"weights", &t->x, 1}};
    build_op(&t->b, "c", MIL_OP_conv, args, COUNT_OF(args));
    assert_refused(t, "conv 'c': parameter 'weights' is unknown");
}

static void test_refuses_parameter_given_twice(void **state) {
    Fixture *t = *state;
    const BuildArg args[] = {{"x", &t->x, 1}, {"x", &t->x, 1}};
    build_op(&t->b, "e", MIL_OP_exp, args, COUNT_OF(args));
    assert_refused(t, "exp 'e': parameter 'x' is given twice");
}

static void test_refuses_run_time_value_for_a_constant(void **state) {
    Fixture *t = *state;
    ValueId perm = build_input(&t->b, "perm", MIL_TENSOR(MIL_I32, 4));
    const BuildArg args[] = {{"x", &t->x, 1}, {"perm", &perm, 1}};
    build_op(&t->b, "turned", MIL_OP_transpose, args, COUNT_OF(args));
    assert_refused(t, "transpose 'turned': perm is 'perm', which is computed at run time");
}

static void test_refuses_taken_names(void **state) {
    Fixture *t = *state;
    build_unary(&t->b, "x", MIL_OP_exp, t->x);
    assert_refused(t, "exp 'x': the name is taken");
}

static void test_refuses_name_taken_by_a_written_default(void **state) {
    Fixture *t = *state;
    build_unary(&t->b, "p_axis_0", MIL_OP_exp, t->x);
    build_softmax(&t->b, "p", t->x, 1);
    assert_refused(t, "const 'p_axis_0': the name is taken");
}

static void test_refuses_names_that_are_not_identifiers(void **state) {
    Fixture *t = *state;
    build_unary(&t->b, "blk.0", MIL_OP_exp, t->x);
    assert_refused(t, "exp 'blk.0': the name is not an identifier or is a reserved word");
}

static void test_refuses_reserved_names(void **state) {
    Fixture *t = *state;
    build_input(&t->b, "state", MIL_TENSOR(MIL_F16, 1));
    assert_refused(t, "input 'state': the name is not an identifier or is a reserved word");
}

static void test_refuses_a_state_as_a_tensor(void **state) {
    Fixture *t = *state;
    build_unary(&t->b, "e", MIL_OP_exp, t->cache);
    assert_refused(t, "exp 'e': x is a state");
}

static void test_refuses_a_tensor_as_a_state(void **state) {
    Fixture *t = *state;
    build_read_state(&t->b, "r", t->x);
    assert_refused(t, "read_state 'r': input is a tensor, expected a state");
}

static void test_refuses_writing_another_shape_to_a_state(void **state) {
    Fixture *t = *state;
    build_write_state(&t->b, "w", t->cache, t->x);
    assert_refused(
        t, "write_state 'w': data is fp16[1, 4, 1, 8] but the state holds fp16[1, 4, 1, 16]");
}

static void test_refuses_update_of_another_shape(void **state) {
    Fixture *t = *state;
    ValueId before = build_read_state(&t->b, "before", t->cache);
    ValueId begin = build_const_ints(&t->b, "begin", (int32_t[]){0, 0, 0, 4}, 4);
    ValueId end = build_const_ints(&t->b, "end", (int32_t[]){1, 4, 1, 9}, 4);
    build_slice_update(&t->b, "after", before, t->x, begin, end);
    assert_refused(t, "slice_update 'after': update is [1, 4, 1, 8] but the slice of x [1, 4, 1, "
                      "16] it replaces is [1, 4, 1, 5]");
}

static void test_refuses_const_for_a_literal_operand(void **state) {
    Fixture *t = *state;
    ValueId v[4] = {build_const_int(&t->b, "axis", 0)};
    const BuildArg args[] = {
        {"quantized_data", v, 1}, {"zero_point", v, 1}, {"scale", v, 1}, {"axis", v, 1}};
    build_op(&t->b, "w", MIL_OP_constexpr_affine_dequantize, args, COUNT_OF(args));
    assert_refused(
        t, "constexpr_affine_dequantize 'w': quantized_data is int32, expected int8 or uint8");
}

static void test_refuses_epsilon_that_fp16_cannot_hold(void **state) {
    Fixture *t = *state;
    build_rsqrt(&t->b, "r", t->x, 1e-12f);
    assert_refused(t, "rsqrt 'r': epsilon 1e-12 is zero in fp16");
}

static void test_refuses_op_of_a_later_version(void **state) {
    Fixture *t = *state;
    t->program->spec_version = 8;
    build_read_state(&t->b, "r", t->cache);
    assert_refused(t, "read_state 'r': not an op of specification version 8");
}

static void test_refuses_second_function_of_the_name(void **state) {
    Fixture *t = *state;
    t->b = builder_begin(t->program, "main", &t->err);
    assert_refused(t, "function 'main': the name is taken");
}

static void test_first_refusal_sticks(void **state) {
    Fixture *t = *state;
    ValueId bad = build_binary(&t->b, "sum", MIL_OP_add, t->x, t->y);
    assert_true(value_is_none(bad));
    uint32_t n_ops = t->b.f->n_ops;
    assert_true(value_is_none(build_unary(&t->b, "e", MIL_OP_exp, bad)));
    assert_true(value_is_none(build_conv1x1(&t->b, "c", bad, bad, bad)));
    build_output(&t->b, bad);
    assert_int_equal(t->b.f->n_ops, n_ops);
    assert_refused(t, "add 'sum'");
}

// ---- blobs

static uint64_t planned(BlobPlan *plan, Fixture *t, MilType type) {
    return blob_plan_add(plan, &t->arena, &type).offset;
}

static void test_blobs_lie_at_multiples_of_64(void **state) {
    Fixture *t = *state;
    BlobPlan plan = {0};
    assert_int_equal(planned(&plan, t, MIL_TENSOR(MIL_I8, 8, 4, 1, 1)), 64);
    assert_int_equal(plan.n_bytes, 160); // the worked example's weight file
    assert_int_equal(planned(&plan, t, MIL_TENSOR(MIL_U3, 5)), 192);
    assert_int_equal(plan.blobs[1].n_bytes, 2);
    assert_int_equal(plan.blobs[1].padding_bits, 1);
    assert_int_equal(plan.n_bytes, 192 + 64 + 2);
    assert_int_equal(planned(&plan, t, MIL_TENSOR(MIL_F16, 32)), 320);
    for (int i = 0; i < 200; i++) planned(&plan, t, MIL_TENSOR(MIL_F32, 3));
    assert_int_equal(plan.n_blobs, 203);
    for (size_t i = 0; i < plan.n_blobs; i++)
        assert_int_equal(plan.blobs[i].at.offset % BLOB_ALIGN, 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_conv1x1_writes_defaults_in_the_spelling_of_coremltools),
        WITH_FIXTURE(test_a_state_is_read_and_written),
        WITH_FIXTURE(test_run_time_bounds_of_a_slice_update),
        WITH_FIXTURE(test_attention_shapes),
        WITH_FIXTURE(test_outputs_of_split_are_numbered),
        WITH_FIXTURE(test_default_takes_the_dtype_of_its_group),
        WITH_FIXTURE(test_refuses_two_dtypes),
        WITH_FIXTURE(test_refuses_dtype_outside_the_row),
        WITH_FIXTURE(test_refuses_shapes_that_do_not_broadcast),
        WITH_FIXTURE(test_refuses_wrong_rank),
        WITH_FIXTURE(test_refuses_weight_of_other_width),
        WITH_FIXTURE(test_refuses_missing_parameter),
        WITH_FIXTURE(test_refuses_unknown_parameter),
        WITH_FIXTURE(test_refuses_parameter_given_twice),
        WITH_FIXTURE(test_refuses_run_time_value_for_a_constant),
        WITH_FIXTURE(test_refuses_taken_names),
        WITH_FIXTURE(test_refuses_name_taken_by_a_written_default),
        WITH_FIXTURE(test_refuses_names_that_are_not_identifiers),
        WITH_FIXTURE(test_refuses_reserved_names),
        WITH_FIXTURE(test_refuses_a_state_as_a_tensor),
        WITH_FIXTURE(test_refuses_a_tensor_as_a_state),
        WITH_FIXTURE(test_refuses_writing_another_shape_to_a_state),
        WITH_FIXTURE(test_refuses_update_of_another_shape),
        WITH_FIXTURE(test_refuses_const_for_a_literal_operand),
        WITH_FIXTURE(test_refuses_epsilon_that_fp16_cannot_hold),
        WITH_FIXTURE(test_refuses_op_of_a_later_version),
        WITH_FIXTURE(test_refuses_second_function_of_the_name),
        WITH_FIXTURE(test_first_refusal_sticks),
        WITH_FIXTURE(test_blobs_lie_at_multiples_of_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
