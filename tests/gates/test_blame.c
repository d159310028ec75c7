// Who is blamed for a shard that fails: the first place that is off, in the function that made it, by
// the cause that alone explains it. Bundles are wrong on purpose in layer 1 (mutants/), so that the
// answer is known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "gates/blame.h"
#include "mutants/conversion.h"
#include "proof/proof_bench.h"
#include "proof/trace.h"

#define MODEL LATHE_MODELS "/hello-phi3-q8_0.gguf"

enum { N_TOKENS = 2 * 8 + 3 }; // chunks of the prefill function, then steps of decode

static ProofBench bench;

static const BundleMutant *mutant_named(const char *name) {
    const BundleMutant *m = NULL;
    for (size_t i = 0; (m = bundle_mutant_at(i)) && strcmp(m->name, name) != 0; i++) {
    }
    assert_non_null(m);
    return m;
}

static void open_mutant(const BundleMutant *mutant) {
    Arena arena = {0};
    Gguf g;
    Model truth;
    Err err = {0};
    bool is_put = false;
    MutantConversion conversion;
    assert_true(gguf_open(&g, &arena, MODEL, &err) && model_read(&truth, &g, &arena, &err));
    if (mutant) mutant_conversion(&conversion, &truth, mutant, NULL, &is_put);
    proof_bench_open(&bench, MODEL, WEIGHTS_INT8_CHANNEL, mutant ? &conversion.steps : NULL);
    assert_int_equal(is_put, mutant != NULL);
    gguf_close(&g);
    arena_free(&arena);
}

// Blames package 0 over the rows of a text; the result.
static const json_t *blame(void) {
    static const uint32_t ids[N_TOKENS] = {2038, 54, 1987, 501, 680, 7,    99, 1200, 3, 18,
                                           77,   5,  901,  44,  13,  1500, 2,  640,  9};
    Trace trace;
    Err err = {0};
    Proof *p = &bench.proof;
    if (!trace_run(p, &trace, ids, N_TOKENS, false, &err) ||
        !blame_shard(p, "graph", 0, trace.rows[0], N_TOKENS, &err))
        fail_msg("%s", err.text);
    assert_true(p->has_failed);
    const json_t *result = proof_bench_last(&bench, "graph");
    assert_int_equal(json_array_size(json_object_get(p->gates, "graph")), 1); // one answer
    assert_string_equal(json_string_value(json_object_get(result, "scope")), "blame 00..01");
    return result;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_listed(const json_t *list, const char *name) {
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item) if (strcmp(json_string_value(item), name) == 0) return true;
    return false;
}

// `says`: a part of the text, or NULL. `least_cos`, `most_cos`: bounds of the cosine at that place.
static void expect_blamed(const BundleMutant *mutant, const char *cause, const char *place,
                          const char *function, const char *suspect, const char *says,
                          double least_cos, double most_cos) {
    open_mutant(mutant);
    const json_t *result = blame(), *figures = json_object_get(result, "figures");
    const char *text = text_of(result, "text");
    const json_t *suspects = json_object_get(figures, "suspects");
    if (strcmp(text_of(figures, "cause"), cause) != 0 ||
        strcmp(text_of(figures, "place"), place) != 0 ||
        strcmp(text_of(figures, "function"), function) != 0 ||
        json_integer_value(json_object_get(figures, "layer")) != MUTANT_LAYER)
        fail_msg("%s, expected %s of %s in %s: %s", mutant->name, place, cause, function, text);
    assert_true(strncmp(text, cause, strlen(cause)) == 0 && strstr(text, text_of(figures, "op")));
    if (suspect && !is_listed(suspects, suspect)) fail_msg("%s: %s", suspect, text);
    // Places of layer 0 agree, and nothing goes through them: only what writes its rows to the state,
    // which layer 1 reads, is suspected as well. Nor is what comes later.
    static const char *const cleared[] = {"layer_00_gated", "layer_00_out", "layer_01_attn_norm_y",
                                          "layer_01_gated", "layer_01_out"};
    for (size_t i = 0; i < COUNT_OF(cleared); i++)
        if (is_listed(suspects, cleared[i])) fail_msg("%s: suspects %s", mutant->name, cleared[i]);
    // The text names twelve of them.
    size_t n = json_array_size(suspects);
    const char *more = arena_printf(&bench.arena, " and %zu more", n - 12).at;
    assert_int_equal(n > 12, strstr(text, " more") != NULL);
    assert_true(n <= 12 || strstr(text, more));
    if (says && !strstr(text, says)) fail_msg("%s: no '%s' in: %s", mutant->name, says, text);
    double cos = json_number_value(json_object_get(figures, "cos"));
    if (!(cos > least_cos && cos < most_cos)) fail_msg("%s: cos=%.9f", mutant->name, cos);
    proof_bench_close(&bench);
}

