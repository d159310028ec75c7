// A sealed bundle is used only as it was sealed: whichever byte is altered, the seal says no.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/map.h"
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
    if (!ok) { // every refusal is one of a gate, and says what to do
        assert_int_equal(err.kind, ERR_GATE);
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_unproved_is_told),
                                       cmocka_unit_test(test_any_altered_byte_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
