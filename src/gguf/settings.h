// settings.h — what the user states about a model file in addition to its own keys.
//
// A setting KEY=VALUE gives a value to a key that the file lacks, or replaces the file's value; the
// replaced value is named wherever the setting is. An ignored key is one that, as the user states,
// changes nothing. Settings are applied to an open Gguf: its readers find these keys like any
// others, marked by GgufKey.is_set and is_ignored.
#ifndef LATHE_GGUF_SETTINGS_H
#define LATHE_GGUF_SETTINGS_H

#include "gguf/gguf.h"

enum { GGUF_MAX_SETTINGS = 64 }; // of each kind

typedef struct {
    const char *const *set; // "KEY=VALUE"
    size_t n_set;
    const char *const *ignored; // "KEY"
    size_t n_ignored;
} GgufSettings;

static inline bool has_settings(const GgufSettings *s) {
    return s->n_set + s->n_ignored > 0;
}

// Applies `s` to `g`, in the arena of its keys. VALUE has the type that it has in JSON: 1000, 1e-5,
// true, [1, 2]; anything else, and a value that replaces a string, is taken as text. Fails with
// ERR_USAGE for a word without '=', a key given twice, an ignored key that the file lacks, and keys
// that decide how the file itself is laid out.
bool gguf_apply_settings(Gguf *g, Arena *arena, const GgufSettings *s, Err *err);

// Appends a key's value as text for people: a number, true, a string; of a list the number of items
// and the first ones.
void gguf_print_value(const GgufKey *k, StrBuf *out);
// "--set KEY=VALUE (the file has no such key)", "--set KEY=VALUE (the file has OTHER)" or
// "--ignore-key KEY". Appends nothing for a key that is neither set nor ignored.
void gguf_print_setting(const GgufKey *k, StrBuf *out);
// Whether the user set the key or has it ignored.
static inline bool gguf_is_setting(const GgufKey *k) {
    return k->is_set || k->is_ignored;
}

// {"set": {"KEY": "VALUE", …}, "ignored": ["KEY", …]} and back, strings in the arena (jansson; the
// caller owns the reference).
struct json_t;
struct json_t *gguf_settings_to_json(const GgufSettings *s);
bool gguf_settings_from_json(GgufSettings *s, const struct json_t *json, Arena *arena, Err *err);

#endif
