// Where each value comes from: a key, a tensor, a shape, the architecture, or a rule that is said.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/size.h"
#include "contract/model_spec.h"

static void read_or_fail(FileSpec *s, Model *m) {
    Err err;
    if (!model_spec_read(s, m, &err)) fail_msg("refused: %s", err.text);
}

static void assert_source(const Model *m, FieldId field, SourceKind kind, const char *text) {
    Source source = m->sources[field];
    if (source.kind != kind || !str_is(source.text, text))
        fail_msg("%s comes from %s '%.*s', expected %s '%s'", field_name(field),
                 source_kind_name(source.kind), STR_ARG(source.text), source_kind_name(kind), text);
}

static void test_every_field_has_a_source(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "phi3"};
    for (size_t a = 0; a < COUNT_OF(archs); a++) {
        FileSpec s;
        Model m;
        model_spec_of(&s, archs[a]);
        read_or_fail(&s, &m);
        for (int f = 0; f < FIELD_COUNT; f++) {
            if (m.sources[f].kind == SOURCE_NONE || !m.sources[f].text.len)
                fail_msg("%s: field '%s' has no source", archs[a], field_name((FieldId)f));
            assert_true(strlen(field_doc((FieldId)f)) > 0);
        }
        spec_free(&s);
    }
}

static void test_phi3_values_and_where_they_stand(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    const Contract *c = &m.contract;
    assert_int_equal(c->architecture, ARCH_PHI3);
    assert_int_equal(c->n_layers, 2);
    assert_int_equal(c->head_dim, 8);
    assert_int_equal(c->kinds[0].rope_dim, 4);
    assert_int_equal(c->rope_style, ROPE_HALF);
    assert_int_equal(c->kinds[0].rope_scaling, ROPE_SCALING_LONGROPE);
    assert_int_equal(c->kinds[0].rope_factors_long.count, 2);
    assert_true(c->kinds[0].rope_factors_long.at[1] == 4 &&
                c->kinds[0].rope_factors_short.at[1] == 1.5f);
    assert_true(c->kinds[0].attn_factor == 1.25f);
    assert_int_equal(c->original_context, 16);
    assert_true(c->is_head_tied && m.weights.head.tensor == m.weights.embedding.tensor);
    assert_source(&m, FIELD_rope_dim, SOURCE_KEY, "phi3.rope.dimension_count");
    assert_source(&m, FIELD_rope_factors_long, SOURCE_TENSOR, "rope_factors_long.weight");
    assert_source(&m, FIELD_n_vocab, SOURCE_SHAPE, "token_embd.weight");
    assert_source(&m, FIELD_head_dim, SOURCE_DERIVED,
                  "embedding_length / attention.head_count = 32 / 4");
    // Rows of the stacked tensors: 32 q, 16 k, 16 v; 48 gate, 48 up.
    const LayerWeights *w = &m.weights.layers[1];
    assert_int_equal(w->q.first_row, 0);
    assert_int_equal(w->k.first_row, 32);
    assert_int_equal(w->v.first_row, 48);
    assert_int_equal(w->v.n_rows, 16);
    assert_int_equal(w->gate.first_row, 0);
    assert_int_equal(w->up.first_row, 48);
    assert_ptr_equal(w->gate.tensor, w->up.tensor);
    spec_free(&s);
}

// Stop ids: the keys', and tokens of structure that end a turn by name. `<|im_end|>` is typed
// normal here: a token that text can hold ends nothing.
static void test_stop_ids(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_llama(&s);
    spec_add_u32(&s, "tokenizer.ggml.eot_token_id", 5);
    read_or_fail(&s, &m);
    assert_int_equal(m.contract.stop_ids.count, 3);
    assert_int_equal(m.contract.stop_ids.at[0], 5);
    assert_int_equal(m.contract.stop_ids.at[1], 6);
    assert_int_equal(m.contract.stop_ids.at[2], 7);
    spec_free(&s);
}

