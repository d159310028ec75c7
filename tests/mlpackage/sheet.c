#include "mlpackage/sheet.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void give_up(const char *why, const char *at) {
    fprintf(stderr, "sheet: %s: %.200s\n", why, at);
    abort();
}

static void put_varint(StrBuf *out, uint64_t value) {
    do {
        strbuf_add_char(out, (char)((value & 127) | (value > 127 ? 128 : 0)));
        value >>= 7;
    } while (value);
}

static void put_record(StrBuf *out, unsigned field, Str content) {
    put_varint(out, field << 3 | 2);
    put_varint(out, content.len);
    strbuf_add(out, content);
}

// ---- content of one line

static void put_numbers(StrBuf *out, const char *at) {
    for (char *end; isdigit((unsigned char)*at); at = *end == ',' ? end + 1 : end)
        put_varint(out, strtoull(at, &end, 10));
}

static void put_hex(StrBuf *out, const char *at) {
    for (char pair[3] = {0}; isxdigit((unsigned char)at[0]); at += 2) {
        pair[0] = at[0];
        pair[1] = at[1];
        strbuf_add_char(out, (char)strtoul(pair, NULL, 16));
    }
}

static Str quoted(const char *at) {
    const char *end = strchr(at + 1, '"');
    if (*at != '"' || !end) give_up("no quoted text", at);
    return (Str){at + 1, (size_t)(end - at - 1)};
}

// "10; 1,4)" as a TensorType.
static void put_tensor(StrBuf *out, const char *at) {
    char *end;
    put_varint(out, 1 << 3);
    put_varint(out, strtoull(at, &end, 10));
    StrBuf dims = {0};
    unsigned rank = 0;
    for (at = end; *at == ';' || *at == ','; at = end, rank++) {
        StrBuf constant = {0}, size = {0};
        uint64_t dim = strtoull(at + 1, &end, 10);
        if (dim) {
            put_varint(&size, 1 << 3);
            put_varint(&size, dim);
        }
        put_record(&constant, 1, strbuf_str(&size));
        put_record(&dims, 3, strbuf_str(&constant));
        strbuf_free(&constant);
        strbuf_free(&size);
    }
    if (rank) {
        put_varint(out, 2 << 3);
        put_varint(out, rank);
    }
    strbuf_add(out, strbuf_str(&dims));
    strbuf_free(&dims);
}

static void put_type(StrBuf *out, const char *at, bool is_state) {
    StrBuf tensor = {0}, type = {0}, wrapped = {0};
    put_tensor(&tensor, at);
    put_record(&type, 1, strbuf_str(&tensor));
    if (is_state) {
        put_record(&wrapped, 1, strbuf_str(&type));
        put_record(out, 5, strbuf_str(&wrapped));
    } else {
        strbuf_add(out, strbuf_str(&type));
    }
    strbuf_free(&tensor);
    strbuf_free(&type);
    strbuf_free(&wrapped);
}

static void put_string_value(StrBuf *out, Str text) {
    StrBuf type = {0}, strings = {0}, tensor = {0}, immediate = {0};
    put_type(&type, "2)", false);
    put_record(&strings, 1, text);
    put_record(&tensor, 4, strbuf_str(&strings));
    put_record(&immediate, 1, strbuf_str(&tensor));
    put_record(out, 2, strbuf_str(&type));
    put_record(out, 3, strbuf_str(&immediate));
    strbuf_free(&type);
    strbuf_free(&strings);
    strbuf_free(&tensor);
    strbuf_free(&immediate);
}

static void put_argument(StrBuf *out, const char *at) {
    const char *equals = strstr(at, " = "), *end = equals ? strchr(equals, ')') : NULL;
    if (!end) give_up("no argument", at);
    StrBuf binding = {0}, argument = {0};
    put_record(&binding, 1, (Str){equals + 3, (size_t)(end - equals - 3)});
    put_record(&argument, 1, strbuf_str(&binding));
    put_record(out, 1, (Str){at, (size_t)(equals - at)});
    put_record(out, 2, strbuf_str(&argument));
    strbuf_free(&binding);
    strbuf_free(&argument);
}

// Puts what stands behind the word on a line, unless nothing does.
static bool put_content(StrBuf *out, unsigned field, const char *at) {
    StrBuf content = {0};
    if (isdigit((unsigned char)*at)) {
        put_varint(out, field << 3);
        put_varint(out, strtoull(at, NULL, 10));
        return true;
    }
    if (*at == '\n' || *at == 0) return false;
    if (*at == '"')
        strbuf_add(&content, quoted(at));
    else if (*at == '[')
        put_numbers(&content, at + 1);
    else if (*at == 'x')
        put_hex(&content, at + 1);
    else if (strncmp(at, "TT(", 3) == 0)
        put_type(&content, at + 3, false);
    else if (strncmp(at, "ST(", 3) == 0)
        put_type(&content, at + 3, true);
    else if (strncmp(at, "STR(", 4) == 0)
        put_string_value(&content, quoted(at + 4));
    else if (strncmp(at, "ARG(", 4) == 0)
        put_argument(&content, at + 4);
    else
        give_up("unknown content", at);
    put_record(out, field, strbuf_str(&content));
    strbuf_free(&content);
    return true;
}

// ---- lines

static size_t depth_of(const char *line) {
    return strspn(line, " ");
}

static const char *next_line(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end + 1 : line + strlen(line);
}

// Puts the lines at `depth`; returns the first one further out.
static const char *put_lines(const char *line, size_t depth, StrBuf *out) {
    while (*line && depth_of(line) == depth) {
        char *at;
        const char *text = line + depth;
        line = next_line(line);
        if (strncmp(text, "raw x", 5) == 0) {
            put_hex(out, text + 5);
            continue;
        }
        unsigned field = (unsigned)strtoul(text, &at, 10);
        at += strspn(at, " ");
        at += strcspn(at, " \n");
        at += strspn(at, " ");
        if (field == 0) give_up("no field number", text);
        if (put_content(out, field, at)) continue;
        StrBuf record = {0};
        if (depth_of(line) > depth) line = put_lines(line, depth_of(line), &record);
        put_record(out, field, strbuf_str(&record));
        strbuf_free(&record);
    }
    if (*line && depth_of(line) > depth) give_up("a line too far in", line);
    return line;
}

void sheet_encode(const char *sheet, StrBuf *out) {
    if (*put_lines(sheet, 0, out)) give_up("a line too far out", sheet);
}

char *sheet_replace(const char *sheet, const char *line, const char *by) {
    const char *at = strstr(sheet, line);
    if (!at || strstr(at + 1, line)) give_up(at ? "more than one line" : "no line", line);
    StrBuf out = {0};
    strbuf_add(&out, (Str){sheet, (size_t)(at - sheet)});
    strbuf_add(&out, str_of(by));
    strbuf_add(&out, str_of(at + strlen(line)));
    return out.at;
}
