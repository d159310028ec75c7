// What was proved is what is sealed: whatever is swapped while gates run, at its path or in place,
// for good or for a moment, the run counts for nothing and no seal is written. One program at a
// time works on a bundle.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/lock.h"
#include "base/map.h"
#include "bundle/seal.h"
#include "convert/convert.h"
#include "verify/verify.h"

// A bundle all gates have passed, so that a run that resumes is short; the source beside it.
typedef struct {
    Arena arena;
    Pool *pool;
    const char *dir, *model, *other; // `other`: another bundle of the same source
    const char *weights, *chain, *host;
    // At the first report of a stage called `at` after gate contract began, `swap` is done.
    const char *at;
    void (*swap)(const char *path);
    const char *path;
    bool has_begun, is_done;
} Bench;

static Bench bench;

static void copy_file(const char *from, const char *to) {
    FileMap map;
    Err err;
    assert_true(map_file(&map, from, &err));
    assert_true(file_write(to, map.at, map.len, &err));
    unmap_file(&map);
}

static void convert(const char *out, uint32_t context, Err *err) {
    Chain chain;
    ConvertJob job = {.model_path = bench.model,
                      .out_path = out,
                      .options = {.context = context, .target = target_named("macos27")},
                      .replaces = true,
                      .tool_version = "lathe test",
                      .pool = bench.pool};
    bundle_convert(&chain, &bench.arena, &job, err);
}

static void report_stage(void *context, const char *what, uint64_t done, uint64_t total) {
    Bench *b = context;
    (void)done, (void)total;
    if (strcmp(what, "contract") == 0) b->has_begun = true;
    if (!b->has_begun || b->is_done || !b->at || strcmp(what, b->at) != 0) return;
    b->is_done = true;
    b->swap(b->path);
}

static bool verify(const char *gates, bool resumes, Err *err) {
    Progress progress = {report_stage, &bench};
    VerifyJob job = {.bundle_dir = bench.dir,
                     .model_path = bench.model,
                     .gates = gates,
                     .resumes = resumes,
                     .tool_version = "lathe test",
                     .pool = bench.pool,
                     .progress = &progress};
    bench.has_begun = bench.is_done = false;
    return verify_bundle(&job, err);
}

static const char *in_bundle(const char *name) {
    return path_join(&bench.arena, bench.dir, name);
}

static int open_bench(void **state) {
    (void)state;
    Err err = {0};
    const char *tmp = getenv("LATHE_TEST_TMP");
    const char *place = path_join(&bench.arena, tmp ? tmp : ".", "test_swaps.bundles");
    assert_true(dir_remove_tree(place, &err) && dir_make(place, &err));
    bench.pool = pool_open(0, &err);
    bench.dir = path_join(&bench.arena, place, "m.lathe");
    bench.other = path_join(&bench.arena, place, "other.lathe");
    bench.model = path_join(&bench.arena, place, "hello-phi3-q8_0.gguf");
    copy_file(LATHE_MODELS "/hello-phi3-q8_0.gguf", bench.model);
    convert(bench.dir, 40, &err);
    convert(bench.other, 48, &err);
    bench.weights =
        in_bundle("shards/00-layers-00-03-head.mlpackage/Data/com.apple.CoreML/weights/weight.bin");
    bench.chain = in_bundle("chain.json");
    bench.host = in_bundle("host.gguf");
    if (!verify(NULL, false, &err)) fail_msg("%s", err.text);
    return 0;
}

static int close_bench(void **state) {
    (void)state;
    pool_close(bench.pool);
    arena_free(&bench.arena);
    return 0;
}

// ---- swaps; each is its own undoing when done twice, or leaves things as they were

static void flip_byte(const char *path) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, -20, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -20, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void flip_and_flip_back(const char *path) {
    flip_byte(path);
    flip_byte(path);
}

static void put_a_copy(const char *path) {
    Str fresh = arena_printf(&bench.arena, "%s.copy", path);
    copy_file(path, fresh.at);
    assert_int_equal(rename(fresh.at, path), 0);
}

static void swap_bundles(const char *path) {
    Str aside = arena_printf(&bench.arena, "%s.aside", path);
    assert_int_equal(rename(path, aside.at), 0);
    assert_int_equal(rename(bench.other, path), 0);
    assert_int_equal(rename(aside.at, bench.other), 0);
}

