// What a vocabulary says of the pre-tokenizer that the file names. Whether it is right on published
// vocabularies is for tests/oracle/test_wrong_contracts.py.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "tokenizer/vocabulary.h"

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
    vocabulary_add(&v, STR("<unused1>"), TOKEN_UNUSED, 0);
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

static void test_text_typed_unused_or_control_shows(void **state) {
    (void)state;
    Vocabulary v;
    with_number(&v, "gpt-2");
    v.tokens[TWELVE].type = TOKEN_UNUSED;
    PreSurvey s = survey(&v);
    assert_int_equal(s.n_tokens, 7);
    assert_int_equal(s.n_given, 6);
    assert_int_equal(s.retyped, TWELVE);
    v.tokens[TWELVE].type = TOKEN_CONTROL;
    s = survey(&v);
    assert_int_equal(s.n_tokens, 6);
    assert_int_equal(s.retyped, TWELVE);
    v.tokens[TWELVE].type = TOKEN_NORMAL;
    assert_int_equal(survey(&v).retyped, NO_TOKEN);
}

static ScoreSurvey survey_scores(const Vocabulary *v) {
    Err err = {0};
    ScoreSurvey s;
    Tokenizer *t = vocabulary_open(v, &err);
    assert_non_null(t);
    tokenizer_survey_scores(t, &s);
    tokenizer_close(t);
    return s;
}

static void test_scores(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    assert_int_equal(survey_scores(&v).n_tokens, 0);
    vocabulary_spm(&v);
    v.n_tokens = 0;
    vocabulary_add(&v, STR("<unk>"), TOKEN_UNKNOWN, 0);
    static const char *const texts[] = {"ab", "bc", "abc", "a", "b", "c"};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        vocabulary_add(&v, str_of(texts[i]), TOKEN_NORMAL, -(float)i);
    v.bos = v.eos = KEY_ABSENT;
    v.adds_bos = 0;
    v.unknown = 0;
    ScoreSurvey s = survey_scores(&v);
    assert_int_equal(s.n_tokens, 3);
    assert_int_equal(s.n_given, 3);
    assert_int_equal(s.n_rises, 0);
    assert_int_equal(s.n_distinct, 6);
    assert_int_equal(s.unreached, NO_TOKEN);
    v.tokens[1].score = -1; // as "bc", and further left
    assert_int_equal(survey_scores(&v).n_distinct, 5);
    v.tokens[1].score = -9; // "bc" is joined first, and nothing leads on to "abc" then
    s = survey_scores(&v);
    assert_int_equal(s.n_rises, 1);
    assert_int_equal(s.n_given, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_merges_lead_to_is_given),
        cmocka_unit_test(test_a_token_that_is_cut_is_lost),
        cmocka_unit_test(test_whole_words_need_no_merges),
        cmocka_unit_test(test_structure_and_bytes_are_not_asked),
        cmocka_unit_test(test_sentencepiece_has_none),
        cmocka_unit_test(test_text_typed_unused_or_control_shows),
        cmocka_unit_test(test_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
