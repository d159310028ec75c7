// Vocabularies that are wrong in one way each: every one is refused, and the message names what is
// wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "tokenizer/vocabulary.h"

// ---- both kinds

static void no_model(Vocabulary *v) {
    v->model = NULL;
}
static void model_bert(Vocabulary *v) {
    v->model = "bert";
}
static void model_t5(Vocabulary *v) {
    v->model = "t5";
}
static void model_rwkv(Vocabulary *v) {
    v->model = "rwkv";
}
static void no_tokens(Vocabulary *v) {
    v->has_tokens = false;
}
static void empty_tokens(Vocabulary *v) {
    v->n_tokens = v->n_types = v->n_scores = v->n_merges = 0;
}
static void no_types(Vocabulary *v) {
    v->n_types = 0;
}
static void too_few_types(Vocabulary *v) {
    v->n_types--;
}
static void type_0(Vocabulary *v) {
    v->tokens[5].type = 0;
}
static void type_7(Vocabulary *v) {
    v->tokens[5].type = 7;
}
static void too_few_scores(Vocabulary *v) {
    v->n_scores = v->n_tokens - 1;
}
static void duplicate_token(Vocabulary *v) {
    v->tokens[7].text = v->tokens[3].text;
}
static void token_not_utf8(Vocabulary *v) {
    v->tokens[4].text = STR("a\xFF");
}
static void token_cut_character(Vocabulary *v) {
    v->tokens[4].text = STR("\xE2\x96");
}
static void token_surrogate(Vocabulary *v) {
    v->tokens[4].text = STR("\xED\xA0\x80");
}
static void token_too_long(Vocabulary *v) {
    static char text[4097];
    memset(text, 'q', sizeof text);
    v->tokens[4].text = (Str){text, sizeof text};
}
static void bos_beyond(Vocabulary *v) {
    v->bos = (int64_t)v->n_tokens;
}
static void eos_beyond(Vocabulary *v) {
    v->eos = 1 << 30;
}
static void adds_absent_bos(Vocabulary *v) {
    v->bos = KEY_ABSENT;
    v->adds_bos = 1;
}
static void adds_absent_eos(Vocabulary *v) {
    v->eos = KEY_ABSENT;
    v->adds_eos = 1;
}

// ---- byte-level BPE

static void no_pre(Vocabulary *v) {
    v->pre = NULL;
}
static void pre_unknown(Vocabulary *v) {
    v->pre = "gpt-5";
}
static void pre_empty(Vocabulary *v) {
    v->pre = "";
}
static void pre_two_names(Vocabulary *v) {
    v->pre = "gpt-2 phi-2";
}
static void no_merges(Vocabulary *v) {
    v->has_merges = false;
}
static void merge_without_space(Vocabulary *v) {
    v->merges[2] = STR("hell");
}
static void merge_empty(Vocabulary *v) {
    v->merges[2] = STR("");
}
static void merge_without_right(Vocabulary *v) {
    v->merges[2] = STR("he ");
}
static void merge_unknown_left(Vocabulary *v) {
    v->merges[2] = STR("qq l");
}
static void merge_unknown_right(Vocabulary *v) {
    v->merges[2] = STR("h lo");
}
static void merge_unknown_whole(Vocabulary *v) {
    v->merges[2] = STR("h h");
}
static void merge_of_three(Vocabulary *v) {
    v->merges[2] = STR("h e l");
}
static void byte_token_in_words(Vocabulary *v) {
    v->tokens[4].text = STR("<byte>");
    v->tokens[4].type = TOKEN_BYTE;
}

// ---- SentencePiece

static void no_scores(Vocabulary *v) {
    v->n_scores = 0;
}
static void score_not_a_number(Vocabulary *v) {
    v->tokens[SPM_AB].score = NAN;
}
static void byte_token_missing(Vocabulary *v) {
    v->tokens[BYTE_0 + 0x41].type = TOKEN_NORMAL;
    v->tokens[BYTE_0 + 0x41].text = STR("<0x41");
}
static void byte_token_lower_case(Vocabulary *v) {
    v->tokens[BYTE_0 + 0xAB].text = STR("<0xab>");
}
static void no_bytes_and_no_unknown(Vocabulary *v) {
    for (size_t b = 0; b < 256; b++) {
        v->tokens[BYTE_0 + b].type = TOKEN_NORMAL;
        v->texts[b][1] = '1'; // <1xNN>
    }
    v->unknown = KEY_ABSENT;
}

typedef struct {
    void (*spoil)(Vocabulary *v);
    const char *message; // a part of it
} Case;

static void all_refused(void (*valid)(Vocabulary *v), const Case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        Vocabulary v;
        Err err = {0};
        valid(&v);
        cases[i].spoil(&v);
        assert_null(vocabulary_open(&v, &err));
        assert_int_equal(err.kind, ERR_FORMAT);
        if (!strstr(err.text, cases[i].message))
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, cases[i].message);
    }
}

