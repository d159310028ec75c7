// What the vote reads: answers of conversations are scored and questions are not, whatever is read
// stays within the original context, and a long text scores only what lies behind it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tokenizer/tokenizer.h"
#include "vote/vote.h"

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Tokenizer *tokenizer;
} Hello;

static int open_hello(void **state) {
    static Hello hello;
    Err err = {0};
    hello = (Hello){0};
    *state = &hello;
    return gguf_open(&hello.g, &hello.arena, LATHE_MODELS "/hello-phi3-q8_0.gguf", &err) &&
                   model_read(&hello.model, &hello.g, &hello.arena, &err) &&
                   (hello.tokenizer = tokenizer_open(&hello.g, &err))
               ? 0
               : -1;
}

static int close_hello(void **state) {
    Hello *hello = *state;
    tokenizer_close(hello->tokenizer);
    gguf_close(&hello->g);
    arena_free(&hello->arena);
    return 0;
}

static const Use as_published = {.repeat_penalty = 1};

static VoteTexts built_in(Hello *hello, const Contract *c) {
    VoteTexts texts;
    Err err = {0};
    assert_true(vote_texts_open(&texts, NULL, &hello->g, c, &as_published, &hello->arena, &err));
    return texts;
}

static void scored_text(const Hello *hello, const VoteText *t, StrBuf *out) {
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (!t->is_scored[i]) continue;
        strbuf_add(out, tokenizer_piece(hello->tokenizer, t->ids[i]));
        n++;
    }
    assert_int_equal(n, t->n_scored);
}

static void test_answers_are_scored_and_questions_are_not(void **state) {
    Hello *hello = *state;
    VoteTexts texts = built_in(hello, &hello->model.contract);
    StrBuf said = {0};
    scored_text(hello, &texts.at[0], &said);
    assert_string_equal(said.at, "```python\nprint(\"Hello, World!\")\n```<|end|>"
                                 "car bus car car bus car bus bus car<|end|>"
                                 "12<|end|>"
                                 "white blue green red");
    strbuf_free(&said);
}

static void test_plain_text_is_scored_but_for_its_first_token(void **state) {
    Hello *hello = *state;
    VoteTexts texts = built_in(hello, &hello->model.contract);
    for (size_t i = 0; i < texts.count; i++) {
        const VoteText *t = &texts.at[i];
        assert_false(t->is_scored[0]);
        if (strcmp(t->kind, "chat") != 0) assert_int_equal(t->n_scored, t->n - 1);
    }
}

static void test_lists_for_doubts_are_repeated_and_reversed(void **state) {
    Hello *hello = *state;
    VoteTexts texts = built_in(hello, &hello->model.contract);
    const VoteText *t = &texts.at[0];
    while (!t->is_for_doubts) t++;
    for (const VoteText *rest = t; rest < texts.at + texts.count; rest++)
        assert_true(rest->is_for_doubts); // they come last
    StrBuf all = {0}, said = {0};
    for (size_t i = 0; i < t->n; i++)
        strbuf_add(&all, tokenizer_piece(hello->tokenizer, t->ids[i]));
    scored_text(hello, t, &said);
    // The first list is repeated as it stands, the second turned round.
    const char *list = strstr(all.at, "Repeat these words: ") + strlen("Repeat these words: ");
    size_t n = (size_t)(strstr(list, "<|end|>") - list);
    assert_memory_equal(said.at, list, n);
    list = strstr(all.at, "Reverse these words: ") + strlen("Reverse these words: ");
    const char *last = strstr(list, "<|end|>"), *answer = strstr(said.at, "<|end|>") + 7;
    while (last[-1] != ' ') last--;
    assert_memory_equal(answer, last, (size_t)(strstr(last, "<|end|>") - last));
    strbuf_free(&all);
    strbuf_free(&said);
}

static void test_texts_are_cut_at_the_original_context(void **state) {
    Hello *hello = *state;
    Contract c = hello->model.contract;
    c.original_context = 40;
    VoteTexts texts = built_in(hello, &c);
    for (size_t i = 0; i < texts.count; i++) assert_true(texts.at[i].n <= 40);
}

static void test_long_texts_score_what_lies_beyond(void **state) {
    Hello *hello = *state;
    Contract c = hello->model.contract;
    c.original_context = 40;
    VoteTexts texts = built_in(hello, &c), out;
    bool *is_known = arena_array(&hello->arena, texts.count, bool);
    is_known[0] = true;
    vote_texts_lengthen(&out, &texts, is_known, &c, &hello->arena);
    assert_int_equal(out.count, 2);
    const VoteText *t = &out.at[0];
    assert_int_equal(t->n, 40 + 192);
    assert_true(t->n_scored > 50);
    for (size_t i = 0; i < t->n; i++) {
        assert_int_equal(t->ids[i], texts.at[0].ids[i % texts.at[0].n]);
        // 40 tokens before it are still a sequence within the original context.
        if (i <= 40) assert_false(t->is_scored[i]);
    }
    assert_true(out.at[1].is_for_use && out.at[1].n == 40 + 64 && out.at[1].n_scored > 30);
    c.context = 100; // ends before 192 more
    vote_texts_lengthen(&out, &texts, is_known, &c, &hello->arena);
    assert_int_equal(out.at[0].n, 100);
    c.context = 40; // nothing beyond
    vote_texts_lengthen(&out, &texts, is_known, &c, &hello->arena);
    assert_int_equal(out.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_scored_and_questions_are_not),
        cmocka_unit_test(test_plain_text_is_scored_but_for_its_first_token),
        cmocka_unit_test(test_lists_for_doubts_are_repeated_and_reversed),
        cmocka_unit_test(test_texts_are_cut_at_the_original_context),
        cmocka_unit_test(test_long_texts_score_what_lies_beyond),
    };
    return cmocka_run_group_tests(tests, open_hello, close_hello);
}
