// Which files are models, and which of them a name means.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/size.h"
#include "hub/choose.h"

static Arena arena;

// Models among files of these names; each file has 1,000,000 bytes.
static HubModels models_of(const char *names) {
    HubListing *l = arena_new(&arena, HubListing);
    l->files = arena_array(&arena, 64, HubFile);
    while (*names)
        l->files[l->count++] = (HubFile){.path = str_next_item(&names), .n_bytes = 1000000};
    HubModels m;
    Err err = {0};
    if (!hub_find_models(&m, l, &arena, &err)) fail_msg("%s", err.text);
    return m;
}

// The path of the first file that is chosen, or the error.
static const char *choose(const char *names, const char *name) {
    HubModels models = models_of(names);
    HubName of;
    Err err = {0};
    if (!hub_name_read(&of, name, &err)) fail_msg("%s", err.text);
    const HubModel *m = hub_choose(&models, &of, &err);
    if (!m) return arena_printf(&arena, "%d: %s", (int)err.kind, err.text).at;
    return arena_cstr(&arena, m->parts[0]->path);
}

static void expect(const char *names, const char *name, const char *start) {
    const char *found = choose(names, name);
    if (strncmp(found, start, strlen(start)) != 0) fail_msg("%s of %s: %s", name, names, found);
}