// Marks that a file types normal or unused, which text may yet give.
static void test_a_mark_in_brackets_ends_an_answer_whatever_its_type(void **state) {
    (void)state;
    for (uint32_t id = 8; id < 10; id++) {
        FileSpec s;
        Model m;
        model_spec_llama(&s);
        spec_add_u32(&s, "tokenizer.ggml.eot_token_id", id);
        read_or_fail(&s, &m);
        assert_int_equal(m.contract.stop_ids.at[m.contract.stop_ids.count - 1], id);
        spec_free(&s);
    }
}

static void test_a_user_defined_turn_end_stops(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_llama(&s);
    static const int32_t types[] = {1, 1, 1, 1, 1, 3, 3, 3, 5, 4}; // the last is <|im_end|>
    spec_drop_key(&s, "tokenizer.ggml.token_type");
    spec_add_i32s(&s, "tokenizer.ggml.token_type", types, COUNT_OF(types));
    read_or_fail(&s, &m);
    assert_int_equal(m.contract.stop_ids.count, 3);
    assert_int_equal(m.contract.stop_ids.at[2], 9);
    spec_free(&s);
}

static void test_token_0_can_end_an_answer(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_llama(&s);
    spec_drop_key(&s, "tokenizer.ggml.token_type");
    spec_add_i32s(&s, "tokenizer.ggml.token_type", (const int32_t[]){3, 1, 1, 1, 1, 3, 3, 3, 5, 1},
                  10);
    model_put_u32(&s, "tokenizer.ggml.eos_token_id", 0);
    read_or_fail(&s, &m);
    assert_int_equal(m.contract.stop_ids.at[0], 0);
    spec_free(&s);
}

// ---- derivations: each changes one thing of a valid file and names the rule that answers

typedef struct {
    const char *arch;
    void (*change)(FileSpec *s);
    FieldId field;
    SourceKind kind;
    const char *value; // as printed
    const char *rule;
} Derivation;

