// What is read inside a package is what the reference has at the same place of the same layer, in
// the model's scale and order, from chunks and single steps alike; and landmarks that are not those
// of the program are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "gates/layer_probe.h"
#include "proof/execution.h"
#include "proof/proof_bench.h"
#include "proof/trace.h"

enum { N_TOKENS = 2 * 8 + 3 }; // chunks of the prefill function, then steps of decode

static ProofBench bench;
static Shards shards;
static float rows[N_TOKENS * 128];

static int open_model(const char *model) {
    Err err = {0};
    proof_bench_open(&bench, model, WEIGHTS_INT8_CHANNEL, NULL);
    if (!proof_open_shards(&bench.proof, &shards, ARITHMETIC_FP32, &err)) fail_msg("%s", err.text);
    size_t width = bench.proof.model.contract.d_model;
    assert_true(width <= 128);
    for (size_t i = 0; i < N_TOKENS * width; i++) rows[i] = sinf((float)(i * i % 1009));
    return 0;
}

static int open_llama(void **state) {
    (void)state;
    return open_model(NULL);
}

static int open_phi3(void **state) {
    (void)state;
    return open_model(LATHE_MODELS "/hello-phi3-q8_0.gguf");
}

static int close_model(void **state) {
    (void)state;
    shards_close(&shards);
    proof_bench_close(&bench);
    return 0;
}

static ChainShard *shard(size_t i) {
    return &bench.proof.bundle.chain.shards[i];
}

static Watched engine_at(size_t i, uint32_t places) {
    Watched w;
    Err err = {0};
    shards_reset(&shards);
    if (!watch_engine(&w, &bench.arena, &bench.proof, &shards, i, places, rows, N_TOKENS, &err))
        fail_msg("%s", err.text);
    return w;
}

static Watched reference_at(size_t i, bool packed, uint32_t places) {
    Watched w;
    Err err = {0};
    if (!watch_reference(&w, &bench.arena, &bench.proof, packed, i, places, rows, N_TOKENS, &err))
        fail_msg("%s", err.text);
    return w;
}

// Largest difference at one place, as a share of the largest number there.
static double difference(const Watched *a, const Watched *b, uint32_t layer, LandmarkPlace place) {
    size_t n = N_TOKENS * landmark_width(a->contract, place);
    const float *x = watched_rows(a, layer, place), *y = watched_rows(b, layer, place);
    double off = 0, largest = 0;
    assert_non_null(x);
    assert_non_null(y);
    for (size_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)x[i] - (double)y[i]));
        largest = fmax(largest, fabs((double)y[i]));
    }
    assert_true(isfinite(off) && largest > 0);
    return off / largest;
}

// Both compute in fp32 with equal weights. A program keeps the factors of its norms and scores as
// numbers of fp16, which are off by 2^-11 at most: two norms and a score scale a layer, two layers a
// package. A dim or a row in another's place differs by its whole size.
#define MOST_OFF (6 * 0x1p-11)

static void test_the_program_agrees_with_the_reference_at_every_place(void **state) {
    (void)state;
    for (size_t i = 0; i < bench.proof.bundle.chain.n_shards; i++) {
        const ChainShard *s = shard(i);
        if (s->first_layer == s->end_layer) continue;
        Watched found = engine_at(i, WATCH_ALL), wanted = reference_at(i, true, WATCH_ALL);
        for (uint32_t layer = s->first_layer; layer < s->end_layer; layer++)
            for (int place = 0; place < LANDMARK_COUNT; place++) {
                if (!layer_has_landmark(contract_layer(found.contract, layer),
                                        (LandmarkPlace)place))
                    continue;
                double off = difference(&found, &wanted, layer, (LandmarkPlace)place);
                if (off > MOST_OFF)
                    fail_msg("layer %u %s: off by %g", layer, landmark_names[place], off);
            }
        for (size_t m = 0; m < s->n_landmarks; m++) {
            size_t is_last = s->landmarks[m].layer + 1 == s->end_layer;
            // The reference does not tap what leaves the last layer, it hands it over.
            if (s->landmarks[m].place != LANDMARK_stream || !is_last) {
                assert_int_equal(found.n_seen[m], N_TOKENS);
                assert_int_equal(wanted.n_seen[m], N_TOKENS);
            }
        }
    }
}

