// The published contracts that are compiled in: each can be read in the contract's terms, says
// where it comes from and what it is matched by, and no two can match the same file by the same
// words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/size.h"
#include "contract/evidence.h"
#include "contract/model_spec.h"

static json_t *file_at(size_t i) {
    json_error_t why;
    json_t *file = json_loads(known_text(i), JSON_REJECT_DUPLICATES, &why);
    if (!file) fail_msg("published contract %zu, line %d: %s", i, why.line, why.text);
    return file;
}

static void test_each_is_read_and_states_the_mathematics(void **state) {
    (void)state;
    static const FieldId wanted[] = {
        FIELD_architecture, FIELD_n_layers, FIELD_d_model,  FIELD_n_heads,   FIELD_n_kv_heads,
        FIELD_d_ff,         FIELD_n_vocab,  FIELD_norm_eps, FIELD_rope_base, FIELD_context};
    FileSpec s;
    Model m;
    Err err;
    model_spec_llama(&s);
    assert_true(model_spec_read(&s, &m, &err));
    Gguf g = {0};
    size_t n = 0;
    for (; known_text(n); n++) {
        json_t *file = file_at(n);
        Stated stated;
        Str name = str_of(json_string_value(json_object_get(file, "name")));
        if (!stated_read_part(&stated, name, json_object_get(file, "config"), &g, &s.arena, &err))
            fail_msg("%s", err.text);
        for (size_t i = 0; i < COUNT_OF(wanted); i++)
            if (!is_stated(&stated, wanted[i]))
                fail_msg("%.*s does not state %s", STR_ARG(name), field_name(wanted[i]));
        // What a file leaves out is unknown: no default of transformers is put in its place.
        bool has_scaling = json_object_get(json_object_get(file, "config"), "rope_scaling") != NULL;
        assert_int_equal(is_stated(&stated, FIELD_rope_scaling), has_scaling);
        json_decref(file);
    }
    assert_true(n >= 13);
    spec_free(&s);
}

static void test_each_names_its_sources(void **state) {
    (void)state;
    for (size_t i = 0; known_text(i); i++) {
        json_t *file = file_at(i);
        const json_t *sources = json_object_get(file, "sources");
        assert_true(json_array_size(sources) >= 1);
        for (size_t k = 0; k < json_array_size(sources); k++) {
            const json_t *source = json_array_get(sources, k);
            const char *commit = json_string_value(json_object_get(source, "commit"));
            const char *date = json_string_value(json_object_get(source, "date"));
            assert_true(commit && strspn(commit, "0123456789abcdef") == 40 && strlen(commit) == 40);
            assert_true(date && strlen(date) == 10 && date[4] == '-' && date[7] == '-');
            assert_non_null(json_string_value(json_object_get(source, "where")));
        }
        assert_non_null(strchr(json_string_value(json_object_get(file, "publisher")), '/'));
        json_decref(file);
    }
}

static void test_no_two_match_by_the_same_words(void **state) {
    (void)state;
    for (size_t i = 0; known_text(i); i++)
        for (size_t k = 0; k < i; k++) {
            json_t *a = file_at(i), *b = file_at(k);
            const json_t *x = json_object_get(a, "match"), *y = json_object_get(b, "match");
            assert_true(json_array_size(x) > 0 && json_array_size(y) > 0);
            for (size_t p = 0; p < json_array_size(x); p++)
                for (size_t q = 0; q < json_array_size(y); q++)
                    assert_false(json_equal(json_array_get(x, p), json_array_get(y, q)));
            json_decref(a);
            json_decref(b);
        }
}

// A LongRoPE contract in full: 48 factors each way, and what follows from two contexts.
static void test_phi4_mini_means_what_is_published(void **state) {
    (void)state;
    Arena arena = {0};
    Gguf g = {0};
    Err err = {0};
    for (size_t i = 0; known_text(i); i++) {
        json_t *file = file_at(i);
        if (strcmp(json_string_value(json_object_get(file, "name")), "phi-4-mini") == 0) {
            Stated s;
            assert_true(
                stated_read_part(&s, STR("x"), json_object_get(file, "config"), &g, &arena, &err));
            assert_int_equal(s.values.kinds[0].rope_dim, 96); // of 128: the number that was misread
            assert_int_equal(s.values.kinds[0].rope_factors_long.count, 48);
            assert_int_equal(s.values.kinds[0].rope_factors_short.count, 48);
            // sqrt(1 + ln 32 / ln 4096)
            assert_float_equal(s.values.kinds[0].attn_factor, 1.1902380, 1e-6);
            assert_true(s.values.is_head_tied);
            json_decref(file);
            arena_free(&arena);
            return;
        }
        json_decref(file);
    }
    fail_msg("phi-4-mini is not among the published contracts");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_read_and_states_the_mathematics),
        cmocka_unit_test(test_each_names_its_sources),
        cmocka_unit_test(test_no_two_match_by_the_same_words),
        cmocka_unit_test(test_phi4_mini_means_what_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
