// The digest says what a model means and nothing else: the same meaning in another file has the
// same digest, any field changed has another, and the JSON form reads back to the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "base/size.h"
#include "contract/model_spec.h"

static void read_or_fail(FileSpec *s, Model *m) {
    Err err;
    if (!model_spec_read(s, m, &err)) fail_msg("refused: %s", err.text);
}

static void nothing(FileSpec *s) {
    (void)s;
}

// ---- the same meaning

static void keys_in_another_order(FileSpec *s) {
    for (size_t i = 0, k = s->keys_there - 1; i < k; i++, k--) {
        KeySpec held = s->keys[i];
        s->keys[i] = s->keys[k];
        s->keys[k] = held;
    }
}
static void another_name(FileSpec *s) {
    model_put_string(s, "general.name", "Something else");
}
static void wider_integers(FileSpec *s) {
    KeySpec *k = spec_key(s, "phi3.block_count");
    k->type = GGUF_U64;
    spec_set_value(s, "phi3.block_count", "\2\0\0\0\0\0\0\0", 8);
}
static void wider_floats(FileSpec *s) {
    double base = 10000;
    spec_key(s, "phi3.rope.freq_base")->type = GGUF_F64;
    spec_set_value(s, "phi3.rope.freq_base", &base, sizeof base);
}
static void unsigned_token_types(FileSpec *s) {
    char *value = (char *)(uintptr_t)spec_key(s, "tokenizer.ggml.token_type")->value.at;
    assert_int_equal(value[0], GGUF_I32);
    value[0] = GGUF_U32;
}
static void scaling_said_twice(FileSpec *s) {
    spec_add_string(s, "phi3.rope.scaling.type", "longrope");
}
static void head_dim_said(FileSpec *s) {
    spec_add_u32(s, "phi3.attention.key_length", 8);
    spec_add_u32(s, "phi3.attention.value_length", 8);
}
static void vocab_size_said(FileSpec *s) {
    spec_add_u32(s, "phi3.vocab_size", 10);
}
static void padded_between_tensors(FileSpec *s) {
    spec_add_u32(s, "general.alignment", 64);
    s->alignment = 64;
    s->data_bytes = 0;
    for (size_t i = 0; i < s->tensors_there; i++) {
        TensorSpec *t = &s->tensors[i];
        t->offset = round_up(s->data_bytes, 64);
        s->data_bytes = (size_t)t->offset + 4 * t->dims[0] * (t->n_dims > 1 ? t->dims[1] : 1);
    }
}
static void other_weights(FileSpec *s) { // the contract says what weights mean, not what they are
    float ones[32];
    for (size_t i = 0; i < COUNT_OF(ones); i++) ones[i] = 1;
    spec_set_floats(s, "output_norm.weight", ones, COUNT_OF(ones));
}

static void test_same_meaning_same_digest(void **state) {
    (void)state;
    static void (*const changes[])(FileSpec *) = {
        nothing,         keys_in_another_order,  another_name,       wider_integers,
        wider_floats,    unsigned_token_types,   scaling_said_twice, head_dim_said,
        vocab_size_said, padded_between_tensors, other_weights,
    };
    char truth[65] = "";
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        FileSpec s;
        Model m;
        model_spec_phi3(&s);
        changes[i](&s);
        read_or_fail(&s, &m);
        Sha256 digest = contract_digest(&m.contract);
        if (i == 0) memcpy(truth, digest.hex, sizeof truth);
        if (strcmp(digest.hex, truth) != 0) fail_msg("change %zu gives another digest", i);
        spec_free(&s);
    }
}

// ---- another meaning

static void another_token(FileSpec *s) {
    char *value = (char *)(uintptr_t)spec_key(s, "tokenizer.ggml.tokens")->value.at;
    value[4 + 8 + 8] = 'z'; // type, count, length, then the first token's byte
}
static void another_token_type(FileSpec *s) {
    char *value = (char *)(uintptr_t)spec_key(s, "tokenizer.ggml.token_type")->value.at;
    value[4 + 8] = 4;
}
static void another_merge(FileSpec *s) {
    spec_drop_key(s, "tokenizer.ggml.merges");
    spec_add_strings(s, "tokenizer.ggml.merges", (const char *const[]){"a b", "c d"}, 2);
}
static void another_template(FileSpec *s) {
    model_put_string(s, "tokenizer.chat_template", "{{ messages[0].content }} ");
}
static void another_factor(FileSpec *s) {
    spec_set_floats(s, "rope_factors_long.weight", (float[]){1, nextafterf(4, 5)}, 2);
}
static void eps_one_step_up(FileSpec *s) {
    model_put_f32(s, "phi3.attention.layer_norm_rms_epsilon", nextafterf(1e-5f, 1));
}

