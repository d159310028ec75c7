// The public API alone: what a caller gets, and what each failure leaves behind. Nothing but lathe.h
// is included.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lathe.h>

#define MODEL LATHE_MODELS "/hello-phi3-q8_0.gguf"
#define ASK   "[{\"role\": \"user\", \"content\": \"Show me hello world in Erlang.\"}]"

// What on_text was given, and when it ends the answer.
typedef struct {
    char text[4096];
    size_t n_bytes, n_calls;
    size_t cancels_after; // bytes; 0: never
} Answer;

static bool collect(void *context, const char *text, size_t n_bytes) {
    Answer *a = context;
    a->n_calls++;
    assert_true(a->n_bytes + n_bytes < sizeof a->text);
    memcpy(a->text + a->n_bytes, text, n_bytes);
    a->n_bytes += n_bytes;
    return !a->cancels_after || a->n_bytes < a->cancels_after;
}

static void assert_error(const LatheError *err, LatheErrorKind kind, const char *words) {
    if (err->kind != kind || !strstr(err->text, words))
        fail_msg("kind %d: '%s', expected kind %d: '%s'", err->kind, err->text, kind, words);
}

static char *scratch(const char *name) {
    static char path[512];
    const char *dir = getenv("LATHE_TEST_TMP");
    snprintf(path, sizeof path, "%s/api-%s", dir ? dir : "/tmp", name);
    return path;
}

// ---- text

static void test_text_comes_back(void **state) {
    (void)state;
    LatheError err;
    LatheTokenizer *t = lathe_tokenizer_open(MODEL, &err);
    assert_non_null(t);
    static const char text[] = "fun() -> \"\xc3\xa9\" end";
    uint32_t *ids;
    size_t n_ids, n_bytes;
    char *back;
    assert_true(lathe_tokenize(t, text, strlen(text), 0, &ids, &n_ids, &err));
    assert_in_range(n_ids, 2, sizeof text);
    assert_true(lathe_detokenize(t, ids, n_ids, 0, &back, &n_bytes, &err));
    assert_string_equal(back, text);
    assert_int_equal(n_bytes, strlen(text));
    size_t n_piece;
    assert_non_null(lathe_tokenizer_piece(t, ids[0], &n_piece));
    assert_true(n_piece > 0);
    lathe_free(ids);
    lathe_free(back);
    lathe_tokenizer_close(t);
}

static void test_flags_decide_about_control_tokens(void **state) {
    (void)state;
    LatheTokenizer *t = lathe_tokenizer_open(MODEL, NULL);
    size_t n_text, n_token, n_bytes;
    uint32_t *ids;
    char *shown;
    assert_true(lathe_tokenize(t, "<|end|>", 7, 0, &ids, &n_text, NULL));
    lathe_free(ids);
    assert_true(lathe_tokenize(t, "<|end|>", 7, LATHE_PARSE_SPECIAL, &ids, &n_token, NULL));
    assert_int_equal(n_token, 1);
    assert_true(n_text > 1);
    assert_true(lathe_detokenize(t, ids, 1, 0, &shown, &n_bytes, NULL));
    assert_string_equal(shown, "");
    lathe_free(shown);
    assert_true(lathe_detokenize(t, ids, 1, LATHE_SHOW_SPECIAL, &shown, &n_bytes, NULL));
    assert_string_equal(shown, "<|end|>");
    lathe_free(shown);
    lathe_free(ids);
    lathe_tokenizer_close(t);
}

static void test_no_ids_are_no_text(void **state) {
    (void)state;
    LatheTokenizer *t = lathe_tokenizer_open(MODEL, NULL);
    char *text;
    size_t n_bytes;
    assert_true(lathe_detokenize(t, NULL, 0, 0, &text, &n_bytes, NULL));
    assert_string_equal(text, "");
    assert_int_equal(n_bytes, 0);
    lathe_free(text);
    lathe_tokenizer_close(t);
}

