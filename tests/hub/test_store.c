// The store: what pulled.json says is what was written, and a damaged one is no model.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/size.h"
#include "hub/store.h"
#include "mlpackage/scratch.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static Scratch scratch;
static Arena arena;

static StoredModel model(const char *repo, const char *which, size_t n_parts) {
    StoredModel m = {.endpoint = STR("https://hub"),
                     .repo = str_of(repo),
                     .revision = STR("main"),
                     .commit = STR("c"),
                     .which = str_of(which),
                     .is_complete = true,
                     .n_parts = n_parts};
    m.name = arena_printf(&arena, "hf:%s:%s", repo, which);
    m.parts = arena_array(&arena, n_parts, HubFile);
    for (size_t i = 0; i < n_parts; i++)
        m.parts[i] =
            (HubFile){.n_bytes = 5,
                      .sha256 = STR(SHA),
                      .path = n_parts == 1 ? arena_printf(&arena, "sub/m-%s.gguf", which)
                                           : arena_printf(&arena, "m-%s-%05zu-of-%05zu.gguf", which,
                                                          i + 1, n_parts)};
    HubModel as_listed = {.stem = arena_printf(&arena, "m-%s", which)};
    HubName name = {.repo = m.repo, .revision = m.revision};
    Err err = {0};
    m.dir = store_model_dir(&arena, &name, &as_listed, &err);
    assert_non_null(m.dir);
    assert_true(dir_make_all(m.dir, &err));
    for (size_t i = 0; i < n_parts; i++) {
        const char *file = path_file_name(arena_cstr(&arena, m.parts[i].path));
        assert_true(file_write(path_join(&arena, m.dir, file), "12345", 5, &err));
    }
    return m;
}

static void write_model(const StoredModel *m) {
    Err err = {0};
    if (!store_write(m, &err)) fail_msg("%s", err.text);
}

static const StoredModel *find(const char *text, Err *err) {
    HubName name;
    StoredModels *all = arena_new(&arena, StoredModels);
    *err = (Err){0};
    assert_true(hub_name_read(&name, text, err) && store_list(all, &arena, err));
    return store_find(all, &arena, &name, false, err);
}

static void test_what_was_written_is_read(void **state) {
    (void)state;
    StoredModel m = model("u/r", "Q8_0", 2), again;
    Err err = {0};
    m.base = STR("o/m"), m.base_commit = STR("d"), m.base_from = STR("the card");
    m.has[COMPANION_config] = true;
    m.companion_sha256[COMPANION_config] = STR(SHA);
    assert_true(file_write(path_join(&arena, m.dir, "config.json"), "{}", 2, &err));
    write_model(&m);
    assert_true(store_read(&again, &arena, m.dir, &err));
    assert_true(str_eq(again.name, m.name) && str_eq(again.repo, m.repo) && again.n_parts == 2);
    assert_true(str_eq(again.parts[1].path, m.parts[1].path) && store_bytes(&again) == 10);
    assert_true(str_is(again.base, "o/m") && again.has[COMPANION_config] &&
                !again.has[COMPANION_generation]);
    assert_non_null(strstr(store_path(&arena, &again), "/u--r/m-Q8_0/m-Q8_0-00001-of-00002.gguf"));
    assert_non_null(strstr(store_companion_path(&arena, &again, COMPANION_config), "/config.json"));
    assert_null(store_companion_path(&arena, &again, COMPANION_generation));
}

