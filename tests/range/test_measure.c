// What is measured of hello, against loops of the test's own over the same taps; and that neither
// threads nor the size of a batch change a figure.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "quant/quant.h"
#include "range/measure.h"
#include "reference/reference.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"

typedef struct {
    Arena arena;
    Gguf gguf;
    Model model;
    Calibration text;
    Ranges ranges;
} Fixture;

static void measure(Fixture *f, Ranges *ranges, unsigned threads) {
    Err err = {0};
    Pool *pool = pool_open(threads, &err);
    assert_non_null(pool);
    if (!measure_ranges(ranges, &f->model, &f->text, ROPE_FACTORS_AUTO, pool, NULL, &f->arena,
                        &err))
        fail_msg("%s", err.text);
    pool_close(pool);
}

static int set_up(void **state) {
    static Fixture f;
    Err err = {0};
    f = (Fixture){0};
    assert_true(gguf_open(&f.gguf, &f.arena, MODEL, &err));
    assert_true(model_read(&f.model, &f.gguf, &f.arena, &err));
    Str text = STR("One text of a few words.\n\nAnd \"another\", 1234, with (brackets).");
    assert_true(calibration_make(&f.text, &f.model.contract, &f.gguf, text, 64, &f.arena, &err));
    measure(&f, &f.ranges, 1);
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    gguf_close(&f->gguf);
    arena_free(&f->arena);
    return 0;
}

static void test_pieces_are_short_and_long(void **state) {
    const Fixture *f = *state;
    const U32List *stops = &f->model.contract.stop_ids;
    const CalibrationPiece *pieces = f->text.pieces;
    // The first paragraph, it again behind each token that ends a turn, the second, and all of it
    // again and again up to the context.
    assert_int_equal(stops->count, 2);
    assert_int_equal(f->text.n_pieces, 5);
    for (size_t i = 0; i < stops->count; i++) {
        assert_int_equal(pieces[1 + i].ids[0], stops->at[i]);
        assert_int_equal(pieces[1 + i].ids[1], pieces[0].ids[0]);
    }
    assert_true(pieces[3].count <= SHORT_TOKENS);
    assert_int_equal(pieces[4].count, 64);
    assert_int_equal(f->text.longest, 64);
    size_t all = 0;
    for (size_t i = 0; i < f->text.n_pieces; i++) all += pieces[i].count;
    assert_int_equal(f->text.n_tokens, all);
}

// The test's own figures: peaks of six places, of each layer.
typedef struct {
    const Contract *contract;
    float stream[4], heads[4], value[4], middle[4], gated[4], out[4];
    float shortest[4];
} Own;

static float largest(const float *x, size_t n) {
    float max = 0;
    for (size_t i = 0; i < n; i++) max = fmaxf(max, fabsf(x[i]));
    return max;
}

static void see(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                size_t n) {
    Own *own = context;
    const Contract *c = own->contract;
    if (layer == c->n_layers) return;
    float max = largest(rows, width * n), *figure = NULL;
    if (place == TAP_STREAM) figure = own->stream;
    if (place == TAP_ATTN_CONTEXT) figure = own->heads;
    if (place == TAP_POST_ATTN_RESIDUAL) figure = own->middle;
    if (place == TAP_GATED) figure = own->gated;
    if (place == TAP_FFN_OUT) figure = own->out;
    if (place == TAP_QKV) { // values do not turn
        figure = own->value;
        max = 0;
        size_t at = (size_t)(c->n_heads + c->n_kv_heads) * c->head_dim;
        for (size_t t = 0; t < n; t++) max = fmaxf(max, largest(rows + t * width + at, width - at));
    }
    if (figure) figure[layer] = fmaxf(figure[layer], max);
    for (size_t t = 0; place == TAP_STREAM && t < n; t++) {
        double squares = 0;
        for (size_t i = 0; i < width; i++) squares += pow((double)rows[t * width + i], 2);
        float length = (float)sqrt(squares);
        if (own->shortest[layer] == 0 || length < own->shortest[layer])
            own->shortest[layer] = length;
    }
}

static void assert_four_digits(float figure, float wanted) {
    assert_true(fabsf(figure - wanted) <= 5.1e-4f * wanted); // "%.4g" of a number 1000…
}

static void test_peaks_are_those_of_the_rows(void **state) {
    Fixture *f = *state;
    Own own = {.contract = &f->model.contract};
    for (size_t p = 0; p < f->text.n_pieces; p++) {
        Err err = {0};
        ReferenceOptions options = {.n_positions = 1024, .tap = see, .tap_context = &own};
        Reference *r = reference_open(&f->model, own.contract, &options, NULL, &err);
        assert_non_null(r);
        for (size_t i = 0; i < f->text.pieces[p].count; i++)
            assert_true(reference_feed(r, f->text.pieces[p].ids + i, 1, NULL, false, &err));
        reference_close(r);
    }
    for (uint32_t i = 0; i < own.contract->n_layers; i++) {
        const LayerRange *l = &f->ranges.layers[i];
        assert_four_digits(l->attn_in_peak, own.stream[i]);
        assert_four_digits(l->attn_in_shortest, own.shortest[i]);
        assert_four_digits(l->v_peak, own.value[i]);
        assert_four_digits(l->heads_peak, own.heads[i]);
        assert_four_digits(l->ffn_in_peak, own.middle[i]);
        assert_four_digits(l->gated_peak, own.gated[i]);
        assert_four_digits(l->ffn_out_peak, own.out[i]);
    }
}

