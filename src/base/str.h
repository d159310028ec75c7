// str.h — strings as views, and a buffer to build them in.
//
// A Str points into memory that someone else keeps (a mapping, an arena, a literal) and is not
// NUL-terminated. A StrBuf owns a growing heap buffer; strbuf_free() releases it, strbuf_str()
// views it until the next append.
#ifndef LATHE_BASE_STR_H
#define LATHE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *at;
    size_t len;
} Str;

// For printf's "%.*s". Cuts at 4096 bytes: for messages, not for data.
#define STR_ARG(s)   ((int)((s).len > 4096 ? 4096 : (s).len)), ((s).len ? (s).at : "")
#define STR(literal) ((Str){(literal), sizeof(literal) - 1})

static inline Str str_of(const char *c_string) {
    return (Str){c_string, strlen(c_string)};
}

static inline bool str_eq(Str a, Str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool str_is(Str a, const char *c_string) {
    return str_eq(a, str_of(c_string));
}

static inline bool str_starts(Str s, Str prefix) {
    return s.len >= prefix.len && str_eq((Str){s.at, prefix.len}, prefix);
}

static inline bool str_ends(Str s, Str suffix) {
    if (s.len < suffix.len) return false;
    return suffix.len == 0 || str_eq((Str){s.at + s.len - suffix.len, suffix.len}, suffix);
}

// Returns the next item of the comma-separated `*list` and moves `*list` past it; empty at the end.
static inline Str str_next_item(const char **list) {
    Str item = {*list, strcspn(*list, ",")};
    *list += item.len + ((*list)[item.len] == ',');
    return item;
}

// The longest beginning of the UTF-8 text `s` that has at most `most` bytes and cuts no character.
Str str_cut(Str s, size_t most);

// Replaces every control character in `text` except `kept` (0: no exception) by '?', in place: text
// from a file must not move a terminal's cursor or look like another line.
void str_replace_controls(char *text, char kept);

// memcmp order, shorter first on a tie: the order of a qsort over names.
int str_compare(Str a, Str b);

typedef struct {
    char *at; // NUL-terminated when not NULL
    size_t len, cap;
} StrBuf;

void strbuf_add(StrBuf *b, Str s);
void strbuf_add_char(StrBuf *b, char c);
void strbuf_printf(StrBuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Appends the shortest decimal that reads back as the same float.
void strbuf_add_float(StrBuf *b, float x);
// Appends `n` bytes of zero and returns where they start.
char *strbuf_extend(StrBuf *b, size_t n);
static inline Str strbuf_str(const StrBuf *b) {
    return (Str){b->at ? b->at : "", b->len};
}
void strbuf_free(StrBuf *b); // leaves an empty, usable buffer

#endif
