// Packages with several weight files: planned, written, read back, and refused where one is missing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/size.h"
#include "mil/build.h"
#include "mlpackage/package.h"
#include "mlpackage/scratch.h"

enum { N = 5, ROWS = 8, COLS = 4 }; // blobs, of ROWS x COLS codes each

typedef struct {
    Scratch scratch;
    Arena arena;
    BlobPlan blobs;
    MilPlace places[N];
    const char *path;
} Fixture;

static int set_up(void **state) {
    static Fixture fixture;
    fixture = (Fixture){.scratch = scratch_open("coreml-files")};
    fixture.path = path_join(&fixture.arena, fixture.scratch.path, "p.mlpackage");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *t = *state;
    scratch_close(&t->scratch);
    arena_free(&t->arena);
    return 0;
}

// Blobs 0 and 1 in the first file, 2 and 3 in the second, 4 in the third.
static void plan(Fixture *t) {
    MilType codes = MIL_TENSOR(MIL_I8, ROWS, COLS, 1, 1);
    for (int i = 0; i < N; i++) {
        if (i % 2 == 0) blob_plan_next_file(&t->blobs);
        t->places[i] = blob_plan_add(&t->blobs, &t->arena, &codes);
    }
}

static int8_t code(int blob, int i) {
    return (int8_t)(10 * blob + i % 7);
}

// The last first: the order is the caller's.
static bool fill(void *context, BlobSink *sink, Err *err) {
    Fixture *t = context;
    for (int b = N - 1; b >= 0; b--) {
        int8_t codes[ROWS * COLS];
        for (int i = 0; i < ROWS * COLS; i++) codes[i] = code(b, i);
        if (!blob_sink_put(sink, t->places[b], 0, codes, sizeof codes, err)) return false;
    }
    return true;
}

static void write_package(Fixture *t) {
    Err err = {0};
    plan(t);
    MilProgram *p = mil_program_new(&t->arena, 9);
    Builder b = builder_begin(p, "main", &err);
    ValueId x = build_input(&b, "x", MIL_TENSOR(MIL_F16, 1, COLS, 1, 1));
    for (int i = 0; i < N; i++) {
        ValueId data = build_literal_blob(&b, MIL_TENSOR(MIL_I8, ROWS, COLS, 1, 1), t->places[i]);
        ValueId scale = build_literal(&b, MIL_TENSOR(MIL_F16, 1, 1, 1, 1), "\0\x38", 2);
        const char *name = arena_printf(&t->arena, "w%d", i).at;
        ValueId w = build_constexpr_blockwise(&b, name, data, scale);
        build_output(&b,
                     build_conv1x1(&b, arena_printf(&t->arena, "y%d", i).at, x, w, MIL_NO_VALUE));
    }
    PackageSource source = {.program = p, .blobs = &t->blobs, .fill = fill, .context = t};
    if (!builder_ok(&b) || !package_write(t->path, &source, &err)) fail_msg("%s", err.text);
}

static const char *weight(Fixture *t, const char *name) {
    const char *folder = path_join(&t->arena, t->path, "Data/com.apple.CoreML/weights");
    return path_join(&t->arena, folder, name);
}

static void test_a_plan_goes_on_in_another_file(void **state) {
    Fixture *t = *state;
    assert_int_equal(blob_plan_files(&t->blobs), 0);
    plan(t);
    static const MilPlace wanted[N] = {{0, 64}, {0, 192}, {1, 64}, {1, 192}, {2, 64}};
    for (int i = 0; i < N; i++) {
        assert_int_equal(t->places[i].file, wanted[i].file);
        assert_int_equal(t->places[i].offset, wanted[i].offset);
    }
    assert_int_equal(blob_plan_files(&t->blobs), 3);
    assert_int_equal(blob_plan_file_bytes(&t->blobs, 0), 192 + 64 + ROWS * COLS);
    assert_int_equal(blob_plan_file_bytes(&t->blobs, 2), 64 + 64 + ROWS * COLS);
    blob_plan_next_file(&t->blobs);
    blob_plan_next_file(&t->blobs); // an empty file is not left behind
    assert_int_equal(blob_plan_files(&t->blobs), 3);
    MilType codes = MIL_TENSOR(MIL_I8, ROWS, COLS, 1, 1);
    assert_int_equal(blob_plan_add(&t->blobs, &t->arena, &codes).file, 3);
}

static void test_it_reads_back(void **state) {
    Fixture *t = *state;
    Package p;
    Err err = {0};
    write_package(t);
    if (!package_open(&p, &t->arena, t->path, &err)) fail_msg("%s", err.text);
    static const char *const names[] = {"weight.bin", "weight_1.bin", "weight_2.bin"};
    assert_int_equal(p.n_weights, COUNT_OF(names));
    uint64_t sum = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_true(str_is(p.weights[i].name, names[i]));
        assert_int_equal(p.weights[i].map.len, blob_plan_file_bytes(&t->blobs, (uint32_t)i));
        // As many records as the header says.
        assert_int_equal(p.weights[i].map.at[0], i < 2 ? 2 : 1);
        sum += p.weights[i].map.len;
    }
    assert_int_equal(package_weight_bytes(&p), sum);
    assert_int_equal(package_bytes(&p), sum + p.model.len);
    const MilFunction *f = mil_find_function(p.program, STR("main"));
    int seen = 0;
    for (uint32_t i = 0; i < f->n_values; i++) {
        const MilValue *v = &f->values[i];
        if (!v->data || !v->data->is_blob) continue;
        size_t n;
        const int8_t *codes = package_data(&p, v, &n);
        assert_int_equal(n, ROWS * COLS);
        for (int k = 0; k < ROWS * COLS; k++) assert_int_equal(codes[k], code(seen, k));
        seen++;
    }
    assert_int_equal(seen, N);
    package_close(&p);
}

static void assert_refused(Fixture *t, const char *words) {
    Arena arena = {0};
    Package p;
    Err err = {0};
    assert_false(package_open(&p, &arena, t->path, &err));
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.text, words)) fail_msg("'%s' is not in: %s", words, err.text);
    package_close(&p);
    arena_free(&arena);
}

static void test_a_file_that_is_missing_or_short_is_named(void **state) {
    Fixture *t = *state;
    write_package(t);
    assert_int_equal(truncate(weight(t, "weight_2.bin"), 140), 0);
    assert_refused(t, "inside weight_2.bin (140 bytes)");
    assert_int_equal(truncate(weight(t, "weight_1.bin"), 10), 0);
    assert_refused(t, "weight_1.bin: not a weight file of version 2");
    assert_int_equal(truncate(weight(t, "weight_1.bin"), 0), 0);
    assert_refused(t, "weight_1.bin: not a weight file of version 2");
    assert_int_equal(unlink(weight(t, "weight_1.bin")), 0);
    assert_refused(t,
                   "constant in file '@model_path/weights/weight_1.bin', which the package lacks");
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_a_plan_goes_on_in_another_file),
        WITH_FIXTURE(test_it_reads_back),
        WITH_FIXTURE(test_a_file_that_is_missing_or_short_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