static void drop_kv_heads(FileSpec *s) {
    spec_drop_key(s, "llama.attention.head_count_kv");
    for (int i = 0; i < 2; i++)
        for (const char *const *name =
                 (const char *const[]){"attn_k.weight", "attn_v.weight", NULL};
             *name; name++) {
            const char *full = arena_printf(&s->arena, "blk.%d.%s", i, *name).at;
            spec_drop_tensor(s, full);
            spec_add_tensor(s, full, "F32", 2, (uint64_t[]){32, 32});
        }
}
static void drop_llama_rope_dim(FileSpec *s) {
    spec_drop_key(s, "llama.rope.dimension_count");
}
static void drop_phi3_rope_dim(FileSpec *s) {
    spec_drop_key(s, "phi3.rope.dimension_count");
}
static void drop_attn_factor(FileSpec *s) {
    spec_drop_key(s, "phi3.rope.scaling.attn_factor");
}
static void context_not_stretched(FileSpec *s) {
    drop_attn_factor(s);
    model_put_u32(s, "phi3.context_length", 16);
}
static void drop_add_bos(FileSpec *s) {
    spec_drop_key(s, "tokenizer.ggml.add_bos_token");
}
static void llama3_text(FileSpec *s) {
    drop_add_bos(s);
    model_put_string(s, "tokenizer.ggml.pre", "llama-bpe");
}
static void sentencepiece(FileSpec *s) {
    drop_add_bos(s);
    spec_drop_key(s, "tokenizer.ggml.pre");
    spec_add_i32s(s, "tokenizer.ggml.scores", (const int32_t[10]){0}, 10);
    model_put_string(s, "tokenizer.ggml.model", "llama");
}
static void no_bos(FileSpec *s) {
    spec_drop_key(s, "tokenizer.ggml.bos_token_id");
}
static void bos_minus_1(FileSpec *s) {
    spec_key(s, "tokenizer.ggml.bos_token_id")->type = GGUF_I32;
    spec_set_value(s, "tokenizer.ggml.bos_token_id", "\xFF\xFF\xFF\xFF", 4);
}
static void no_template(FileSpec *s) {
    spec_drop_key(s, "tokenizer.chat_template");
}
static void yarn(FileSpec *s) {
    spec_add_string(s, "llama.rope.scaling.type", "yarn");
    spec_add_f32(s, "llama.rope.scaling.factor", 4);
    spec_add_u32(s, "llama.rope.scaling.original_context_length", 16);
}
static void yarn_not_mixed(FileSpec *s) {
    yarn(s);
    spec_add_f32(s, "llama.rope.scaling.yarn_ext_factor", 0);
}
static void yarn_unset(FileSpec *s) {
    yarn(s);
    spec_add_f32(s, "llama.rope.scaling.yarn_ext_factor", -1);
    spec_add_f32(s, "llama.rope.scaling.yarn_attn_factor", 1.5f);
}
static void yarn_keys_without_yarn(FileSpec *s) {
    spec_add_f32(s, "llama.rope.scaling.yarn_ext_factor", -1);
    spec_add_f32(s, "llama.rope.scaling.yarn_attn_factor", 1);
    spec_add_f32(s, "llama.rope.scaling.yarn_beta_fast", 32);
    spec_add_f32(s, "llama.rope.scaling.yarn_beta_slow", 1);
    spec_add_f32(s, "llama.rope.scaling.yarn_log_multiplier", 0.1f);
}
static void kv_heads_a_list(FileSpec *s) {
    spec_drop_key(s, "llama.attention.head_count_kv");
    spec_add_i32s(s, "llama.attention.head_count_kv", (const int32_t[]){2, 2}, 2);
}
static void copies(FileSpec *s) {
    spec_add_u32(s, "llama.attention.head_dim", 8);
    spec_add_f32(s, "llama.attention.layer_norm_epsilon", 1e-5f);
}
static void stop_list(FileSpec *s) {
    spec_add_i32s(s, "tokenizer.ggml.eos_token_ids", (const int32_t[]){8, 7}, 2);
}
static void stop_list_alone(FileSpec *s) {
    spec_drop_key(s, "tokenizer.ggml.eos_token_id");
    stop_list(s);
}
static void tekken_text(FileSpec *s) {
    spec_drop_key(s, "tokenizer.ggml.add_bos_token");
    model_put_string(s, "tokenizer.ggml.pre", "tekken");
}
static void norm_with_dims_of_1(FileSpec *s) {
    spec_drop_tensor(s, "output_norm.weight");
    spec_add_tensor(s, "output_norm.weight", "F32", 3, (uint64_t[]){32, 1, 1});
}
static void old_linear(FileSpec *s) {
    spec_add_f32(s, "llama.rope.scale_linear", 2);
}
static void with_value_length(FileSpec *s) {
    spec_add_u32(s, "llama.attention.key_length", 8);
}
static void untied(FileSpec *s) {
    spec_add_tensor(s, "output.weight", "F32", 2, (uint64_t[]){32, 10});
}
static void with_out_bias(FileSpec *s) {
    spec_add_tensor(s, "blk.0.attn_output.bias", "F32", 1, (uint64_t[]){32});
    spec_add_tensor(s, "blk.1.attn_output.bias", "F32", 1, (uint64_t[]){32});
}
static void with_scale(FileSpec *s) {
    spec_add_f32(s, "llama.attention.scale", 0.5f);
}
static void nothing(FileSpec *s) {
    (void)s;
}

