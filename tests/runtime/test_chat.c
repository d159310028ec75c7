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

#include "runtime/chat.h"

#define MODEL LATHE_MODELS "/hello-phi3-q8_0.gguf"

static const Use greedy = {.top_p = 1, .repeat_penalty = 1};

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Session *session;
    Chat *chat;
    StrBuf answer;
    size_t n_calls, stop_at; // calls of take(); which of them stops (0: none)
} Talk;

static void open_talk(Talk *t, uint32_t context, uint32_t max_tokens) {
    Err err = {0};
    *t = (Talk){0};
    ChatOptions options = {.use = &greedy, .max_tokens = max_tokens};
    if (!gguf_open(&t->g, &t->arena, MODEL, &err) ||
        !model_read(&t->model, &t->g, &t->arena, &err) ||
        !(t->session = session_open_reference(
              &t->model, &(ReferenceOptions){.n_positions = context}, NULL, &err)) ||
        !(t->chat = chat_open(t->session, &t->g, &t->model.contract, &options, &err)))
        fail_msg("%s", err.text);
}

static void close_talk(Talk *t) {
    chat_close(t->chat);
    session_close(t->session);
    strbuf_free(&t->answer);
    gguf_close(&t->g);
    arena_free(&t->arena);
}

static bool take(void *context, Str text) {
    Talk *t = context;
    strbuf_add(&t->answer, text);
    return ++t->n_calls != t->stop_at;
}

static bool say(Talk *t, const char *text, ChatStats *stats, Err *err) {
    t->answer.len = t->n_calls = 0;
    return chat_say(t->chat, str_of(text), take, t, NULL, stats, err);
}

static void must_say(Talk *t, const char *text, ChatStats *stats) {
    Err err = {0};
    if (!say(t, text, stats, &err)) fail_msg("%s", err.text);
}

// Ids of some messages, of which every other is the user's, with the beginning of an answer.
static size_t count_ids(const Talk *t, const char *const *texts, size_t n) {
    json_t *messages = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            messages,
            json_pack("{s:s, s:s}", "role", i % 2 ? "assistant" : "user", "content", texts[i]));
    TokenList ids = {0};
    assert_true(chat_encode(t->chat, messages, &ids, NULL));
    size_t count = ids.count;
    token_list_free(&ids);
    json_decref(messages);
    return count;
}

static void test_second_turn_finds_the_first_in_the_cache(void **state) {
    (void)state;
    Talk t;
    ChatStats first, second;
    open_talk(&t, 512, 0);
    const char *texts[3] = {"My name is Paul.", NULL, "What is my name?"};
    must_say(&t, texts[0], &first);
    assert_int_equal(first.n_reused, 0);
    assert_int_equal(first.n_prompt, count_ids(&t, texts, 1));
    size_t position = session_position(t.session);
    assert_int_equal(position, first.n_prompt + first.n_answer);

    char *said = strndup(t.answer.at, t.answer.len);
    texts[1] = said;
    must_say(&t, texts[2], &second);
    assert_string_equal(second.end, "end of turn");
    // All that was fed is the beginning of the longer conversation.
    assert_int_equal(second.n_reused, position);
    assert_int_equal(second.n_reused + second.n_prompt, count_ids(&t, texts, 3));
    assert_non_null(strstr(t.answer.at, "Paul"));
    free(said);
    close_talk(&t);
}

static void test_the_same_answer_with_and_without_the_cache(void **state) {
    (void)state;
    Talk t;
    ChatStats stats;
    open_talk(&t, 512, 0);
    chat_set_system(t.chat, "You are terse.");
    must_say(&t, "Count from 3 to 9.", &stats);
    char *fresh = strndup(t.answer.at, t.answer.len);
    size_t n_prompt = stats.n_prompt;
    // Another conversation over the same session finds what the first one left.
    Err err = {0};
    ChatOptions options = {.use = &greedy};
    chat_close(t.chat);
    t.chat = chat_open(t.session, &t.g, &t.model.contract, &options, &err);
    if (!t.chat) fail_msg("%s", err.text);
    chat_set_system(t.chat, "You are terse.");
    must_say(&t, "Count from 3 to 9.", &stats);
    // Found up to the last token of the question, which is fed for its logits.
    assert_int_equal(stats.n_reused, n_prompt - 1);
    assert_int_equal(stats.n_prompt, 1);
    assert_int_equal(t.answer.len, strlen(fresh));
    assert_memory_equal(t.answer.at, fresh, t.answer.len);
    // A conversation that is forgotten leaves nothing.
    chat_reset(t.chat);
    must_say(&t, "Count from 3 to 9.", &stats);
    assert_int_equal(stats.n_reused, 0);
    assert_memory_equal(t.answer.at, fresh, t.answer.len);
    free(fresh);
    close_talk(&t);
}

static void test_a_turn_too_long_leaves_nothing(void **state) {
    (void)state;
    Talk t, untouched;
    ChatStats stats, wanted;
    Err err = {0};
    open_talk(&t, 96, 0);
    open_talk(&untouched, 96, 0);
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
    close_talk(&t);
    close_talk(&untouched);
}