static void test_an_id_out_of_range_is_refused(void **state) {
    (void)state;
    LatheError err;
    LatheTokenizer *t = lathe_tokenizer_open(MODEL, NULL);
    uint32_t id = (uint32_t)lathe_tokenizer_count(t);
    char *text;
    size_t n_bytes;
    assert_false(lathe_detokenize(t, &id, 1, 0, &text, &n_bytes, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "token 2048 of a vocabulary of 2048");
    lathe_tokenizer_close(t);
}

static void test_what_cannot_be_opened_is_named(void **state) {
    (void)state;
    LatheError err;
    assert_null(lathe_tokenizer_open("nowhere.gguf", &err));
    assert_error(&err, LATHE_ERROR_SYSTEM, "nowhere.gguf: No such file");
    assert_null(lathe_tokenizer_open(LATHE_MODELS "/README.md", &err));
    assert_error(&err, LATHE_ERROR_FORMAT, "README.md: not a GGUF file");
    assert_null(lathe_template_open("nowhere.jinja", &err));
    assert_error(&err, LATHE_ERROR_SYSTEM, "nowhere.jinja: No such file");
    assert_null(lathe_model_open("nowhere.gguf", NULL, &err));
    assert_error(&err, LATHE_ERROR_SYSTEM, "nowhere.gguf: No such file");
    assert_null(lathe_package_open("nowhere.mlpackage", 1, &err));
    assert_error(&err, LATHE_ERROR_SYSTEM, "nowhere.mlpackage: No such file");
    // Without an error to fill, failure is told by the result.
    assert_null(lathe_tokenizer_open("nowhere.gguf", NULL));
    assert_null(lathe_model_open("nowhere.gguf", NULL, NULL));
    assert_null(lathe_package_open("nowhere.mlpackage", 1, NULL));
}

// ---- templates

static void test_template_renders_messages(void **state) {
    (void)state;
    LatheError err;
    LatheTemplate *t = lathe_template_open(MODEL, &err);
    assert_non_null(t);
    char *plain, *begun;
    size_t n_plain, n_begun;
    assert_true(lathe_template_render(t, ASK, strlen(ASK), false, 0, &plain, &n_plain, &err));
    assert_non_null(strstr(plain, "Show me hello world in Erlang.<|end|>"));
    assert_true(lathe_template_render(t, ASK, strlen(ASK), true, 0, &begun, &n_begun, &err));
    assert_int_equal(n_begun, strlen(begun));
    assert_true(n_begun > n_plain);
    assert_memory_equal(begun + n_begun - 13, "<|assistant|>", 13);
    lathe_free(plain);
    lathe_free(begun);
    lathe_template_close(t);
}

static void test_template_tells_its_own_faults_from_the_callers(void **state) {
    (void)state;
    LatheError err;
    FILE *f = fopen(scratch("bad.jinja"), "w");
    assert_non_null(f);
    fputs("{{ raise_exception('roles must alternate') }}", f);
    fclose(f);
    LatheTemplate *t = lathe_template_open(scratch("bad.jinja"), &err);
    assert_non_null(t);
    char *text;
    size_t n;
    assert_false(lathe_template_render(t, ASK, strlen(ASK), false, 0, &text, &n, &err));
    assert_error(&err, LATHE_ERROR_FORMAT, "roles must alternate");
    assert_false(lathe_template_render(t, "[", 1, false, 0, &text, &n, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "line 1");
    assert_false(lathe_template_render(t, "{}", 2, false, 0, &text, &n, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "expected a list of messages");
    lathe_template_close(t);
    remove(scratch("bad.jinja"));
}

// ---- models

static LatheModel *open_model(void) {
    LatheModelOptions options = {.n_threads = 1, .context = 256};
    LatheError err = {0};
    LatheModel *m = lathe_model_open(MODEL, &options, &err);
    if (!m) fail_msg("%s", err.text);
    return m;
}

static void test_model_answers_and_says_why_it_ended(void **state) {
    (void)state;
    LatheError err;
    LatheModel *m = open_model();
    LatheStats stats;
    Answer a = {0};
    assert_int_equal(lathe_model_context(m), 256);
    assert_null(lathe_model_unproved(m));
    assert_true(lathe_answer(m, ASK, NULL, collect, &a, &stats, &err));
    assert_non_null(strstr(a.text, "io:format"));
    assert_int_equal(stats.stop, LATHE_STOP_END_OF_TURN);
    assert_true(stats.n_prompt > 5 && stats.n_answer > 10 && stats.decode_seconds > 0);
    // Asked again, all but the last token of the prompt is in the cache.
    Answer again = {0};
    LatheStats now;
    assert_true(lathe_answer(m, ASK, NULL, collect, &again, &now, &err));
    assert_string_equal(again.text, a.text);
    assert_int_equal(now.n_prompt + now.n_reused, stats.n_prompt);
    assert_true(now.n_reused > 0);
    lathe_model_close(m);
}

static void test_options_end_an_answer(void **state) {
    (void)state;
    LatheModel *m = open_model();
    LatheStats stats;
    LatheGenerateOptions few = {.max_tokens = 3};
    Answer a = {0};
    assert_true(lathe_answer(m, ASK, &few, collect, &a, &stats, NULL));
    assert_int_equal(stats.stop, LATHE_STOP_MAX_TOKENS);
    assert_int_equal(stats.n_answer, 3);
    const char *stops[] = {"never said", "-export"};
    LatheGenerateOptions stopped = {.stops = stops, .n_stops = 2};
    Answer b = {0};
    assert_true(lathe_answer(m, ASK, &stopped, collect, &b, &stats, NULL));
    assert_int_equal(stats.stop, LATHE_STOP_STRING);
    assert_null(strstr(b.text, "-export"));
    assert_non_null(strstr(b.text, "-module"));
    Answer c = {.cancels_after = 8};
    assert_true(lathe_answer(m, ASK, NULL, collect, &c, &stats, NULL));
    assert_int_equal(stats.stop, LATHE_STOP_CANCELLED);
    lathe_model_close(m);
}

static void test_seeds_decide_what_is_sampled(void **state) {
    (void)state;
    LatheModel *m = open_model();
    LatheSampling hot = lathe_model_sampling(m);
    hot.temperature = 3;
    Answer a = {0}, same = {0}, other = {0};
    LatheGenerateOptions options = {.sampling = &hot, .seed = 1, .max_tokens = 24};
    assert_true(lathe_answer(m, ASK, &options, collect, &a, NULL, NULL));
    assert_true(lathe_answer(m, ASK, &options, collect, &same, NULL, NULL));
    options.seed = 2;
    assert_true(lathe_answer(m, ASK, &options, collect, &other, NULL, NULL));
    assert_string_equal(a.text, same.text);
    assert_string_not_equal(a.text, other.text);
    lathe_model_close(m);
}

static void test_generate_takes_ids_and_refuses_wrong_ones(void **state) {
    (void)state;
    LatheError err;
    LatheModel *m = open_model();
    const LatheTokenizer *t = lathe_model_tokenizer(m);
    static const char text[] = "<|user|>\nShow me hello world in Erlang.<|end|>\n<|assistant|>\n";
    uint32_t *ids, wrong[] = {1, 2048}, many[257] = {0};
    size_t n_ids;
    Answer by_ids = {0}, by_messages = {0};
    assert_true(lathe_tokenize(t, text, strlen(text), LATHE_PARSE_SPECIAL | LATHE_ADD_SPECIAL, &ids,
                               &n_ids, &err));
    assert_true(lathe_generate(m, ids, n_ids, NULL, collect, &by_ids, NULL, &err));
    assert_true(lathe_answer(m, ASK, NULL, collect, &by_messages, NULL, &err));
    assert_string_equal(by_ids.text, by_messages.text);
    lathe_free(ids);
    assert_false(lathe_generate(m, wrong, 2, NULL, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "token 2048 of a vocabulary of 2048");
    assert_false(lathe_generate(m, wrong, 0, NULL, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "the prompt has no tokens");
    assert_false(lathe_generate(m, many, 257, NULL, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "256");
    LatheSampling bad = {.top_p = 2, .repeat_penalty = 1};
    LatheGenerateOptions options = {.sampling = &bad};
    assert_false(lathe_generate(m, wrong, 1, &options, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "top_p 2");
    assert_false(lathe_answer(m, "{}", NULL, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "messages: expected a JSON list");
    assert_false(lathe_answer(m, "[nonsense", NULL, collect, &by_ids, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "messages: line 1");
    lathe_model_close(m);
}

static void test_a_conversation_keeps_its_turns(void **state) {
    (void)state;
    LatheError err;
    LatheModel *m = open_model();
    LatheConversation *c = lathe_conversation_open(m, NULL, NULL, NULL, &err);
    assert_non_null(c);
    LatheStats first, second, third;
    Answer a = {0}, b = {0}, again = {0};
    assert_false(lathe_conversation_rewind(c));
    assert_true(
        lathe_conversation_say(c, "Show me hello world in Erlang.", collect, &a, &first, &err));
    assert_true(lathe_conversation_say(c, "Again.", collect, &b, &second, &err));
    assert_true(second.n_reused >= first.n_prompt);
    assert_true(lathe_conversation_rewind(c));
    lathe_conversation_reset(c);
    assert_true(
        lathe_conversation_say(c, "Show me hello world in Erlang.", collect, &again, &third, &err));
    assert_string_equal(again.text, a.text);
    lathe_conversation_close(c);
    lathe_model_close(m);
}

// ---- conversion, proof, packages

static bool stop_at_once(void *context, const char *what, uint64_t done, uint64_t total) {
    (void)what, (void)done, (void)total;
    ++*(int *)context;
    return false;
}

static void count_result(void *context, const char *gate, const char *scope, const char *figures,
                         LatheVerdict verdict) {
    assert_non_null(scope);
    assert_non_null(figures);
    assert_string_equal(gate, "structure");
    assert_int_not_equal(verdict, LATHE_FAILED);
    ++*(int *)context;
}

// A converted bundle is a directory tree; the next run replaces it.
static void convert(const char *out) {
    LatheError err = {0};
    LatheConvertOptions options = {.context = 128, .skips_ranges = true, .replaces = true};
    if (!lathe_convert(MODEL, out, &options, NULL, &err)) fail_msg("%s", err.text);
}

static void test_conversion_proof_and_package(void **state) {
    (void)state;
    LatheError err;
    int n_results = 0, n_steps = 0;
    bool is_sealed = true;
    convert(scratch("out.lathe"));
    // A part of the gates proves a part: no seal, and a model that nobody proved is refused.
    LatheVerifyOptions options = {
        .model = MODEL, .gates = "structure", .result = count_result, .context = &n_results};
    assert_true(lathe_verify(scratch("out.lathe"), &options, NULL, &is_sealed, &err));
    assert_true(n_results > 0 && !is_sealed);
    assert_null(lathe_model_open(scratch("out.lathe"), NULL, &err));
    assert_error(&err, LATHE_ERROR_UNPROVED, "not sealed");
    LatheModelOptions unproved = {.n_threads = 1, .accepts_unproved = true};
    LatheModel *m = lathe_model_open(scratch("out.lathe"), &unproved, &err);
    assert_non_null(m);
    assert_non_null(strstr(lathe_model_unproved(m), "not sealed"));
    Answer a = {0};
    assert_true(lathe_answer(m, ASK, NULL, collect, &a, NULL, &err));
    assert_non_null(strstr(a.text, "io:format"));
    lathe_model_close(m);
    // A bundle has a vocabulary and a template, too.
    LatheTokenizer *t = lathe_tokenizer_open(scratch("out.lathe"), &err);
    assert_int_equal(lathe_tokenizer_count(t), 2048);
    lathe_tokenizer_close(t);
    LatheTemplate *template = lathe_template_open(scratch("out.lathe"), &err);
    assert_non_null(template);
    lathe_template_close(template);
    // Callbacks end work, and the older bundle stays.
    LatheProgress progress = {.step = stop_at_once, .context = &n_steps};
    LatheConvertOptions again = {.context = 64, .replaces = true};
    assert_false(lathe_convert(MODEL, scratch("out.lathe"), &again, &progress, &err));
    assert_error(&err, LATHE_ERROR_STOPPED, "");
    assert_true(n_steps > 0);
    options.gates = "smell";
    assert_false(lathe_verify(scratch("out.lathe"), &options, NULL, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "no gate 'smell'");
}

static void test_conversion_refuses_what_it_does_not_know(void **state) {
    (void)state;
    LatheError err;
    LatheConvertOptions o = {.weights = "int3"};
    assert_false(lathe_convert(MODEL, scratch("never"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "weights 'int3': expected int8");
    o = (LatheConvertOptions){.kv = "ring"};
    assert_false(lathe_convert(MODEL, scratch("never"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "kv form 'ring': expected overwrite, slice or rows");
    o = (LatheConvertOptions){.target = "macos9"};
    assert_false(lathe_convert(MODEL, scratch("never"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "target 'macos9': expected macos27 or macos26");
    assert_false(lathe_convert("nowhere.gguf", scratch("never"), NULL, NULL, &err));
    assert_error(&err, LATHE_ERROR_SYSTEM, "nowhere.gguf");
}

static void test_conversion_takes_settings_and_the_publishers_files(void **state) {
    (void)state;
    LatheError err;
    const char *const wrong[] = {"phi3.rope.freq_base"}, *const ignored[] = {"no.such.key"},
                      *const base[] = {"phi3.rope.freq_base=500000"};
    LatheConvertOptions o = {.skips_ranges = true, .replaces = true, .set = wrong, .n_set = 1};
    assert_false(lathe_convert(MODEL, scratch("never"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "KEY=VALUE");
    o.n_set = 0;
    o.ignored_keys = ignored;
    o.n_ignored_keys = 1;
    assert_false(lathe_convert(MODEL, scratch("never"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "no.such.key");
    o.n_ignored_keys = 0;
    o.set = base;
    o.n_set = 1;
    if (!lathe_convert(MODEL, scratch("set.lathe"), &o, NULL, &err)) fail_msg("%s", err.text);
    // The publisher knows another base.
    o.config = LATHE_MODELS "/hello-config.json";
    assert_false(lathe_convert(MODEL, scratch("set.lathe"), &o, NULL, &err));
    assert_error(&err, LATHE_ERROR_GATE, "rope_base");
    o.n_set = 0;
    if (!lathe_convert(MODEL, scratch("set.lathe"), &o, NULL, &err)) fail_msg("%s", err.text);
}

static void test_package_runs_and_its_states_are_reset(void **state) {
    (void)state;
    LatheError err;
    convert(scratch("package.lathe"));
    char path[600];
    snprintf(path, sizeof path, "%s/shards/00-layers-00-03-head.mlpackage",
             scratch("package.lathe"));
    LathePackage *p = lathe_package_open(path, 1, &err);
    if (!p) fail_msg("%s", err.text);
    assert_string_equal(lathe_package_default(p), "decode");
    assert_null(lathe_package_port(p, "none", LATHE_INPUT, 0));
    assert_null(lathe_function_open(p, "none", LATHE_ARITHMETIC_FP16, &err));
    assert_error(&err, LATHE_ERROR_FORMAT, "no function 'none'");

    LatheFunction *f = lathe_function_open(p, NULL, LATHE_ARITHMETIC_FP16, &err);
    assert_non_null(f);
    const LathePort *x = lathe_function_port(f, LATHE_INPUT, 0);
    assert_string_equal(x->name, "x");
    assert_int_equal(x->dtype, LATHE_FP16);
    assert_int_equal(x->n_bytes, 2 * x->n_elements);
    assert_false(lathe_function_write(f, 0, "abc", 3, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "'x': 3 bytes, expected 256 (128 elements of fp16)");

    uint16_t ones[128];
    for (size_t i = 0; i < 128; i++) ones[i] = 0x3C00;
    assert_true(lathe_function_write(f, 0, ones, sizeof ones, &err));
    const LathePort *port;
    for (size_t i = 0; (port = lathe_function_port(f, LATHE_INPUT, i)); i++) {
        uint16_t first_slot[128] = {0x3C00};
        if (strcmp(port->name, "write_mask") == 0)
            assert_true(lathe_function_write(f, i, first_slot, sizeof first_slot, &err));
    }
    double first[128], second[128], slots[2 * 128 * 32];
    uint16_t halves[128];
    assert_true(lathe_function_run(f, &err));
    lathe_function_numbers(f, LATHE_OUTPUT, 0, first);
    assert_true(lathe_function_read(f, 0, halves, sizeof halves, &err));
    assert_false(lathe_function_read(f, 0, halves, 7, &err));
    assert_error(&err, LATHE_ERROR_USAGE, "7 bytes, expected 256");
    const LathePort *kv = lathe_function_port(f, LATHE_STATE, 0);
    assert_int_equal(kv->n_elements, sizeof slots / sizeof *slots);
    lathe_function_numbers(f, LATHE_STATE, 0, slots);
    double sum = 0;
    for (size_t i = 0; i < kv->n_elements; i++) sum += slots[i] * slots[i];
    assert_true(sum > 0);
    lathe_package_reset(p);
    lathe_function_numbers(f, LATHE_STATE, 0, slots);
    for (size_t i = 0; i < kv->n_elements; i++) assert_true(slots[i] == 0);
    assert_true(lathe_function_run(f, &err));
    lathe_function_numbers(f, LATHE_OUTPUT, 0, second);
    for (size_t i = 0; i < 128; i++) assert_true(first[i] == second[i]);
    lathe_function_close(f);
    lathe_package_close(p);
}

static void test_closing_nothing_is_fine(void **state) {
    (void)state;
    lathe_tokenizer_close(NULL);
    lathe_template_close(NULL);
    lathe_model_close(NULL);
    lathe_conversation_close(NULL);
    lathe_function_close(NULL);
    lathe_package_close(NULL);
    lathe_free(NULL);
    assert_null(lathe_engine_op(100000));
    assert_string_equal(lathe_dtype_name(LATHE_INT32), "int32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_comes_back),
        cmocka_unit_test(test_flags_decide_about_control_tokens),
        cmocka_unit_test(test_no_ids_are_no_text),
        cmocka_unit_test(test_an_id_out_of_range_is_refused),
        cmocka_unit_test(test_what_cannot_be_opened_is_named),
        cmocka_unit_test(test_template_renders_messages),
        cmocka_unit_test(test_template_tells_its_own_faults_from_the_callers),
        cmocka_unit_test(test_model_answers_and_says_why_it_ended),
        cmocka_unit_test(test_options_end_an_answer),
        cmocka_unit_test(test_seeds_decide_what_is_sampled),
        cmocka_unit_test(test_generate_takes_ids_and_refuses_wrong_ones),
        cmocka_unit_test(test_a_conversation_keeps_its_turns),
        cmocka_unit_test(test_conversion_proof_and_package),
        cmocka_unit_test(test_conversion_refuses_what_it_does_not_know),
        cmocka_unit_test(test_conversion_takes_settings_and_the_publishers_files),
        cmocka_unit_test(test_package_runs_and_its_states_are_reset),
        cmocka_unit_test(test_closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
