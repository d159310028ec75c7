// text.c — strings as in Python: indexed by code point, with Unicode's white space.
#include <string.h>

#include "jinja/jinja.h"

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

uint32_t text_take(Str *s) {
    const unsigned char *b = (const unsigned char *)s->at;
    size_t n = char_bytes(s->at, s->len);
    s->at += n;
    s->len -= n;
    switch (n) {
    case 2: return (uint32_t)(b[0] & 31) << 6 | (b[1] & 63);
    case 3: return (uint32_t)(b[0] & 15) << 12 | (uint32_t)(b[1] & 63) << 6 | (b[2] & 63);
    case 4:
        return (uint32_t)(b[0] & 7) << 18 | (uint32_t)(b[1] & 63) << 12 |
               (uint32_t)(b[2] & 63) << 6 | (b[3] & 63);
    default: return b[0];
    }
}

void text_put(uint32_t c, StrBuf *out) {
    if ((c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) c = 0xFFFD;
    if (c < 0x80) {
        strbuf_add_char(out, (char)c);
    } else if (c < 0x800) {
        strbuf_add_char(out, (char)(0xC0 | c >> 6));
        strbuf_add_char(out, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        strbuf_add_char(out, (char)(0xE0 | c >> 12));
        strbuf_add_char(out, (char)(0x80 | (c >> 6 & 63)));
        strbuf_add_char(out, (char)(0x80 | (c & 63)));
    } else {
        strbuf_add_char(out, (char)(0xF0 | c >> 18));
        strbuf_add_char(out, (char)(0x80 | (c >> 12 & 63)));
        strbuf_add_char(out, (char)(0x80 | (c >> 6 & 63)));
        strbuf_add_char(out, (char)(0x80 | (c & 63)));
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

void text_change_case(Str s, TextCase how, StrBuf *out) {
    bool in_word = false, is_first = true;
    while (s.len) {
        Str from = s;
        uint32_t c = text_take(&s), upper = to_upper(c), lower = to_lower(c);
        bool makes_upper = how == CASE_UPPER || (how == CASE_TITLE && !in_word) ||
                           (how == CASE_CAPITAL && is_first) || (how == CASE_SWAP && c == lower);
        uint32_t changed = makes_upper ? upper : lower;
        if (changed == c)
            strbuf_add(out, (Str){from.at, from.len - s.len});
        else
            text_put(changed, out);
        in_word = upper != lower || c >= 0x800;
        is_first = false;
    }
}

bool text_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

// Unicode's categories Cc, Cf, Co, Cs, Zl, Zp and Zs, without the space. Checked against CPython's
// str.isprintable over all assigned code points of Unicode 14.
bool text_is_printable(uint32_t c) {
    static const uint32_t hidden[][2] = {
        {0x00, 0x1F},       {0x7F, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},
        {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
        {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},
        {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},   {0xD800, 0xF8FF},
        {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD},
        {0x110CD, 0x110CD}, {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
        {0xE0000, 0xE00FF}, {0xE01F0, 0x10FFFF}};
    for (size_t i = 0; i < COUNT_OF(hidden); i++)
        if (c <= hidden[i][1]) return c < hidden[i][0];
    return false;
}

static bool is_stripped(Str one, const Str *of) {
    if (of) return text_find(*of, one, 0) != SIZE_MAX;
    return text_is_space(text_take(&one));
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
    if (part.len == 0) return from <= s.len ? from : SIZE_MAX;
    while (from < s.len && part.len <= s.len - from) {
        const char *at = memchr(s.at + from, part.at[0], s.len - from - part.len + 1);
        if (!at) return SIZE_MAX;
        from = (size_t)(at - s.at);
        if (memcmp(at, part.at, part.len) == 0) return from;
        from++;
    }
    return SIZE_MAX;
}

size_t text_find_last(Str s, Str part) {
    for (size_t i = s.len + 1; i-- > 0;)
        if (part.len <= s.len - i && (part.len == 0 || memcmp(s.at + i, part.at, part.len) == 0))
            return i;
    return SIZE_MAX;
}

// What str.splitlines() splits at.
static bool ends_line(uint32_t c) {
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

Str text_line(Str *s, bool keeps_end) {
    Str all = *s;
    while (s->len) {
        size_t end = all.len - s->len;
        uint32_t c = text_take(s);
        if (!ends_line(c)) continue;
        if (c == '\r' && s->len && *s->at == '\n') text_take(s);
        return (Str){all.at, keeps_end ? all.len - s->len : end};
    }
    return all;
}