static const Case either[] = {
    {no_model, "tokenizer.ggml.model"},
    {model_bert, "'bert' is not supported; gpt2 (byte-level BPE), llama"},
    {model_t5, "'t5' is not supported"},
    {model_rwkv, "'rwkv' is not supported"},
    {no_tokens, "'tokenizer.ggml.tokens': missing"},
    {empty_tokens, "0 tokens"},
    {no_types, "'tokenizer.ggml.token_type' is missing"},
    {too_few_types, "'tokenizer.ggml.token_type': "},
    {type_0, "token 5 '"},
    {type_7, "type 7, expected 1 to 6"},
    {too_few_scores, "'tokenizer.ggml.scores': "},
    {duplicate_token, "token 7 '"},
    {token_not_utf8, "token 4: its text is not UTF-8"},
    {token_cut_character, "token 4: its text is not UTF-8"},
    {token_surrogate, "token 4: its text is not UTF-8"},
    {token_too_long, "token 4: 4097 bytes long"},
    {bos_beyond, "'tokenizer.ggml.bos_token_id': 267, expected"},
    {eos_beyond, "'tokenizer.ggml.eos_token_id': 1073741824, expected"},
    {adds_absent_bos, "'tokenizer.ggml.bos_token_id' is missing"},
    {adds_absent_eos, "'tokenizer.ggml.eos_token_id' is missing"},
};

static void test_malformed_bpe_is_refused(void **state) {
    (void)state;
    static const Case bpe[] = {
        {no_pre, "'tokenizer.ggml.pre': missing"},
        {pre_unknown, "'gpt-5' is not known; known are: gpt-4o"},
        {pre_empty, "'' is not known"},
        {pre_two_names, "'gpt-2 phi-2' is not known"},
        {no_merges, "'tokenizer.ggml.merges': missing"},
        {merge_without_space, "merge 2 'hell': expected two texts"},
        {merge_empty, "merge 2 '': expected two texts"},
        {merge_without_right, "merge 2 'he ': expected two texts"},
        {merge_unknown_left, "merge 2 'qq l': the vocabulary lacks 'qq'"},
        {merge_unknown_right, "merge 2 'h lo': the vocabulary lacks 'lo'"},
        {merge_unknown_whole, "merge 2 'h h': the vocabulary lacks 'hh'"},
        {merge_of_three, "merge 2 'h e l': the vocabulary lacks 'e l'"},
        {byte_token_in_words, "token 4 '<byte>': not a byte token, expected <0x00>"},
    };
    all_refused(vocabulary_bpe, either, COUNT_OF(either));
    all_refused(vocabulary_bpe, bpe, COUNT_OF(bpe));
}

static void test_malformed_spm_is_refused(void **state) {
    (void)state;
    static const Case spm[] = {
        {no_scores, "'tokenizer.ggml.scores' is missing"},
        {score_not_a_number, "token 259 'ab': its score is NaN"},
        {byte_token_missing,
         "byte token <0x41> is missing, expected all 256; the vocabulary has 255 others"},
        {byte_token_lower_case, "token 174 '<0xab>': not a byte token, expected <0x00>"},
        {no_bytes_and_no_unknown, "neither byte tokens nor"},
    };
    all_refused(vocabulary_spm, either, COUNT_OF(either));
    all_refused(vocabulary_spm, spm, COUNT_OF(spm));
}

// The message must not be cut: every name fits into an Err.
static void test_unknown_pre_tokenizer_lists_all(void **state) {
    (void)state;
    Vocabulary v;
    Err err = {0};
    vocabulary_bpe(&v);
    v.pre = "a-name-far-longer-than-any-pre-tokenizer-has-ever-been-given-so-far-and-longer-still";
    assert_null(vocabulary_open(&v, &err));
    assert_non_null(strstr(err.text, " viking"));
}

static void test_missing_bos_stated_as_minus_one(void **state) {
    (void)state;
    Vocabulary v;
    Err err = {0};
    vocabulary_bpe(&v);
    v.bos = UINT32_MAX;
    Tokenizer *t = vocabulary_open(&v, &err);
    assert_non_null(t);
    assert_int_equal(tokenizer_bos(t), NO_TOKEN);
    tokenizer_close(t);
}

// Holes in the table have no text; several of them are no duplicates.
static void test_empty_tokens_are_holes(void **state) {
    (void)state;
    Vocabulary v;
    Err err = {0};
    vocabulary_bpe(&v);
    vocabulary_add(&v, STR(""), TOKEN_CONTROL, 0);
    vocabulary_add(&v, STR(""), TOKEN_NORMAL, 0);
    Tokenizer *t = vocabulary_open(&v, &err);
    assert_non_null(t);
    TokenList ids = {0};
    assert_true(tokenizer_encode(t, STR("x"), TOKENIZER_PARSE_SPECIAL, &ids, &err));
    assert_int_equal(ids.count, 1);
    assert_int_equal(tokenizer_find(t, STR("")), NO_TOKEN);
    token_list_free(&ids);
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_bpe_is_refused),
        cmocka_unit_test(test_malformed_spm_is_refused),
        cmocka_unit_test(test_unknown_pre_tokenizer_lists_all),
        cmocka_unit_test(test_missing_bos_stated_as_minus_one),
        cmocka_unit_test(test_empty_tokens_are_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
