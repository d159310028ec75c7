// Files are written whole or not at all; a directory is replaced by another without a moment
// in which neither is there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/map.h"
#include "mlpackage/scratch.h"

static Scratch scratch;
static Arena arena;

static const char *in_scratch(const char *name) {
    return path_join(&arena, scratch.path, name);
}

static void write_text(const char *path, const char *text) {
    Err err = {0};
    if (!file_write(path, text, strlen(text), &err)) fail_msg("%s", err.text);
}

static void expect_text(const char *path, const char *text) {
    FileMap map;
    Err err = {0};
    if (!map_file(&map, path, &err)) fail_msg("%s", err.text);
    assert_int_equal(map.len, strlen(text));
    if (map.len) assert_memory_equal(map.at, text, map.len);
    unmap_file(&map);
}

// A directory `name` with a file "what" that holds `text`.
static const char *make_dir(const char *name, const char *text) {
    const char *dir = in_scratch(name);
    assert_true(dir_make(dir, NULL));
    write_text(path_join(&arena, dir, "what"), text);
    return dir;
}

static void test_write_truncates(void **state) {
    (void)state;
    const char *path = in_scratch("f");
    write_text(path, "a longer text");
    expect_text(path, "a longer text");
    write_text(path, "short");
    expect_text(path, "short");
    write_text(path, "");
    expect_text(path, "");
}

static void test_write_names_the_file_it_cannot_create(void **state) {
    (void)state;
    Err err = {0};
    assert_false(file_write(in_scratch("no/such"), "x", 1, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "no/such: cannot create: No such file or directory"));
}

static void test_replace_keeps_the_old_file_when_it_fails(void **state) {
    (void)state;
    const char *path = in_scratch("kept");
    write_text(path, "old");
    assert_true(file_replace(path, "new", 3, NULL));
    expect_text(path, "new");
    assert_false(path_exists(in_scratch("kept.new")));
    // The temporary's name is taken by a directory.
    assert_true(dir_make(in_scratch("kept.new"), NULL));
    Err err = {0};
    assert_false(file_replace(path, "newer", 5, &err));
    expect_text(path, "new");
}

static void test_replace_does_not_overwrite_a_directory(void **state) {
    (void)state;
    const char *dir = make_dir("taken", "inside");
    Err err = {0};
    assert_false(file_replace(dir, "x", 1, &err));
    assert_non_null(strstr(err.text, "taken: cannot replace"));
    expect_text(path_join(&arena, dir, "what"), "inside");
    assert_false(path_exists(in_scratch("taken.new")));
}

