// lex.c — cuts a template into text and tags, and a tag into tokens.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/lex.h"

void *parser_fail(Parser *p, const char *fmt, ...) {
    if (p->failed) return NULL;
    p->failed = true;
    va_list args;
    va_start(args, fmt);
    err_vset(p->err, ERR_FORMAT, fmt, args);
    va_end(args);
    err_prefix(p->err, "template line %d", p->line);
    return NULL;
}

// ---- text and tags

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void add_piece(Parser *p, PieceKind kind, Str text, int line) {
    if (kind == P_TEXT && text.len == 0) return;
    if (p->n_pieces == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        Piece *wider = arena_array(p->arena, p->cap, Piece);
        if (p->n_pieces) memcpy(wider, p->pieces, p->n_pieces * sizeof *wider);
        p->pieces = wider;
    }
    p->pieces[p->n_pieces++] = (Piece){kind, text, line};
}

static int count_lines(Str s) {
    int n = 0;
    for (size_t i = 0; i < s.len; i++) n += s.at[i] == '\n';
    return n;
}

// Where the tag that starts at `at` ends ("%}", "}}" or "#}"), skipping strings and what is inside
// brackets; NULL without end.
static const char *find_close(const char *at, const char *end, char kind) {
    char close = kind == '{' ? '}' : kind;
    size_t depth = 0;
    for (; at + 1 < end; at++) {
        if (depth == 0 && *at == close && at[1] == '}') return at;
        if (kind == '#') continue;
        if (*at == '"' || *at == '\'') {
            char quote = *at++;
            while (at < end && *at != quote) at += *at == '\\' ? 2 : 1;
            if (at >= end) return NULL;
        } else if (*at == '(' || *at == '[' || *at == '{') {
            depth++;
        } else if ((*at == ')' || *at == ']' || *at == '}') && depth) {
            depth--;
        }
    }
    return NULL;
}

// Text before a tag loses its white space to "{%-", or what follows its last newline to
// lstrip_blocks.
static Str trim_before(Str text, char mark, bool is_lstripped, bool at_line_start) {
    if (mark == '-') return text_strip(text, NULL, false, true);
    if (!is_lstripped || mark == '+') return text;
    size_t line = text.len;
    while (line && text.at[line - 1] != '\n') line--;
    Str last = {text.at + line, text.len - line};
    if ((line || at_line_start) && text_strip(last, NULL, true, false).len == 0) text.len = line;
    return text;
}

static bool is_raw(Str tag) {
    size_t i = 0;
    while (i < tag.len && is_space(tag.at[i])) i++;
    if (tag.len - i < 3 || memcmp(tag.at + i, "raw", 3) != 0) return false;
    for (i += 3; i < tag.len; i++)
        if (!is_space(tag.at[i])) return false;
    return true;
}

static const char *skip_spaces(const char *at, const char *end) {
    while (at < end && is_space(*at)) at++;
    return at;
}

// The tag that ends raw text, as Jinja looks for it: by its letters alone, for nothing else in raw
// text is a tag, a string or a bracket. `left` and `right` are its marks, 0 without.
static const char *find_endraw(const char *at, const char *end, const char **tag_end, char *left,
                               char *right) {
    static const char word[] = "endraw";
    for (; at + 1 < end; at++) {
        if (at[0] != '{' || at[1] != '%') continue;
        const char *in = at + 2;
        *left = in < end && (*in == '-' || *in == '+') ? *in++ : 0;
        in = skip_spaces(in, end);
        if ((size_t)(end - in) < strlen(word) || memcmp(in, word, strlen(word)) != 0) continue;
        in = skip_spaces(in + strlen(word), end);
        *right = in < end && (*in == '-' || *in == '+') ? *in++ : 0;
        if (end - in < 2 || in[0] != '%' || in[1] != '}') continue;
        *tag_end = in + 2;
        return at;
    }
    return NULL;
}

// Skips what follows a tag: all white space after "-%}", one newline after a block or comment
// (trim_blocks).
static const char *skip_after(const char *at, const char *end, char mark, bool trims) {
    if (mark == '-') {
        at = text_strip((Str){at, (size_t)(end - at)}, NULL, true, false).at;
    } else if (trims && mark != '+' && at < end && *at == '\n') {
        at++;
    }
    return at;
}

