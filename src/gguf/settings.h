// settings.h — what the user says of a model file beyond what stands in it.
//
// A setting KEY=VALUE gives a key a value: a key that the file lacks, or another value than the
// file's, which is then named wherever the setting is. An ignored key is one that the user says
// changes nothing. Settings are applied to an open Gguf: its readers find the keys as any others,
// with a mark (GgufKey.is_set, is_ignored) that tells where the value came from.
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

// Applies `s` to `g`, in the arena of its keys. VALUE is typed as JSON: 1000, 1e-5, true, [1, 2];
// anything else, and what replaces a string, is text as it stands. Fails with ERR_USAGE for a word
// without '=', a key given twice, an ignored key that the file lacks, and keys that decide how the
// file itself is laid out.
bool gguf_apply_settings(Gguf *g, Arena *arena, const GgufSettings *s, Err *err);

// Text of a key's value for people: a number, true, a string as it stands; of a list the first
// items and how many there are.
void gguf_print_value(const GgufKey *k, StrBuf *out);
// "--set KEY=VALUE (the file has no such key)", "--set KEY=VALUE (the file has OTHER)" or
// "--ignore-key KEY". Nothing for a key without a mark.
void gguf_print_setting(const GgufKey *k, StrBuf *out);
// Whether a key carries a mark.
static inline bool gguf_is_setting(const GgufKey *k) {
    return k->is_set || k->is_ignored;
}

// {"set": {"KEY": "VALUE", …}, "ignored": ["KEY", …]} and back, strings in the arena (jansson; the
// caller owns the reference).
struct json_t;
struct json_t *gguf_settings_to_json(const GgufSettings *s);
bool gguf_settings_from_json(GgufSettings *s, const struct json_t *json, Arena *arena, Err *err);

#endif
