// The weights of a bundle, read back: each is as near to the source's as its form can be, rows of
// heads that were moved come back in the source's order, and a table in chain.json that does not fit
// is refused before anything is read by it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "proof/packed.h"
#include "proof/proof_bench.h"
#include "quant/quant.h"

enum { MOST_COLS = 512 };

// Furthest weight of one role of a layer, in units of what its form may lose.
typedef struct {
    double worst;
    size_t n;
} Distance;

static void measure_row(const PackedWeights *w, WeightRole role, uint32_t layer, size_t row,
                        const float *wanted, size_t n, bool is_vector, Distance *d) {
    float found[MOST_COLS];
    assert_true(n <= MOST_COLS);
    assert_true(packed_weight_row((void *)(uintptr_t)w, role, layer, row, found, n));
    for (size_t i = 0; i < n; i++) {
        double slack = packed_weight_slack(w, role, layer, is_vector ? i : row, found[i]);
        assert_true(slack > 0);
        d->worst = fmax(d->worst, fabs((double)found[i] - (double)wanted[i]) / slack);
        d->n++;
    }
}

static Distance measure(const ProofBench *b, const PackedWeights *w, WeightRole role,
                        uint32_t layer) {
    Distance d = {0};
    Rows rows = weight_rows(&b->proof.model.weights, role, layer);
    if (!rows.tensor) return d;
    float *wanted = calloc(MOST_COLS + rows.tensor->n_weights, sizeof *wanted);
    if (rows.tensor->n_dims == 1) {
        decode_row(rows.tensor, 0, wanted);
        measure_row(w, role, layer, 0, wanted + rows.first_row, rows.n_rows, true, &d);
    } else {
        for (size_t row = 0; row < rows.n_rows; row++) {
            decode_row(rows.tensor, rows.first_row + row, wanted);
            measure_row(w, role, layer, row, wanted, rows.tensor->dims[0], false, &d);
        }
    }
    free(wanted);
    return d;
}

// A matrix of some hundred numbers has one that rounding moves by nearly as much as it can; the
// bound would be worth little if none came near.
static void expect_each_weight_within_its_slack(const char *model, PackFormat form) {
    ProofBench b;
    Err err = {0};
    proof_bench_open(&b, model, form, NULL);
    PackedWeights *w = packed_weights_open(&b.proof, &err);
    if (!w) fail_msg("%s", err.text);
    bool is_exact = model != NULL && form == WEIGHTS_F16; // of an F16 file
    for (uint32_t layer = 0; layer < b.proof.model.contract.n_layers; layer++)
        for (int role = 0; role < WEIGHT_COUNT; role++) {
            if (role == WEIGHT_embedding) continue;
            Distance d = measure(&b, w, (WeightRole)role, layer);
            // Dividing and rounding in float leave a few millionths.
            if (d.worst > 1.0001 || (d.n > 500 && !is_exact && d.worst < 0.9))
                fail_msg("layer %u %s: %g of its slack", layer, weight_infos[role].name, d.worst);
            bool is_there = weight_infos[role].presence == FIELD_COUNT &&
                            weight_is_in((WeightRole)role, &b.proof.model.contract.kinds[0]);
            if (is_there) assert_true(d.n > 0);
        }
    float row[MOST_COLS];
    assert_false(packed_weight_row(w, WEIGHT_embedding, 0, 0, row, 1));
    assert_false(packed_weight_row(w, WEIGHT_attn_out_bias, 0, 0, row, 1)); // it has none
    proof_bench_close(&b);
}

static void test_llama_in_each_form(void **state) {
    (void)state;
    expect_each_weight_within_its_slack(NULL, WEIGHTS_INT8_CHANNEL);
    expect_each_weight_within_its_slack(NULL, WEIGHTS_INT8_TENSOR);
    expect_each_weight_within_its_slack(NULL, WEIGHTS_F16);
}

static void test_phi3_in_each_form(void **state) {
    (void)state;
    expect_each_weight_within_its_slack(LATHE_MODELS "/hello-phi3-f16.gguf", WEIGHTS_INT8_CHANNEL);
    expect_each_weight_within_its_slack(LATHE_MODELS "/hello-phi3-f16.gguf", WEIGHTS_INT8_TENSOR);
    expect_each_weight_within_its_slack(LATHE_MODELS "/hello-phi3-f16.gguf", WEIGHTS_F16);
}

