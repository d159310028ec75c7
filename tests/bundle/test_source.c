// The model file of a bundle: where it is looked for, and that it is read again whenever anything
// says that it may be another.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/source.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static Arena arena;
static const char *dir, *model; // a bundle's folder, and the model beside it
static const char *memory;      // dir/verify/source.json

static void copy_file(const char *from, const char *to) {
    FileMap map;
    assert_true(map_file(&map, from, NULL));
    assert_true(file_replace(to, map.at, map.len, NULL));
    unmap_file(&map);
}

// An empty folder of a bundle, and beside it a model of more than two times what is read of each end.
static int set_up(void **state) {
    (void)state;
    assert_true(dir_remove_tree(scratch.path, NULL) && dir_make(scratch.path, NULL));
    dir = path_join(&arena, scratch.path, "m.lathe");
    model = path_join(&arena, scratch.path, "model.gguf");
    memory = path_join(&arena, dir, "verify/source.json");
    assert_true(dir_make(dir, NULL));
    copy_file(LATHE_MODELS "/hello-phi3-f16.gguf", model);
    return 0;
}

static Chain chain_of(const char *name, const char *sha256) {
    return (Chain){.source_name = str_of(name), .source_sha256 = str_of(sha256)};
}

static Gguf open_model(void) {
    Gguf g;
    Err err = {0};
    if (!gguf_open(&g, &arena, model, &err)) fail_msg("%s", err.text);
    return g;
}

static void count_report(void *context, const char *what, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    assert_string_equal(what, "source digest");
    ++*(int *)context;
}

// What source_check() says of the model as it is now, and whether it read all of it.
static ErrKind check(const Chain *chain, bool *has_read) {
    int n_reports = 0;
    Progress progress = {count_report, &n_reports};
    Err err = {0};
    Gguf g = open_model();
    bool ok = source_check(dir, chain, &g, &progress, &err);
    gguf_close(&g);
    assert_int_equal(ok, err.kind == ERR_NONE);
    *has_read = n_reports > 0;
    return err.kind;
}

static const char *digest_of_model(void) {
    Gguf g = open_model();
    Sha256 digest = gguf_digest(&g, NULL);
    gguf_close(&g);
    return arena_cstr(&arena, str_of(digest.hex));
}

static void remember(const Chain *chain) {
    Gguf g = open_model();
    source_remember(dir, chain, &g, NULL);
    gguf_close(&g);
}

static void write_memory(json_t *json) {
    json_object_set_new(json, "sha256", json_string(json_own_sha256(json).hex));
    assert_true(json_write_file(json, memory, NULL));
}

// Flips a bit at `at`; at the same place again, it flips it back.
static void flip(const char *path, long at) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
}

// ---- where it is

static void test_it_is_found_where_it_was_given_lies_or_was_remembered(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", "0");
    assert_string_equal(source_find(dir, &chain, "given", &arena), "given");
    assert_string_equal(source_find(dir, &chain, NULL, &arena), model);
    const char *slashed = arena_printf(&arena, "%s//", dir).at;
    assert_string_equal(source_find(slashed, &chain, NULL, &arena), model);

    // In the working directory: of a bundle there, and of one elsewhere.
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch.path), 0);
    assert_string_equal(source_find("m.lathe", &chain, NULL, &arena), "./model.gguf");
    assert_string_equal(source_find("m.lathe/", &chain, NULL, &arena), "./model.gguf");
    assert_string_equal(source_find("/nowhere/m.lathe", &chain, NULL, &arena), "model.gguf");
    assert_int_equal(chdir("/"), 0);
    // Of a bundle in the root: "/tmp" is a path that there is.
    chain = chain_of("tmp", "0");
    assert_string_equal(source_find("/m.lathe", &chain, NULL, &arena), "//tmp");

    chain = chain_of("other.gguf", "0");
    assert_null(source_find(dir, &chain, NULL, &arena));
    remember(&chain);
    char *absolute = realpath(model, NULL);
    assert_string_equal(source_find(dir, &chain, NULL, &arena), absolute);
    Chain unread = {0}; // before chain.json is read, the memory is all there is
    assert_string_equal(source_find(dir, &unread, NULL, &arena), absolute);
    free(absolute);
    assert_int_equal(chdir(before), 0);
}

static void test_an_edited_or_stale_memory_names_nothing(void **state) {
    (void)state;
    Chain chain = chain_of("other.gguf", "0");
    remember(&chain);
    json_t *json = json_read_file(memory, NULL);
    json_object_set_new(json, "path", json_string("/"));
    assert_true(json_write_file(json, memory, NULL)); // its digest is of another path
    assert_null(source_find(dir, &chain, NULL, &arena));
    write_memory(json);
    assert_string_equal(source_find(dir, &chain, NULL, &arena), "/");
    json_object_set_new(json, "path", json_string("/nowhere/model.gguf"));
    write_memory(json);
    assert_null(source_find(dir, &chain, NULL, &arena));
    json_object_del(json, "sha256");
    assert_true(json_write_file(json, memory, NULL));
    assert_null(source_find(dir, &chain, NULL, &arena));
    json_decref(json);
    assert_true(file_write(memory, "{", 1, NULL));
    assert_null(source_find(dir, &chain, NULL, &arena));
}

// ---- whether it is the same

static void test_the_right_file_is_read_once(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    bool has_read;
    assert_int_equal(check(&chain, &has_read), ERR_NONE);
    assert_true(has_read);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(check(&chain, &has_read), ERR_NONE);
        assert_false(has_read);
    }
    // The same bytes in another file.
    copy_file(LATHE_MODELS "/hello-phi3-f16.gguf", model);
    assert_int_equal(check(&chain, &has_read), ERR_NONE);
    assert_true(has_read);
    assert_int_equal(check(&chain, &has_read), ERR_NONE);
    assert_false(has_read);
}