static void test_stopped_before_an_answer_leaves_nothing(void **state) {
    (void)state;
    Talk t;
    ChatStats stats;
    open_talk(&t, 512, 0);
    char text[1024] = "";
    for (int i = 0; i < 100; i++) strcat(text, "a b c ");
    t.stop_at = 3; // after the second chunk of the question
    must_say(&t, text, &stats);
    assert_string_equal(stats.end, "stopped");
    assert_int_equal(stats.n_answer, 0);
    assert_int_equal(session_position(t.session), 2 * session_chunk(t.session));
    t.stop_at = 0;
    const char *texts[] = {"Count from 3 to 9."};
    must_say(&t, texts[0], &stats);
    assert_int_equal(stats.n_reused + stats.n_prompt, count_ids(&t, texts, 1));
    close_talk(&t);
}

static void test_a_stopped_answer_stays_as_far_as_it_came(void **state) {
    (void)state;
    Talk t;
    ChatStats stats;
    open_talk(&t, 512, 0);
    t.stop_at = 10; // one call for the question; each token is given, and asked after when fed
    const char *texts[3] = {"Show me hello world in Erlang.", NULL, "hello"};
    must_say(&t, texts[0], &stats);
    assert_string_equal(stats.end, "stopped");
    assert_int_equal(stats.n_answer, 5);
    char *said = strndup(t.answer.at, t.answer.len);
    texts[1] = said;
    t.stop_at = 0;
    must_say(&t, texts[2], &stats);
    assert_int_equal(stats.n_reused + stats.n_prompt, count_ids(&t, texts, 3));
    free(said);
    close_talk(&t);
}

static void test_most_tokens_and_the_end_of_the_context(void **state) {
    (void)state;
    Talk t;
    ChatStats stats;
    open_talk(&t, 512, 7);
    must_say(&t, "Show me hello world in Erlang.", &stats);
    assert_string_equal(stats.end, "length");
    assert_int_equal(stats.n_answer, 7);
    close_talk(&t);
    open_talk(&t, 32, 0);
    must_say(&t, "Show me hello world in Erlang.", &stats);
    assert_string_equal(stats.end, "context");
    assert_int_equal(session_position(t.session), 32);
    close_talk(&t);
}

// ---- the session below

// After a rewind the same tokens give what a session gives that never saw the others.
static void test_rewind_forgets(void **state) {
    (void)state;
    enum { N = 80, KEPT = 37 };
    Talk t, fresh;
    uint32_t ids[N], others[N];
    open_talk(&t, 128, 0);
    open_talk(&fresh, 128, 0);
    for (uint32_t i = 0; i < N; i++) {
        ids[i] = (i * 37 + 11) % 2000;
        others[i] = i < KEPT ? ids[i] : (i * 53 + 5) % 2000;
    }
    uint32_t n_vocab = session_n_vocab(t.session);
    float *found = calloc(n_vocab, sizeof *found), *wanted = calloc(n_vocab, sizeof *wanted);
    assert_true(session_feed(t.session, others, N, found, NULL, NULL));
    session_rewind(t.session, KEPT);
    assert_int_equal(session_position(t.session), KEPT);
    session_rewind(t.session, KEPT + 9); // never forwards
    assert_int_equal(session_position(t.session), KEPT);
    assert_true(session_feed(t.session, ids + KEPT, N - KEPT, found, NULL, NULL));
    assert_true(session_feed(fresh.session, ids, N, wanted, NULL, NULL));
    // The order of fp32 sums may differ between batches; a stale row costs whole logits.
    for (uint32_t i = 0; i < n_vocab; i++) assert_true(fabsf(found[i] - wanted[i]) <= 1e-3f);
    free(found);
    free(wanted);
    close_talk(&t);
    close_talk(&fresh);
}

static void test_the_context_ends_and_ids_are_checked(void **state) {
    (void)state;
    Talk t;
    uint32_t ids[65] = {0}, unknown;
    Err err = {0};
    open_talk(&t, 64, 0);
    assert_false(session_feed(t.session, ids, 65, NULL, NULL, &err));
    assert_int_equal(session_position(t.session), 0);
    assert_true(session_feed(t.session, ids, 64, NULL, NULL, NULL));
    assert_false(session_fits(t.session, 1, &err));
    assert_false(session_feed(t.session, ids, 1, NULL, NULL, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(session_position(t.session), 64);
    session_rewind(t.session, 63);
    unknown = session_n_vocab(t.session);
    assert_false(session_feed(t.session, &unknown, 1, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "of a vocabulary of 2048"));
    assert_true(session_feed(t.session, ids, 1, NULL, NULL, NULL));
    close_talk(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_turn_finds_the_first_in_the_cache),
        cmocka_unit_test(test_the_same_answer_with_and_without_the_cache),
        cmocka_unit_test(test_a_turn_too_long_leaves_nothing),
        cmocka_unit_test(test_stopped_before_an_answer_leaves_nothing),
        cmocka_unit_test(test_a_stopped_answer_stays_as_far_as_it_came),
        cmocka_unit_test(test_most_tokens_and_the_end_of_the_context),
        cmocka_unit_test(test_rewind_forgets),
        cmocka_unit_test(test_the_context_ends_and_ids_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