static void test_a_fault_of_the_graph(void **state) {
    (void)state;
    static const struct {
        const char *mutant, *place, *function, *suspect, *says;
    } rows[] = {
        {"rope_sine_negated", "q_rotated", "prefill", "layer_01_rope_first",
         "; v of layer 01 before it is off by 0.0"},
        // What was written to the state belongs to those who read it.
        {"mask_left_out_in_decode", "attn_context", "decode", "layer_01_masked_0",
         "; or the values it is computed from: keep, "},
        {"values_of_the_layer_before", "attn_context", "prefill", "layer_01_values_now",
         "k_rotated of layer 01 before it"},
        {"attention_left_out", "post_attn_residual", "prefill", NULL, "attn_out of layer 01"},
        {"gate_without_activation", "gated", "prefill", "layer_01_up",
         "; or the values it is computed from: layer_01_gate, layer_01_up"},
        {"attn_norm_weight_dropped", "attn_normed", "prefill", "layer_01_attn_norm_abs",
         "stream of layer 00 before it"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_blamed(mutant_named(rows[i].mutant), "graph", rows[i].place, rows[i].function,
                      rows[i].suspect, rows[i].says, -1, 0.9999);
}

// The same factor in and out: right in fp32, and in fp16 beyond its largest number.
static void test_an_overflow_is_a_fault_of_fp16(void **state) {
    (void)state;
    static const BundleMutant overflow = {
        .name = "overflow",
        .kind = MUTANT_GRAPH,
        .functions = IN_DECODE | IN_PREFILL,
        .edits = {{"%raised_0_factor", "64", "32768"},
                  {"%heads_0_factor", "0.015625", "0.000030517578125"}}};
    expect_blamed(&overflow, "fp16", "attn_context", "prefill", "layer_01_raised_0", NULL, -1,
                  0.9999);
}

static void test_a_fault_of_the_weights(void **state) {
    (void)state;
    expect_blamed(mutant_named("norm_plus_1"), "weights", "attn_normed", "prefill", NULL, NULL, 0,
                  0.9999);
    // Twice as large everywhere: the same direction.
    expect_blamed(mutant_named("up_rows_doubled"), "weights", "up", "prefill", NULL,
                  "; it reads 'layer_01_gate_up'", 0.999, 1.000001);
}

static void test_a_sound_shard_has_no_such_place(void **state) {
    (void)state;
    open_mutant(NULL);
    const json_t *result = blame();
    assert_non_null(strstr(text_of(result, "text"), "no landmark adds more than 0.5 % in "
                                                    "the graph, 5 % in fp16 or 30 % by its "
                                                    "weights"));
    proof_bench_close(&bench);
}

// ---- a single weight

static void expect_weight(const char *mutant, const char *role, size_t row, double times,
                          double least_cos) {
    open_mutant(mutant_named(mutant));
    Err err = {0};
    WeightFault fault;
    Proof *p = &bench.proof;
    if (!compare_weights(p, &fault, &err)) fail_msg("%s", err.text);
    assert_true(fault.is_found);
    if (!blame_weight(p, "graph", &fault, &err)) fail_msg("%s", err.text);
    const json_t *result = proof_bench_last(&bench, "graph");
    const json_t *figures = json_object_get(result, "figures");
    assert_string_equal(text_of(result, "scope"), "blame weights");
    assert_string_equal(text_of(figures, "cause"), "weight");
    assert_string_equal(text_of(figures, "role"), role);
    assert_int_equal(json_integer_value(json_object_get(figures, "layer")), MUTANT_LAYER);
    assert_int_equal(json_integer_value(json_object_get(figures, "bad_rows")), 1);
    assert_string_equal(text_of(figures, "package"),
                        arena_cstr(&bench.arena, p->bundle.chain.shards[0].package));
    const char *tensor = arena_printf(&bench.arena, "layer_01_%s", role).at;
    assert_string_equal(text_of(figures, "tensor"), tensor);
    if (row != SIZE_MAX) assert_int_equal(json_integer_value(json_object_get(figures, "row")), row);
    double found = json_number_value(json_object_get(figures, "times"));
    double cos = json_number_value(json_object_get(figures, "cos"));
    if (!(fabs(found - times) < 0.01 * fabs(times)) || !(cos > least_cos))
        fail_msg("%s: %g times, cos=%g", mutant, found, cos);
    assert_non_null(strstr(text_of(result, "text"), tensor));
    proof_bench_close(&bench);
}

static void test_a_weight_is_named_with_its_row(void **state) {
    (void)state;
    expect_weight("scale_of_one_channel", "down", 128 / 3, 2, 0.9999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fault_of_the_graph),
        cmocka_unit_test(test_an_overflow_is_a_fault_of_fp16),
        cmocka_unit_test(test_a_fault_of_the_weights),
        cmocka_unit_test(test_a_sound_shard_has_no_such_place),
        cmocka_unit_test(test_a_weight_is_named_with_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