// ---- the table in chain.json, changed in memory

static ProofBench bench;

static int open_bench(void **state) {
    (void)state;
    proof_bench_open(&bench, NULL, WEIGHTS_INT8_CHANNEL, NULL);
    return 0;
}

static int close_bench(void **state) {
    (void)state;
    proof_bench_close(&bench);
    return 0;
}

// The tensor that has a part of `role`, of layer `layer` where it is one of a layer, and the part.
static ChainTensor *tensor_of(const char *role, uint32_t layer, ChainPart **part) {
    Chain *c = &bench.proof.bundle.chain;
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t i = 0; i < c->shards[s].n_tensors; i++) {
            ChainTensor *t = &c->shards[s].tensors[i];
            for (size_t k = 0; k < t->n_parts; k++)
                if (str_is(t->parts[k].role, role) &&
                    (t->layer == layer || t->layer == CHAIN_NO_LAYER)) {
                    if (part) *part = &t->parts[k];
                    return t;
                }
        }
    fail_msg("no %s", role);
    return NULL;
}

static PackedWeights *open_weights(void) {
    Err err = {0};
    PackedWeights *w = packed_weights_open(&bench.proof, &err);
    if (!w) fail_msg("%s", err.text);
    return w;
}

static void test_factor_and_offset_are_taken_out(void **state) {
    (void)state;
    float before[MOST_COLS], after[MOST_COLS];
    static const struct {
        const char *name;
        WeightRole role;
        size_t n;
        bool is_vector;
    } rows[] = {{"down", WEIGHT_down, 48, false}, {"ffn_norm", WEIGHT_ffn_norm, 32, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ChainPart *part;
        ChainTensor *t = tensor_of(rows[i].name, 1, &part);
        PackedWeights *w = open_weights();
        assert_true(packed_weight_row(w, rows[i].role, 1, 0, before, rows[i].n));
        double slack = packed_weight_slack(w, rows[i].role, 1, 3, before[3]);
        part->factor *= 4;
        assert_true(packed_weight_row(w, rows[i].role, 1, 0, after, rows[i].n));
        for (size_t k = 0; k < rows[i].n; k++) assert_true(after[k] == before[k] / 4);
        assert_true(fabs(packed_weight_slack(w, rows[i].role, 1, 3, after[3]) * 4 / slack - 1) <
                    1e-6);
        part->factor /= 4;
        if (rows[i].is_vector) {
            t->offset += 1;
            assert_true(packed_weight_row(w, rows[i].role, 1, 0, after, rows[i].n));
            for (size_t k = 0; k < rows[i].n; k++) assert_true(after[k] == before[k] - 1);
            // What is stored is as before, so it is as far from its neighbours.
            assert_true(fabs(packed_weight_slack(w, rows[i].role, 1, 3, after[3]) / slack - 1) <
                        1e-6);
            t->offset -= 1;
        }
    }
}

// Half the distance of two numbers of fp16 around `value`.
static void test_slack_of_fp16(void **state) {
    (void)state;
    ChainPart *part;
    tensor_of("ffn_norm", 0, &part);
    PackedWeights *w = open_weights();
    assert_true(part->factor == 1 && tensor_of("ffn_norm", 0, NULL)->offset == 0);
    static const struct {
        float value;
        double slack;
    } rows[] = {{1, 0x1p-11},        {-1, 0x1p-11},       {1.5f, 0x1.8p-11}, {4, 0x1p-9},
                {0x1p-14f, 0x1p-25}, {0x1p-20f, 0x1p-25}, {0, 0x1p-25}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_true(packed_weight_slack(w, WEIGHT_ffn_norm, 0, 0, rows[i].value) == rows[i].slack);
}

static void test_place_names_tensor_and_part(void **state) {
    (void)state;
    static const struct {
        const char *name;
        WeightRole role;
    } rows[] = {
        {"q", WEIGHT_q}, {"v", WEIGHT_v}, {"up", WEIGHT_up}, {"output_norm", WEIGHT_output_norm}};
    PackedWeights *w = open_weights();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ChainPart *part;
        ChainTensor *t = tensor_of(rows[i].name, 1, &part);
        PackedPlace place = packed_weight_place(w, rows[i].role, 1, 0);
        assert_ptr_equal(place.tensor, t);
        assert_ptr_equal(place.part, part);
    }
}

// A head in two parts: rows go on from one to the next.
static void test_head_in_parts(void **state) {
    (void)state;
    ChainPart *part;
    ChainTensor *t = tensor_of("head", 0, &part);
    float whole[10][32], row[32];
    PackedWeights *w = open_weights();
    for (size_t i = 0; i < 10; i++)
        assert_true(packed_weight_row(w, WEIGHT_head, 0, i, whole[i], 32));
    assert_int_equal(t->n_parts, 1);
    ChainPart parts[2] = {*part, *part}, *before = t->parts;
    parts[0].n_rows = 4;
    parts[1].first_row += 4;
    parts[1].source_first_row += 4;
    parts[1].n_rows = 6;
    t->parts = parts;
    t->n_parts = 2;
    w = open_weights();
    for (size_t i = 0; i < 10; i++) {
        assert_true(packed_weight_row(w, WEIGHT_head, 0, i, row, 32));
        assert_memory_equal(row, whole[i], sizeof row);
        assert_ptr_equal(packed_weight_place(w, WEIGHT_head, 0, i).part, &parts[i >= 4]);
    }
    parts[1].n_rows = 5;
    Err err = {0};
    assert_null(packed_weights_open(&bench.proof, &err));
    assert_non_null(strstr(err.text, "head has 9 rows, expected 10"));
    parts[1].n_rows = 6;
    parts[1].source_first_row++;
    assert_null(packed_weights_open(&bench.proof, &err));
    assert_non_null(strstr(err.text, "its rows do not follow those of the piece before it"));
    t->parts = before;
    t->n_parts = 1;
}

static void expect_refused(const char *message) {
    Err err = {0};
    assert_null(packed_weights_open(&bench.proof, &err));
    assert_int_equal(err.kind, ERR_GATE);
    if (!strstr(err.text, message)) fail_msg("'%s' is not '%s'", err.text, message);
}

static void test_a_table_that_does_not_fit_is_refused(void **state) {
    (void)state;
    ChainPart *part;
    ChainTensor *t = tensor_of("down", 1, &part), before = *t;
    ChainTensor *norm = tensor_of("output_norm", 1, NULL);
    ChainPart part_before = *part;

    t->name = STR("no_such_value");
    expect_refused("no function of its package contains it");
    t->name = STR("x"); // an input
    expect_refused("its shape is not the one");
    t->n_rows = 32, t->n_cols = 1;
    expect_refused("neither a constant nor computed from packed codes");
    *t = before;
    t->n_rows--;
    expect_refused("its shape is not the one");
    *t = before;
    t->n_cols++;
    expect_refused("its shape is not the one");
    *t = before;
    t->form = STR("int8-tensor");
    expect_refused("its scales are neither one per row nor one for all");
    *t = before;
    t->layer = 2;
    expect_refused("of a layer that the model does not have");
    *t = before;
    part->role = STR("embedding"); // the host's table is the source's
    expect_refused("a part of unknown role");
    part->role = STR("sideways");
    expect_refused("a part of unknown role");
    part->role = STR("gate"); // as if it had more pieces
    expect_refused("its rows do not follow those of the piece before it");
    *part = part_before;
    part->n_rows--;
    expect_refused("the bundle's 'down' is missing or incomplete");
    *part = part_before;
    t->n_parts = 0;
    expect_refused("layer 1: the bundle's 'down' is missing or incomplete");
    *t = before;
    ChainTensor *bias = tensor_of("q_bias", 1, NULL); // which every layer of the model has
    size_t n_parts = bias->n_parts;
    bias->n_parts = 0;
    expect_refused("layer 1: the bundle's 'q_bias' is missing or incomplete");
    bias->n_parts = n_parts;
    norm->n_parts = 0;
    expect_refused("the bundle's head has 10 rows");
    norm->n_parts = 1;
    open_weights();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_in_each_form),
        cmocka_unit_test(test_phi3_in_each_form),
        cmocka_unit_test_setup_teardown(test_factor_and_offset_are_taken_out, open_bench,
                                        close_bench),
        cmocka_unit_test_setup_teardown(test_slack_of_fp16, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_place_names_tensor_and_part, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_head_in_parts, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_a_table_that_does_not_fit_is_refused, open_bench,
                                        close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
