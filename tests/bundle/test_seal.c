// A sealed bundle is used only as it was sealed: whichever byte is altered, the seal says no.
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
#include "base/lock.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "bundle/seal.h"
#include "convert/convert.h"

enum { MAX_FILES = 32, N_FLIPS = 1000 };

typedef struct {
    Arena arena;
    const char *dir;
    const char *files[MAX_FILES]; // all that a seal is about, itself included
    size_t n_files, n_bytes[MAX_FILES], total;
} Sealed;

static void add_file(Sealed *s, const char *name) {
    FileMap map;
    Err err;
    assert_true(s->n_files < MAX_FILES);
    const char *path = path_join(&s->arena, s->dir, name);
    assert_true(map_file(&map, path, &err));
    s->files[s->n_files] = path;
    s->total += s->n_bytes[s->n_files++] = map.len;
    unmap_file(&map);
}

// hello-phi3 in two packages, sealed with results that no gate gave.
static void make_sealed(Sealed *s) {
    Err err = {0};
    Chain chain;
    const char *tmp = getenv("LATHE_TEST_TMP");
    *s = (Sealed){0};
    s->dir = path_join(&s->arena, tmp ? tmp : ".", "test_seal.lathe");
    ConvertJob job = {
        .model_path = LATHE_MODELS "/hello-phi3-q8_0.gguf",
        .out_path = s->dir,
        .chosen = {[USE_context] = "128"},
        .options = {.prefill_rows = 64, .target = target_named("macos27"), .layers_per_shard = 2},
        .replaces = true,
        .tool_version = "lathe test",
    };
    if (!bundle_convert(&chain, &s->arena, &job, &err)) fail_msg("%s", err.text);
    json_t *results = json_object();
    for (int i = 0; i < GATE_COUNT; i++)
        json_object_set_new(results, gates[i].name,
                            json_pack("[{s:b, s:f}]", "passed", 1, "cos", 0.99999712345));
    json_t *unproved =
        json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "gate", "vote",
                  "scope", "rope_dim", "text", "not told apart", "gate", "vote", "scope", "-",
                  "text", "eps", "gate", "text", "text", "turn", "gate", "text", "text", "end");
    SealWords words = {results, unproved, "lathe test", "scalar"};
    if (!seal_write(s->dir, &chain, &words, &err)) fail_msg("%s", err.text);
    json_decref(unproved);
    json_decref(results);
    add_file(s, "seal.json");
    add_file(s, "chain.json");
    add_file(s, "host.gguf");
    for (size_t i = 0; i < chain.n_shards; i++)
        for (size_t f = 0; f < chain.shards[i].n_files; f++)
            add_file(s, arena_cstr(&s->arena, chain.shards[i].files[f].path));
}

static bool is_good(const Sealed *s) {
    Err err = {0};
    bool ok = seal_check(s->dir, NULL, NULL, &err);
    if (!ok) { // every refusal is one of the proof, and says what to do
        assert_true(err.kind == ERR_GATE || err.kind == ERR_UNPROVED);
        assert_true(strstr(err.text, "lathe verify") ||
                    strstr(err.text, "onvert the model again") ||
                    strstr(err.text, "lathe convert"));
    }
    return ok;
}

// XORs byte `at` of a file with `mask`.
static void flip(const char *path, size_t at, int mask) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ mask, file);
    fclose(file);
}

static void test_what_is_unproved_is_told(void **state) {
    (void)state;
    Sealed s;
    Err err = {0};
    StrBuf unproved = {0};
    make_sealed(&s);
    assert_true(seal_check(s.dir, &unproved, NULL, &err));
    assert_string_equal(unproved.at, "rope_dim; eps; turn; and 1 more, which lathe verify names");
    strbuf_free(&unproved);
    arena_free(&s.arena);
}

static void test_any_altered_byte_is_refused(void **state) {
    (void)state;
    Sealed s;
    make_sealed(&s);
    assert_true(is_good(&s));
    uint32_t seed = 12345;
    for (int i = 0; i < N_FLIPS; i++) {
        seed = seed * 1664525u + 1013904223u; // Numerical Recipes, section 7.1
        // Half of them in the small files by turns, half anywhere in the bundle.
        size_t file = (size_t)i % s.n_files, at = seed >> 4;
        if (i % 2) {
            at %= s.total;
            for (file = 0; at >= s.n_bytes[file]; file++) at -= s.n_bytes[file];
        }
        at %= s.n_bytes[file];
        int mask = 1 << (seed >> 29);
        flip(s.files[file], at, mask);
        if (is_good(&s)) fail_msg("%s: byte %zu xor %d was not seen", s.files[file], at, mask);
        flip(s.files[file], at, mask);
    }
    assert_true(is_good(&s)); // all were put back
    arena_free(&s.arena);
}