static void test_another_file_is_refused_and_not_remembered(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    bool has_read;
    flip(model, -1 + 2161952);
    assert_int_equal(check(&chain, &has_read), ERR_GATE);
    assert_true(has_read && !path_exists(memory));
    Gguf g = open_model();
    Err err = {0};
    assert_false(source_check(dir, &chain, &g, NULL, &err));
    assert_non_null(strstr(err.text, "model.gguf is not the file"));
    assert_non_null(strstr(err.text, arena_printf(&arena, "%.16s", chain.source_sha256.at).at));
    gguf_close(&g);
}

// A change while it is remembered: the same size, and a file system that keeps no times would show
// the sample alone.
static void test_a_remembered_file_that_changed_is_refused(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    bool has_read;
    assert_int_equal(check(&chain, &has_read), ERR_NONE);
    flip(model, 1000000);
    assert_int_equal(check(&chain, &has_read), ERR_GATE);
    assert_true(has_read);
}

static void test_each_member_of_the_memory_counts(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    static const char *const stamps[] = {"bytes", "inode", "modified_ns", "changed_ns"};
    bool has_read;
    for (size_t i = 0; i < COUNT_OF(stamps) + 3; i++) {
        remember(&chain);
        json_t *json = json_read_file(memory, NULL);
        json_t *part = json_array_get(json_object_get(json, "parts"), 0);
        if (i < COUNT_OF(stamps))
            json_object_set_new(
                part, stamps[i],
                json_integer(json_integer_value(json_object_get(part, stamps[i])) + 1));
        else if (i == COUNT_OF(stamps))
            json_object_set_new(json, "quick", json_string("0"));
        else if (i == COUNT_OF(stamps) + 1)
            json_object_set_new(json, "source_sha256", json_string("0"));
        else
            json_object_set_new(json, "path", json_string("/"));
        write_memory(json);
        json_decref(json);
        assert_int_equal(check(&chain, &has_read), ERR_NONE);
        assert_int_equal(has_read, i < COUNT_OF(stamps) + 2); // where it was does not matter
    }
}

// What the sample covers, seen by a memory that has the stamps of the changed file and the sample of
// the one before: the ends of the file and 256 pages, and nothing else (source.h).
static void test_the_sample_covers_ends_and_pages(void **state) {
    (void)state;
    enum { N_BYTES = 2161952, END = 1 << 20, STEP = N_BYTES / 256, PAGE = 125 };
    static const struct {
        long at;
        bool is_covered;
    } rows[] = {
        {END - 1, true},
        {N_BYTES - END, true},
        {N_BYTES - 1, true},
        {STEP * PAGE, true},
        {STEP * PAGE + 4095, true},
        {STEP * PAGE + 4096, false},
        {STEP * (PAGE + 1) - 1, false},
    };
    assert_true(STEP * PAGE > END && STEP * (PAGE + 1) < N_BYTES - END);
    Chain chain = chain_of("model.gguf", digest_of_model());
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        remember(&chain);
        json_t *json = json_read_file(memory, NULL);
        char *quick = strdup(json_string_value(json_object_get(json, "quick")));
        json_decref(json);
        flip(model, rows[i].at);
        remember(&chain);
        json = json_read_file(memory, NULL);
        json_object_set_new(json, "quick", json_string(quick));
        write_memory(json);
        json_decref(json);
        free(quick);
        bool has_read;
        ErrKind kind = check(&chain, &has_read);
        if ((kind == ERR_GATE) != rows[i].is_covered || has_read != rows[i].is_covered)
            fail_msg("byte %ld: kind %d, read %d", rows[i].at, (int)kind, has_read);
        flip(model, rows[i].at);
    }
}

static void test_a_bundle_that_cannot_be_written_is_checked_all_the_same(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    bool has_read;
    dir = path_join(&arena, model, "not-a-folder");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(check(&chain, &has_read), ERR_NONE);
        assert_true(has_read);
    }
}

static void test_a_file_that_changed_since_it_was_opened_is_not_remembered(void **state) {
    (void)state;
    Chain chain = chain_of("model.gguf", digest_of_model());
    Gguf g = open_model();
    Err err = {0};
    assert_true(source_holds(&g, &err));
    copy_file(LATHE_MODELS "/hello-phi3-f16.gguf", model);
    assert_false(source_holds(&g, &err));
    assert_int_equal(err.kind, ERR_GATE);
    assert_non_null(strstr(err.text, "model.gguf"));
    // What is mapped is the right file; what lies at the path may be any other.
    assert_true(source_check(dir, &chain, &g, NULL, NULL));
    assert_false(path_exists(memory));
    gguf_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_is_found_where_it_was_given_lies_or_was_remembered, set_up),
        cmocka_unit_test_setup(test_an_edited_or_stale_memory_names_nothing, set_up),
        cmocka_unit_test_setup(test_the_right_file_is_read_once, set_up),
        cmocka_unit_test_setup(test_another_file_is_refused_and_not_remembered, set_up),
        cmocka_unit_test_setup(test_a_remembered_file_that_changed_is_refused, set_up),
        cmocka_unit_test_setup(test_each_member_of_the_memory_counts, set_up),
        cmocka_unit_test_setup(test_the_sample_covers_ends_and_pages, set_up),
        cmocka_unit_test_setup(test_a_bundle_that_cannot_be_written_is_checked_all_the_same,
                               set_up),
        cmocka_unit_test_setup(test_a_file_that_changed_since_it_was_opened_is_not_remembered,
                               set_up),
    };
    scratch = scratch_open("test-source");
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    arena_free(&arena);
    return n_failed;
}
