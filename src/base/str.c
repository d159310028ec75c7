// str.c — views compared and cut by UTF-8 characters, and the growing buffer.
#include "base/str.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

Str str_cut(Str s, size_t most) {
    if (s.len <= most) return s;
    while (most > 0 && ((unsigned char)s.at[most] & 0xC0) == 0x80) most--;
    return (Str){s.at, most};
}

void str_replace_controls(char *text, char kept) {
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        bool is_c1 = c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0; // U+0080 to U+009F in UTF-8
        if (is_c1) *c++ = '?';
        if (is_c1 || *c == 0x7F || (*c < ' ' && *c != (unsigned char)kept)) *c = '?';
    }
}

int str_compare(Str a, Str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.at, b.at, n) : 0;
    if (order) return order;
    return (a.len > b.len) - (a.len < b.len);
}

static void reserve(StrBuf *b, size_t more) {
    if (more < b->cap - b->len) return; // room for the final NUL too
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->len <= more) {
        if (cap > SIZE_MAX / 2) die_out_of_memory(more);
        cap *= 2;
    }
    char *at = realloc(b->at, cap);
    if (!at) die_out_of_memory(cap);
    b->at = at;
    b->cap = cap;
}

char *strbuf_extend(StrBuf *b, size_t n) {
    reserve(b, n);
    char *start = b->at + b->len;
    memset(start, 0, n + 1);
    b->len += n;
    return start;
}

void strbuf_add(StrBuf *b, Str s) {
    reserve(b, s.len);
    if (s.len) memcpy(b->at + b->len, s.at, s.len);
    b->len += s.len;
    b->at[b->len] = 0;
}

void strbuf_add_char(StrBuf *b, char c) {
    strbuf_add(b, (Str){&c, 1});
}

void strbuf_printf(StrBuf *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(n >= 0);
    reserve(b, (size_t)n);
    vsnprintf(b->at + b->len, (size_t)n + 1, fmt, again);
    va_end(again);
    b->len += (size_t)n;
}

void strbuf_free(StrBuf *b) {
    free(b->at);
    *b = (StrBuf){0};
}

void strbuf_add_float(StrBuf *out, float x) {
    char text[32];
    if (x == rintf(x) && fabsf(x) < 1e7f) {
        strbuf_printf(out, "%.0f", (double)x);
        return;
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    strbuf_add(out, str_of(text));
}
