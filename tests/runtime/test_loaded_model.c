// What is refused before anything runs: bundles without a valid seal, engines that cannot run the
// file, choices that a bundle does not leave open.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/convert.h"
#include "coreml/device.h"
#include "runtime/loaded_model.h"

#define MODEL LATHE_MODELS "/hello-phi3-f16.gguf"

static char bundle[512];

static int convert_hello(void **state) {
    (void)state;
    Arena arena = {0};
    Chain chain;
    Err err = {0};
    const char *tmp = getenv("LATHE_TEST_TMP");
    snprintf(bundle, sizeof bundle, "%s/test_loaded_model.lathe", tmp ? tmp : ".");
    ConvertJob job = {
        .model_path = MODEL,
        .out_path = bundle,
        .chosen = {[USE_context] = "128"},
        .options = {.prefill_rows = 64, .target = target_named("macos27"), .weights = WEIGHTS_F16},
        .replaces = true,
        .tool_version = "lathe test",
    };
    bool ok = bundle_convert(&chain, &arena, &job, &err);
    if (!ok) fprintf(stderr, "%s\n", err.text);
    arena_free(&arena);
    return ok ? 0 : -1;
}

static void expect_refusal(const LoadOptions *options, ErrKind kind, const char *text) {
    LoadedModel o;
    Err err = {0};
    assert_false(loaded_model_open(&o, options, NULL, &err));
    loaded_model_close(&o);
    if (err.kind != kind || !strstr(err.text, text))
        fail_msg("expected '%s', found '%s'", text, err.text);
}

static void test_a_bundle_without_a_seal(void **state) {
    (void)state;
    LoadOptions options = {.path = bundle};
    expect_refusal(&options, ERR_UNPROVED, "lathe verify");
    options.engine = "reference"; // the seal comes first, whatever the engine
    expect_refusal(&options, ERR_UNPROVED, "lathe verify");
}

static void test_engines_that_cannot_run_the_file(void **state) {
    (void)state;
    LoadOptions options = {.path = bundle, .is_unsealed = true, .engine = "reference"};
    expect_refusal(&options, ERR_USAGE, "--engine reference for a bundle needs --model");
    options.engine = "gpu";
    expect_refusal(&options, ERR_USAGE, "--engine gpu: expected cpu");
    options.engine = "coreml";
    if (!coreml_is_present()) expect_refusal(&options, ERR_USAGE, "not on this system");
    options = (LoadOptions){.path = MODEL, .engine = "cpu"};
    expect_refusal(&options, ERR_USAGE, "--engine cpu runs bundles; " MODEL " is a model file");
    options = (LoadOptions){.path = MODEL, .arithmetic = "fp32"};
    expect_refusal(&options, ERR_USAGE, "--arithmetic");
    options = (LoadOptions){.path = bundle, .is_unsealed = true, .arithmetic = "fp8"};
    expect_refusal(&options, ERR_USAGE, "fp8");
}

static void test_what_convert_fixed(void **state) {
    (void)state;
    LoadOptions options = {.path = bundle, .is_unsealed = true, .use = {[USE_context] = "64"}};
    expect_refusal(&options, ERR_USAGE, "convert again with another --context");
    options.use[USE_context] = NULL;
    options.generation = "generation_config.json";
    expect_refusal(&options, ERR_USAGE, "--generation-config");
}

static void test_files_that_are_not_there(void **state) {
    (void)state;
    LoadOptions options = {.path = "/nowhere/model.gguf"};
    expect_refusal(&options, ERR_SYSTEM, "/nowhere/model.gguf");
}

static void test_an_unsealed_bundle_that_is_wanted_says_so(void **state) {
    (void)state;
    LoadedModel o;
    Err err = {0};
    LoadOptions options = {.path = bundle, .is_unsealed = true};
    if (!loaded_model_open(&o, &options, NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(o.unproved.kind, ERR_UNPROVED);
    assert_string_equal(session_engine(o.session), "cpu (fp16)");
    assert_string_equal(o.engine->name, "cpu");
    assert_int_equal(session_context(o.session), 128);
    assert_int_equal(o.use.context, 128);
    loaded_model_close(&o);
    options =
        (LoadOptions){.path = bundle, .is_unsealed = true, .engine = "reference", .model = MODEL};
    if (!loaded_model_open(&o, &options, NULL, &err)) fail_msg("%s", err.text);
    assert_string_equal(session_engine(o.session), "reference (fp32)");
    assert_int_equal(session_context(o.session), 128); // as the bundle is used
    loaded_model_close(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bundle_without_a_seal),
        cmocka_unit_test(test_engines_that_cannot_run_the_file),
        cmocka_unit_test(test_what_convert_fixed),
        cmocka_unit_test(test_files_that_are_not_there),
        cmocka_unit_test(test_an_unsealed_bundle_that_is_wanted_says_so),
    };
    return cmocka_run_group_tests(tests, convert_hello, NULL);
}
