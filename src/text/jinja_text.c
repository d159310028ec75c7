// jinja_text.c — strings as Python has them: by code point, with Unicode's white space.
#include <string.h>

#include "text/jinja.h"

static size_t char_bytes(const char *at, size_t left) {
    unsigned char c = (unsigned char)*at;
    size_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return n < left ? n : left;
}

size_t text_length(Str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += (s.at[i] & 0xC0) != 0x80;
    return n;
}

Str text_slice(Str s, size_t from, size_t to) {
    size_t at = 0, i = 0;
    for (; i < from && at < s.len; i++) at += char_bytes(s.at + at, s.len - at);
    size_t start = at;
    for (; i < to && at < s.len; i++) at += char_bytes(s.at + at, s.len - at);
    return (Str){s.at + start, at - start};
}

static uint32_t decode(Str one) {
    const unsigned char *b = (const unsigned char *)one.at;
    switch (one.len) {
    case 2: return (uint32_t)(b[0] & 31) << 6 | (b[1] & 63);
    case 3: return (uint32_t)(b[0] & 15) << 12 | (uint32_t)(b[1] & 63) << 6 | (b[2] & 63);
    case 4:
        return (uint32_t)(b[0] & 7) << 18 | (uint32_t)(b[1] & 63) << 12 |
               (uint32_t)(b[2] & 63) << 6 | (b[3] & 63);
    default: return b[0];
    }
}

// Latin-1, Greek and Cyrillic letters have their capital at a fixed distance.
static uint32_t to_upper(uint32_t c) {
    if (c >= 'a' && c <= 'z') return c - 32;
    if ((c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2) ||
        (c >= 0x430 && c <= 0x44F))
        return c - 32;
    return c >= 0x450 && c <= 0x45F ? c - 80 : c;
}

static uint32_t to_lower(uint32_t c) {
    if (c >= 'A' && c <= 'Z') return c + 32;
    if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
        (c >= 0x410 && c <= 0x42F))
        return c + 32;
    return c >= 0x400 && c <= 0x40F ? c + 80 : c;
}

static void put(uint32_t c, StrBuf *out) {
    if (c < 0x80) {
        strbuf_add_char(out, (char)c);
        return;
    }
    strbuf_add_char(out, (char)(0xC0 | c >> 6)); // only letters below U+0800 change case here
    strbuf_add_char(out, (char)(0x80 | (c & 63)));
}

void text_change_case(Str s, TextCase how, StrBuf *out) {
    bool in_word = false, is_first = true;
    for (size_t at = 0; at < s.len;) {
        Str one = {s.at + at, char_bytes(s.at + at, s.len - at)};
        uint32_t c = decode(one), upper = to_upper(c), lower = to_lower(c);
        bool makes_upper = how == CASE_UPPER || (how == CASE_TITLE && !in_word) ||
                           (how == CASE_CAPITAL && is_first);
        uint32_t changed = makes_upper ? upper : lower;
        if (changed == c)
            strbuf_add(out, one);
        else
            put(changed, out);
        in_word = upper != lower || c >= 0x800;
        is_first = false;
        at += one.len;
    }
}

static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static bool is_stripped(Str one, const Str *of) {
    return of ? text_find(*of, one, 0) != SIZE_MAX : is_space(decode(one));
}

Str text_strip(Str s, const Str *of, bool left, bool right) {
    while (left && s.len) {
        Str one = {s.at, char_bytes(s.at, s.len)};
        if (!is_stripped(one, of)) break;
        s.at += one.len;
        s.len -= one.len;
    }
    while (right && s.len) {
        size_t n = 1;
        while (n < s.len && n < 4 && (s.at[s.len - n] & 0xC0) == 0x80) n++;
        if (!is_stripped((Str){s.at + s.len - n, n}, of)) break;
        s.len -= n;
    }
    return s;
}

size_t text_find(Str s, Str part, size_t from) {
    for (size_t i = from; part.len <= s.len && i <= s.len - part.len; i++)
        if (part.len == 0 || memcmp(s.at + i, part.at, part.len) == 0) return i;
    return SIZE_MAX;
}
