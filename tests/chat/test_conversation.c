// A conversation with the reference on hello-phi3: what is found in the cache, what a rewind
// leaves, where the context ends, and that a turn which cannot be said leaves nothing behind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "chat/conversation.h"

#define MODEL LATHE_MODELS "/hello-phi3-q8_0.gguf"

static const Use greedy = {.top_p = 1, .repeat_penalty = 1};

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Session *session;
    PromptFormat *format;
    Conversation *chat;
    StrBuf answer;
    size_t n_calls, stop_at; // calls of take(); which of them stops (0: none)
} Fixture;

static double fake_seconds(void) {
    static double now;
    return now += 1;
}

static void open_with(Fixture *t, uint32_t context, const Use *use, uint32_t max_tokens) {
    Err err = {0};
    *t = (Fixture){0};
    ConversationOptions options = {.generator = {.sampling = sampler_options(use, 7),
                                                 .max_tokens = max_tokens,
                                                 .seconds = fake_seconds}};
    if (!gguf_open(&t->g, &t->arena, MODEL, &err) ||
        !model_read(&t->model, &t->g, &t->arena, &err) ||
        !(t->session =
              session_open(model_runner_open_reference(
                               &t->model, &(ReferenceOptions){.n_positions = context}, NULL, &err),
                           &err)) ||
        !(t->format = prompt_format_open(&t->g, &t->model.contract, use, &err)) ||
        !(t->chat = conversation_open(t->session, t->format, &options, &err)))
        fail_msg("%s", err.text);
}

static void open_fixture(Fixture *t, uint32_t context, uint32_t max_tokens) {
    open_with(t, context, &greedy, max_tokens);
}

static void close_fixture(Fixture *t) {
    conversation_close(t->chat);
    prompt_format_close(t->format);
    session_close(t->session);
    strbuf_free(&t->answer);
    gguf_close(&t->g);
    arena_free(&t->arena);
}

static bool take(void *context, Str text) {
    Fixture *t = context;
    strbuf_add(&t->answer, text);
    return ++t->n_calls != t->stop_at;
}

static bool say(Fixture *t, const char *text, GeneratorStats *stats, Err *err) {
    t->answer.len = t->n_calls = 0;
    return conversation_say(t->chat, str_of(text), take, t, NULL, stats, err);
}

static void must_say(Fixture *t, const char *text, GeneratorStats *stats) {
    Err err = {0};
    if (!say(t, text, stats, &err)) fail_msg("%s", err.text);
}

// Ids of some messages, of which every other is the user's, with the beginning of an answer.
static size_t count_ids(const Fixture *t, const char *const *texts, size_t n) {
    json_t *messages = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            messages,
            json_pack("{s:s, s:s}", "role", i % 2 ? "assistant" : "user", "content", texts[i]));
    TokenList ids = {0};
    Prompt prompt = {.messages = messages, .adds_generation_prompt = true};
    assert_true(prompt_format_encode(t->format, &prompt, &ids, NULL));
    size_t count = ids.count;
    token_list_free(&ids);
    json_decref(messages);
    return count;
}

static void test_second_turn_finds_the_first_in_the_cache(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats first, second;
    open_fixture(&t, 512, 0);
    const char *texts[3] = {"My name is Paul.", NULL, "What is my name?"};
    must_say(&t, texts[0], &first);
    assert_int_equal(first.n_reused, 0);
    assert_int_equal(first.n_prompt, count_ids(&t, texts, 1));
    size_t position = session_position(t.session);
    assert_int_equal(position, first.n_prompt + first.n_answer);

    char *said = strndup(t.answer.at, t.answer.len);
    texts[1] = said;
    must_say(&t, texts[2], &second);
    assert_int_equal(second.stop, STOP_END_OF_TURN);
    // All that was fed is the beginning of the longer conversation.
    assert_int_equal(second.n_reused, position);
    assert_int_equal(second.n_reused + second.n_prompt, count_ids(&t, texts, 3));
    assert_non_null(strstr(t.answer.at, "Paul"));
    free(said);
    close_fixture(&t);
}