static void test_make_accepts_a_directory_and_refuses_a_file(void **state) {
    (void)state;
    Err err = {0};
    assert_true(dir_make(in_scratch("d"), &err) && dir_make(in_scratch("d"), &err));
    write_text(in_scratch("plain"), "");
    assert_false(dir_make(in_scratch("plain"), &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
}

static void test_list_is_sorted_and_complete(void **state) {
    (void)state;
    enum { MANY = 40 }; // more than the list's first capacity
    const char *dir = in_scratch("many");
    assert_true(dir_make(dir, NULL));
    for (int i = MANY; i-- > 0;)
        write_text(path_join(&arena, dir, arena_printf(&arena, "%02d", i).at), "");
    DirList list;
    assert_true(dir_list(&list, &arena, dir, NULL));
    assert_int_equal(list.count, MANY);
    for (int i = 0; i < MANY; i++)
        assert_string_equal(list.names[i], arena_printf(&arena, "%02d", i).at);
    Err err = {0};
    assert_false(dir_list(&list, &arena, in_scratch("nowhere"), &err));
    assert_int_equal(list.count, 0);
}

static void test_remove_tree_does_not_follow_links(void **state) {
    (void)state;
    const char *outside = make_dir("outside", "kept");
    const char *dir = make_dir("tree", "gone");
    assert_true(dir_make(path_join(&arena, dir, "deeper"), NULL));
    assert_int_equal(symlink(outside, path_join(&arena, dir, "deeper/link")), 0);
    assert_true(dir_remove_tree(dir, NULL));
    assert_false(path_exists(dir));
    expect_text(path_join(&arena, outside, "what"), "kept");
    assert_true(dir_remove_tree(dir, NULL)); // absent is fine
}

static void test_dir_replace(void **state) {
    (void)state;
    const char *fresh = make_dir("fresh", "new"), *place = in_scratch("place");
    assert_true(dir_replace(fresh, place, NULL)); // nothing is there yet
    expect_text(path_join(&arena, place, "what"), "new");
    assert_false(path_exists(fresh));
    make_dir("fresh", "newer");
    assert_true(dir_replace(fresh, place, NULL));
    expect_text(path_join(&arena, place, "what"), "newer");
    assert_false(path_exists(fresh));
    Err err = {0};
    assert_false(dir_replace(fresh, place, &err));
    expect_text(path_join(&arena, place, "what"), "newer");
}

static void test_recover_puts_the_old_directory_back(void **state) {
    (void)state;
    const char *fresh = in_scratch("f2"), *place = in_scratch("p2"), *old = in_scratch("f2.old");
    make_dir("f2.old", "old"); // killed between the two renames
    assert_true(dir_recover(fresh, place, NULL));
    expect_text(path_join(&arena, place, "what"), "old");
    assert_false(path_exists(old));
    make_dir("f2.old", "older"); // killed after them
    assert_true(dir_recover(fresh, place, NULL));
    expect_text(path_join(&arena, place, "what"), "old");
    assert_false(path_exists(old));
    assert_true(dir_recover(fresh, place, NULL)); // nothing to mend
}

static void test_paths(void **state) {
    (void)state;
    write_text(in_scratch("file"), "");
    assert_int_equal(symlink("nowhere", in_scratch("dangling")), 0);
    assert_true(path_exists(in_scratch("file")) && !path_is_dir(in_scratch("file")));
    assert_true(path_exists(in_scratch("dangling")) && !path_is_dir(in_scratch("dangling")));
    assert_true(path_is_dir(scratch.path));
    assert_string_equal(path_join(&arena, "a", "b"), "a/b");
    assert_string_equal(path_file_name("a/b.gguf"), "b.gguf");
    assert_string_equal(path_file_name("b.gguf"), "b.gguf");
    assert_string_equal(path_file_name("a/"), "");
}

static void test_make_all_makes_the_directories_above(void **state) {
    (void)state;
    Err err = {0};
    assert_true(dir_make_all(in_scratch("deep/er/still"), &err));
    assert_true(path_is_dir(in_scratch("deep/er/still")));
    assert_true(dir_make_all(in_scratch("deep/er/still"), &err));
    assert_true(dir_make_all(in_scratch("deep/slash/"), &err));
    write_text(in_scratch("deep/file"), "");
    assert_false(dir_make_all(in_scratch("deep/file/below"), &err));
    assert_non_null(strstr(err.text, "deep/file"));
}

static void test_the_cache_is_where_the_variables_say(void **state) {
    (void)state;
    setenv("HOME", "/home/x", 1);
    setenv("XDG_CACHE_HOME", "", 1);
    setenv("LATHE_CACHE_DIR", "", 1);
#ifdef __APPLE__
    assert_string_equal(cache_dir(&arena), "/home/x/Library/Caches/lathe");
#else
    assert_string_equal(cache_dir(&arena), "/home/x/.cache/lathe");
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    assert_string_equal(cache_dir(&arena), "/xdg/lathe");
#endif
    setenv("LATHE_CACHE_DIR", "/own", 1);
    assert_string_equal(cache_dir(&arena), "/own");
    unsetenv("LATHE_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_null(cache_dir(&arena));
}

static void test_free_space_of_a_folder(void **state) {
    (void)state;
    Err err = {0};
    uint64_t n_bytes = 0;
    assert_true(disk_free(&n_bytes, scratch.path, &err) && n_bytes > 0);
    assert_false(disk_free(&n_bytes, in_scratch("nowhere"), &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_truncates),
        cmocka_unit_test(test_write_names_the_file_it_cannot_create),
        cmocka_unit_test(test_replace_keeps_the_old_file_when_it_fails),
        cmocka_unit_test(test_replace_does_not_overwrite_a_directory),
        cmocka_unit_test(test_make_accepts_a_directory_and_refuses_a_file),
        cmocka_unit_test(test_list_is_sorted_and_complete),
        cmocka_unit_test(test_remove_tree_does_not_follow_links),
        cmocka_unit_test(test_dir_replace),
        cmocka_unit_test(test_recover_puts_the_old_directory_back),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_make_all_makes_the_directories_above),
        cmocka_unit_test(test_the_cache_is_where_the_variables_say),
        cmocka_unit_test(test_free_space_of_a_folder),
    };
    scratch = scratch_open("test-file");
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    arena_free(&arena);
    return n_failed;
}
