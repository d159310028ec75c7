// hash.h — digests: SHA-256 (FIPS 180-4, by nettle) for contracts, sources and seals, which people
// compare with published sums; XXH3-128 (by xxHash) to check quickly whether a file is still the
// same; git's SHA-1 of a file, because some servers state no other digest.
#ifndef LATHE_BASE_HASH_H
#define LATHE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    char hex[65]; // lower case, NUL-terminated
} Sha256;

Sha256 sha256_bytes(const void *bytes, size_t n);
bool sha256_file(Sha256 *digest, const char *path, Err *err);

// A digest computed piece by piece, for data that is hashed while it is written.
typedef struct Hasher Hasher;
Hasher *hasher_new(void); // stops the program when memory is out
void hasher_add(Hasher *h, const void *bytes, size_t n);
Sha256 hasher_end(Hasher *h); // frees `h`

// The name that git gives a file of these bytes: SHA-1 over "blob 12", a zero byte and the bytes.
typedef struct {
    char hex[41];
} GitBlobId;

GitBlobId git_blob_id(const void *bytes, size_t n);

typedef struct {
    char hex[33];
} Xxh128;

Xxh128 xxh128_bytes(const void *bytes, size_t n);

#endif