static void test_other_meaning_other_digest(void **state) {
    (void)state;
    static void (*const changes[])(FileSpec *) = {
        nothing,          another_token,  another_token_type, another_merge,
        another_template, another_factor, eps_one_step_up,
    };
    Sha256 seen[COUNT_OF(changes)];
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        FileSpec s;
        Model m;
        model_spec_phi3(&s);
        changes[i](&s);
        read_or_fail(&s, &m);
        seen[i] = contract_digest(&m.contract);
        for (size_t k = 0; k < i; k++)
            if (strcmp(seen[i].hex, seen[k].hex) == 0)
                fail_msg("changes %zu and %zu give the same digest", k, i);
        spec_free(&s);
    }
}

// Changes `value` to something else of its kind; an enum to the name of another.
static json_t *changed(const char *field, const json_t *value) {
    static const struct {
        const char *field, *other;
    } enums[] = {{"architecture", "llama"}, {"rope_style", "interleaved"},
                 {"rope_scaling", "none"},  {"activation", "gelu_tanh"},
                 {"qk_norm", "width"},      {"norm_placement", "both"},
                 {"space_prefix", "first"}};
    for (size_t i = 0; i < COUNT_OF(enums); i++)
        if (strcmp(field, enums[i].field) == 0) return json_string(enums[i].other);
    if (json_is_integer(value)) return json_integer(json_integer_value(value) + 1);
    if (json_is_real(value)) return json_real(json_real_value(value) * 2 + 1);
    if (json_is_boolean(value)) return json_boolean(!json_is_true(value));
    if (json_is_string(value)) return json_string("other");
    json_t *list = json_deep_copy(value);
    json_array_append_new(list, json_integer(strcmp(field, "kind_of_layer") == 0 ? 1 : 9));
    return list;
}

static void test_each_field_is_in_the_digest(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    Sha256 truth = contract_digest(&m.contract);
    json_t *json = contract_to_json(&m.contract);
    size_t n_changed = 0;
    for (int f = 0; f < FIELD_COUNT; f++) {
        const char *name = field_name((FieldId)f);
        if (f == FIELD_norm) continue; // has one value
        json_t *other = json_deep_copy(json);
        json_object_set_new(other, name, changed(name, json_object_get(json, name)));
        Contract c;
        Err err = {0};
        if (!contract_from_json(&c, other, &s.arena, &err)) fail_msg("%s", err.text);
        if (strcmp(contract_digest(&c).hex, truth.hex) == 0)
            fail_msg("field '%s' is not in the digest", name);
        json_decref(other);
        n_changed++;
    }
    assert_int_equal(n_changed, FIELD_COUNT - 1);
    json_decref(json);
    spec_free(&s);
}

// ---- JSON

static void test_json_reads_back_to_the_same(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "phi3"};
    for (size_t a = 0; a < COUNT_OF(archs); a++) {
        FileSpec s;
        Model m;
        model_spec_of(&s, archs[a]);
        // Floats whose decimals are long.
        model_put_f32(&s, arena_printf(&s.arena, "%s.rope.freq_base", archs[a]).at, 8388608.5f / 3);
        read_or_fail(&s, &m);
        json_t *json = contract_to_json(&m.contract);
        // Through text, with the precision that chain.json is written in.
        char *text = json_dumps(json, JSON_REAL_PRECISION(17));
        json_t *again = json_loads(text, 0, NULL);
        Contract c;
        Err err = {0};
        if (!contract_from_json(&c, again, &s.arena, &err)) fail_msg("%s", err.text);
        assert_string_equal(contract_digest(&c).hex, contract_digest(&m.contract).hex);
        free(text);
        json_decref(json);
        json_decref(again);
        spec_free(&s);
    }
}

