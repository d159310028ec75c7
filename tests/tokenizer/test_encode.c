// Encoding, by vocabularies small enough to work out by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/size.h"
#include "tokenizer/vocabulary.h"

static Tokenizer *open(const Vocabulary *v) {
    Err err = {0};
    Tokenizer *t = vocabulary_open(v, &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

static Tokenizer *open_bpe(void) {
    Vocabulary v;
    vocabulary_bpe(&v);
    return open(&v);
}

static Tokenizer *open_spm(void) {
    Vocabulary v;
    vocabulary_spm(&v);
    return open(&v);
}

#define IDS(...) ((const uint32_t[]){__VA_ARGS__}), COUNT_OF(((const uint32_t[]){__VA_ARGS__}))

static void gives(const Tokenizer *t, Str text, unsigned flags, const uint32_t *ids, size_t n) {
    TokenList found = {0};
    Err err = {0};
    assert_true(tokenizer_encode(t, text, flags, &found, &err));
    assert_int_equal(found.count, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(found.at[i], ids[i]);
    token_list_free(&found);
}

static void test_merges_in_order_of_rank(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("hello"), 0, IDS(HELLO));
    gives(t, STR("hellx"), 0, IDS(HELL, 'x'));
    gives(t, STR("hel"), 0, IDS(HE, 'l'));
    tokenizer_close(t);
}

static void test_equal_pairs_join_from_the_left(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("aaa"), 0, IDS(AA, 'a'));
    gives(t, STR("aaaaa"), 0, IDS(AA, AA, 'a'));
    gives(t, STR("hehe"), 0, IDS(HE, HE));
    tokenizer_close(t);
}

static void test_first_of_equal_merges_counts(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.merges[v.n_merges++] = STR("h e"); // again, last
    Tokenizer *t = open(&v);
    gives(t, STR("hello"), 0, IDS(HELLO));
    tokenizer_close(t);
}

static void test_words_are_not_joined(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    // "a" and "1" are words of their own in GPT-2's pattern, so "a" meets no other "a".
    gives(t, STR("a1a"), 0, IDS('a', '1', 'a'));
    gives(t, STR("a a"), 0, IDS('a', ' ', 'a'));
    tokenizer_close(t);
}

static void test_whole_words_only_where_merges_are_ignored(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.adds_bos = 0;
    Tokenizer *t = open(&v);
    gives(t, STR("xyz"), 0, IDS('x', 'y', 'z'));
    tokenizer_close(t);
    v.pre = "llama-bpe";
    t = open(&v);
    gives(t, STR("xyz"), 0, IDS(XYZ));
    gives(t, STR("xyzz"), 0, IDS('x', 'y', 'z', 'z'));
    tokenizer_close(t);
    // A word never becomes a special token, whatever it spells.
    v.tokens[HOLE].text = STR("pad");
    v.tokens[END].text = STR("end");
    t = open(&v);
    gives(t, STR("pad end"), 0, IDS('p', 'a', 'd', ' ', 'e', 'n', 'd'));
    tokenizer_close(t);
}

static void test_control_tokens_only_on_request(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("x<|end|>"), TOKENIZER_PARSE_SPECIAL, IDS('x', END));
    gives(t, STR("x<|end|>"), 0, IDS('x', '<', '|', 'e', 'n', 'd', '|', '>'));
    tokenizer_close(t);
}

static void test_user_defined_tokens_always(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("<tool>  x"), 0, IDS(TOOL, SPACES, 'x'));
    gives(t, STR("<tool>x"), TOKENIZER_PARSE_SPECIAL, IDS(TOOL, 'x'));
    tokenizer_close(t);
}

static void test_longest_special_token_at_one_place(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("<|end|>of"), TOKENIZER_PARSE_SPECIAL, IDS(END_OF));
    gives(t, STR("<|end|>o"), TOKENIZER_PARSE_SPECIAL, IDS(END, 'o'));
    gives(t, STR("<|end|><|end|>off"), TOKENIZER_PARSE_SPECIAL, IDS(END, END_OF, 'f'));
    tokenizer_close(t);
}

