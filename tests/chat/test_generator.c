// One answer with the options of one request: what ends it, what is reused, and that the same request
// gives the same text whatever was asked before.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "chat/generator.h"

#define MODEL    LATHE_MODELS "/hello-phi3-q8_0.gguf"
#define QUESTION "Show me hello world in Erlang."

static const Use greedy = {.top_p = 1, .repeat_penalty = 1};

typedef struct {
    Arena arena;
    Gguf g;
    Model model;
    Session *session;
    PromptFormat *format;
    Generator *generator;
    TokenList prompt;
    StrBuf answer, shown;
    size_t n_calls, cancel_at; // calls of take(); which of them cancels (0: none)
} Fixture;

static void open_fixture(Fixture *t, uint32_t context) {
    Err err = {0};
    *t = (Fixture){0};
    ReferenceOptions options = {.n_positions = context};
    if (!gguf_open(&t->g, &t->arena, MODEL, &err) ||
        !model_read(&t->model, &t->g, &t->arena, &err) ||
        !(t->session =
              session_open(model_runner_open_reference(&t->model, &options, NULL, &err), &err)) ||
        !(t->format = prompt_format_open(&t->g, &t->model.contract, &greedy, &err)) ||
        !(t->generator = generator_open(t->session, t->format, &err)) ||
        !prompt_format_encode_turn(t->format, "user", STR(QUESTION), 0, &t->prompt, &err))
        fail_msg("%s", err.text);
}

static void close_fixture(Fixture *t) {
    generator_close(t->generator);
    prompt_format_close(t->format);
    session_close(t->session);
    token_list_free(&t->prompt);
    strbuf_free(&t->answer);
    strbuf_free(&t->shown);
    gguf_close(&t->g);
    arena_free(&t->arena);
}

static bool take(void *context, Str text) {
    Fixture *t = context;
    strbuf_add(&t->shown, text);
    return ++t->n_calls != t->cancel_at;
}

static GeneratorStats run(Fixture *t, const GeneratorOptions *options) {
    GeneratorStats stats;
    Err err = {0};
    t->answer.len = t->shown.len = t->n_calls = 0;
    if (!generator_run(t->generator, t->prompt.at, t->prompt.count, options, take, t, NULL,
                       &t->answer, &stats, &err))
        fail_msg("%s", err.text);
    // What was streamed is the answer.
    assert_true(str_eq(strbuf_str(&t->answer), strbuf_str(&t->shown)));
    return stats;
}

static GeneratorOptions request(void) {
    return (GeneratorOptions){.sampling = sampler_options(&greedy, 0)};
}

static void test_every_reason_to_stop(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, 256);
    GeneratorOptions options = request();
    assert_int_equal(run(&t, &options).stop, STOP_END_OF_TURN);
    assert_non_null(strstr(t.answer.at, "-module(hello)."));

    options.max_tokens = 5;
    GeneratorStats stats = run(&t, &options);
    assert_int_equal(stats.stop, STOP_MAX_TOKENS);
    assert_int_equal(stats.n_answer, 5);
    options.max_tokens = 0;

    static const char *const orders[][2] = {{"odule", "module"}, {"module", "odule"}};
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        options.stops = orders[i];
        options.n_stops = 2;
        assert_int_equal(run(&t, &options).stop, STOP_STOP_STRING);
        assert_true(str_ends(strbuf_str(&t.answer), STR("\n-")));
    }
    options.n_stops = 0;

    t.cancel_at = 10;
    assert_int_equal(run(&t, &options).stop, STOP_CANCELLED);
    close_fixture(&t);

    open_fixture(&t, (uint32_t)t.prompt.count + 40);
    assert_int_equal(run(&t, &options).stop, STOP_CONTEXT);
    assert_int_equal(session_position(t.session), session_context(t.session));
    close_fixture(&t);
    for (int i = 0; i < STOP_COUNT; i++) // a row each
        assert_true(stop_reason_rows[i].text && stop_reason_rows[i].finish_reason);
}

static void test_the_same_request_gives_the_same_text_whatever_came_before(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, 256);
    const Use wild = {.temperature = 4, .top_p = 1, .repeat_penalty = 1};
    GeneratorOptions options = {.sampling = sampler_options(&wild, 3), .max_tokens = 12};
    GeneratorStats stats = run(&t, &options);
    assert_int_equal(stats.n_reused, 0);
    StrBuf first = {0};
    strbuf_add(&first, strbuf_str(&t.answer));
    options.sampling.seed = 4;
    run(&t, &options);
    assert_false(str_eq(strbuf_str(&first), strbuf_str(&t.answer)));
    options.sampling.seed = 3;
    stats = run(&t, &options);
    assert_true(str_eq(strbuf_str(&first), strbuf_str(&t.answer)));
    // All of the prompt but its last token was in the cache.
    assert_int_equal(stats.n_reused, t.prompt.count - 1);
    strbuf_free(&first);
    close_fixture(&t);
}

// Two conversations take turns over one session: only what they share is kept between them.
static void test_requests_of_two_conversations_do_not_disturb_each_other(void **state) {
    (void)state;
    Fixture t, fresh;
    GeneratorOptions options = request();
    open_fixture(&t, 256);
    open_fixture(&fresh, 256);
    run(&t, &options);
    t.prompt.count = fresh.prompt.count = 0;
    Str other = STR("What is the capital of France?");
    assert_true(prompt_format_encode_turn(t.format, "user", other, 0, &t.prompt, NULL));
    assert_true(prompt_format_encode_turn(t.format, "user", other, 0, &fresh.prompt, NULL));
    GeneratorStats stats = run(&t, &options);
    run(&fresh, &options);
    assert_true(str_eq(strbuf_str(&t.answer), strbuf_str(&fresh.answer)));
    // <|user|> and the line break after it.
    assert_in_range(stats.n_reused, 1, 3);
    assert_int_equal(stats.n_reused + stats.n_prompt, t.prompt.count);
    close_fixture(&t);
    close_fixture(&fresh);
}

static void test_a_prompt_that_does_not_fit_leaves_the_session_alone(void **state) {
    (void)state;
    Fixture t;
    open_fixture(&t, 256);
    GeneratorOptions options = request();
    run(&t, &options);
    uint32_t position = session_position(t.session), ids[257] = {0};
    GeneratorStats stats;
    Err err = {0};
    assert_false(
        generator_run(t.generator, ids, 257, &options, take, &t, NULL, &t.answer, &stats, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.text, "257 tokens do not fit into the context of 256"));
    assert_int_equal(session_position(t.session), position);
    assert_false(
        generator_run(t.generator, ids, 0, &options, take, &t, NULL, &t.answer, &stats, &err));
    assert_non_null(strstr(err.text, "empty"));
    close_fixture(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reason_to_stop),
        cmocka_unit_test(test_the_same_request_gives_the_same_text_whatever_came_before),
        cmocka_unit_test(test_requests_of_two_conversations_do_not_disturb_each_other),
        cmocka_unit_test(test_a_prompt_that_does_not_fit_leaves_the_session_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