void parser_cut(Parser *p, Str source) {
    const char *at = source.at, *end = source.at + source.len, *text = at;
    bool text_at_line_start = true;
    for (p->line = 1; at + 1 < end && !p->failed;) {
        char kind = at[0] == '{' ? at[1] : 0;
        if (kind != '{' && kind != '%' && kind != '#') {
            at++;
            continue;
        }
        const char *in = at + 2, *close = find_close(in, end, kind);
        Str before = {text, (size_t)(at - text)};
        if (!close) {
            p->line += count_lines(before);
            parser_fail(p, "tag {%c is not closed", kind);
            return;
        }
        char left = in < close && (*in == '-' || *in == '+') ? *in : 0;
        char right =
            close > in + (left != 0) && (close[-1] == '-' || close[-1] == '+') ? close[-1] : 0;
        Str trimmed = trim_before(before, left, kind != '{', text_at_line_start);
        add_piece(p, P_TEXT, trimmed, p->line);
        p->line += count_lines(before);
        Str tag = {in + (left != 0), (size_t)(close - in) - (left != 0) - (right != 0)};
        bool starts_raw = kind == '%' && right != '+' && is_raw(tag);
        at = skip_after(close + 2, end, right, kind != '{' && !starts_raw);
        if (starts_raw) {
            const char *after = NULL;
            char raw_left = 0, raw_right = 0;
            const char *raw_end = find_endraw(at, end, &after, &raw_left, &raw_right);
            if (!raw_end) {
                parser_fail(p, "tag 'raw' is not closed, expected 'endraw'");
                return;
            }
            Str raw = {at, (size_t)(raw_end - at)};
            add_piece(p, P_TEXT, trim_before(raw, raw_left, true, false), p->line);
            at = skip_after(after, end, raw_right, true);
        } else if (kind != '#') {
            add_piece(p, kind == '{' ? P_OUTPUT : P_BLOCK, tag, p->line);
        }
        p->line += count_lines((Str){close, (size_t)(at - close)}) + count_lines(tag);
        text_at_line_start = at > source.at && at[-1] == '\n';
        text = at;
    }
    if (!p->failed) add_piece(p, P_TEXT, (Str){text, (size_t)(end - text)}, p->line);
}

// ---- tokens

static bool read_hex(const char *at, const char *end, int n, uint32_t *out) {
    *out = 0;
    if (end - at < n) return false;
    for (int i = 0; i < n; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return *out <= 0x10FFFF;
}

// A string literal's content, escapes as in Python.
static Str unescape(Parser *p, const char *at, const char *end) {
    StrBuf out = {0};
    while (at < end) {
        if (*at != '\\' || at + 1 == end) {
            strbuf_add_char(&out, *at++);
            continue;
        }
        char c = at[1];
        at += 2;
        static const char plain[] = "n\nt\tr\rf\fv\vb\ba\a\\\\''\"\"";
        bool is_plain = false;
        for (size_t i = 0; plain[i] && !is_plain; i += 2)
            if (plain[i] == c) strbuf_add_char(&out, plain[i + 1]), is_plain = true;
        uint32_t code;
        int n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (is_plain || c == '\n') continue;
        if (c >= '0' && c <= '7') {
            code = (uint32_t)(c - '0');
            for (int i = 0; i < 2 && at < end && *at >= '0' && *at <= '7'; i++)
                code = code * 8 + (uint32_t)(*at++ - '0');
            text_put(code, &out);
        } else if (n && read_hex(at, end, n, &code)) {
            text_put(code, &out);
            at += n;
        } else {
            strbuf_add_char(&out, '\\');
            strbuf_add_char(&out, c);
        }
    }
    Str kept = arena_str(p->arena, strbuf_str(&out));
    strbuf_free(&out);
    return kept;
}

static bool is_name_char(char c, bool is_first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) ||
           (!is_first && c >= '0' && c <= '9');
}

// Past digits of `base`, single underscores between; `at` itself where there is no digit.
static const char *skip_digits(const char *at, const char *end, uint32_t base) {
    uint32_t digit;
    while (read_hex(at, end, 1, &digit) && digit < base) {
        at++;
        if (end - at >= 2 && *at == '_' && read_hex(at + 1, end, 1, &digit) && digit < base) at++;
    }
    return at;
}

// Past ".5", "e-3" or ".5e-3"; `at` itself where a number has no such part. Digits after a point
// are a place, not a fraction: "list.0.5" has two of them.
static const char *skip_fraction(const char *from, const char *at, const char *end) {
    if (from[-1] == '.') return at; // there is a tag's mark before it at least
    const char *past = at;
    if (at < end && *at == '.' && skip_digits(at + 1, end, 10) > at + 1)
        past = skip_digits(at + 1, end, 10);
    if (past < end && (*past | 32) == 'e') {
        const char *power = past + 1;
        if (power < end && (*power == '+' || *power == '-')) power++;
        if (skip_digits(power, end, 10) > power) past = skip_digits(power, end, 10);
    }
    return past;
}

