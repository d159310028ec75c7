// Which powers of two are chosen for measured ranges: nothing where fp16 is at ease, and at each
// limit the least that meets it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "compile/condition.h"

enum { N_LAYERS = 3, WIDTH = 64 };

// A layer that fp16 carries as it is: rows of rms 1 with a peak of 10, branches of rms 1.
static const LayerKind gated = {.norm_placement = NORM_PRE, .is_gated = true};

static const LayerRange at_ease = {
    .attn_in_peak = 10,
    .attn_in_longest = 16,
    .attn_in_shortest = 8,
    .v_peak = 4,
    .heads_peak = 4,
    .attn_out_peak = 8,
    .attn_out_rms = 1,
    .attn_out_sum = 8,
    .attn_out_bound = 20,
    .attn_out_least_row = 0.5f,
    .attn_out_most_weight = 1,
    .ffn_in_peak = 10,
    .ffn_in_longest = 16,
    .ffn_in_shortest = 8,
    .gate_peak = 8,
    .up_peak = 8,
    .gated_peak = 60,
    .ffn_out_peak = 8,
    .ffn_out_rms = 1,
    .ffn_out_sum = 8,
    .ffn_out_bound = 20,
    .ffn_out_least_row = 0.5f,
    .ffn_out_most_weight = 1,
};

typedef struct {
    Contract contract;
    LayerRange layers[N_LAYERS];
    Ranges ranges;
} Case;

static Case *new_case(Case *c) {
    *c = (Case){.contract = {.d_model = WIDTH, .norm_eps = 1e-5f, .n_layers = N_LAYERS}};
    for (int i = 0; i < N_LAYERS; i++) c->layers[i] = at_ease;
    c->ranges = (Ranges){.layers = c->layers,
                         .n_layers = N_LAYERS,
                         .out_peak = 10,
                         .out_longest = 16,
                         .out_shortest = 8};
    return c;
}

static int stream_of(const Case *c, uint32_t first, uint32_t end) {
    Err err = {0};
    int stream = 99;
    if (!condition_stream(&stream, &c->contract, &c->ranges, first, end, &err))
        fail_msg("%s", err.text);
    return stream;
}

static void test_a_model_at_ease_is_left_alone(void **state) {
    (void)state;
    Case c;
    assert_int_equal(stream_of(new_case(&c), 0, N_LAYERS), 0);
    LayerScaling l = condition_layer(&gated, &at_ease, 0);
    assert_true(l.residual_exp2 == 0 && l.v == 0 && l.up == 0 && l.attn == 0 && l.ffn == 0);
}

static void test_stream_takes_the_least_factor_below_1024(void **state) {
    (void)state;
    const struct {
        float peak;
        int exponent;
    } cases[] = {{1024, 0}, {1025, 1}, {2048, 1}, {27400, 5}, {65504, 6}, {0x1p18f, 8}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Case c;
        new_case(&c)->layers[1].ffn_in_peak = cases[i].peak;
        assert_int_equal(stream_of(&c, 0, N_LAYERS), cases[i].exponent);
    }
}

// A shard is judged by its own rows and by those it hands on.
static void test_a_shard_looks_at_its_own_layers_and_its_output(void **state) {
    (void)state;
    Case c;
    new_case(&c)->layers[1].attn_in_peak = 4096;
    assert_int_equal(stream_of(&c, 0, 1), 2);
    assert_int_equal(stream_of(&c, 1, 2), 2);
    assert_int_equal(stream_of(&c, 2, N_LAYERS), 0);
    new_case(&c)->ranges.out_peak = 8192;
    assert_int_equal(stream_of(&c, 0, 2), 0);
    assert_int_equal(stream_of(&c, 2, N_LAYERS), 3);
    assert_int_equal(stream_of(&c, N_LAYERS, N_LAYERS), 3); // the head alone
}

