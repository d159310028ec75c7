// Every misreading of the table is another reading of the bundled models, keeps what the weights'
// shapes say, and can be computed: lists are as long as the rotary part asks for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "contract/mutants.h"

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
} Hello;

static bool open_model(Hello *hello, const char *path) {
    Err err = {0};
    *hello = (Hello){0};
    return gguf_open(&hello->g, &hello->arena, path, &err) &&
           model_read(&hello->model, &hello->g, &hello->arena, &err);
}

static void close_model(Hello *hello) {
    gguf_close(&hello->g);
    arena_free(&hello->arena);
}

static int open_hello(void **state) {
    static Hello hello;
    *state = &hello;
    return open_model(&hello, LATHE_MODELS "/hello-phi3-q8_0.gguf") ? 0 : -1;
}

static int close_hello(void **state) {
    close_model(*state);
    return 0;
}

static Reading apply(Hello *hello, const char *name) {
    Reading r;
    const ContractMutant *m = contract_mutant_named(str_of(name));
    assert_non_null(m);
    assert_true(contract_mutant_apply(m, &hello->model, &r, &hello->arena));
    return r;
}

static bool is_same_reading(const Hello *hello, const Reading *r) {
    const Model *a = &hello->model, *b = &r->model;
    return strcmp(contract_digest(&a->contract).hex, contract_digest(&b->contract).hex) == 0 &&
           memcmp(a->weights.layers, b->weights.layers,
                  a->contract.n_layers * sizeof(LayerWeights)) == 0 &&
           memcmp(&a->weights.head, &b->weights.head, sizeof(Rows)) == 0 && !r->tiles_kv_heads;
}

static void test_names_are_unique(void **state) {
    (void)state;
    for (size_t i = 0; contract_mutant_at(i); i++)
        assert_ptr_equal(contract_mutant_named(str_of(contract_mutant_at(i)->name)),
                         contract_mutant_at(i));
    assert_null(contract_mutant_named(STR("no such mutant")));
}

static void test_applied_is_another_reading(void **state) {
    Hello *hello = *state;
    size_t n_applied = 0;
    for (size_t i = 0; contract_mutant_at(i); i++) {
        Reading r;
        if (!contract_mutant_apply(contract_mutant_at(i), &hello->model, &r, &hello->arena))
            continue;
        n_applied++;
        if (is_same_reading(hello, &r)) fail_msg("%s changed nothing", contract_mutant_at(i)->name);
    }
    assert_true(n_applied >= 30);
}

// Two contracts never differ in the same way under two names: the vote would count one twice.
static void test_no_two_are_the_same(void **state) {
    Hello *hello = *state;
    Reading all[128];
    const char *names[128];
    size_t n = 0;
    for (size_t i = 0; contract_mutant_at(i); i++) {
        assert_true(n < COUNT_OF(all));
        names[n] = contract_mutant_at(i)->name;
        n += contract_mutant_apply(contract_mutant_at(i), &hello->model, &all[n], &hello->arena);
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            Hello other = {.model = all[a].model};
            if (is_same_reading(&other, &all[b]) && !all[a].tiles_kv_heads)
                fail_msg("%s and %s are one reading", names[a], names[b]);
        }
}

static void test_readings_fit_the_tensors(void **state) {
    Hello *hello = *state;
    const Contract *c = &hello->model.contract;
    for (size_t i = 0; contract_mutant_at(i); i++) {
        Reading r;
        if (!contract_mutant_apply(contract_mutant_at(i), &hello->model, &r, &hello->arena))
            continue;
        const Contract *m = &r.model.contract;
        assert_int_equal(m->n_heads * m->head_dim, c->n_heads * c->head_dim);
        assert_int_equal(m->n_kv_heads * m->head_dim, c->n_kv_heads * c->head_dim);
        assert_int_equal(m->n_kv_heads * m->head_dim_v, c->n_kv_heads * c->head_dim_v);
        assert_true(m->kinds[0].rope_dim % 2 == 0 && m->kinds[0].rope_dim <= m->head_dim);
        const LayerWeights *first = &r.model.weights.layers[0];
        bool is_width = m->kinds[0].qk_norm == QK_NORM_WIDTH;
        if (m->kinds[0].qk_norm != QK_NORM_NONE)
            assert_int_equal(first->q_norm.n_rows, (is_width ? m->n_heads : 1) * m->head_dim);
        assert_true(!has_attn_norm(&m->kinds[0]) || first->attn_norm.tensor);
        assert_true(!has_post_norms(&m->kinds[0]) || first->ffn_post_norm.tensor);
        assert_int_equal(m->kinds[0].has_norm_bias, first->attn_norm_bias.tensor != NULL);
        assert_int_equal(m->kinds[0].has_out_bias, first->attn_out_bias.tensor != NULL);
        assert_int_equal(m->has_head_bias, r.model.weights.head_bias.tensor != NULL);
        if (m->kinds[0].rope_scaling != ROPE_SCALING_LONGROPE) continue;
        assert_int_equal(m->kinds[0].rope_factors_short.count, m->kinds[0].rope_dim / 2);
        assert_int_equal(m->kinds[0].rope_factors_long.count, m->kinds[0].rope_dim / 2);
        const LayerWeights *w = &r.model.weights.layers[0];
        assert_int_equal(w->q.n_rows, m->n_heads * m->head_dim);
        assert_int_equal(w->k.n_rows, m->n_kv_heads * m->head_dim);
        assert_int_equal(w->v.n_rows, m->n_kv_heads * m->head_dim_v);
    }
}