static void expect_nothing_counts(const char *at, void (*swap)(const char *), const char *path,
                                  bool is_undone) {
    Err err = {0};
    const char *seal = in_bundle("seal.json"), *kept = in_bundle("verify/kept");
    copy_file(seal, kept);
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        if (!is_sealed) unlink(seal);
        bench.at = at;
        bench.swap = swap;
        bench.path = path;
        bool ok = verify(NULL, true, &err);
        bench.at = NULL;
        assert_true(bench.is_done);
        if (is_undone) swap(path);
        if (ok) fail_msg("%s at %s: sealed all the same", path, at);
        assert_int_equal(err.kind, ERR_GATE);
        assert_non_null(strstr(err.text, "verify again"));
        // What stood before stands: a seal, or none.
        assert_int_equal(path_exists(seal), is_sealed);
        copy_file(kept, seal);
    }
    if (!seal_check(bench.dir, NULL, NULL, &err)) fail_msg("%s", err.text);
}

static void test_a_swap_at_any_moment(void **state) {
    (void)state;
    // While a gate runs, and while all is read again in the end.
    static const char *const moments[] = {"contract", "digests"};
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        expect_nothing_counts(moments[i], flip_byte, bench.weights, true);
        expect_nothing_counts(moments[i], flip_and_flip_back, bench.weights, false);
        expect_nothing_counts(moments[i], put_a_copy, bench.weights, false);
        expect_nothing_counts(moments[i], flip_and_flip_back, bench.host, false);
        expect_nothing_counts(moments[i], flip_byte, bench.chain, true);
        expect_nothing_counts(moments[i], put_a_copy, bench.model, false);
        expect_nothing_counts(moments[i], flip_byte, bench.model, true);
        expect_nothing_counts(moments[i], swap_bundles, bench.dir, true);
    }
}

// The gate reads the altered byte and fails; the bundle that was proved is not the one that failed.
static void test_a_failure_over_swapped_bytes_takes_no_proof(void **state) {
    (void)state;
    Err err = {0};
    bench.at = "structure";
    bench.swap = flip_byte;
    bench.path = bench.weights;
    bool ok = verify("contract,structure", false, &err);
    bench.at = NULL;
    flip_byte(bench.weights);
    assert_true(!ok && bench.is_done);
    assert_non_null(strstr(err.text, "verify again"));
    if (!seal_check(bench.dir, NULL, NULL, &err)) fail_msg("%s", err.text);
}

static void test_nothing_swapped_is_sealed(void **state) {
    (void)state;
    Err err = {0};
    unlink(in_bundle("seal.json"));
    if (!verify(NULL, true, &err)) fail_msg("%s", err.text);
    assert_true(seal_check(bench.dir, NULL, NULL, &err));
}

// ---- locks

static void work_on_it_as_well(const char *path) {
    (void)path;
    char who[64];
    snprintf(who, sizeof who, "is in use by process %ld", (long)getpid());
    Err err = {0};
    convert(bench.dir, 40, &err);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "nothing was converted"));
#ifdef __linux__
    assert_non_null(strstr(err.text, who));
#endif
    err = (Err){0};
    VerifyJob job = {.bundle_dir = bench.dir, .model_path = bench.model, .pool = bench.pool};
    assert_false(verify_bundle(&job, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "then verify again"));
}

static void test_one_at_a_time(void **state) {
    (void)state;
    Err err = {0};
    bench.at = "contract";
    bench.swap = work_on_it_as_well;
    bool ok = verify("contract", false, &err);
    bench.at = NULL;
    assert_true(ok && bench.is_done);
    assert_true(verify("contract", false, &err)); // and the next one may
}

// A process that ends however it ends leaves no lock.
static void test_no_lock_outlives_its_process(void **state) {
    (void)state;
    DirLock lock;
    Err err = {0};
    long process = 0;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = dir_lock(&lock, bench.dir, &err);
        ok = write(ready[1], &ok, 1) == 1 && ok;
        pause();
        _exit(ok ? 0 : 1);
    }
    bool has_locked = false;
    assert_int_equal(read(ready[0], &has_locked, 1), 1);
    assert_true(has_locked && dir_is_locked(bench.dir, &process));
#ifdef __linux__
    assert_int_equal(process, child);
#endif
    assert_false(dir_lock(&lock, bench.dir, &err));
    kill(child, 9);
    waitpid(child, NULL, 0);
    assert_false(dir_is_locked(bench.dir, &process));
    assert_true(dir_lock(&lock, bench.dir, &err) && !lock.is_weak);
    dir_unlock(&lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_swap_at_any_moment),
        cmocka_unit_test(test_a_failure_over_swapped_bytes_takes_no_proof),
        cmocka_unit_test(test_nothing_swapped_is_sealed),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_no_lock_outlives_its_process),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