static void test_a_quiet_stream_is_raised_but_not_above_the_limit(void **state) {
    (void)state;
    Case c;
    new_case(&c)->layers[0].attn_in_shortest = 8 * 0x1p-6f; // an rms of 2^-6
    assert_int_equal(stream_of(&c, 0, N_LAYERS), 0);
    c.layers[0].attn_in_shortest = 8 * 0x1p-9f;
    assert_int_equal(stream_of(&c, 0, N_LAYERS), -3);
    c.layers[0].attn_in_shortest = 8 * 0x1p-20f; // the loud rows allow 2^-6 only
    assert_int_equal(stream_of(&c, 0, N_LAYERS), -6);
    c.layers[2].ffn_in_peak = 5000;
    assert_int_equal(stream_of(&c, 0, N_LAYERS), 3);
}

// sqrt(64 · 1e-5) = 0.0253 may be divided by 2^8 and no more.
static void test_eps_bounds_the_factor(void **state) {
    (void)state;
    Case c;
    new_case(&c)->layers[2].attn_in_peak = 0x1p20f;
    assert_int_equal(stream_of(&c, 0, N_LAYERS), 8);
    assert_true(sqrtf(WIDTH * 1e-5f) * 0x1p-8f >= 0x1p-14f);
    c.contract.norm_eps = 0;
    assert_int_equal(stream_of(&c, 0, N_LAYERS), 10);
}

static void test_a_stream_that_no_factor_fits_is_refused(void **state) {
    (void)state;
    Case c;
    Err err = {0};
    int stream;
    new_case(&c)->layers[2].attn_in_peak = 0x1p23f; // 2^15 after division by 2^8
    assert_false(condition_stream(&stream, &c.contract, &c.ranges, 0, N_LAYERS, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
}

// A norm after a branch takes out what is folded into the branch's weights: they carry no more than
// their own sums need, whatever the stream is divided by.
static void test_before_a_norm_a_writer_folds_what_its_sums_need(void **state) {
    (void)state;
    const LayerKind both = {.norm_placement = NORM_BOTH, .is_gated = true};
    LayerRange l = at_ease;
    l.attn_out_rms = 3.3f;
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 5);
    assert_int_equal(condition_layer(&both, &l, 5).attn, 0);
    l.attn_out_peak = 2047 * 4;
    assert_int_equal(condition_layer(&both, &l, 5).attn, 2);
}

// Between up and what enters the down projection is an activation, which is not linear.
static void test_up_without_a_gate_is_not_scaled(void **state) {
    (void)state;
    const LayerKind ungated = {.norm_placement = NORM_PRE};
    LayerRange l = at_ease;
    l.gated_peak = 150000;
    assert_int_equal(condition_layer(&gated, &l, 0).up, 6);
    assert_int_equal(condition_layer(&ungated, &l, 0).up, 0);
}

static void test_a_writer_folds_the_factor_while_its_branch_stays_loud(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.attn_out_rms = 3.3f; // a 33rd of it is a tenth
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 5);
    l.attn_out_rms = 3.1f; // less: not at all, and a multiplication by 2^-5
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 0);
    l.attn_out_rms = 1;
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 0);
    assert_int_equal(condition_layer(&gated, &l, 3).attn, 3);
    l.attn_out_rms = 1e-3f; // a branch nearly lost is raised, even in a stream that needs nothing,
    l.attn_out_peak = l.attn_out_sum = l.attn_out_bound = 0.01f;
    assert_int_equal(condition_layer(&gated, &l, 0).attn, -10);
    assert_int_equal(condition_layer(&gated, &l, 0).ffn, 0); // the other one is its own affair
}

static void test_a_writer_is_divided_until_its_sums_are_finite(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.ffn_out_sum = 27300;
    assert_int_equal(condition_layer(&gated, &l, 5).ffn, 4); // 27300 / 16 = 1706 <= 2047
    assert_int_equal(condition_layer(&gated, &l, 0).ffn, 4);
    l = at_ease;
    l.ffn_out_peak = 27300;
    assert_int_equal(condition_layer(&gated, &l, 0).ffn, 4);
    l = at_ease;
    l.ffn_out_bound = 20000;
    assert_int_equal(condition_layer(&gated, &l, 0).ffn, 1);
}