static ErrKind refusal(const Sealed *s) {
    Err err = {0};
    assert_false(seal_check(s->dir, NULL, NULL, &err));
    return err.kind;
}

// Scripts tell "not proved yet" from "proved wrong": a seal that is missing or no longer counts is the
// one, a file that is not as it was sealed the other.
static void test_kinds_of_refusal(void **state) {
    (void)state;
    Sealed s;
    make_sealed(&s);
    // Files 0 to 2 are seal.json, chain.json and host.gguf, then those of the packages.
    flip(s.files[3], 100, 1);
    assert_int_equal(refusal(&s), ERR_GATE);
    flip(s.files[3], 100, 1);
    flip(s.files[0], s.n_bytes[0] / 2, 1);
    assert_int_equal(refusal(&s), ERR_UNPROVED);
    assert_int_equal(unlink(s.files[0]), 0);
    assert_int_equal(refusal(&s), ERR_UNPROVED);
    arena_free(&s.arena);
}

// Puts a record of the gates into verify/, as a run of them writes it.
static void write_record(const Sealed *s, Arena *arena, const char *name, json_t *record) {
    json_object_set_new(record, "sha256", json_string(json_own_sha256(record).hex));
    const char *dir = path_join(arena, s->dir, "verify");
    assert_true(dir_make(dir, NULL) && json_write_file(record, path_join(arena, dir, name), NULL));
}

static void expect_unsealed(const Sealed *s, ErrKind kind, const char *says, const char *command) {
    Err err = {0};
    assert_false(seal_check(s->dir, NULL, NULL, &err));
    if (err.kind != kind || !strstr(err.text, says) || !strstr(err.text, command))
        fail_msg("'%s' is not '%s', '%s'", err.text, says, command);
}

// Of a bundle without a seal, the records tell how far its proof has come, and so what to do.
static void test_an_unsealed_bundle_says_how_far_it_is(void **state) {
    (void)state;
    Sealed s;
    make_sealed(&s);
    Arena *arena = &s.arena;
    const char *verify = "; prove it: lathe verify ";
    json_t *seal = json_read_file(s.files[0], NULL);
    const char *chain = json_string_value(json_object_get(seal, "chain_sha256"));
    assert_int_equal(unlink(s.files[0]), 0);
    expect_unsealed(&s, ERR_UNPROVED, "is not sealed: it was never verified", verify);

    json_t *passed = json_pack("{s:s, s:{s:[{s:b, s:s, s:s}]}}", "chain_sha256", chain, "gates",
                               "contract", "passed", 1, "scope", "a", "text", "b");
    write_record(&s, arena, "report.json", passed);
    expect_unsealed(&s, ERR_UNPROVED, "the gates that ran passed, others have not run", verify);

    // The first gate of the table is one as well.
    json_t *failed = json_pack("{s:s, s:{s:[{s:b, s:s, s:s}, {s:b, s:s, s:s}]}}", "chain_sha256",
                               chain, "gates", "contract", "passed", 1, "scope", "a", "text", "b",
                               "passed", 0, "scope", "rope", "text", "differs");
    write_record(&s, arena, "report.json", failed);
    expect_unsealed(&s, ERR_GATE, "it failed gate 'contract' (rope: differs)", "lathe verify ");

    // A run that began after that.
    json_t *progress = json_pack("{s:s, s:s}", "chain_sha256", chain, "running", "graph");
    write_record(&s, arena, "progress.json", progress);
    expect_unsealed(&s, ERR_UNPROVED, "was interrupted at gate 'graph'", " --resume");
    json_object_set_new(progress, "running", json_string(""));
    write_record(&s, arena, "progress.json", progress);
    expect_unsealed(&s, ERR_UNPROVED, "was interrupted at gate 'contract'", " --resume");

    // Or that runs now.
    DirLock lock;
    assert_true(dir_lock(&lock, s.dir, NULL));
    expect_unsealed(&s, ERR_UNPROVED, "it is being verified", ", now at gate contract; wait");
    const char *path = path_join(arena, s.dir, "verify/progress.json");
    assert_int_equal(unlink(path), 0);
    expect_unsealed(&s, ERR_UNPROVED, "it is being verified",
                    " or converted; wait until that ends");
    dir_unlock(&lock);

    // Records that were edited, or are of another chain.json, say nothing.
    json_object_set_new(failed, "tool", json_string("edited"));
    const char *report = path_join(arena, s.dir, "verify/report.json");
    assert_true(json_write_file(failed, report, NULL));
    expect_unsealed(&s, ERR_UNPROVED, "it was never verified", verify);
    json_object_set_new(failed, "chain_sha256", json_string("0"));
    write_record(&s, arena, "report.json", failed);
    expect_unsealed(&s, ERR_UNPROVED, "it was never verified", verify);

    assert_int_equal(unlink(report), 0);
    json_decref(seal);
    json_decref(passed);
    json_decref(failed);
    json_decref(progress);
    arena_free(&s.arena);
}

