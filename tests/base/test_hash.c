// The digests against published values: FIPS 180-4's examples for SHA-256, xxHash's own sanity
// values for XXH3-128 (cli/xsum_sanity_check.c: empty input, seed 0).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "mlpackage/scratch.h"

static const struct {
    const char *text, *hex;
} sha_rows[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_sha256(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sha_rows / sizeof *sha_rows; i++)
        assert_string_equal(sha256_bytes(sha_rows[i].text, strlen(sha_rows[i].text)).hex,
                            sha_rows[i].hex);
}

static void test_pieces_give_the_digest_of_the_whole(void **state) {
    (void)state;
    enum { N = 1000 };
    char text[N];
    for (int i = 0; i < N; i++) text[i] = (char)(i * 7);
    for (size_t piece = 1; piece < 200; piece += 13) {
        Hasher *h = hasher_new();
        for (size_t at = 0; at < N; at += piece)
            hasher_add(h, text + at, piece < N - at ? piece : N - at);
        assert_string_equal(hasher_end(h).hex, sha256_bytes(text, N).hex);
    }
}

static void test_sha256_of_a_file(void **state) {
    (void)state;
    Scratch scratch = scratch_open("test-hash");
    Arena arena = {0};
    Err err = {0};
    Sha256 digest;
    const char *path = path_join(&arena, scratch.path, "abc");
    for (size_t i = 0; i < sizeof sha_rows / sizeof *sha_rows; i++) {
        assert_true(file_write(path, sha_rows[i].text, strlen(sha_rows[i].text), &err));
        assert_true(sha256_file(&digest, path, &err));
        assert_string_equal(digest.hex, sha_rows[i].hex);
    }
    assert_false(sha256_file(&digest, path_join(&arena, scratch.path, "none"), &err));
    assert_non_null(strstr(err.text, "none"));
    scratch_close(&scratch);
    arena_free(&arena);
}

static void test_xxh128(void **state) {
    (void)state;
    assert_string_equal(xxh128_bytes("", 0).hex, "99aa06d3014798d86001c324468d497f");
    assert_string_not_equal(xxh128_bytes("a", 1).hex, xxh128_bytes("b", 1).hex);
}

// What `git hash-object` prints.
static void test_git_blob_id(void **state) {
    (void)state;
    assert_string_equal(git_blob_id("", 0).hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    assert_string_equal(git_blob_id("hello\n", 6).hex, "ce013625030ba8dba906f756967f9e9ca394464a");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(test_sha256_of_a_file),
        cmocka_unit_test(test_xxh128),
        cmocka_unit_test(test_git_blob_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
