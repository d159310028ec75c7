// lex.c — the scanner that parse.c uses. After the first error it behaves as at the end of the
// text, so the parser needs no error path.
#include "mil/lex.h"

#include <inttypes.h>
#include <stdarg.h>

bool lex_fail(Lexer *l, const char *fmt, ...) {
    if (l->failed) return false;
    l->failed = true;
    size_t line = 1;
    for (const char *c = l->start; c < l->at; c++) line += *c == '\n';
    l->at = l->end;
    va_list args;
    va_start(args, fmt);
    err_vset(l->err, ERR_FORMAT, fmt, args);
    va_end(args);
    return err_prefix(l->err, "line %zu", line);
}

// ---- marks

static void skip_space(Lexer *l) {
    while (l->at < l->end) {
        char c = *l->at;
        if (c == '#') {
            while (l->at < l->end && *l->at != '\n') l->at++;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            l->at++;
        } else {
            return;
        }
    }
}

char lex_peek(Lexer *l) {
    skip_space(l);
    return l->at < l->end ? *l->at : 0;
}

bool lex_accept(Lexer *l, char c) {
    if (l->failed || lex_peek(l) != c) return false;
    l->at++;
    return true;
}

// The text at this place, for messages.
static Str next_text(Lexer *l) {
    skip_space(l);
    size_t n = 0;
    while (n < 24 && l->at + n < l->end && l->at[n] != '\n') n++;
    return n ? (Str){l->at, n} : STR("the end");
}

bool lex_expect(Lexer *l, char c) {
    if (lex_accept(l, c)) return true;
    return lex_fail(l, "expected '%c', found '%.*s'", c, STR_ARG(next_text(l)));
}

bool lex_arrow(Lexer *l) {
    return lex_expect(l, '-') && lex_expect(l, '>');
}

// ---- words

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word_char(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '@';
}

Str lex_peek_word(Lexer *l) {
    if (!is_letter(lex_peek(l))) return STR("");
    const char *end = l->at;
    while (end < l->end && is_word_char(*end)) end++;
    return (Str){l->at, (size_t)(end - l->at)};
}

Str lex_word(Lexer *l, const char *what) {
    Str w = lex_peek_word(l);
    if (!w.len) lex_fail(l, "expected %s, found '%.*s'", what, STR_ARG(next_text(l)));
    if (!l->failed) l->at += w.len;
    return w;
}

void lex_keyword(Lexer *l, const char *keyword) {
    if (!str_is(lex_peek_word(l), keyword))
        lex_fail(l, "expected '%s', found '%.*s'", keyword, STR_ARG(next_text(l)));
    if (!l->failed) l->at += strlen(keyword);
}

bool lex_accept_before_string(Lexer *l, const char *keyword) {
    const char *back = l->at;
    if (str_is(lex_peek_word(l), keyword)) {
        l->at += strlen(keyword);
        if (lex_peek(l) == '"') return true;
    }
    l->at = back; // an error that follows is on this line
    return false;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Str lex_string(Lexer *l) {
    if (!lex_expect(l, '"')) return STR("");
    const char *close = l->at;
    while (close < l->end && *close != '"') close += *close == '\\' && close + 1 < l->end ? 2 : 1;
    if (close >= l->end) {
        lex_fail(l, "a string does not end");
        return STR("");
    }
    char *out = arena_alloc(l->arena, (size_t)(close - l->at) + 1, 1);
    size_t n = 0;
    while (l->at < close) {
        char c = *l->at++;
        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        c = *l->at++;
        if (c == 'n') {
            out[n++] = '\n';
        } else if (c == '"' || c == '\\') {
            out[n++] = c;
        } else if (c == 'x' && close - l->at >= 2 && hex_digit(l->at[0]) >= 0 &&
                   hex_digit(l->at[1]) >= 0) {
            out[n++] = (char)(hex_digit(l->at[0]) << 4 | hex_digit(l->at[1]));
            l->at += 2;
        } else {
            lex_fail(l, "a string has '\\%c', expected \\\" \\\\ \\n or \\xNN", c);
            return STR("");
        }
    }
    l->at = close + 1;
    return (Str){out, n};
}

// ---- numbers

Str lex_number(Lexer *l) {
    skip_space(l);
    const char *start = l->at;
    while (l->at < l->end &&
           (is_word_char(*l->at) || *l->at == '.' || *l->at == '+' || *l->at == '-'))
        l->at++;
    Str s = {start, (size_t)(l->at - start)};
    if (!s.len) lex_fail(l, "expected a number, found '%.*s'", STR_ARG(next_text(l)));
    return s;
}

bool lex_integer(Str s, bool *is_negative, uint64_t *magnitude) {
    *is_negative = s.len && s.at[0] == '-';
    size_t i = *is_negative ? 1 : 0;
    uint64_t base = 10, value = 0;
    if (s.len >= i + 2 && s.at[i] == '0' && s.at[i + 1] == 'x') {
        base = 16;
        i += 2;
    }
    if (i == s.len) return false;
    for (; i < s.len; i++) {
        int digit = hex_digit(s.at[i]);
        if (digit < 0 || (uint64_t)digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *magnitude = value;
    return true;
}

uint64_t lex_unsigned(Lexer *l, uint64_t most, const char *what) {
    Str s = lex_number(l);
    bool is_negative;
    uint64_t value;
    if (l->failed) return 0;
    if (!lex_integer(s, &is_negative, &value) || is_negative || value > most) {
        lex_fail(l, "%s is '%.*s', expected 0 to %" PRIu64, what, STR_ARG(s), most);
        return 0;
    }
    return value;
}
