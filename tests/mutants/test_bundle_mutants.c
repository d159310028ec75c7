// Every graph mutant of the table finds its line in a real shard, gives a valid program, and changes
// the functions it is meant for and no other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "contract/mutants.h"
#include "decoder/ports.h"
#include "mutants/bundle_mutants.h"

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    ShardPlan plan;
} Hello;

static bool open_model(Hello *hello, const char *path) {
    Err err = {0};
    *hello = (Hello){0};
    CompileOptions options = {
        .context = 256, .prefill_rows = 64, .target = target_named("macos27")};
    return gguf_open(&hello->g, &hello->arena, path, &err) &&
           model_read(&hello->model, &hello->g, &hello->arena, &err) &&
           plan_shards(&hello->plan, &hello->model, &options, &hello->arena, &err);
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

static CompiledShard compile_as(Hello *hello, KvForm kv) {
    CompiledShard shard;
    Err err = {0};
    ShardPlan plan = hello->plan;
    plan.options.kv = kv;
    if (!compile_shard(&shard, &hello->model, &plan, &hello->plan.shards[0], &hello->arena, &err))
        fail_msg("%s", err.text);
    return shard;
}

static CompiledShard compile(Hello *hello) {
    return compile_as(hello, KV_OVERWRITE);
}

// The text of one function.
static char *text_of(const MilProgram *p, const char *function) {
    StrBuf all = {0};
    mil_print(p, &all);
    char head[64];
    snprintf(head, sizeof head, "func %s(", function);
    char *at = strstr(all.at, head), *end = at ? strstr(at, "\n}") : NULL;
    assert_non_null(end);
    char *text = strndup(at, (size_t)(end - at));
    strbuf_free(&all);
    return text;
}

static bool is_changed(const MilProgram *a, const MilProgram *b, const char *function) {
    char *x = text_of(a, function), *y = text_of(b, function);
    bool is_other = strcmp(x, y) != 0;
    free(x);
    free(y);
    return is_other;
}

static void test_names_are_unique(void **state) {
    (void)state;
    size_t n = 0;
    for (; bundle_mutant_at(n); n++) {
        assert_null(contract_mutant_named(str_of(bundle_mutant_at(n)->name)));
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(bundle_mutant_at(k)->name, bundle_mutant_at(n)->name);
    }
    assert_true(n >= 60);
}

static void check_graph_mutant(Hello *hello, const BundleMutant *m, KvForm kv) {
    CompiledShard truth = compile_as(hello, kv), shard = truth;
    bool is_put = false;
    Err err = {0};
    if (!graph_edit(&shard, m, &hello->model.contract, &is_put, &hello->arena, &err))
        fail_msg("%s, %s: %s", m->name, kv_form_name(kv), err.text);
    assert_true(is_put);
    static const struct {
        const char *function;
        unsigned bit;
    } functions[] = {
        {FUNCTION_DECODE, IN_DECODE}, {FUNCTION_PREFILL, IN_PREFILL}, {FUNCTION_HEAD, IN_HEAD}};
    for (size_t k = 0; k < 3; k++)
        if (is_changed(truth.program, shard.program, functions[k].function) !=
            ((m->functions & functions[k].bit) != 0))
            fail_msg("%s, %s: function %s", m->name, kv_form_name(kv), functions[k].function);
}

// Whose place the bundled model lacks, and a made one that has it.
static const char *family_of(const BundleMutant *m) {
    static const char *const families[][2] = {{"mean_not_subtracted", "command-r"},
                                              {"post_norm_left_out", "olmo2"},
                                              {"post_norm_weight_dropped", "olmo2"},
                                              {"q_norm_weight_dropped", "qwen3"}};
    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (strcmp(families[i][0], m->name) == 0) return families[i][1];
    return NULL;
}

static void test_graph_mutants_change_what_they_say(void **state) {
    for (size_t i = 0; bundle_mutant_at(i); i++) {
        const BundleMutant *m = bundle_mutant_at(i);
        const char *family = m->kind == MUTANT_GRAPH ? family_of(m) : NULL;
        Hello other, *hello = family ? &other : *state;
        char path[256];
        snprintf(path, sizeof path, LATHE_MODELS "/../tests/oracle/family/%s.gguf",
                 family ? family : "");
        if (family) assert_true(open_model(&other, path));
        for (int kv = 0; m->kind == MUTANT_GRAPH && kv < KV_FORM_COUNT; kv++)
            check_graph_mutant(hello, m, (KvForm)kv);
        if (family) close_model(&other);
    }
}

// <value.x> names an operand, whatever it is called, and nothing where there is none; =* is the whole op.
static void test_edits_name_operands(void **state) {
    static const struct {
        GraphEdit edit;
        bool is_found;
    } rows[] = {
        {{"%middle", "y = <%middle.y>", "y = <%middle.x>"}, true},
        {{"%middle", "=*", "= identity(x = <%middle.x>)"}, true},
        {{"%middle", "y = <%middle.z>", "y = x"}, false},
        {{"%middle", "y = <%nobody.y>", "y = x"}, false},
        {{"%middle", "y = <%middle>", "y = x"}, false},
        {{"%middle", "y = <%middle.y>", "y = <%nobody.y>"}, false},
        {{"%nobody", "=*", "= identity(x = x)"}, false},
    };
    Hello *hello = *state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        BundleMutant mutant = {.name = "operands",
                               .kind = MUTANT_GRAPH,
                               .functions = IN_DECODE,
                               .edits = {rows[i].edit}};
        CompiledShard truth = compile(hello), shard = truth;
        bool is_put = false;
        Err err = {0};
        bool ok = graph_edit(&shard, &mutant, &hello->model.contract, &is_put, &hello->arena, &err);
        if (ok != rows[i].is_found) fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(ok, is_changed(truth.program, shard.program, FUNCTION_DECODE));
    }
}