// "12", "1_000", "0x1F", "0o17", "0b101", "1.5", "1e-3".
static void read_number(Parser *p) {
    const char *from = p->cursor, *at = skip_digits(from, p->end, 10), *past = at;
    uint32_t base = 10;
    if (*from == '0' && p->end - from > 2) {
        char letter = from[1] | 32;
        uint32_t other = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
        const char *digits = from + 2 + (from[2] == '_');
        if (other != 10 && skip_digits(digits, p->end, other) > digits) {
            base = other;
            past = at = skip_digits(digits, p->end, base);
            from = digits;
        }
    }
    if (base == 10) past = skip_fraction(from, at, p->end);
    p->token = (Token){T_NUMBER, {p->cursor, (size_t)(past - p->cursor)}, J_NUMBER(0)};
    StrBuf text = {0};
    for (const char *c = from; c < past; c++)
        if (*c != '_') strbuf_add_char(&text, *c);
    errno = 0;
    if (past > at)
        p->token.number = (JValue){.kind = J_FLOAT, .number = strtod(text.at, NULL)};
    else if (base == 10)
        p->token.number = jinja_integer(p->arena, strbuf_str(&text));
    else
        p->token.number = J_NUMBER(strtoll(text.at, NULL, (int)base));
    if (past == at && errno == ERANGE)
        parser_fail(p, "number %.*s does not fit into 64 bits", STR_ARG(p->token.text));
    if (past == at && base == 10 && *text.at == '0' && strspn(text.at, "0") < text.len)
        parser_fail(p, "number %s must not begin with 0", text.at);
    strbuf_free(&text);
    p->cursor = past;
}

void parser_next(Parser *p) {
    while (p->cursor < p->end && is_space(*p->cursor)) p->line += *p->cursor++ == '\n';
    const char *at = p->cursor;
    if (at >= p->end) {
        p->token = (Token){.kind = T_END, .text = STR("the end of the tag")};
        return;
    }
    if (is_name_char(*at, true)) {
        while (p->cursor < p->end && is_name_char(*p->cursor, false)) p->cursor++;
        p->token = (Token){.kind = T_NAME, .text = {at, (size_t)(p->cursor - at)}};
    } else if (*at >= '0' && *at <= '9') {
        read_number(p);
    } else if (*at == '"' || *at == '\'') {
        const char *close = at + 1;
        while (close < p->end && *close != *at) close += *close == '\\' ? 2 : 1;
        if (close >= p->end) {
            parser_fail(p, "string is not closed");
            p->token = (Token){.kind = T_END};
            return;
        }
        p->token = (Token){.kind = T_STRING, .text = unescape(p, at + 1, close)};
        p->cursor = close + 1;
    } else {
        static const char *const pairs[] = {"==", "!=", "<=", ">=", "//", "**"};
        size_t n = 1;
        for (size_t i = 0; i < COUNT_OF(pairs); i++)
            if (p->end - at >= 2 && memcmp(at, pairs[i], 2) == 0) n = 2;
        p->token = (Token){.kind = T_OP, .text = {at, n}};
        p->cursor += n;
    }
}

void parser_open(Parser *p, const Piece *piece) {
    p->cursor = piece->text.at;
    p->end = piece->text.at + piece->text.len;
    p->line = piece->line;
    parser_next(p);
}

// ---- the current token

bool parser_peek_op(const Parser *p, const char *op) {
    return p->token.kind == T_OP && str_is(p->token.text, op);
}

bool parser_peek_name(const Parser *p, const char *name) {
    return p->token.kind == T_NAME && str_is(p->token.text, name);
}

bool parser_take_op(Parser *p, const char *op) {
    if (!parser_peek_op(p, op)) return false;
    parser_next(p);
    return true;
}

bool parser_take_name(Parser *p, const char *name) {
    if (!parser_peek_name(p, name)) return false;
    parser_next(p);
    return true;
}

void parser_need_op(Parser *p, const char *op) {
    if (!parser_take_op(p, op))
        parser_fail(p, "expected '%s', found '%.*s'", op, STR_ARG(p->token.text));
}

Str parser_need_name(Parser *p) {
    Str name = p->token.text;
    if (p->token.kind != T_NAME)
        parser_fail(p, "expected a name, found '%.*s'", STR_ARG(name));
    else
        parser_next(p);
    return name;
}
