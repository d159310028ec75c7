// What the host hands to a shard: masks that are finite and see what they must, and the place in
// the state. Rotary tables are compared with llama.cpp's and the reference's elsewhere
// (tests/oracle).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/half.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "runtime/host.h"
#include "runtime/wide_step.h"

enum { ROWS = 4, STATE = 32 };

typedef struct {
    Contract contract;
    Host host;
} Fixture;

static void open_fixture(Fixture *t, bool has_write_mask, uint32_t window) {
    Err err = {0};
    *t = (Fixture){.contract = {.d_model = 8,
                                .kinds = {{.rope_dim = 4,
                                           .rope_base = 10000,
                                           .rope_factor = 1,
                                           .attn_factor = 1,
                                           .attn_window = window}}}};
    HostShape shape = {
        .context = STATE, .state_rows = STATE, .most_rows = ROWS, .has_write_mask = has_write_mask};
    if (!host_open(&t->host, &host_ops, &t->contract, NULL, &shape, &err)) fail_msg("%s", err.text);
}

static void close_fixture(Fixture *t) {
    host_close(&t->host);
}

static void test_mask_off_is_finite_exact_and_leaves_nothing(void **state) {
    (void)state;
    assert_true(isfinite(f32_from_half(half_from_f32(MASK_OFF))));
    assert_true(round_to_half(MASK_OFF) == MASK_OFF);
    // Beside the largest score fp16 holds, too: what is masked counts nothing.
    assert_true(expf(MASK_OFF) == 0);
}

// Row t stands at position + t: it sees itself, what came before, and no more than the window.
static void check_mask(uint32_t window, uint32_t position) {
    Fixture t;
    open_fixture(&t, false, window);
    const float *mask = host_fill(&t.host, position, ROWS)->kinds[0].mask;
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t s = 0; s < STATE; s++) {
            bool sees = s <= position + r && (window == 0 || s + window > position + r);
            assert_true(mask[r * STATE + s] == (sees ? 0.0f : MASK_OFF));
        }
    close_fixture(&t);
}

static void test_mask(void **state) {
    (void)state;
    static const uint32_t windows[] = {0, 1, 3, 4, 5, 31, 32, 33, 4096};
    for (size_t w = 0; w < COUNT_OF(windows); w++)
        for (uint32_t position = 0; position <= STATE - ROWS; position++)
            check_mask(windows[w], position);
}

// Layers of two kinds: each has its own frequencies and window.
static void test_tables_of_each_kind_of_layers(void **state) {
    (void)state;
    static const uint32_t kinds[] = {0, 1, 0};
    Fixture t;
    Err err = {0};
    open_fixture(&t, false, 0);
    host_close(&t.host);
    t.contract.kind_of_layer = (U32List){kinds, 3};
    t.contract.kinds[1] = t.contract.kinds[0];
    t.contract.kinds[1].rope_base = 100;
    t.contract.kinds[1].attn_window = 2;
    HostShape shape = {.context = STATE, .state_rows = STATE, .most_rows = ROWS};
    if (!host_open(&t.host, &host_ops, &t.contract, NULL, &shape, &err)) fail_msg("%s", err.text);
    const HostStep *step = host_fill(&t.host, 5, 1);
    assert_true(fabs((double)step->kinds[0].cosines[1] - cos(5 / 100.0)) < 1e-6); // 10000^(-2/4)
    assert_true(fabs((double)step->kinds[1].cosines[1] - cos(5 / 10.0)) < 1e-6);
    for (uint32_t s = 0; s < STATE; s++) {
        assert_true(step->kinds[0].mask[s] == (s <= 5 ? 0.0f : MASK_OFF));
        assert_true(step->kinds[1].mask[s] == (s == 4 || s == 5 ? 0.0f : MASK_OFF));
    }
    close_fixture(&t);
}

static void test_place_in_slice_form(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, false, 0);
    const HostStep *step = host_fill(&t.host, 28, ROWS);
    assert_int_equal(step->whole.begin, 28);
    assert_int_equal(step->whole.end, 32);
    assert_null(step->whole.write_mask);
    close_fixture(&t);
}

