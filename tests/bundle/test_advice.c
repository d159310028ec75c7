// Commands in messages: quoted so that a shell reads back the same words, with the source where it is
// found, and with what the bundle was made with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/size.h"
#include "bundle/advice.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static Arena arena;
static const char *dir, *model; // a bundle's folder, and the model beside it

static const char *printed(const char *a, const char *b, const char *c) {
    return arena_printf(&arena, "%s%s%s", a, b, c).at;
}

static int set_up(void **state) {
    (void)state;
    assert_true(dir_remove_tree(scratch.path, NULL) && dir_make(scratch.path, NULL));
    dir = path_join(&arena, scratch.path, "m.lathe");
    model = path_join(&arena, scratch.path, "my model.gguf");
    assert_true(dir_make(dir, NULL) && file_write(model, "x", 1, NULL));
    return 0;
}

static Chain chain_of(const char *name) {
    return (Chain){.source_name = str_of(name), .weights = STR("int8")};
}

static void test_words_of_a_shell_are_the_text_again(void **state) {
    (void)state;
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"model-Q8_0.gguf", "model-Q8_0.gguf"},
        {"a/b.c+d:e,f@g%h", "a/b.c+d:e,f@g%h"},
        {"", "''"},
        {"two words", "'two words'"},
        {"it's", "'it'\\''s'"},
        {"$HOME", "'$HOME'"},
        {"a;b", "'a;b'"},
        {"caf\xc3\xa9", "'caf\xc3\xa9'"},
        {"line\nbreak", "'line\nbreak'"},
        {"-o", "./-o"},
        {"-a b", "./'-a b'"},
        {"~", "'~'"},
        {"'", "''\\'''"},
        {"a=b", "'a=b'"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *word = shell_word(&arena, rows[i].text);
        assert_string_equal(word, rows[i].word);
        char said[64] = "";
        FILE *shell = popen(arena_printf(&arena, "printf %%s %s", word).at, "r");
        assert_non_null(shell);
        said[fread(said, 1, sizeof said - 1, shell)] = 0;
        assert_int_equal(pclose(shell), 0);
        const char *path = *rows[i].text == '-' ? said + 2 : said;
        assert_string_equal(path, rows[i].text);
    }
}

static void test_verify_is_told_where_the_model_is_when_it_would_not_find_it(void **state) {
    (void)state;
    Chain chain = chain_of("my model.gguf"), unread = {0};
    assert_string_equal(verify_command(&arena, dir, &chain), printed("lathe verify ", dir, ""));
    assert_int_equal(unlink(model), 0);
    assert_string_equal(verify_command(&arena, dir, &chain),
                        printed("lathe verify ", dir, " --model 'my model.gguf'"));
    assert_string_equal(verify_command(&arena, dir, &unread),
                        printed("lathe verify ", dir, " --model MODEL.gguf"));
}

static void test_convert_is_told_source_settings_and_weights(void **state) {
    (void)state;
    static const char *const set[] = {"a.b=1 2", "c=[]"}, *const ignored[] = {"x.y"};
    Chain chain = chain_of("my model.gguf"), unread = {0};
    const char *end = printed(" -o ", dir, " --force");
    const char *found = printed(printed("lathe convert '", model, "'"), end, "");
    assert_string_equal(convert_command(&arena, dir, &chain, NULL), found);
    assert_string_equal(convert_command(&arena, dir, &chain, "-m"),
                        printed("lathe convert ./-m", end, ""));
    chain.settings = (GgufSettings){set, COUNT_OF(set), ignored, COUNT_OF(ignored)};
    chain.weights = STR("fp16");
    assert_string_equal(
        convert_command(&arena, dir, &chain, NULL),
        printed(found, " --set 'a.b=1 2' --set 'c=[]' --ignore-key x.y --weights fp16", ""));
    ChainFunction decode = {.role = STR("decode"), .n_rows = 64};
    ChainShard shard = {.functions = &decode, .n_functions = 1};
    Chain one = chain_of("my model.gguf");
    one.shards = &shard;
    one.n_shards = 1;
    one.head_slice_rows = 16384;
    one.weight_files = 4;
    assert_string_equal(
        convert_command(&arena, dir, &one, NULL),
        printed(found, " --functions one --head-slice-rows 16384 --weight-files 4", ""));
    assert_string_equal(convert_command(&arena, dir, &unread, NULL),
                        printed("lathe convert MODEL.gguf", end, ""));
    chain = chain_of("my model.gguf");
    chain.kv = STR("rows");
    chain.target = STR("macos26:m1");
    chain.norm = STR("l2");
    chain.windows = STR("whole");
    chain.use.from[USE_context].source = STR("option --context");
    chain.use.context = 128;
    chain.use.from[USE_temperature].source = STR("generation_config.json");
    chain.use.temperature = 0.6f; // it is there again
    assert_string_equal(
        convert_command(&arena, dir, &chain, NULL),
        printed(found,
                " --norm l2 --kv rows --windows whole --target macos26:m1 --functions decode"
                " --context 128",
                ""));
    chain.prefill_rows = 32;
    assert_non_null(strstr(convert_command(&arena, dir, &chain, NULL), " --prefill-rows 32 "));
    chain.prefill_rows = 64;
    assert_null(strstr(convert_command(&arena, dir, &chain, NULL), "--prefill-rows"));
    assert_string_equal(first_convert_command(&arena, "a/-m.gguf"),
                        "lathe convert a/-m.gguf -o ./-m.lathe");
    assert_string_equal(first_convert_command(&arena, "blob"), "lathe convert blob -o blob.lathe");
}

