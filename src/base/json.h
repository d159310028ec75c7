// json.h — JSON files, and members of an object that have to be there, with errors that say where.
#ifndef LATHE_BASE_JSON_H
#define LATHE_BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

// The first failure sticks: later calls return zeros, so a record is read whole and checked once.
typedef struct {
    Arena *arena; // of the strings
    Err *err;
    bool failed;
} JsonReader;

const json_t *need_object(JsonReader *n, const json_t *object, const char *key);
// An array and its length; `cap` bounds what is believed.
const json_t *need_array(JsonReader *n, const json_t *object, const char *key, size_t cap,
                         size_t *count);
uint64_t need_u64(JsonReader *n, const json_t *object, const char *key, uint64_t max);
uint32_t need_u32(JsonReader *n, const json_t *object, const char *key);
double need_number(JsonReader *n, const json_t *object, const char *key);
bool need_bool(JsonReader *n, const json_t *object, const char *key);
Str need_str(JsonReader *n, const json_t *object, const char *key);

// A string. What is not UTF-8, a message cut within a character say, keeps its ASCII and has a '?'
// for every other byte.
json_t *json_of_str(Str s);
// A text out of a file as a terminal may show it: in double quotes, with what would move its cursor
// or look like another line escaped. In the arena.
Str json_quoted(Arena *arena, Str s);
// A number; null for what JSON has none for: infinities and NaN.
json_t *json_of_real(double x);

// Parses the file `path` as one JSON object with no key twice; NULL and `err` when it is not.
json_t *json_read_file(const char *path, Err *err);
// The same, with the SHA-256 of the very bytes that were parsed.
json_t *json_read_digest(const char *path, Sha256 *digest, Err *err);
// The text that json_write_file() writes. free() it.
char *json_text(const json_t *value);
// What an object's member "sha256" is to be, where it has one over itself: SHA-256 over all other
// members as compact JSON, members by name (docs/chain-schema.md).
Sha256 json_own_sha256(json_t *object);
// Writes `value` and a newline to `path`, whole or not at all. Takes no reference.
bool json_write_file(const json_t *value, const char *path, Err *err);

#endif