static void test_json_that_is_no_contract(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    static const struct {
        const char *field, *value, *message;
    } cases[] = {
        {"rope_dim", NULL, "contract field 'rope_dim' is missing"},
        {"rope_dim", "-1", "contract field 'rope_dim' has a value of the wrong kind"},
        {"rope_dim", "4294967296", "contract field 'rope_dim' has a value of the wrong kind"},
        {"rope_dim", "4.0", "contract field 'rope_dim' has a value of the wrong kind"},
        {"rope_style", "\"both\"", "contract field 'rope_style' has a value of the wrong kind"},
        {"rope_style", "1", "contract field 'rope_style' has a value of the wrong kind"},
        {"norm_eps", "\"1e-5\"", "contract field 'norm_eps' has a value of the wrong kind"},
        {"norm_eps", "1e300", "contract field 'norm_eps' has a value of the wrong kind"},
        {"adds_bos", "0", "contract field 'adds_bos' has a value of the wrong kind"},
        {"stop_ids", "7", "contract field 'stop_ids' has a value of the wrong kind"},
        {"stop_ids", "[7, -1]", "contract field 'stop_ids' has a value of the wrong kind"},
        {"rope_factors_long", "[1, null]", "'rope_factors_long' has a value of the wrong kind"},
        {"tokenizer", "null", "contract field 'tokenizer' has a value of the wrong kind"},
        {"colour", "\"red\"", "the contract has"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *json = contract_to_json(&m.contract);
        if (cases[i].value)
            json_object_set_new(json, cases[i].field,
                                json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(json, cases[i].field);
        Contract c;
        Err err = {0};
        if (contract_from_json(&c, json, &s.arena, &err)) fail_msg("taken: %s", cases[i].message);
        if (!strstr(err.text, cases[i].message))
            fail_msg("expected '%s', got '%s'", cases[i].message, err.text);
        assert_int_equal(err.kind, ERR_FORMAT);
        json_decref(json);
    }
    Contract c;
    Err err = {0};
    json_t *array = json_array();
    assert_false(contract_from_json(&c, array, &s.arena, &err));
    assert_string_equal(err.text, "the contract: expected a JSON object");
    json_decref(array);
    spec_free(&s);
}

// Each row is a number that would be divided by, or a list that would be read past its end.
static void test_contract_whose_numbers_do_not_go_together(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    Err err = {0};
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    if (!contract_check(&m.contract, &err)) fail_msg("%s", err.text);
    static const struct {
        const char *field, *value, *message;
    } cases[] = {
        {"n_layers", "0", "'n_layers': 0, expected 1 to 4096"},
        {"n_kv_heads", "0", "'n_kv_heads': 0, expected 1 to 4"},
        {"n_kv_heads", "3", "4 query heads cannot share 3 kv heads evenly"},
        {"head_dim", "1073741824", "'head_dim': 1073741824, expected 2 to 4096"},
        {"rope_dim", "4294967295", "'rope_dim': 4294967295, expected 0 to 8"},
        {"rope_dim", "3", "'rope_dim': 3, expected an even number"},
        {"rope_dim", "8", "'rope_factors_short': 2 factors, expected 4"},
        {"original_context", "0", "'original_context': 0, expected 2 to 64"},
        {"rope_factors_short", "[]", "'rope_factors_short': 0 factors, expected 2"},
        {"rope_factors_long", "[1]", "'rope_factors_long': 1 factors, expected 2"},
        {"rope_scaling", "\"llama3\"", "'rope_freq_factors': 0 factors, expected 2"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *json = contract_to_json(&m.contract);
        json_object_set_new(json, cases[i].field,
                            json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        Contract c;
        if (!contract_from_json(&c, json, &s.arena, &err)) fail_msg("%s", err.text);
        if (contract_check(&c, &err)) fail_msg("taken: %s", cases[i].message);
        if (!strstr(err.text, cases[i].message))
            fail_msg("expected '%s', got '%s'", cases[i].message, err.text);
        assert_int_equal(err.kind, ERR_FORMAT);
        json_decref(json);
    }
    spec_free(&s);
}

// ---- kinds of layers

// A model of two layers, the second of a kind of its own: another window and another rotary base.
static void make_two_kinds(Contract *c) {
    static const uint32_t kinds[] = {0, 1};
    c->kind_of_layer = (U32List){kinds, 2};
    c->kinds[0].attn_window = 0;
    c->kinds[1] = c->kinds[0];
    c->kinds[1].attn_window = 16;
    c->kinds[1].rope_base = 20000;
}

static void test_fields_that_kinds_differ_in_are_shown_for_each(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    Err err = {0};
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    assert_int_equal(contract_n_kinds(&m.contract), 1);
    make_two_kinds(&m.contract);
    if (!contract_check(&m.contract, &err)) fail_msg("%s", err.text);
    assert_int_equal(contract_n_kinds(&m.contract), 2);
    assert_true(contract_layer(&m.contract, 0) == &m.contract.kinds[0]);
    assert_true(contract_layer(&m.contract, 1) == &m.contract.kinds[1]);
    StrBuf text = {0};
    contract_print(&m.contract, &text);
    assert_non_null(strstr(text.at, "\nkind_of_layer = 0 1\n"));
    assert_non_null(strstr(text.at, "\nrope_base = 10000 | 20000\n"));
    assert_non_null(strstr(text.at, "\nattn_window = 0 | 16\n"));
    assert_non_null(strstr(text.at, "\nrope_dim = 4\n")); // the same in both
    strbuf_free(&text);

    json_t *json = contract_to_json(&m.contract);
    Contract again;
    if (!contract_from_json(&again, json, &s.arena, &err)) fail_msg("%s", err.text);
    assert_string_equal(contract_digest(&again).hex, contract_digest(&m.contract).hex);
    assert_int_equal(again.kinds[1].attn_window, 16);
    assert_int_equal(again.kinds[1].rope_dim, 4);
    json_decref(json);
    spec_free(&s);
}

// Values that are checked are those of every kind.
static void test_every_kind_is_checked(void **state) {
    (void)state;
    static const uint32_t alike[] = {0, 0};
    FileSpec s;
    Model m;
    Err err = {0};
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    make_two_kinds(&m.contract);
    Contract c = m.contract;
    c.kinds[1].rope_dim = 10;
    assert_false(contract_check(&c, &err));
    assert_non_null(strstr(err.text, "'rope_dim': 10, expected 0 to 8"));
    c = m.contract;
    c.kinds[1].rope_factors_long.count = 1;
    assert_false(contract_check(&c, &err));
    assert_non_null(strstr(err.text, "'rope_factors_long': 1 factors, expected 2"));
    c = m.contract;
    c.kind_of_layer.count = 1;
    assert_false(contract_check(&c, &err));
    assert_non_null(strstr(err.text, "'kind_of_layer': 1 kinds, expected one for each of 2"));
    c.kind_of_layer = (U32List){alike, 2};
    assert_false(contract_check(&c, &err));
    assert_non_null(strstr(err.text, "every layer is of kind 0"));

    json_t *json = contract_to_json(&m.contract);
    json_object_set_new(json, "kind_of_layer", json_loads("[0, 4]", 0, NULL));
    assert_false(contract_from_json(&c, json, &s.arena, &err));
    assert_non_null(strstr(err.text, "'kind_of_layer' has a value of the wrong kind"));
    json_object_set_new(json, "kind_of_layer", json_loads("[0, 2]", 0, NULL));
    assert_false(contract_from_json(&c, json, &s.arena, &err)); // two values of three kinds
    json_decref(json);
    spec_free(&s);
}

// Bundles are compared with their model weight by weight: fields that change a weight's shape or
// the order of its rows must agree, others need not.
static void test_shape_fields_are_those_that_move_weights(void **state) {
    (void)state;
    FileSpec s;
    Model m;
    FieldId field;
    model_spec_phi3(&s);
    read_or_fail(&s, &m);
    Contract other = m.contract;
    other.norm_eps *= 2;
    other.kinds[0].attn_window = 7;
    assert_true(contract_has_shape_of(&other, &m.contract, &field));
    other.d_ff++;
    assert_false(contract_has_shape_of(&other, &m.contract, &field));
    assert_int_equal(field, FIELD_d_ff);
    other = m.contract;
    other.rope_style = ROPE_INTERLEAVED;
    assert_false(contract_has_shape_of(&other, &m.contract, &field));
    assert_int_equal(field, FIELD_rope_style);
    spec_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_meaning_same_digest),
        cmocka_unit_test(test_other_meaning_other_digest),
        cmocka_unit_test(test_each_field_is_in_the_digest),
        cmocka_unit_test(test_json_reads_back_to_the_same),
        cmocka_unit_test(test_json_that_is_no_contract),
        cmocka_unit_test(test_contract_whose_numbers_do_not_go_together),
        cmocka_unit_test(test_fields_that_kinds_differ_in_are_shown_for_each),
        cmocka_unit_test(test_every_kind_is_checked),
        cmocka_unit_test(test_shape_fields_are_those_that_move_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
