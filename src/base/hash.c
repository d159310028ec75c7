// hash.c — SHA-256 and SHA-1 by nettle, XXH3-128 by xxHash, both as lower-case hexadecimal text.
#include "base/hash.h"

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/map.h"

struct Hasher {
    struct sha256_ctx state;
};

static void to_hex(char *hex, const uint8_t *bytes, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = 0;
}

Hasher *hasher_new(void) {
    Hasher *h = malloc(sizeof *h);
    if (!h) die_out_of_memory(sizeof *h);
    sha256_init(&h->state);
    return h;
}

void hasher_add(Hasher *h, const void *bytes, size_t n) {
    sha256_update(&h->state, n, bytes);
}

Sha256 hasher_end(Hasher *h) {
    uint8_t raw[SHA256_DIGEST_SIZE];
    sha256_digest(&h->state, sizeof raw, raw);
    free(h);
    Sha256 digest;
    to_hex(digest.hex, raw, sizeof raw);
    return digest;
}

Sha256 sha256_bytes(const void *bytes, size_t n) {
    Hasher *h = hasher_new();
    if (n) hasher_add(h, bytes, n);
    return hasher_end(h);
}

bool sha256_file(Sha256 *digest, const char *path, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return false;
    *digest = sha256_bytes(map.at, map.len);
    unmap_file(&map);
    return true;
}

GitBlobId git_blob_id(const void *bytes, size_t n) {
    struct sha1_ctx state;
    char head[32];
    uint8_t raw[SHA1_DIGEST_SIZE];
    int n_head = snprintf(head, sizeof head, "blob %zu", n) + 1;
    sha1_init(&state);
    sha1_update(&state, (size_t)n_head, (const uint8_t *)head);
    if (n) sha1_update(&state, n, bytes);
    sha1_digest(&state, sizeof raw, raw);
    GitBlobId id;
    to_hex(id.hex, raw, sizeof raw);
    return id;
}

Xxh128 xxh128_bytes(const void *bytes, size_t n) {
    XXH128_canonical_t raw;
    XXH128_canonicalFromHash(&raw, XXH3_128bits(bytes, n));
    Xxh128 digest;
    to_hex(digest.hex, raw.digest, sizeof raw.digest);
    return digest;
}