static void test_an_edit_without_its_line_is_refused(void **state) {
    Hello *hello = *state;
    BundleMutant mutant = {.name = "none",
                           .kind = MUTANT_GRAPH,
                           .functions = IN_DECODE,
                           .edits = {{"%rope_first", "divide(", "add("}}};
    CompiledShard shard = compile(hello);
    bool is_put = false;
    Err err = {0};
    assert_false(graph_edit(&shard, &mutant, &hello->model.contract, &is_put, &hello->arena, &err));
    assert_non_null(strstr(err.text, "no line"));
}

static void test_an_invalid_program_is_refused(void **state) {
    Hello *hello = *state;
    BundleMutant mutant = {.name = "none",
                           .kind = MUTANT_GRAPH,
                           .functions = IN_DECODE,
                           .edits = {{"%rope_first", "sub(x = %rope_low_cos", "sub(x = %nothing"}}};
    CompiledShard shard = compile(hello);
    bool is_put = false;
    Err err = {0};
    assert_false(graph_edit(&shard, &mutant, &hello->model.contract, &is_put, &hello->arena, &err));
}

// Token types in one byte each, which a file may have: there is no place for a 32-bit one.
static void test_narrow_token_types_are_left_alone(void **state) {
    Hello *hello = *state;
    size_t n = hello->model.contract.n_vocab + 12;
    uint8_t *bytes = arena_alloc(&hello->arena, n, 1);
    memset(bytes, 3, n);
    GgufKey key = {.name = STR("tokenizer.ggml.token_type"),
                   .type = GGUF_ARRAY,
                   .item_type = GGUF_U8,
                   .n_items = hello->model.contract.n_vocab,
                   .encoded = {(const char *)bytes, n}};
    const GgufKey *keys[] = {&key};
    assert_false(edit_control_token_typed_normal(keys, 1, &hello->model, &hello->arena));
    assert_ptr_equal(keys[0], &key);
}

// Whatever the last character is, it becomes another.
static void test_a_template_changes_whatever_it_ends_in(void **state) {
    Hello *hello = *state;
    static const char *const ends[] = {"\1\0\0\0\0\0\0\0}", "\1\0\0\0\0\0\0\0 "};
    for (size_t i = 0; i < 2; i++) {
        GgufKey key = {.name = STR("tokenizer.chat_template"),
                       .type = GGUF_STRING,
                       .item_type = GGUF_STRING,
                       .n_items = 1,
                       .encoded = {ends[i], 9}};
        const GgufKey *keys[] = {&key};
        assert_true(edit_template_changed(keys, 1, &hello->model, &hello->arena));
        assert_int_equal(keys[0]->encoded.len, 9);
        assert_int_not_equal(keys[0]->encoded.at[8], ends[i][8]);
    }
}

// Two layers cannot change places where there is one.
static void test_one_layer_has_no_second(void **state) {
    Hello *hello = *state;
    CompiledShard shard = compile(hello);
    Model one = hello->model;
    one.contract.n_layers = shard.range.end_layer = 1;
    assert_false(edit_layers_exchanged(&shard, &one));
    assert_false(edit_down_of_the_next_layer(&shard, &one));
    assert_false(edit_attn_out_of_the_next_layer(&shard, &one));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_graph_mutants_change_what_they_say),
        cmocka_unit_test(test_edits_name_operands),
        cmocka_unit_test(test_an_edit_without_its_line_is_refused),
        cmocka_unit_test(test_an_invalid_program_is_refused),
        cmocka_unit_test(test_narrow_token_types_are_left_alone),
        cmocka_unit_test(test_a_template_changes_whatever_it_ends_in),
        cmocka_unit_test(test_one_layer_has_no_second),
    };
    return cmocka_run_group_tests(tests, open_hello, close_hello);
}