// int8 loses up to 1/254 of a row's largest weight. Two runs of the reference differ by that alone:
// by more than sums in fp32 do (512 products of 2^-24), and by far less than their size.
static void test_the_sources_weights_are_others(void **state) {
    (void)state;
    uint32_t layer = shard(0)->first_layer;
    Watched packed = reference_at(0, true, WATCH_PLACE(q)),
            source = reference_at(0, false, WATCH_PLACE(q));
    double off = difference(&packed, &source, layer, LANDMARK_q);
    assert_true(off > 512 * 0x1p-24 && off < 0.1);
}

static void test_only_what_was_asked_for_is_kept(void **state) {
    (void)state;
    uint32_t layer = shard(0)->first_layer;
    uint32_t places = WATCH_PLACE(v) | WATCH_PLACE(stream);
    Watched both[] = {engine_at(0, places), reference_at(0, true, places)};
    for (size_t i = 0; i < 2; i++) {
        for (int place = 0; place < LANDMARK_COUNT; place++)
            assert_int_equal(watched_rows(&both[i], layer, (LandmarkPlace)place) != NULL,
                             place == LANDMARK_v || place == LANDMARK_stream);
    }
    assert_true(difference(&both[0], &both[1], layer, LANDMARK_v) < MOST_OFF);
}

// Whoever runs the package next is not watched.
static void test_the_watch_ends_with_the_run(void **state) {
    (void)state;
    Watched w = engine_at(0, WATCH_PLACE(q) | WATCH_PLACE(stream));
    size_t n = N_TOKENS * landmark_width(w.contract, LANDMARK_q);
    float *q = watched_rows(&w, 0, LANDMARK_q);
    for (size_t i = 0; i < n; i++) q[i] = -77;
    for (size_t m = 0; m < w.shard->n_landmarks; m++) w.n_seen[m] = 0;
    float *out = arena_array(&bench.arena, N_TOKENS * w.contract->d_model, float);
    shards_reset(&shards);
    assert_true(proof_run_shard(&bench.proof, &shards, 0, rows, N_TOKENS, out, NULL));
    for (size_t i = 0; i < n; i++) assert_true(q[i] == -77);
}

static void test_widths(void **state) {
    (void)state;
    const Contract c = {
        .d_model = 7, .n_heads = 6, .n_kv_heads = 2, .head_dim = 5, .head_dim_v = 4, .d_ff = 11};
    static const size_t widths[LANDMARK_COUNT] = {[LANDMARK_attn_normed] = 7,
                                                  [LANDMARK_q] = 30,
                                                  [LANDMARK_k] = 10,
                                                  [LANDMARK_v] = 8,
                                                  [LANDMARK_q_rotated] = 30,
                                                  [LANDMARK_k_rotated] = 10,
                                                  [LANDMARK_attn_context] = 24,
                                                  [LANDMARK_attn_out] = 7,
                                                  [LANDMARK_attn_out_normed] = 7,
                                                  [LANDMARK_post_attn_residual] = 7,
                                                  [LANDMARK_ffn_normed] = 7,
                                                  [LANDMARK_gate] = 11,
                                                  [LANDMARK_up] = 11,
                                                  [LANDMARK_gated] = 11,
                                                  [LANDMARK_ffn_out] = 7,
                                                  [LANDMARK_ffn_out_normed] = 7,
                                                  [LANDMARK_stream] = 7};
    for (int place = 0; place < LANDMARK_COUNT; place++)
        assert_int_equal(landmark_width(&c, (LandmarkPlace)place), widths[place]);
}

// ---- chain.json's landmarks, changed in memory

static ChainLandmark *mark(uint32_t layer, LandmarkPlace place) {
    ChainShard *s = shard(0);
    for (size_t m = 0; m < s->n_landmarks; m++)
        if (s->landmarks[m].layer == layer && s->landmarks[m].place == place)
            return &s->landmarks[m];
    fail_msg("no landmark");
    return NULL;
}