static void test_the_same_answer_with_and_without_the_cache(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 512, 0);
    conversation_set_system(t.chat, "You are terse.");
    must_say(&t, "Count from 3 to 9.", &stats);
    char *fresh = strndup(t.answer.at, t.answer.len);
    size_t n_prompt = stats.n_prompt;
    // Another conversation over the same session finds what the first one left.
    Err err = {0};
    ConversationOptions options = {.generator = {.sampling = sampler_options(&greedy, 0)}};
    conversation_close(t.chat);
    t.chat = conversation_open(t.session, t.format, &options, &err);
    if (!t.chat) fail_msg("%s", err.text);
    conversation_set_system(t.chat, "You are terse.");
    must_say(&t, "Count from 3 to 9.", &stats);
    // Found up to the last token of the question, which is fed for its logits.
    assert_int_equal(stats.n_reused, n_prompt - 1);
    assert_int_equal(stats.n_prompt, 1);
    assert_int_equal(t.answer.len, strlen(fresh));
    assert_memory_equal(t.answer.at, fresh, t.answer.len);
    // A conversation that is forgotten leaves nothing.
    conversation_reset(t.chat);
    must_say(&t, "Count from 3 to 9.", &stats);
    assert_int_equal(stats.n_reused, 0);
    assert_memory_equal(t.answer.at, fresh, t.answer.len);
    free(fresh);
    close_fixture(&t);
}

static void test_a_turn_too_long_leaves_nothing(void **state) {
    (void)state;
    Fixture t, untouched;
    GeneratorStats stats, wanted;
    Err err = {0};
    open_fixture(&t, 96, 0);
    open_fixture(&untouched, 96, 0);
    must_say(&t, "My name is Paul.", &stats);
    must_say(&untouched, "My name is Paul.", &wanted);
    char text[2048] = "";
    for (int i = 0; i < 200; i++) strcat(text, "word ");
    assert_false(say(&t, text, &stats, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, "do not fit into the context of 96"));
    assert_int_equal(t.answer.len, 0);
    must_say(&t, "What is my name?", &stats);
    must_say(&untouched, "What is my name?", &wanted);
    assert_int_equal(t.answer.len, untouched.answer.len);
    assert_memory_equal(t.answer.at, untouched.answer.at, t.answer.len);
    assert_int_equal(session_position(t.session), session_position(untouched.session));
    close_fixture(&t);
    close_fixture(&untouched);
}

static void test_stopped_before_an_answer_leaves_nothing(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 512, 0);
    char text[1024] = "";
    for (int i = 0; i < 100; i++) strcat(text, "a b c ");
    t.stop_at = 3; // after the second chunk of the question
    must_say(&t, text, &stats);
    assert_int_equal(stats.stop, STOP_CANCELLED);
    assert_int_equal(stats.n_answer, 0);
    assert_int_equal(session_position(t.session), 2 * session_chunk(t.session));
    t.stop_at = 0;
    const char *texts[] = {"Count from 3 to 9."};
    must_say(&t, texts[0], &stats);
    assert_int_equal(stats.n_reused + stats.n_prompt, count_ids(&t, texts, 1));
    close_fixture(&t);
}

static void test_a_stopped_answer_stays_as_far_as_it_came(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 512, 0);
    t.stop_at = 10; // one call for the question; each token is given, and asked after when fed
    const char *texts[3] = {"Show me hello world in Erlang.", NULL, "hello"};
    must_say(&t, texts[0], &stats);
    assert_int_equal(stats.stop, STOP_CANCELLED);
    assert_int_equal(stats.n_answer, 5);
    char *said = strndup(t.answer.at, t.answer.len);
    texts[1] = said;
    t.stop_at = 0;
    must_say(&t, texts[2], &stats);
    assert_int_equal(stats.n_reused + stats.n_prompt, count_ids(&t, texts, 3));
    free(said);
    close_fixture(&t);
}

static void test_most_tokens_and_the_end_of_the_context(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 512, 7);
    must_say(&t, "Show me hello world in Erlang.", &stats);
    assert_int_equal(stats.stop, STOP_MAX_TOKENS);
    assert_int_equal(stats.n_answer, 7);
    close_fixture(&t);
    open_fixture(&t, 32, 0);
    must_say(&t, "Show me hello world in Erlang.", &stats);
    assert_int_equal(stats.stop, STOP_CONTEXT);
    assert_int_equal(session_position(t.session), 32);
    close_fixture(&t);
}

// Everything stays possible, and nearly equally likely.
static const Use wild = {.temperature = 4, .top_p = 1, .repeat_penalty = 1};

// The answer, to be freed.
static char *answer_to(Fixture *t, const char *text) {
    GeneratorStats stats;
    must_say(t, text, &stats);
    return strndup(t->answer.at, t->answer.len);
}

static char *answer_again(Fixture *t) {
    GeneratorStats stats;
    Err err = {0};
    t->answer.len = t->n_calls = 0;
    if (!conversation_regenerate(t->chat, take, t, NULL, &stats, &err)) fail_msg("%s", err.text);
    return strndup(t->answer.at, t->answer.len);
}