static void test_leftmost_special_token_before_a_longer_one(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    vocabulary_add(&v, STR("xx"), TOKEN_CONTROL, 0);
    vocabulary_add(&v, STR("xyyyy"), TOKEN_CONTROL, 0);
    Tokenizer *t = open(&v);
    gives(t, STR("xxyyyy"), TOKENIZER_PARSE_SPECIAL, IDS(BPE_TOKENS, 'y', 'y', 'y', 'y'));
    tokenizer_close(t);
}

static void test_unused_tokens_never(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("[PAD]"), TOKENIZER_PARSE_SPECIAL, IDS('[', 'P', 'A', 'D', ']'));
    tokenizer_close(t);
}

// A token that was added to the vocabulary is spelt with plain spaces there, and with U+0120 in the
// merges.
static void test_merge_of_an_added_token(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.merges[v.n_merges++] = STR("\u0120 \u0120");
    Tokenizer *t = open(&v);
    tokenizer_close(t);
}

static void test_merges_never_make_a_control_token(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.tokens[HE].type = TOKEN_CONTROL;
    Tokenizer *t = open(&v);
    gives(t, STR("hello"), 0, IDS('h', 'e', LL, 'o'));
    gives(t, STR("hello"), TOKENIZER_PARSE_SPECIAL, IDS(HE, LL, 'o'));
    tokenizer_close(t);
}

// A plain space is not in the byte alphabet (U+0120 stands for it): the token " " is none of text.
static void test_tokens_outside_the_byte_alphabet_are_not_made(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.pre = "llama-bpe";
    v.adds_bos = 0;
    vocabulary_add(&v, STR(" "), TOKEN_NORMAL, 0);
    vocabulary_add(&v, STR("\u65E5"), TOKEN_NORMAL, 0);
    Tokenizer *t = open(&v);
    gives(t, STR(" "), 0, IDS(' '));
    gives(t, STR("\u65E5"), 0, IDS(0xE6, 0x97, 0xA5));
    assert_true(str_is(tokenizer_piece(t, BPE_TOKENS + 1), "\u65E5"));
    tokenizer_close(t);
}

static void test_begin_and_end_by_the_models_policy(void **state) {
    (void)state;
    const unsigned all = TOKENIZER_ADD_BOS | TOKENIZER_ADD_EOS;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.bos = END;
    v.eos = END_OF;
    Tokenizer *t = open(&v); // gpt-2 states no policy: neither
    gives(t, STR("x"), all, IDS('x'));
    tokenizer_close(t);
    v.adds_bos = v.adds_eos = 1;
    t = open(&v);
    gives(t, STR("x"), all, IDS(END, 'x', END_OF));
    gives(t, STR("x"), TOKENIZER_ADD_BOS, IDS(END, 'x'));
    gives(t, STR("x"), 0, IDS('x'));
    gives(t, STR(""), all, IDS(END, END_OF));
    tokenizer_close(t);
    v.adds_bos = KEY_ABSENT;
    v.pre = "llama-bpe"; // begins with it unless told otherwise
    t = open(&v);
    assert_true(tokenizer_adds_bos(t));
    tokenizer_close(t);
    v.adds_bos = 0;
    t = open(&v);
    assert_false(tokenizer_adds_bos(t));
    tokenizer_close(t);
}

static void test_broken_utf8_is_one_replacement_a_part(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, STR("\x80"), 0, IDS(0xEF, 0xBF, 0xBD));
    gives(t, STR("\xE2\x82"), 0, IDS(0xEF, 0xBF, 0xBD));       // a cut character counts once
    gives(t, STR("\xE2\x82x"), 0, IDS(0xEF, 0xBF, 0xBD, 'x')); // and leaves what follows alone
    gives(t, STR("\xC0\xAF"), 0, IDS(0xEF, 0xBF, 0xBD, 0xEF, 0xBF, 0xBD)); // overlong: each byte
    gives(t, STR("\xEF\xBF\xBD"), 0, IDS(0xEF, 0xBF, 0xBD));               // the character itself
    tokenizer_close(t);
}