static void test_factors_are_taken_out(void **state) {
    (void)state;
    Watched before = engine_at(0, WATCH_ALL);
    mark(0, LANDMARK_gated)->factor *= 2;
    mark(1, LANDMARK_stream)->factor *= 2;
    Watched after = engine_at(0, WATCH_ALL);
    const float *x = watched_rows(&before, 0, LANDMARK_gated);
    const float *y = watched_rows(&after, 0, LANDMARK_gated);
    for (size_t i = 0; i < N_TOKENS * bench.proof.model.contract.d_ff; i++)
        assert_true(y[i] == 2 * x[i]);
    // What leaves the shard is what its port gives, whatever the landmark says.
    assert_true(difference(&before, &after, 1, LANDMARK_stream) == 0);
    mark(0, LANDMARK_gated)->factor /= 2;
    mark(1, LANDMARK_stream)->factor /= 2;
}

static void test_landmarks_that_the_program_lacks_are_refused(void **state) {
    (void)state;
    ChainLandmark *m = mark(1, LANDMARK_k), before = *m;
    static const struct {
        const char *value; // NULL: the landmark's own
        uint32_t more_channels;
    } cases[] = {{"no_such_value", 0}, {"x", 0}, {"layer_01_q_scaled_factor", 0}, {NULL, 1 << 20}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].value) m->value = str_of(cases[i].value);
        m->first_channel += cases[i].more_channels;
        Watched w;
        Err err = {0};
        assert_false(watch_engine(&w, &bench.arena, &bench.proof, &shards, 0, WATCH_ALL, rows,
                                  N_TOKENS, &err));
        assert_int_equal(err.kind, ERR_GATE);
        assert_non_null(strstr(err.text, "landmark 'k' of layer 1"));
        *m = before;
    }
    engine_at(0, WATCH_ALL); // and after that it works as before

    // The last channel that is there, and one more.
    const MilFunction *f = mil_find_function(bench.proof.bundle.packages[0].program,
                                             chain_function(shard(0), FUNCTION_DECODE)->name);
    const MilOp *op = watch_op(f, m);
    assert_non_null(op);
    size_t channels = (size_t)f->values[op->first_output].type.dims[1];
    m->first_channel =
        (uint32_t)(channels - landmark_width(&bench.proof.model.contract, LANDMARK_k));
    engine_at(0, WATCH_PLACE(q));
    m->first_channel++;
    Watched w;
    Err err = {0};
    assert_false(
        watch_engine(&w, &bench.arena, &bench.proof, &shards, 0, WATCH_ALL, rows, N_TOKENS, &err));
    *m = before;
}

static void test_the_op_of_a_landmark(void **state) {
    (void)state;
    const MilFunction *f = mil_find_function(bench.proof.bundle.packages[0].program,
                                             chain_function(shard(0), FUNCTION_DECODE)->name);
    const ChainLandmark *m = mark(1, LANDMARK_gated);
    assert_true(str_eq(f->values[watch_op(f, m)->first_output].name, m->value));
    assert_null(watch_op(f, &(ChainLandmark){.value = STR("x")})); // an input, of no op
    assert_null(watch_op(f, &(ChainLandmark){.value = STR("no_such_value")}));
}

int main(void) {
    const struct CMUnitTest llama[] = {
        cmocka_unit_test(test_the_program_agrees_with_the_reference_at_every_place),
        cmocka_unit_test(test_the_sources_weights_are_others),
        cmocka_unit_test(test_only_what_was_asked_for_is_kept),
        cmocka_unit_test(test_the_watch_ends_with_the_run),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_factors_are_taken_out),
        cmocka_unit_test(test_landmarks_that_the_program_lacks_are_refused),
        cmocka_unit_test(test_the_op_of_a_landmark),
    };
    const struct CMUnitTest phi3[] = {
        cmocka_unit_test(test_the_program_agrees_with_the_reference_at_every_place),
        cmocka_unit_test(test_the_sources_weights_are_others),
    };
    return cmocka_run_group_tests(llama, open_llama, close_model) +
           cmocka_run_group_tests(phi3, open_phi3, close_model);
}
