// Tokens to text, as they come: only whole characters leave, and none gets lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/size.h"
#include "tokenizer/vocabulary.h"

typedef struct {
    Tokenizer *tokenizer;
    Detokenizer d;
    StrBuf out;
} Stream;

static void start(Stream *s, void (*kind)(Vocabulary *v), unsigned flags) {
    Vocabulary v;
    Err err = {0};
    kind(&v);
    s->tokenizer = vocabulary_open(&v, &err);
    if (!s->tokenizer) fail_msg("%s", err.text);
    s->d = detokenizer_start(s->tokenizer, flags);
    s->out = (StrBuf){0};
}

static void stop(Stream *s) {
    strbuf_free(&s->out);
    tokenizer_close(s->tokenizer);
}

// What token `id` gives is `text`.
static void add_gives(Stream *s, uint32_t id, const char *text) {
    s->out.len = 0;
    detokenizer_add(&s->d, id, &s->out);
    assert_int_equal(s->out.len, strlen(text));
    assert_memory_equal(strbuf_str(&s->out).at, text, s->out.len);
}

static void flush_gives(Stream *s, const char *text) {
    s->out.len = 0;
    detokenizer_flush(&s->d, &s->out);
    assert_int_equal(s->out.len, strlen(text));
    assert_memory_equal(strbuf_str(&s->out).at, text, s->out.len);
}

static void test_character_waits_for_its_last_byte(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    add_gives(&s, 0xF0, "");
    add_gives(&s, 0x9F, "");
    add_gives(&s, 0x98, "");
    add_gives(&s, 0x80, "\U0001F600");
    add_gives(&s, 0xC3, "");
    add_gives(&s, 0xA9, "\u00E9");
    flush_gives(&s, "");
    stop(&s);
}

static void test_cut_character_is_one_replacement(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    add_gives(&s, 0xE2, "");
    add_gives(&s, 0x82, "");
    add_gives(&s, 'x', "\uFFFDx");
    add_gives(&s, 0xE2, "");
    add_gives(&s, 0xC3, "\uFFFD"); // and 0xC3 begins anew
    add_gives(&s, 0xA9, "\u00E9");
    stop(&s);
}

static void test_flush_replaces_what_is_held(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    add_gives(&s, 0xF0, "");
    add_gives(&s, 0x9F, "");
    flush_gives(&s, "\uFFFD");
    flush_gives(&s, "");
    add_gives(&s, 0x9F, "\uFFFD"); // the held bytes are gone
    stop(&s);
}

static void test_bytes_that_begin_nothing(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    add_gives(&s, 0x80, "\uFFFD");
    add_gives(&s, 0xFF, "\uFFFD");
    add_gives(&s, 0xC0, "\uFFFD");
    add_gives(&s, 0xED, "");
    add_gives(&s, 0xA0, "\uFFFD\uFFFD"); // a surrogate: no byte belongs to another
    add_gives(&s, 0xF4, "");
    add_gives(&s, 0x90, "\uFFFD\uFFFD"); // past U+10FFFF
    stop(&s);
}

static void test_nul_is_text(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    detokenizer_add(&s.d, 0, &s.out);
    assert_int_equal(s.out.len, 1);
    assert_int_equal(s.out.at[0], 0);
    stop(&s);
}

static void test_control_tokens_are_silent(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, 0);
    add_gives(&s, END, "");
    add_gives(&s, 0xC3, "");
    add_gives(&s, END, ""); // not even between the bytes of a character
    add_gives(&s, 0xA9, "\u00E9");
    add_gives(&s, TOOL, "<tool>");
    stop(&s);
}

static void test_control_tokens_on_request(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, DETOKENIZER_SHOW_CONTROL);
    add_gives(&s, END, "<|end|>");
    add_gives(&s, 0xC3, "");
    add_gives(&s, END, "\uFFFD<|end|>");
    stop(&s);
}

static void test_id_out_of_range_is_silent(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_bpe, DETOKENIZER_SHOW_CONTROL);
    add_gives(&s, BPE_TOKENS, "");
    add_gives(&s, NO_TOKEN, "");
    assert_int_equal(tokenizer_piece(s.tokenizer, BPE_TOKENS).len, 0);
    stop(&s);
}

static void test_first_space_is_the_encoders(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_spm, 0);
    add_gives(&s, BOS, ""); // silent, hence not the first
    add_gives(&s, SPM__A, "a");
    add_gives(&s, SPM__A, " a");
    stop(&s);
}

static void test_first_space_alone(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_spm, 0);
    add_gives(&s, SPM__, "");
    add_gives(&s, SPM__, " ");
    stop(&s);
}

static void test_space_of_a_byte_token_counts(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_spm, 0);
    add_gives(&s, BYTE_0 + ' ', "");
    add_gives(&s, SPM_A, "a");
    stop(&s);
}

static void test_first_space_stays_in_mid_text(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_spm, DETOKENIZER_MID_TEXT);
    add_gives(&s, SPM__A, " a");
    stop(&s);
}

static void no_prefix(Vocabulary *v) {
    vocabulary_spm(v);
    v->adds_space_prefix = 0;
}

static void test_first_space_stays_where_none_is_added(void **state) {
    (void)state;
    Stream s;
    start(&s, no_prefix, 0);
    add_gives(&s, SPM__A, " a");
    stop(&s);
}

static void test_byte_tokens_make_characters(void **state) {
    (void)state;
    Stream s;
    start(&s, vocabulary_spm, 0);
    add_gives(&s, BYTE_0 + 0xE2, "");
    add_gives(&s, BYTE_0 + 0x82, "");
    add_gives(&s, BYTE_0 + 0xAC, "\u20AC");
    stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_character_waits_for_its_last_byte),
        cmocka_unit_test(test_cut_character_is_one_replacement),
        cmocka_unit_test(test_flush_replaces_what_is_held),
        cmocka_unit_test(test_bytes_that_begin_nothing),
        cmocka_unit_test(test_nul_is_text),
        cmocka_unit_test(test_control_tokens_are_silent),
        cmocka_unit_test(test_control_tokens_on_request),
        cmocka_unit_test(test_id_out_of_range_is_silent),
        cmocka_unit_test(test_first_space_is_the_encoders),
        cmocka_unit_test(test_first_space_alone),
        cmocka_unit_test(test_space_of_a_byte_token_counts),
        cmocka_unit_test(test_first_space_stays_in_mid_text),
        cmocka_unit_test(test_first_space_stays_where_none_is_added),
        cmocka_unit_test(test_byte_tokens_make_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