// int8 scales of the quietest row are 127ths of its largest weight and must not fall below 2^-14.
static void test_codes_stay_the_same_while_nothing_overflows(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.attn_out_rms = 1000;
    l.attn_out_least_row = 127 * 0x1p-14f * 4;
    assert_int_equal(condition_layer(&gated, &l, 2).attn, 2);
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 0); // all or nothing
    l.v_peak = 320;                                           // W_o has grown by 2^4 first
    assert_int_equal(condition_layer(&gated, &l, 5).v, 4);
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 5);
    l.v_peak = 4;
    l.attn_out_sum = 2047 * 16; // finite sums come first
    assert_int_equal(condition_layer(&gated, &l, 5).attn, 4);
}

// A row that is nearly dead has its scale at that limit already.
static void test_a_dead_row_asks_for_nothing(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.attn_out_least_row = 1e-6f;
    assert_int_equal(condition_layer(&gated, &l, 0).attn, 0);
    assert_int_equal(condition_layer(&gated, &l, 3).attn, 0);
}

static void test_weights_stay_within_fp16(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.ffn_out_rms = 1e-3f;
    l.ffn_out_most_weight = 256;
    assert_int_equal(condition_layer(&gated, &l, 0).ffn,
                     -6); // 256 · 2^6 = 16384; ten would be 262144
}

static void test_values_and_up_have_shifts_of_their_own(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.v_peak = 31; // times the gain of 64 below 2047
    l.gated_peak = 4094;
    assert_true(condition_layer(&gated, &l, 0).v == 0 && condition_layer(&gated, &l, 0).up == 0);
    l.v_peak = 33;
    l.gated_peak = 150000;
    assert_true(condition_layer(&gated, &l, 0).v == 1 && condition_layer(&gated, &l, 0).up == 6);
    l.v_peak = 0x1p-9f;
    l.gated_peak = 0x1p-10f;
    assert_true(condition_layer(&gated, &l, 0).v == -3 && condition_layer(&gated, &l, 0).up == -4);
}

static void test_a_branch_of_zeros_asks_for_nothing(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.ffn_out_rms = l.ffn_out_peak = l.ffn_out_sum = l.ffn_out_bound = 0;
    l.ffn_out_least_row = l.ffn_out_most_weight = l.gated_peak = 0;
    assert_int_equal(condition_layer(&gated, &l, 5).ffn, 5);
    assert_int_equal(condition_layer(&gated, &l, 5).up, 0);
}

// The factor of the multiplication after the branch, 2^(fold - stream), is a normal fp16 number.
static void test_the_multiplication_is_a_number_of_fp16(void **state) {
    (void)state;
    LayerRange l = at_ease;
    l.attn_out_rms = 0x1p-12f;
    for (int stream = -6; stream <= 10; stream++) {
        int fold = condition_layer(&gated, &l, stream).attn;
        assert_in_range(fold - stream + 14, 0, 29);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_at_ease_is_left_alone),
        cmocka_unit_test(test_stream_takes_the_least_factor_below_1024),
        cmocka_unit_test(test_a_shard_looks_at_its_own_layers_and_its_output),
        cmocka_unit_test(test_a_quiet_stream_is_raised_but_not_above_the_limit),
        cmocka_unit_test(test_eps_bounds_the_factor),
        cmocka_unit_test(test_a_stream_that_no_factor_fits_is_refused),
        cmocka_unit_test(test_a_writer_folds_the_factor_while_its_branch_stays_loud),
        cmocka_unit_test(test_a_writer_is_divided_until_its_sums_are_finite),
        cmocka_unit_test(test_codes_stay_the_same_while_nothing_overflows),
        cmocka_unit_test(test_a_dead_row_asks_for_nothing),
        cmocka_unit_test(test_weights_stay_within_fp16),
        cmocka_unit_test(test_values_and_up_have_shifts_of_their_own),
        cmocka_unit_test(test_a_branch_of_zeros_asks_for_nothing),
        cmocka_unit_test(test_the_multiplication_is_a_number_of_fp16),
        cmocka_unit_test(test_before_a_norm_a_writer_folds_what_its_sums_need),
        cmocka_unit_test(test_up_without_a_gate_is_not_scaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
