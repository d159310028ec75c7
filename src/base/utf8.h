// utf8.h — UTF-8 as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing
// past U+10FFFF. Broken input is measured in maximal parts (Unicode 3.9, "U+FFFD Substitution of
// Maximal Subparts"): the longest beginning of a character counts once, any other byte by itself.
#ifndef LATHE_BASE_UTF8_H
#define LATHE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define UTF8_REPLACEMENT STR("\xEF\xBF\xBD") // U+FFFD

typedef enum {
    UTF8_WHOLE,  // a character
    UTF8_BROKEN, // bytes that no continuation makes a character
    UTF8_CUT,    // a character of which the end is missing because the bytes end
} Utf8State;

// Judges the first sequence of the `n` > 0 bytes at `at`; `len` receives its length.
static inline Utf8State utf8_scan(const char *bytes, size_t n, size_t *len) {
    const uint8_t *at = (const uint8_t *)bytes;
    uint8_t lead = at[0], low = 0x80, high = 0xBF; // bounds of the second byte
    size_t n_more;
    *len = 1;
    if (lead < 0x80) return UTF8_WHOLE;
    if (lead < 0xC2 || lead > 0xF4) return UTF8_BROKEN;
    n_more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (; n_more; n_more--, (*len)++) {
        if (*len == n) return UTF8_CUT;
        if (at[*len] < low || at[*len] > high) return UTF8_BROKEN;
        low = 0x80;
        high = 0xBF;
    }
    return UTF8_WHOLE;
}

static inline bool utf8_is_valid(Str s) {
    for (size_t at = 0, len; at < s.len; at += len)
        if (utf8_scan(s.at + at, s.len - at, &len) != UTF8_WHOLE) return false;
    return true;
}

// The code point of a whole character of `len` bytes.
static inline uint32_t utf8_code_point(const char *bytes, size_t len) {
    static const uint8_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = (uint8_t)bytes[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++) code = code << 6 | ((uint8_t)bytes[i] & 0x3F);
    return code;
}

// Appends `s` with U+FFFD in place of every broken part.
static inline void utf8_repair(Str s, StrBuf *out) {
    for (size_t at = 0, len; at < s.len; at += len) {
        bool is_whole = utf8_scan(s.at + at, s.len - at, &len) == UTF8_WHOLE;
        strbuf_add(out, is_whole ? (Str){s.at + at, len} : UTF8_REPLACEMENT);
    }
}

#endif
