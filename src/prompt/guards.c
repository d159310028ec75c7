// guards.c — puts a noncharacter after the first byte of each control token that a user spells out.
#include "prompt/guards.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

// A noncharacter (Unicode 23.7): reserved for use inside programs, so no text contains it.
#define GUARD "\xEF\xB7\x90" // U+FDD0
enum { GUARD_BYTES = sizeof GUARD - 1 };

// A text with guards; a guard that was in it already is replaced by U+FFFD.
static json_t *guarded(const Tokenizer *tokenizer, Str text) {
    StrBuf clean = {0}, out = {0};
    for (size_t i = 0; i < text.len;) {
        Str rest = {text.at + i, text.len - i};
        bool is_guard = str_starts(rest, STR(GUARD));
        strbuf_add(&clean, is_guard ? UTF8_REPLACEMENT : (Str){rest.at, 1});
        i += is_guard ? GUARD_BYTES : 1;
    }
    Str all = strbuf_str(&clean);
    size_t done = 0;
    for (size_t at = 0; tokenizer_find_control(tokenizer, all, &at) != NO_TOKEN; at++) {
        strbuf_add(&out, (Str){all.at + done, at + 1 - done});
        strbuf_add(&out, STR(GUARD));
        done = at + 1;
    }
    strbuf_add(&out, (Str){all.at + done, all.len - done});
    json_t *value = json_stringn(out.at ? out.at : "", out.len);
    strbuf_free(&clean);
    strbuf_free(&out);
    return value;
}

json_t *guards_put(const Tokenizer *tokenizer, const json_t *value) {
    Str text = {json_string_value(value), json_string_length(value)};
    // A long whole number (template_read_json) is a string that is not UTF-8: it stays.
    if (json_is_string(value) && text.len && utf8_is_valid(text)) return guarded(tokenizer, text);
    json_t *copy = json_copy((json_t *)value), *member;
    size_t i;
    const char *key;
    json_array_foreach(copy, i, member) json_array_set_new(copy, i, guards_put(tokenizer, member));
    json_object_foreach(copy, key, member)
        json_object_set_new(copy, key, guards_put(tokenizer, member));
    return copy;
}

size_t *guards_take(StrBuf *text, size_t *n_guards) {
    size_t *places = malloc((text->len / GUARD_BYTES + 1) * sizeof *places), kept = 0;
    if (!places) die_out_of_memory(text->len);
    *n_guards = 0;
    for (size_t i = 0; i < text->len;) {
        if (str_starts((Str){text->at + i, text->len - i}, STR(GUARD))) {
            if (kept) places[(*n_guards)++] = kept - 1;
            i += GUARD_BYTES;
        } else {
            text->at[kept++] = text->at[i++];
        }
    }
    text->len = kept;
    return places;
}