static void test_figures_fit_together(void **state) {
    const Fixture *f = *state;
    for (size_t i = 0; i < f->ranges.n_layers; i++) {
        const LayerRange *l = &f->ranges.layers[i];
        assert_true(l->attn_in_shortest <= l->attn_in_longest);
        assert_true(l->attn_in_peak <= l->attn_in_longest);
        assert_true(l->attn_out_sum <= l->attn_out_bound && l->ffn_out_sum <= l->ffn_out_bound);
        assert_true(l->attn_out_rms <= l->attn_out_peak && l->ffn_out_rms <= l->ffn_out_peak);
        assert_true(l->attn_out_least_row > 0 && l->ffn_out_least_row > 0);
        assert_true(l->attn_out_least_row <= l->attn_out_most_weight);
    }
}

// The least and the largest of a matrix, and the sums over its loudest row, straight from decoding.
static void test_rows_of_the_writers(void **state) {
    const Fixture *f = *state;
    for (uint32_t i = 0; i < f->model.contract.n_layers; i++) {
        Rows down = f->model.weights.layers[i].down;
        float row[384], least = INFINITY, most = 0;
        for (size_t k = 0; k < down.n_rows; k++) {
            decode_row(down.tensor, down.first_row + k, row);
            least = fminf(least, largest(row, 384));
            most = fmaxf(most, largest(row, 384));
        }
        assert_four_digits(f->ranges.layers[i].ffn_out_least_row, least);
        assert_four_digits(f->ranges.layers[i].ffn_out_most_weight, most);
    }
}

// Partial sums of layer 1's down projection over the longest row of each piece: pieces are no
// longer than a batch of the reference.
typedef struct {
    const Model *model;
    float sum, bound;
} OwnSums;

static void sum_down(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                     size_t n) {
    OwnSums *own = context;
    if (place != TAP_GATED || layer != 1) return;
    double longest = 0;
    const float *x = NULL;
    for (size_t t = 0; t < n; t++) {
        double squares = 0;
        for (size_t i = 0; i < width; i++) squares += pow((double)rows[t * width + i], 2);
        if (squares > longest) x = rows + t * width;
        longest = fmax(longest, squares);
    }
    Rows down = own->model->weights.layers[1].down;
    float w[384];
    for (size_t k = 0; k < down.n_rows; k++) {
        decode_row(down.tensor, down.first_row + k, w);
        double sum = 0, bound = 0;
        for (size_t i = 0; i < width; i++) {
            sum += (double)w[i] * (double)x[i];
            bound += fabs((double)w[i] * (double)x[i]);
            own->sum = fmaxf(own->sum, (float)fabs(sum));
        }
        own->bound = fmaxf(own->bound, (float)bound);
    }
}

static void test_partial_sums_are_of_the_loudest_rows(void **state) {
    Fixture *f = *state;
    OwnSums own = {.model = &f->model};
    Err err = {0};
    ReferenceOptions options = {.n_positions = 1024, .tap = sum_down, .tap_context = &own};
    Reference *r = reference_open(&f->model, &f->model.contract, &options, NULL, &err);
    assert_non_null(r);
    for (size_t p = 0; p < f->text.n_pieces; p++) {
        reference_rewind(r, 0);
        const CalibrationPiece *piece = &f->text.pieces[p];
        assert_true(reference_feed(r, piece->ids, piece->count, NULL, false, &err));
    }
    reference_close(r);
    assert_four_digits(f->ranges.layers[1].ffn_out_sum, own.sum);
    assert_four_digits(f->ranges.layers[1].ffn_out_bound, own.bound);
}

static void test_threads_change_nothing(void **state) {
    Fixture *f = *state;
    Ranges again;
    measure(f, &again, 3);
    assert_memory_equal(again.layers, f->ranges.layers, again.n_layers * sizeof *again.layers);
    assert_true(again.logit_peak == f->ranges.logit_peak && again.out_peak == f->ranges.out_peak);
}

static void test_an_empty_text_is_refused(void **state) {
    Fixture *f = *state;
    Calibration c;
    Err err = {0};
    assert_false(calibration_make(&c, &f->model.contract, &f->gguf, STR(""), 8, &f->arena, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_true(calibration_make(&c, &f->model.contract, &f->gguf, STR("\n"), 8, &f->arena, &err));
}

static void test_the_built_in_text_fills_a_thousand_positions(void **state) {
    Fixture *f = *state;
    Calibration c;
    Err err = {0};
    assert_true(
        calibration_make(&c, &f->model.contract, &f->gguf, (Str){0}, 4096, &f->arena, &err));
    assert_int_equal(c.longest, LONG_TOKENS);
    assert_true(c.n_pieces > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_short_and_long),
        cmocka_unit_test(test_peaks_are_those_of_the_rows),
        cmocka_unit_test(test_figures_fit_together),
        cmocka_unit_test(test_rows_of_the_writers),
        cmocka_unit_test(test_partial_sums_are_of_the_loudest_rows),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_an_empty_text_is_refused),
        cmocka_unit_test(test_the_built_in_text_fills_a_thousand_positions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