static const Derivation derivations[] = {
    {"llama", drop_kv_heads, FIELD_n_kv_heads, SOURCE_DERIVED, "4",
     "no attention.head_count_kv: every query head has its own"},
    {"llama", with_value_length, FIELD_head_dim, SOURCE_KEY, "8", "llama.attention.key_length"},
    {"llama", with_value_length, FIELD_head_dim_v, SOURCE_DERIVED, "8",
     "no attention.value_length: as wide as a key head"},
    {"llama", drop_llama_rope_dim, FIELD_rope_dim, SOURCE_DERIVED, "8",
     "no rope.dimension_count: llama files rotate whole heads"},
    {"phi3", drop_phi3_rope_dim, FIELD_rope_dim, SOURCE_SHAPE, "4", "rope_factors_short.weight"},
    {"llama", nothing, FIELD_rope_style, SOURCE_ARCHITECTURE, "interleaved",
     "llama files store rotated pairs as neighbours"},
    {"llama", nothing, FIELD_attn_window, SOURCE_DERIVED, "0",
     "no attention.sliding_window: every earlier position is seen"},
    {"llama", nothing, FIELD_attn_scale, SOURCE_DERIVED, "0.35355338",
     "1 / sqrt(head_dim) = 1 / sqrt(8)"},
    {"llama", with_scale, FIELD_attn_scale, SOURCE_KEY, "0.5", "llama.attention.scale"},
    {"llama", nothing, FIELD_original_context, SOURCE_DERIVED, "64",
     "no rope.scaling.original_context_length: the context was not extended"},
    {"llama", nothing, FIELD_rope_scaling, SOURCE_DERIVED, "none",
     "no rope.scaling.type and no factor tensors"},
    {"llama", model_add_rope_freqs, FIELD_rope_scaling, SOURCE_DERIVED, "llama3",
     "rope_freqs.weight"},
    {"llama", old_linear, FIELD_rope_scaling, SOURCE_DERIVED, "linear",
     "a rope.scaling.factor without a type is linear"},
    {"llama", old_linear, FIELD_rope_factor, SOURCE_KEY, "2", "llama.rope.scale_linear"},
    // sqrt(1 + ln 4 / ln 16) = sqrt(1.5)
    {"phi3", drop_attn_factor, FIELD_attn_factor, SOURCE_DERIVED, "1.2247449",
     "sqrt(1 + ln(64 / 16) / ln 16)"},
    {"phi3", context_not_stretched, FIELD_attn_factor, SOURCE_DERIVED, "1",
     "sqrt(1 + ln(16 / 16) / ln 16)"},
    // 1 + 0.1 ln 4
    {"llama", yarn, FIELD_attn_factor, SOURCE_DERIVED, "1.1386294", "1 * (1 + 0.1 ln 4)"},
    {"llama", yarn, FIELD_yarn_beta_fast, SOURCE_DERIVED, "32",
     "no rope.scaling.yarn_beta_fast: the paper's value"},
    {"llama", yarn_not_mixed, FIELD_attn_factor, SOURCE_DERIVED, "1",
     "1 * 1, without scaling or mix"},
    {"llama", drop_add_bos, FIELD_adds_bos, SOURCE_DERIVED, "false",
     "no tokenizer.ggml.add_bos_token: texts begin with it in SentencePiece vocabularies and with "
     "the pre-tokenizers of Llama 3, tekken and lfm2, not in others"},
    {"llama", llama3_text, FIELD_adds_bos, SOURCE_DERIVED, "true",
     "no tokenizer.ggml.add_bos_token: texts begin with it in SentencePiece vocabularies and with "
     "the pre-tokenizers of Llama 3, tekken and lfm2, not in others"},
    {"llama", sentencepiece, FIELD_adds_bos, SOURCE_DERIVED, "true",
     "no tokenizer.ggml.add_bos_token: texts begin with it in SentencePiece vocabularies and with "
     "the pre-tokenizers of Llama 3, tekken and lfm2, not in others"},
    {"llama", tekken_text, FIELD_adds_bos, SOURCE_DERIVED, "true",
     "no tokenizer.ggml.add_bos_token: texts begin with it in SentencePiece vocabularies and with "
     "the pre-tokenizers of Llama 3, tekken and lfm2, not in others"},
    {"llama", yarn_unset, FIELD_yarn_ext_factor, SOURCE_DERIVED, "1",
     "no rope.scaling.yarn_ext_factor: the paper's value"},
    {"llama", yarn_unset, FIELD_attn_factor, SOURCE_DERIVED, "1.1386294", "1 * (1 + 0.1 ln 4)"},
    {"llama", yarn_keys_without_yarn, FIELD_yarn_beta_fast, SOURCE_DERIVED, "0",
     "no rope.scaling.yarn_beta_fast: belongs to yarn scaling"},
    {"llama", kv_heads_a_list, FIELD_n_kv_heads, SOURCE_KEY, "2", "llama.attention.head_count_kv"},
    {"llama", stop_list, FIELD_stop_ids, SOURCE_DERIVED, "6 7 8",
     "tokenizer.ggml.eos_token_id, eot_token_id, eom_token_id, eos_token_ids, and tokens of "
     "structure that end a turn by name"},
    {"llama", stop_list_alone, FIELD_stop_ids, SOURCE_DERIVED, "6 7 8",
     "tokenizer.ggml.eos_token_id, eot_token_id, eom_token_id, eos_token_ids, and tokens of "
     "structure that end a turn by name"},
    {"llama", norm_with_dims_of_1, FIELD_d_model, SOURCE_KEY, "32", "llama.embedding_length"},
    {"llama", sentencepiece, FIELD_pre_tokenizer, SOURCE_DERIVED, "",
     "only byte-level BPE cuts text before it merges"},
    {"llama", no_bos, FIELD_bos_id, SOURCE_DERIVED, "none", "no tokenizer.ggml.bos_token_id"},
    {"llama", bos_minus_1, FIELD_bos_id, SOURCE_DERIVED, "none", "no tokenizer.ggml.bos_token_id"},
    {"llama", no_template, FIELD_template_digest, SOURCE_DERIVED, "", "no tokenizer.chat_template"},
    {"llama", nothing, FIELD_is_head_tied, SOURCE_TENSOR, "true", "no output.weight"},
    {"llama", untied, FIELD_is_head_tied, SOURCE_TENSOR, "false", "output.weight"},
    {"llama", with_out_bias, FIELD_has_out_bias, SOURCE_TENSOR, "true", "blk.0.attn_output.bias"},
    {"llama", with_out_bias, FIELD_has_qkv_bias, SOURCE_TENSOR, "false", "no such tensor"},
};