static void test_text_with_nul(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    gives(t, (Str){"a\0b", 3}, 0, IDS('a', 0, 'b'));
    tokenizer_close(t);
}

// As HF tokenizers: what has no token is not there, so its neighbours meet.
static void test_bytes_without_a_token_are_left_out(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_bpe(&v);
    v.tokens['!'].text = STR("[HOLE]");
    v.tokens['!'].type = TOKEN_UNUSED;
    v.tokens['?'].text = STR("[HOLE 2]");
    v.tokens['?'].type = TOKEN_UNUSED;
    v.merges[4] = STR("- -");
    v.tokens[AA].text = STR("--");
    Tokenizer *t = open(&v);
    gives(t, STR("-!-"), 0, IDS(AA));
    gives(t, STR("a?!?b"), 0, IDS('a', 'b'));
    tokenizer_close(t);
}

static void test_ids_are_appended(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    TokenList ids = {0};
    assert_true(tokenizer_encode(t, STR("he"), 0, &ids, NULL));
    assert_true(tokenizer_encode(t, STR("ll"), 0, &ids, NULL));
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.at[0], HE);
    assert_int_equal(ids.at[1], LL);
    token_list_free(&ids);
    tokenizer_close(t);
}

static void test_text_too_long_is_refused(void **state) {
    (void)state;
    Tokenizer *t = open_bpe();
    TokenList ids = {0};
    Err err = {0};
    assert_false(tokenizer_encode(t, (Str){"", (size_t)TOKENIZER_MAX_TEXT + 1}, 0, &ids, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.text, "268435457"));
    assert_int_equal(ids.count, 0);
    tokenizer_close(t);
}

static void test_best_score_joins_first(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    v.adds_space_prefix = 0;
    Tokenizer *t = open(&v);
    gives(t, STR("ab"), 0, IDS(SPM_AB));
    gives(t, STR("abc"), 0, IDS(SPM_ABC));
    gives(t, STR(" ab"), 0, IDS(SPM__, SPM_AB)); // "ab" before " a"
    gives(t, STR(" aab"), 0, IDS(SPM__A, SPM_AB));
    tokenizer_close(t);
}

static void test_space_before_each_stretch_of_text(void **state) {
    (void)state;
    Tokenizer *t = open_spm();
    gives(t, STR("a"), 0, IDS(SPM__A));
    gives(t, STR("<|end|>a"), TOKENIZER_PARSE_SPECIAL, IDS(SPM_END, SPM__A));
    gives(t, STR("a<|end|>"), TOKENIZER_PARSE_SPECIAL | TOKENIZER_ADD_BOS,
          IDS(BOS, SPM__A, SPM_END));
    gives(t, STR(""), TOKENIZER_ADD_BOS, IDS(BOS));
    tokenizer_close(t);
}

static void test_spaces_are_joined_where_the_model_wants(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    v.joins_spaces = 1;
    Tokenizer *t = open(&v);
    gives(t, STR("  b   b  "), 0, IDS(SPM__, SPM_B, SPM__, SPM_B));
    gives(t, STR("   "), TOKENIZER_ADD_BOS, IDS(BOS));
    tokenizer_close(t);
}

static void test_characters_without_a_token_are_spelt_in_bytes(void **state) {
    (void)state;
    Tokenizer *t = open_spm();
    gives(t, STR("a\u00E9"), 0, IDS(SPM__A, BYTE_0 + 0xC3, BYTE_0 + 0xA9));
    // Text that spells a byte or a control token is text.
    gives(t, STR("a<s>"), 0, IDS(SPM__A, BYTE_0 + '<', BYTE_0 + 's', BYTE_0 + '>'));
    tokenizer_close(t);
}

static void test_joining_never_makes_a_control_token(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    v.adds_space_prefix = 0;
    v.tokens[SPM_A].text = STR("<");
    v.tokens[SPM_B].text = STR("s");
    v.tokens[SPM_C].text = STR(">");
    v.tokens[SPM_AB].text = STR("<s");
    Tokenizer *t = open(&v);
    gives(t, STR("<s>"), 0, IDS(SPM_AB, SPM_C));
    tokenizer_close(t);
}

