// What a vocabulary says of the pre-tokenizer that the file names. Whether it is right on published
// vocabularies is for tests/oracle/test_wrong_contracts.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/vocabulary.h"

enum { TWELVE = BPE_TOKENS };

static PreSurvey survey(const Vocabulary *v) {
    Err err = {0};
    PreSurvey s;
    Tokenizer *t = vocabulary_open(v, &err);
    assert_non_null(t);
    assert_true(tokenizer_survey(t, &s, &err));
    tokenizer_close(t);
    return s;
}

// The six of vocabulary.h and "12"; no merge leads to "xyz".
static void with_number(Vocabulary *v, const char *pre) {
    vocabulary_bpe(v);
    v->pre = pre;
    vocabulary_add(v, STR("12"), TOKEN_NORMAL, 0);
    v->merges[v->n_merges++] = STR("1 2");
}

static void test_all_that_merges_lead_to_is_given(void **state) {
    (void)state;
    Vocabulary v;
    with_number(&v, "gpt-2");
    PreSurvey s = survey(&v);
    assert_int_equal(s.n_tokens, 7);
    assert_int_equal(s.n_given, 6);
    assert_null(s.better); // no other one gives "xyz" either
}

static void test_a_token_that_is_cut_is_lost(void **state) {
    (void)state;
    Vocabulary v;
    with_number(&v, "smollm"); // digits one by one
    PreSurvey s = survey(&v);
    assert_int_equal(s.n_given, 5);
    assert_non_null(s.better);
    assert_int_equal(s.lost, TWELVE);
    assert_true(s.n_better > s.n_given);
}

static void test_whole_words_need_no_merges(void **state) {
    (void)state;
    Vocabulary v;
    with_number(&v, "llama-bpe"); // a word that is a token is taken whole
    v.adds_bos = 0;
    PreSurvey s = survey(&v);
    assert_int_equal(s.n_given, 7);
    assert_null(s.better);
}

static void test_structure_and_bytes_are_not_asked(void **state) {
    (void)state;
    Vocabulary v;
    with_number(&v, "gpt-2");
    vocabulary_add(&v, STR("<tag>"), TOKEN_CONTROL, 0);
    vocabulary_add(&v, STR("\u0100\u0101"), TOKEN_UNUSED, 0);
    vocabulary_add(&v, STR("\u00c3\u00c3"), TOKEN_NORMAL, 0); // bytes C3 C3: no character
    assert_int_equal(survey(&v).n_tokens, 7);
}

static void test_sentencepiece_has_none(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    PreSurvey s = survey(&v);
    assert_int_equal(s.n_tokens, 0);
    assert_null(s.better);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_merges_lead_to_is_given),
        cmocka_unit_test(test_a_token_that_is_cut_is_lost),
        cmocka_unit_test(test_whole_words_need_no_merges),
        cmocka_unit_test(test_structure_and_bytes_are_not_asked),
        cmocka_unit_test(test_sentencepiece_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