// The same of a family of each kind.
static void test_made_models_of_families(void **state) {
    (void)state;
    static const char *const names[] = {"gemma2", "gemma3",   "granite",    "cohere2", "smollm3",
                                        "olmo2",  "olmo3",    "starcoder2", "phi2",    "qwen3",
                                        "glm4",   "stablelm", "nemotron",   "apertus"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[512];
        Hello family, *at = &family;
        snprintf(path, sizeof path, LATHE_MODELS "/../tests/oracle/family/%s.gguf", names[i]);
        print_message("%s\n", names[i]);
        assert_true(open_model(at, path));
        test_applied_is_another_reading((void **)&at);
        test_no_two_are_the_same((void **)&at);
        test_readings_fit_the_tensors((void **)&at);
        close_model(at);
    }
}

// What a file states wrongly, the mutant that puts it right must find again.
static void test_a_misread_rope_dim_is_undone(void **state) {
    Hello *hello = *state;
    Hello wrong = {.model = apply(hello, "rope_dim_full").model};
    assert_int_equal(wrong.model.contract.kinds[0].rope_factors_short.count, 16);
    wrong.arena = hello->arena;
    Reading back = apply(&wrong, "rope_dim_three_quarters");
    hello->arena = wrong.arena;
    assert_true(is_same_reading(hello, &back));
}

static void test_misread_heads_are_undone(void **state) {
    Hello *hello = *state;
    Hello wrong = {.model = apply(hello, "heads_doubled").model};
    const Contract *c = &wrong.model.contract;
    assert_int_equal(c->n_heads, 8);
    assert_int_equal(c->n_kv_heads, 4);
    assert_int_equal(c->kinds[0].rope_dim, 12);
    assert_float_equal(c->attn_scale, 0.25f, 1e-7f);
    wrong.arena = hello->arena;
    Reading back = apply(&wrong, "heads_halved");
    hello->arena = wrong.arena;
    assert_int_equal(back.model.contract.n_heads, 4);
    assert_int_equal(back.model.contract.kinds[0].rope_dim, 24);
}

// Kinds of layers are misread where the misreading is one: all others keep what is stated.
static void test_each_kind_is_misread_for_itself(void **state) {
    Hello *hello = *state;
    static const uint32_t kinds[] = {0, 1, 0, 1};
    Hello two = *hello;
    Contract *c = &two.model.contract;
    assert_int_equal(c->n_layers, COUNT_OF(kinds));
    c->kind_of_layer = (U32List){kinds, COUNT_OF(kinds)};
    c->kinds[1] = c->kinds[0];
    c->kinds[1].attn_window = 40;
    Contract off = apply(&two, "attn_window_off").model.contract;
    assert_int_equal(off.kinds[1].attn_window, 0);
    assert_int_equal(off.kinds[0].attn_window, c->kinds[0].attn_window);
    Contract tenth = apply(&two, "rope_base_over_10").model.contract;
    for (uint32_t i = 0; i < 2; i++)
        assert_true(tenth.kinds[i].rope_base == c->kinds[i].rope_base / 10);
    hello->arena = two.arena;
}

static void test_rows_of_a_stacked_tensor_change_places(void **state) {
    Hello *hello = *state;
    const LayerWeights *w = &apply(hello, "k_first").model.weights.layers[2];
    assert_int_equal(w->k.first_row, 0);
    assert_int_equal(w->q.first_row, 64);
    w = &apply(hello, "k_v_swapped").model.weights.layers[2];
    assert_int_equal(w->k.first_row, 192);
    assert_int_equal(w->v.first_row, 128);
    w = &apply(hello, "gate_up_swapped").model.weights.layers[2];
    assert_int_equal(w->gate.first_row, 384);
    assert_int_equal(w->up.first_row, 0);
    assert_int_equal(hello->model.weights.layers[2].up.first_row, 384); // the true one is untouched
}

// transformers 5, _compute_llama3_parameters for head_dim 64 and base 500000: fast pairs keep their
// frequency, slow ones have an eighth of it.
static void test_llama3_factors(void **state) {
    Hello *hello = *state;
    Hello llama = {.model = hello->model, .arena = hello->arena};
    Contract *c = &llama.model.contract;
    c->kinds[0].rope_scaling = ROPE_SCALING_NONE;
    c->kinds[0].rope_dim = c->head_dim = 64;
    c->kinds[0].rope_base = 500000;
    c->context = 131072;
    F32List f = apply(&llama, "rope_llama3").model.contract.kinds[0].rope_freq_factors;
    hello->arena = llama.arena;
    assert_int_equal(f.count, 32);
    assert_float_equal(f.at[0], 1, 1e-6f);
    assert_float_equal(f.at[31], 8, 1e-5f);
    for (size_t i = 1; i < f.count; i++) assert_true(f.at[i] >= f.at[i - 1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_applied_is_another_reading),
        cmocka_unit_test(test_no_two_are_the_same),
        cmocka_unit_test(test_readings_fit_the_tensors),
        cmocka_unit_test(test_made_models_of_families),
        cmocka_unit_test(test_a_misread_rope_dim_is_undone),
        cmocka_unit_test(test_misread_heads_are_undone),
        cmocka_unit_test(test_each_kind_is_misread_for_itself),
        cmocka_unit_test(test_rows_of_a_stacked_tensor_change_places),
        cmocka_unit_test(test_llama3_factors),
    };
    return cmocka_run_group_tests(tests, open_hello, close_hello);
}