static void test_score_of_zero_has_no_sign(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    v.adds_space_prefix = 0;
    v.tokens[SPM_AB].score = 0.0f;
    v.tokens[SPM_ABC].text = STR("bb");
    v.tokens[SPM_ABC].score = -0.0f;
    Tokenizer *t = open(&v);
    gives(t, STR("abb"), 0, IDS(SPM_AB, SPM_B)); // equal scores: from the left
    gives(t, STR("bbab"), 0, IDS(SPM_ABC, SPM_AB));
    tokenizer_close(t);
}

static void test_positive_scores_come_before_negative(void **state) {
    (void)state;
    Vocabulary v;
    vocabulary_spm(&v);
    v.adds_space_prefix = 0;
    v.tokens[SPM_ABC].text = STR("bc");
    v.tokens[SPM_ABC].score = 2.5f; // against -1 for "ab"
    Tokenizer *t = open(&v);
    gives(t, STR("abc"), 0, IDS(SPM_A, SPM_ABC));
    tokenizer_close(t);
    v.tokens[SPM_AB].score = 3.5f;
    t = open(&v);
    gives(t, STR("abc"), 0, IDS(SPM_AB, SPM_C));
    tokenizer_close(t);
}

typedef struct {
    const Tokenizer *tokenizer;
    bool ok;
} Job;

static void *encode_often(void *context) {
    Job *job = context;
    TokenList ids = {0};
    job->ok = true;
    for (int i = 0; i < 200; i++) {
        ids.count = 0;
        job->ok = job->ok && tokenizer_encode(job->tokenizer, STR("hello  a1aaa<|end|>"),
                                              TOKENIZER_PARSE_SPECIAL, &ids, NULL);
        job->ok = job->ok && ids.count == 7 && ids.at[0] == HELLO && ids.at[6] == END;
    }
    token_list_free(&ids);
    return NULL;
}

static void test_threads_may_share_one(void **state) {
    (void)state;
    enum { N_THREADS = 4 };
    Tokenizer *t = open_bpe();
    pthread_t threads[N_THREADS];
    Job jobs[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        jobs[i] = (Job){.tokenizer = t};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, &jobs[i]), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(jobs[i].ok);
    }
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_in_order_of_rank),
        cmocka_unit_test(test_equal_pairs_join_from_the_left),
        cmocka_unit_test(test_first_of_equal_merges_counts),
        cmocka_unit_test(test_words_are_not_joined),
        cmocka_unit_test(test_whole_words_only_where_merges_are_ignored),
        cmocka_unit_test(test_control_tokens_only_on_request),
        cmocka_unit_test(test_user_defined_tokens_always),
        cmocka_unit_test(test_longest_special_token_at_one_place),
        cmocka_unit_test(test_leftmost_special_token_before_a_longer_one),
        cmocka_unit_test(test_unused_tokens_never),
        cmocka_unit_test(test_merge_of_an_added_token),
        cmocka_unit_test(test_merges_never_make_a_control_token),
        cmocka_unit_test(test_tokens_outside_the_byte_alphabet_are_not_made),
        cmocka_unit_test(test_begin_and_end_by_the_models_policy),
        cmocka_unit_test(test_broken_utf8_is_one_replacement_a_part),
        cmocka_unit_test(test_text_with_nul),
        cmocka_unit_test(test_bytes_without_a_token_are_left_out),
        cmocka_unit_test(test_ids_are_appended),
        cmocka_unit_test(test_text_too_long_is_refused),
        cmocka_unit_test(test_best_score_joins_first),
        cmocka_unit_test(test_space_before_each_stretch_of_text),
        cmocka_unit_test(test_spaces_are_joined_where_the_model_wants),
        cmocka_unit_test(test_characters_without_a_token_are_spelt_in_bytes),
        cmocka_unit_test(test_joining_never_makes_a_control_token),
        cmocka_unit_test(test_score_of_zero_has_no_sign),
        cmocka_unit_test(test_positive_scores_come_before_negative),
        cmocka_unit_test(test_threads_may_share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
