// hash.h — two digests with two jobs: SHA-256 (FIPS 180-4, by nettle) for contracts, sources and
// seals, which people compare with published sums; XXH3-128 (by xxHash) for a quick look whether a
// file is still the same.
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

// Digest in pieces, for what is hashed as it is written.
typedef struct Hasher Hasher;
Hasher *hasher_new(void); // stops the program when memory is out
void hasher_add(Hasher *h, const void *bytes, size_t n);
Sha256 hasher_end(Hasher *h); // frees `h`

typedef struct {
    char hex[33];
} Xxh128;

Xxh128 xxh128_bytes(const void *bytes, size_t n);

#endif
