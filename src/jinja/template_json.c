// template_json.c — JSON for templates. jansson reads every scalar; lists and objects are walked
// here, because a json_t cannot hold an integer beyond 64 bits, and jansson would refuse the whole
// file.
#include <stdlib.h>
#include <string.h>

#include "jinja/template.h"

enum { MAX_DEPTH = 1000 }; // lists and objects within each other

typedef struct {
    const char *from, *at, *end;
    Err *err;
    int depth;
} JsonReader;

static json_t *fail(JsonReader *r, const char *what) {
    int line = 1;
    for (const char *c = r->from; c < r->at && c < r->end; c++) line += *c == '\n';
    err_set(r->err, ERR_FORMAT, "line %d: %s", line, what);
    return NULL;
}

static char peek(JsonReader *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at) r->at++;
    return r->at < r->end ? *r->at : 0;
}

static bool take(JsonReader *r, char c) {
    if (peek(r) != c || r->at == r->end) return false;
    r->at++;
    return true;
}

static Str scalar_at(JsonReader *r) {
    const char *at = r->at;
    if (at < r->end && *at == '"') {
        for (at++; at < r->end && *at != '"';) at += *at == '\\' ? 2 : 1;
        at = at < r->end ? at + 1 : r->end;
    } else {
        while (at < r->end && !(*at && strchr(" \t\r\n,:[]{}\"", *at))) at++;
    }
    return (Str){r->at, (size_t)(at - r->at)};
}

static bool is_integer(Str text) {
    size_t i = text.len && *text.at == '-';
    size_t first = i;
    while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9') i++;
    return i == text.len && i > first && (text.at[first] != '0' || i == first + 1);
}

static json_t *read_scalar(JsonReader *r) {
    Str text = scalar_at(r);
    json_error_t why;
    json_t *value;
    if (text.len == 0)
        return fail(r, r->at < r->end ? "expected a value" : "unexpected end of text");
    enum { DIGITS_THAT_FIT = 18 };
    if (text.len > DIGITS_THAT_FIT + (*text.at == '-') && is_integer(text)) {
        char *kept = malloc(text.len + 1);
        if (!kept) die_out_of_memory(text.len + 1);
        kept[0] = TEMPLATE_INTEGER_MARK;
        memcpy(kept + 1, text.at, text.len);
        value = json_stringn_nocheck(kept, text.len + 1);
        free(kept);
    } else {
        value = json_loadb(text.at, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        if (!value) return fail(r, why.text);
    }
    r->at += text.len;
    return value;
}

static json_t *read_value(JsonReader *r);

static bool read_members(JsonReader *r, json_t *object) {
    if (take(r, '}')) return true;
    do {
        if (peek(r) != '"') return fail(r, "expected a name in double quotes");
        json_t *key = read_scalar(r), *value = NULL;
        bool ok = key != NULL;
        if (ok && strlen(json_string_value(key)) != json_string_length(key))
            ok = fail(r, "a name must not contain NUL");
        if (ok && !take(r, ':')) ok = fail(r, "expected ':'");
        ok = ok && (value = read_value(r));
        if (ok) json_object_set_new(object, json_string_value(key), value);
        json_decref(key);
        if (!ok) return false;
    } while (take(r, ','));
    return take(r, '}') || fail(r, "expected ',' or '}'");
}

static bool read_items(JsonReader *r, json_t *list) {
    if (take(r, ']')) return true;
    do {
        json_t *value = read_value(r);
        if (!value) return false;
        json_array_append_new(list, value);
    } while (take(r, ','));
    return take(r, ']') || fail(r, "expected ',' or ']'");
}

static json_t *read_value(JsonReader *r) {
    char first = peek(r);
    if (first != '{' && first != '[') return read_scalar(r);
    if (++r->depth > MAX_DEPTH) return fail(r, "lists and objects are nested too deep");
    r->at++;
    json_t *value = first == '{' ? json_object() : json_array();
    bool ok = first == '{' ? read_members(r, value) : read_items(r, value);
    r->depth--;
    if (ok) return value;
    json_decref(value);
    return NULL;
}

json_t *template_read_json(Str text, Err *err) {
    JsonReader r = {.from = text.at, .at = text.at, .end = text.at + text.len, .err = err};
    json_t *value = read_value(&r);
    if (!value || (!peek(&r) && r.at == r.end)) return value;
    json_decref(value);
    return fail(&r, "unexpected text after the value");
}