// A step's own rows are seen in the columns behind the slots, and not where they will be put.
static void test_mask_of_new_rows(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, false, 6);
    t.host.shape.masks_new_rows = true;
    for (uint32_t kind = 0; kind < t.host.n_kinds; kind++) {
        free(t.host.step.kinds[kind].mask);
        t.host.step.kinds[kind].mask =
            calloc((size_t)ROWS * host_n_columns(&t.host, kind, ROWS), sizeof(float));
    }
    const HostStep *step = host_fill(&t.host, 7, ROWS);
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t i = 0; i < STATE + ROWS; i++) {
            uint32_t position = i < STATE ? i : 7 + i - STATE;
            bool is_there = i >= STATE || i < 7;
            bool is_seen = is_there && position <= 7 + row && position + 6 > 7 + row;
            float found = step->kinds[0].mask[(size_t)row * (STATE + ROWS) + i];
            assert_true(found == (is_seen ? 0.0f : MASK_OFF));
        }
    close_fixture(&t);
}

// Column t has its one at the slot of position + t; what an earlier call put there is gone.
static void test_place_in_overwrite_form(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, true, 0);
    host_fill(&t.host, 3, ROWS);
    const float *writes = host_fill(&t.host, 28, ROWS)->whole.write_mask;
    for (uint32_t s = 0; s < STATE; s++)
        for (uint32_t r = 0; r < ROWS; r++)
            assert_true(writes[s * ROWS + r] == (s == 28 + r ? 1.0f : 0.0f));
    close_fixture(&t);
}

// One row in the columns of a wider function: each is the row, and the first alone is stored.
static void test_a_step_of_one_row_made_wider(void **state) {
    (void)state;
    Fixture t;
    WideStep w;
    open_fixture(&t, true, 0);
    assert_true(wide_step_open(&w, &t.host, ROWS, NULL));
    wide_step_fill(&w, &t.host, host_fill(&t.host, 9, 1));
    const HostStep *narrow = host_fill(&t.host, STATE - 1, 1);
    const HostStep *wide = wide_step_fill(&w, &t.host, narrow);
    assert_int_equal(wide->n_rows, ROWS);
    assert_int_equal(wide->whole.begin, STATE - 1);
    assert_int_equal(wide->whole.end, STATE - 1 + ROWS);
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t pair = 0; pair < 2; pair++) {
            assert_true(wide->kinds[0].cosines[pair * ROWS + r] == narrow->kinds[0].cosines[pair]);
            assert_true(wide->kinds[0].sines[pair * ROWS + r] == narrow->kinds[0].sines[pair]);
        }
        for (uint32_t s = 0; s < STATE; s++) {
            bool is_place = r == 0 && s == STATE - 1;
            assert_true(wide->kinds[0].mask[r * STATE + s] == narrow->kinds[0].mask[s]);
            assert_true(wide->whole.write_mask[s * ROWS + r] == (is_place ? 1.0f : 0.0f));
        }
    }
    wide_step_close(&w);
    close_fixture(&t);
}

// In the rows form the copies see the row that counts, and not one another.
static void test_mask_of_new_rows_made_wider(void **state) {
    (void)state;
    Fixture t;
    WideStep w;
    open_fixture(&t, false, 0);
    t.host.shape.masks_new_rows = true;
    free(t.host.step.kinds[0].mask);
    t.host.step.kinds[0].mask = calloc(host_n_columns(&t.host, 0, ROWS) * ROWS, sizeof(float));
    assert_true(wide_step_open(&w, &t.host, ROWS, NULL));
    const float *mask = wide_step_fill(&w, &t.host, host_fill(&t.host, 7, 1))->kinds[0].mask;
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t i = 0; i < STATE + ROWS; i++)
            assert_true(mask[r * (STATE + ROWS) + i] == (i < 7 || i == STATE ? 0.0f : MASK_OFF));
    wide_step_close(&w);
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask_off_is_finite_exact_and_leaves_nothing),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_tables_of_each_kind_of_layers),
        cmocka_unit_test(test_place_in_slice_form),
        cmocka_unit_test(test_mask_of_new_rows),
        cmocka_unit_test(test_place_in_overwrite_form),
        cmocka_unit_test(test_a_step_of_one_row_made_wider),
        cmocka_unit_test(test_mask_of_new_rows_made_wider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
