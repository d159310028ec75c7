// json.h — JSON files, and required members of objects, with errors that name the member.
#ifndef LATHE_BASE_JSON_H
#define LATHE_BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

// The first failure sticks: later calls return zeros, so a record is read whole and checked once.
typedef struct {
    Arena *arena; // where strings are kept
    Err *err;
    bool failed;
} JsonReader;

const json_t *need_object(JsonReader *n, const json_t *object, const char *key);
// An array and its length; longer than `cap` is an error.
const json_t *need_array(JsonReader *n, const json_t *object, const char *key, size_t cap,
                         size_t *count);
uint64_t need_u64(JsonReader *n, const json_t *object, const char *key, uint64_t max);
uint32_t need_u32(JsonReader *n, const json_t *object, const char *key);
double need_number(JsonReader *n, const json_t *object, const char *key);
bool need_bool(JsonReader *n, const json_t *object, const char *key);
Str need_str(JsonReader *n, const json_t *object, const char *key);

// A string. In text that is not UTF-8 (say, cut within a character), each byte that is not ASCII
// becomes '?'.
json_t *json_of_str(Str s);
// Text from a file, safe for a terminal: in double quotes, control characters escaped. In the arena.
Str json_quoted(Arena *arena, Str s);
// A number; null for infinities and NaN, which JSON lacks.
json_t *json_of_real(double x);

// Parses `text` as one JSON object or array in which no key occurs twice. On failure NULL, and
// `err` calls the text `name`.
json_t *json_parse(Str text, const char *name, Err *err);
// Parses the file `path` as one JSON object in which no key occurs twice; NULL and `err` on
// failure.
json_t *json_read_file(const char *path, Err *err);
// The same, with the SHA-256 of the very bytes that were parsed.
json_t *json_read_digest(const char *path, Sha256 *digest, Err *err);
// The text that json_write_file() writes. free() it.
char *json_text(const json_t *value);
// The value that an object's member "sha256" must have where it covers the object itself: SHA-256
// over all other members as compact JSON, sorted by name (docs/chain-schema.md).
Sha256 json_own_sha256(json_t *object);
// Writes `value` and a newline to `path`, whole or not at all. Takes no reference.
bool json_write_file(const json_t *value, const char *path, Err *err);

#endif