static void test_names_find_models(void **state) {
    (void)state;
    Err err;
    StoredModel small = model("u/s", "Q4_K_M", 1), part = model("u/s", "F32", 1);
    part.is_complete = false;
    write_model(&small);
    write_model(&part);
    assert_non_null(find("hf:u/s", &err)); // the only one that is whole
    assert_null(find("hf:u/s:F32", &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_null(find("hf:u/s:Q8_0", &err));
    assert_non_null(find("hf:u/s@c:Q4_K_M", &err)); // by its commit
    assert_null(find("hf:u/s@v1", &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "`lathe pull hf:u/s@v1` brings it"));
    StoredModel better = model("u/s", "Q8_0", 1);
    write_model(&better);
    assert_true(str_is(find("hf:u/s", &err)->which, "Q8_0")); // preference.def
    assert_true(str_is(find("hf:u/s:q4_k_m", &err)->which, "Q4_K_M"));
    assert_null(find("hf:u/t", &err));
}

static void test_a_model_whose_file_was_removed_is_not_there(void **state) {
    (void)state;
    Err err;
    StoredModel m = model("u/gone", "Q8_0", 2);
    write_model(&m);
    assert_non_null(find("hf:u/gone", &err));
    assert_true(file_write(path_join(&arena, m.dir, "m-Q8_0-00002-of-00002.gguf"), "1", 1, &err));
    assert_null(find("hf:u/gone", &err));
    HubName name;
    StoredModels all;
    assert_true(hub_name_read(&name, "hf:u/gone", &err) && store_list(&all, &arena, &err));
    assert_non_null(store_find(&all, &arena, &name, true, &err));
}

static void test_a_file_knows_its_model(void **state) {
    (void)state;
    StoredModel m = model("u/f", "Q8_0", 2), found;
    write_model(&m);
    assert_true(store_of_file(&found, &arena, store_path(&arena, &m)));
    assert_true(str_eq(found.name, m.name));
    assert_true(
        store_of_file(&found, &arena, path_join(&arena, m.dir, "m-Q8_0-00002-of-00002.gguf")));
    assert_false(store_of_file(&found, &arena, path_join(&arena, m.dir, "other.gguf")));
    assert_false(store_of_file(&found, &arena, "m-Q8_0-00001-of-00002.gguf"));
    assert_false(store_of_file(&found, &arena, "/m.gguf"));
    assert_false(store_of_file(&found, &arena, ""));
    m.is_complete = false;
    write_model(&m);
    assert_false(store_of_file(&found, &arena, store_path(&arena, &m)));
}

static void test_removing_leaves_no_folder(void **state) {
    (void)state;
    StoredModel a = model("u/x", "Q8_0", 1), b = model("u/x", "F16", 1);
    Err err = {0};
    write_model(&a);
    write_model(&b);
    const char *repo = arena_printf(&arena, "%s/u--x", scratch.path).at;
    assert_true(store_remove(&a, &err) && !path_exists(a.dir) && path_exists(b.dir));
    assert_true(store_remove(&b, &err) && !path_exists(repo) && path_exists(scratch.path));
}

static void test_a_damaged_manifest_is_no_model(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"schema\": 2}",
        "{\"schema\": 1}",
#define MANIFEST(repo, model, publisher)                                                           \
    "{\"schema\": 1, \"name\": \"n\", \"endpoint\": \"e\", \"repo\": \"" repo                      \
    "\", \"revision\": \"main\", "                                                                 \
    "\"commit\": \"c\", \"which\": \"w\", \"complete\": true, \"base\": null, \"model\": " model   \
    ", \"publisher\": " publisher "}"
        MANIFEST("u/r", "[]", "[]"),
        MANIFEST("u/r", "[{}]", "[]"),
        MANIFEST("u/r", "7", "[]"),
        MANIFEST("u/r", "[{\"path\": \"../../../x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]",
                 "[]"),
        MANIFEST("u/r", "[{\"path\": \"a/.x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]", "[]"),
        MANIFEST("u/r", "[{\"path\": \"x.gguf\", \"bytes\": 1, \"sha256\": \"\"}]", "[]"),
        MANIFEST("u/r",
                 "[{\"path\": \"x.gguf\", \"bytes\": 9223372036854775807, \"sha256\": \"" SHA
                 "\"}]",
                 "[]"),
        MANIFEST("../r", "[{\"path\": \"x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]", "[]"),
        MANIFEST("u/r", "[{\"path\": \"x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]", "[{}]"),
        MANIFEST("u/r", "[{\"path\": \"x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]",
                 "[1,2,3,4,5]"),
    };
    StoredModel m = model("u/d", "Q8_0", 1), read;
    Err err = {0};
    assert_false(store_read(&read, &arena, m.dir, &err) || err.kind); // none is no error
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        err = (Err){0};
        assert_true(
            file_write(path_join(&arena, m.dir, "pulled.json"), rows[i], strlen(rows[i]), &err));
        if (store_read(&read, &arena, m.dir, &err)) fail_msg("%s", rows[i]);
        if (err.kind != ERR_FORMAT || !strstr(err.text, "pulled.json"))
            fail_msg("%s: %s", rows[i], err.text);
    }
    static const char good[] =
        MANIFEST("u/r", "[{\"path\": \"x.gguf\", \"bytes\": 1, \"sha256\": \"" SHA "\"}]", "[]");
    assert_true(file_write(path_join(&arena, m.dir, "pulled.json"), good, sizeof good - 1, &err));
    assert_true(store_read(&read, &arena, m.dir, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_names_find_models),
        cmocka_unit_test(test_a_model_whose_file_was_removed_is_not_there),
        cmocka_unit_test(test_a_file_knows_its_model),
        cmocka_unit_test(test_removing_leaves_no_folder),
        cmocka_unit_test(test_a_damaged_manifest_is_no_model),
    };
    scratch = scratch_open("test-hub-store");
    setenv("LATHE_STORE", scratch.path, 1);
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    arena_free(&arena);
    return n_failed;
}