static void test_the_vote_is_asked_with_what_the_model_was_read_with(void **state) {
    (void)state;
    static const char *const set[] = {"a.b=1 2"};
    ConfigFiles files = {.config = "c.json", .chat_template = "-t"};
    GgufSettings settings = {set, COUNT_OF(set), NULL, 0};
    assert_string_equal(
        vote_command(&arena, "-m.gguf", &files, &settings),
        "lathe verify ./-m.gguf --config c.json --chat-template -t --set 'a.b=1 2'");
}

static void test_words_of_tables_are_filled_in(void **state) {
    (void)state;
    Chain chain = chain_of("my model.gguf");
    CommandWords w = command_words(&arena, "b c", &chain, "m");
    assert_string_equal(command_fill(&arena, "lathe verify BUNDLE --x SOURCE", &w),
                        "lathe verify 'b c' --x m");
    assert_string_equal(command_fill(&arena, "CONVERT --range auto", &w),
                        "lathe convert m -o 'b c' --force --range auto");
    assert_string_equal(command_fill(&arena, "", &w), "");
}

// Whatever the working directory is, paths are those seen from the folder of the bundle.
static void test_words_beside_the_bundle(void **state) {
    (void)state;
    Chain chain = chain_of("my model.gguf");
    const char *deep = path_join(&arena, scratch.path, "a"), *below = path_join(&arena, deep, "b");
    const char *inner = path_join(&arena, below, "m.lathe");
    assert_true(dir_make(deep, NULL) && dir_make(below, NULL) && dir_make(inner, NULL));
    const struct {
        const char *bundle, *source, *word;
    } rows[] = {
        {dir, model, "'my model.gguf'"},
        {inner, model, "'../../my model.gguf'"},
        {dir, inner, "a/b/m.lathe"}, // any path
        {inner, below, "../b"},
        {dir, "/", "/"}, // nothing in common
        {dir, "no such file", "'no such file'"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CommandWords w = command_words_beside(&arena, rows[i].bundle, &chain, rows[i].source);
        assert_string_equal(w.bundle, "m.lathe");
        assert_string_equal(w.source, rows[i].word);
    }
    // A folder whose name only begins like the other is another folder.
    const char *twin = path_join(&arena, scratch.path, "a2"), *file = path_join(&arena, twin, "f");
    assert_true(dir_make(twin, NULL) && file_write(file, "x", 1, NULL));
    const char *bundle = path_join(&arena, deep, "n.lathe");
    assert_true(dir_make(bundle, NULL));
    assert_string_equal(command_words_beside(&arena, bundle, &chain, file).source, "../a2/f");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_a_shell_are_the_text_again),
        cmocka_unit_test_setup(test_verify_is_told_where_the_model_is_when_it_would_not_find_it,
                               set_up),
        cmocka_unit_test_setup(test_convert_is_told_source_settings_and_weights, set_up),
        cmocka_unit_test_setup(test_words_of_tables_are_filled_in, set_up),
        cmocka_unit_test(test_the_vote_is_asked_with_what_the_model_was_read_with),
        cmocka_unit_test_setup(test_words_beside_the_bundle, set_up),
    };
    scratch = scratch_open("test-advice");
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    arena_free(&arena);
    return n_failed;
}