// A seal that is whole and wrong in one member, its own digest included: what it says counts, not only
// that nobody touched it.
static void test_a_wrong_seal_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *outer, *member, *value, *says; // `outer` NULL: of the seal itself
    } rows[] = {
        {NULL, "schema", "3", "another form of seal"},
        {NULL, "build", "\"another\"", "proved by another build"},
        {NULL, "chain_sha256", "\"0\"", "a seal over another chain.json"},
        {NULL, "contract_sha256", "\"0\"", "a seal over another contract"},
        {NULL, "source_sha256", "\"0\"", "a seal over another source"},
        {NULL, "kernels", "null", "a seal that cannot be read"},
        {NULL, "gates", "[]", "a seal that cannot be read"},
        {NULL, "gate_schemas", "null", "a seal that cannot be read"},
        {NULL, "contract_sha256", "null", "a seal that cannot be read"},
        {NULL, "source_sha256", "null", "a seal that cannot be read"},
        {NULL, "build", "null", "a seal that cannot be read"},
        {"gates", "contract", "[{\"passed\": false}]", "a gate that failed"},
        {NULL, "unproved", "{}", "a seal that cannot be read"},
        {"gate_schemas", "graph", "1", "gate 'graph' was less strict"},
        {"gate_schemas", "text", "null", "gate 'text' was less strict"},
        {"gates", "head", "[]", "gate 'head' was less strict"},
        {"gates", "head", "[{\"passed\": false}]", "a gate that failed"},
        {"gates", "head", "[{\"passed\": true, \"verdict\": \"fine\"}]", "a gate that failed"},
    };
    Sealed s;
    make_sealed(&s);
    json_t *good = json_read_file(s.files[0], NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *seal = json_deep_copy(good);
        json_t *at = rows[i].outer ? json_object_get(seal, rows[i].outer) : seal;
        json_object_set_new(at, rows[i].member, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        json_object_set_new(seal, "sha256", json_string(json_own_sha256(seal).hex));
        assert_true(json_write_file(seal, s.files[0], NULL));
        Err err = {0};
        assert_false(seal_check(s.dir, NULL, NULL, &err));
        assert_int_equal(err.kind, ERR_UNPROVED);
        if (!strstr(err.text, rows[i].says))
            fail_msg("%s: '%s' is not '%s'", rows[i].member, err.text, rows[i].says);
        json_decref(seal);
    }
    // The same document in other spaces.
    char *text = json_dumps(good, JSON_COMPACT | JSON_REAL_PRECISION(17));
    assert_true(file_write(s.files[0], text, strlen(text), NULL));
    assert_int_equal(refusal(&s), ERR_UNPROVED);
    free(text);
    assert_true(json_write_file(good, s.files[0], NULL));
    assert_true(is_good(&s));
    json_decref(good);
    arena_free(&s.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_unproved_is_told),
                                       cmocka_unit_test(test_kinds_of_refusal),
                                       cmocka_unit_test(test_an_unsealed_bundle_says_how_far_it_is),
                                       cmocka_unit_test(test_a_wrong_seal_is_refused),
                                       cmocka_unit_test(test_any_altered_byte_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