static void test_each_derivation_says_its_rule(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(derivations); i++) {
        const Derivation *d = &derivations[i];
        FileSpec s;
        Model m;
        model_spec_of(&s, d->arch);
        d->change(&s);
        read_or_fail(&s, &m);
        assert_source(&m, d->field, d->kind, d->rule);
        StrBuf value = {0};
        contract_print_field(&m.contract, d->field, &value);
        if (!str_is(strbuf_str(&value), d->value))
            fail_msg("%s is '%.*s', expected '%s'", field_name(d->field),
                     STR_ARG(strbuf_str(&value)), d->value);
        strbuf_free(&value);
        spec_free(&s);
    }
}

// ---- what is left unread, and why

static void test_harmless_keys_are_listed(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_llama(&s);
    spec_add_u32(&s, "llama.expert_count", 0);
    spec_add_u32(&s, "tokenizer.ggml.padding_token_id", 3);
    spec_add_tensor(&s, "blk.0.attn_rot_embd", "F32", 1, (uint64_t[]){4});
    spec_add_string(&s, "mradermacher.quantized_by", "x");
    copies(&s);
    yarn_keys_without_yarn(&s);
    read_or_fail(&s, &m);
    static const char *const names[] = {"llama.attention.head_dim",
                                        "llama.attention.layer_norm_epsilon",
                                        "llama.rope.scaling.yarn_ext_factor",
                                        "llama.rope.scaling.yarn_beta_fast",
                                        "llama.rope.scaling.yarn_beta_slow",
                                        "llama.rope.scaling.yarn_attn_factor",
                                        "llama.rope.scaling.yarn_log_multiplier",
                                        "general.name",
                                        "llama.expert_count",
                                        "tokenizer.ggml.padding_token_id",
                                        "mradermacher.quantized_by",
                                        "blk.0.attn_rot_embd"};
    assert_int_equal(m.n_harmless, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_true(str_is(m.harmless[i].name, names[i]));
        assert_true(m.harmless[i].reason.len > 0);
    }
    spec_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_has_a_source),
        cmocka_unit_test(test_phi3_values_and_where_they_stand),
        cmocka_unit_test(test_stop_ids),
        cmocka_unit_test(test_a_mark_in_brackets_ends_an_answer_whatever_its_type),
        cmocka_unit_test(test_a_user_defined_turn_end_stops),
        cmocka_unit_test(test_token_0_can_end_an_answer),
        cmocka_unit_test(test_each_derivation_says_its_rule),
        cmocka_unit_test(test_harmless_keys_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