static void test_labels(void **state) {
    (void)state;
    static const struct {
        const char *path, *label;
    } rows[] = {
        {"SmolLM2-135M-Instruct-Q8_0.gguf", "Q8_0"},
        {"smollm2-135m-instruct-q8_0.gguf", "q8_0"},
        {"Model.Q4_K_M.gguf", "Q4_K_M"},
        {"Model-UD-IQ2_XXS.gguf", "IQ2_XXS"},
        {"qwen2.5-0.5b-instruct-fp16.gguf", "fp16"},
        {"BF16/Model-00001-of-00002.gguf", ""},
        {"Model-BF16/Model-00001-of-00002.gguf", "BF16"},
        {"Model-Q8_0-00001-of-00002.gguf", "Q8_0"},
        {"Model-7B.gguf", ""},
        {"Quality.gguf", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        HubModels m = models_of(rows[i].path);
        assert_int_equal(m.count, 1);
        if (!str_is(m.models[0].label, rows[i].label) && !str_is(m.models[0].label, "BF16"))
            fail_msg("%s: '%.*s'", rows[i].path, STR_ARG(m.models[0].label));
    }
}

static void test_what_is_no_model(void **state) {
    (void)state;
    assert_int_equal(models_of("README.md,m.safetensors,mmproj-F16.gguf,m.mmproj-q8_0.gguf,imatrix."
                               "gguf,m-imatrix.gguf,"
                               ".gguf,sub/.m.gguf,gguf")
                         .count,
                     0);
    assert_int_equal(models_of("m-imatrix-Q4_K_M.gguf,M.GGUF").count, 2);
    expect("README.md", "hf:u/r", "3: hf:u/r has no GGUF file");
}

#define REPO                                                                                       \
    "README.md,m-Q4_K_M.gguf,m-Q6_K.gguf,m-Q8_0.gguf,m-f16.gguf,m-UD-Q4_K_XL.gguf,mmproj-F16.gguf"

static void test_the_choice(void **state) {
    (void)state;
    static const struct {
        const char *names, *name, *chosen;
    } rows[] = {
        {REPO, "hf:u/r", "m-Q8_0.gguf"}, // preference.def
        {"m-Q4_K_M.gguf,m-Q6_K.gguf,m-Q3_K_S.gguf", "hf:u/r", "m-Q6_K.gguf"},
        {"m-Q2_K.gguf,m-fp16.gguf", "hf:u/r", "m-fp16.gguf"},
        {"anything.gguf,README.md", "hf:u/r", "anything.gguf"}, // the only one
        {REPO, "hf:u/r:Q4_K_M", "m-Q4_K_M.gguf"},
        {REPO, "hf:u/r:q4_k_m", "m-Q4_K_M.gguf"},
        {REPO, "hf:u/r:FP16", "m-f16.gguf"},
        {REPO, "hf:u/r:Q4_K_XL", "m-UD-Q4_K_XL.gguf"},
        {REPO, "hf:u/r:UD-Q4_K_XL", "m-UD-Q4_K_XL.gguf"},
        {REPO, "hf:u/r:m-Q6_K.gguf", "m-Q6_K.gguf"},
        {"Q8_0/m-00002-of-00002.gguf,Q8_0/m-00001-of-00002.gguf,m-Q8_0.txt", "hf:u/r:Q8_0",
         "Q8_0/m-00001-of-00002.gguf"},
        {"a-Q8_0.gguf,b-Q8_0.gguf", "hf:u/r:b-Q8_0.gguf", "b-Q8_0.gguf"},
        {"m.gguf,sub/m.gguf", "hf:u/r:m.gguf", "m.gguf"},
        {"m.gguf,sub/m.gguf", "hf:u/r:sub/m.gguf", "sub/m.gguf"},
        // 2: usage, and what there is
        {"a/m.gguf,b/m.gguf", "hf:u/r:m.gguf", "2: hf:u/r:m.gguf fits several models"},
        {REPO, "hf:u/r:K_M", "2: hf:u/r:K_M is not there; there are: Q4_K_M (1.0 MB), "},
        {REPO, "hf:u/r:8_0", "2: hf:u/r:8_0 is not there"},
        {REPO, "hf:u/r:Q5_0", "2: hf:u/r:Q5_0 is not there"},
        {REPO, "hf:u/r:F16/x", "2: hf:u/r:F16/x is not there"},
        {"a-Q8_0.gguf,b-Q8_0.gguf", "hf:u/r",
         "2: hf:u/r has several models: add which one after a colon; there are: a-Q8_0.gguf"},
        {"a-Q8_0.gguf,b-Q8_0.gguf", "hf:u/r:Q8_0",
         "2: hf:u/r:Q8_0 fits several models; there are: a-Q8_0.gguf"},
        {"a.gguf,b.gguf", "hf:u/r", "2: hf:u/r has several models"},
        // 3: the repository is not whole
        {"m-Q8_0-00001-of-00003.gguf,m-Q8_0-00003-of-00003.gguf", "hf:u/r",
         "3: m-Q8_0: part 2 of 3 is not in"},
        {"m-00000-of-00002.gguf,m-00003-of-00002.gguf", "hf:u/r",
         "2: hf:u/r has several"}, // no parts
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) expect(rows[i].names, rows[i].name, rows[i].chosen);
}

static void test_parts_are_one_model(void **state) {
    (void)state;
    HubModels m = models_of("m-Q8_0-00002-of-00002.gguf,m-Q8_0-00001-of-00002.gguf,m-Q8_0-00001-of-"
                            "00003.gguf,m-Q8_0.gguf");
    assert_int_equal(m.count, 3);
    assert_true(m.models[1].n_parts == 2 && m.models[1].n_bytes == 2000000);
    assert_true(str_is(m.models[1].parts[0]->path, "m-Q8_0-00001-of-00002.gguf"));
    assert_true(str_is(m.models[1].parts[1]->path, "m-Q8_0-00002-of-00002.gguf"));
    // One label, three models: each is found by its file.
    assert_true(str_is(hub_which(&m, &m.models[0]), "m-Q8_0.gguf"));
    assert_true(str_is(hub_which(&m, &m.models[2]), "m-Q8_0-00001-of-00003.gguf"));
}

static void test_a_long_list_is_cut(void **state) {
    (void)state;
    StrBuf names = {0};
    for (int i = 0; i < 60; i++)
        strbuf_printf(&names, "%sa-rather-long-name-%02d-Q9_%d.gguf", i ? "," : "", i, i % 7);
    const char *says = choose(names.at, "hf:u/r");
    assert_non_null(strstr(says, " more"));
    strbuf_free(&names);
}

static void test_more_models_than_a_repository_has(void **state) {
    (void)state;
    HubListing l = {.files = arena_array(&arena, HUB_MAX_MODELS + 1, HubFile),
                    .count = HUB_MAX_MODELS + 1};
    for (size_t i = 0; i < l.count; i++) l.files[i].path = arena_printf(&arena, "%zu.gguf", i);
    HubModels m;
    Err err = {0};
    assert_false(hub_find_models(&m, &l, &arena, &err));
    l.count--;
    assert_true(hub_find_models(&m, &l, &arena, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_what_is_no_model),
        cmocka_unit_test(test_the_choice),
        cmocka_unit_test(test_parts_are_one_model),
        cmocka_unit_test(test_a_long_list_is_cut),
        cmocka_unit_test(test_more_models_than_a_repository_has),
    };
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return n_failed;
}