static const char *last_content(const Fixture *t) {
    const json_t *messages = conversation_messages(t->chat);
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    return json_string_value(json_object_get(last, "content"));
}

static void test_another_answer_has_another_seed_and_takes_the_place_of_the_first(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    Err err = {0};
    open_with(&t, 256, &wild, 8);
    assert_false(conversation_regenerate(t.chat, take, &t, NULL, &stats, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    char *first = answer_to(&t, "Hello."), *second = answer_again(&t), *third = answer_again(&t);
    assert_string_not_equal(first, second);
    assert_string_not_equal(second, third);
    assert_int_equal(json_array_size(conversation_messages(t.chat)), 2);
    assert_string_equal(last_content(&t), third);
    free(first);
    free(second);
    free(third);
    close_fixture(&t);
    // Without chance in it, it is the same answer.
    open_fixture(&t, 256, 8);
    first = answer_to(&t, "Hello.");
    second = answer_again(&t);
    assert_string_equal(first, second);
    free(first);
    free(second);
    close_fixture(&t);
}

static void test_a_cancelled_regeneration_keeps_the_old_answer(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 256, 8);
    char *first = answer_to(&t, "Hello.");
    t.stop_at = 1;
    t.answer.len = t.n_calls = 0;
    assert_true(conversation_regenerate(t.chat, take, &t, NULL, &stats, NULL));
    assert_int_equal(stats.stop, STOP_CANCELLED);
    assert_int_equal(stats.n_answer, 0);
    assert_string_equal(last_content(&t), first);
    free(first);
    close_fixture(&t);
}

static void test_rewind_takes_question_and_answer_back(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 512, 0);
    conversation_set_system(t.chat, "You are terse.");
    assert_false(conversation_rewind(t.chat));
    must_say(&t, "My name is Paul.", &stats);
    size_t n_first = session_position(t.session);
    must_say(&t, "What is my name?", &stats);
    char *answer = strndup(t.answer.at, t.answer.len);
    size_t n_prompt = stats.n_reused + stats.n_prompt;
    assert_true(conversation_rewind(t.chat));
    assert_int_equal(json_array_size(conversation_messages(t.chat)), 3);
    must_say(&t, "What is my name?", &stats);
    assert_int_equal(stats.n_reused + stats.n_prompt, n_prompt);
    assert_true(stats.n_reused >= n_first); // the first turn is still in the cache
    assert_int_equal(t.answer.len, strlen(answer));
    assert_memory_equal(t.answer.at, answer, t.answer.len);
    assert_true(conversation_rewind(t.chat) && conversation_rewind(t.chat));
    assert_false(conversation_rewind(t.chat)); // the system text stays
    assert_int_equal(json_array_size(conversation_messages(t.chat)), 1);
    free(answer);
    close_fixture(&t);
}

static void test_a_conversation_begun_again_repeats_its_draws(void **state) {
    (void)state;
    Fixture t;
    open_with(&t, 256, &wild, 8);
    char *first = answer_to(&t, "Hello."), *second = answer_to(&t, "Hello.");
    conversation_reset(t.chat);
    char *again = answer_to(&t, "Hello."), *second_again = answer_to(&t, "Hello.");
    assert_string_equal(first, again);
    assert_string_equal(second, second_again);
    assert_string_not_equal(first, second);
    free(first);
    free(second);
    free(again);
    free(second_again);
    close_fixture(&t);
}

static void test_times_are_those_of_the_clock_that_was_passed_in(void **state) {
    (void)state;
    Fixture t;
    GeneratorStats stats;
    open_fixture(&t, 256, 8);
    must_say(&t, "Hello.", &stats);
    // The fake clock is a second on at every look: before, between and after.
    assert_true(stats.prefill_seconds == 1 && stats.decode_seconds == 1);
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_turn_finds_the_first_in_the_cache),
        cmocka_unit_test(test_the_same_answer_with_and_without_the_cache),
        cmocka_unit_test(test_a_turn_too_long_leaves_nothing),
        cmocka_unit_test(test_stopped_before_an_answer_leaves_nothing),
        cmocka_unit_test(test_a_stopped_answer_stays_as_far_as_it_came),
        cmocka_unit_test(test_most_tokens_and_the_end_of_the_context),
        cmocka_unit_test(test_another_answer_has_another_seed_and_takes_the_place_of_the_first),
        cmocka_unit_test(test_a_cancelled_regeneration_keeps_the_old_answer),
        cmocka_unit_test(test_rewind_takes_question_and_answer_back),
        cmocka_unit_test(test_a_conversation_begun_again_repeats_its_draws),
        cmocka_unit_test(test_times_are_those_of_the_clock_that_was_passed_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
