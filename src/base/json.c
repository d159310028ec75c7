// json.c — jansson, with errors that name the member, the type found and the type expected.
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"

static const json_t *need(JsonReader *n, const json_t *object, const char *key, json_type type,
                          const char *what) {
    if (n->failed) return NULL;
    const json_t *value = json_object_get(object, key);
    if (value && json_typeof(value) == type) return value;
    n->failed = true;
    err_set(n->err, ERR_FORMAT, "member \"%s\": %s, expected %s", key,
            value ? "another type" : "absent", what);
    return NULL;
}

const json_t *need_object(JsonReader *n, const json_t *object, const char *key) {
    return need(n, object, key, JSON_OBJECT, "an object");
}

const json_t *need_array(JsonReader *n, const json_t *object, const char *key, size_t cap,
                         size_t *count) {
    const json_t *array = need(n, object, key, JSON_ARRAY, "an array");
    *count = array ? json_array_size(array) : 0;
    if (*count > cap) {
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "member \"%s\": %zu items, expected at most %zu", key, *count,
                cap);
        *count = 0;
        return NULL;
    }
    return array;
}

uint64_t need_u64(JsonReader *n, const json_t *object, const char *key, uint64_t max) {
    const json_t *value = need(n, object, key, JSON_INTEGER, "a whole number");
    json_int_t number = value ? json_integer_value(value) : 0;
    if (number >= 0 && (uint64_t)number <= max) return (uint64_t)number;
    n->failed = true;
    err_set(n->err, ERR_FORMAT, "member \"%s\": %" JSON_INTEGER_FORMAT ", expected 0 to %" PRIu64,
            key, number, max);
    return 0;
}

uint32_t need_u32(JsonReader *n, const json_t *object, const char *key) {
    return (uint32_t)need_u64(n, object, key, UINT32_MAX);
}

double need_number(JsonReader *n, const json_t *object, const char *key) {
    if (n->failed) return 0;
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value)) return json_number_value(value);
    need(n, object, key, JSON_REAL, "a number");
    return 0;
}

bool need_bool(JsonReader *n, const json_t *object, const char *key) {
    if (n->failed) return false;
    const json_t *value = json_object_get(object, key);
    if (json_is_boolean(value)) return json_is_true(value);
    need(n, object, key, JSON_TRUE, "true or false");
    return false;
}

Str need_str(JsonReader *n, const json_t *object, const char *key) {
    const json_t *value = need(n, object, key, JSON_STRING, "a string");
    if (!value) return (Str){"", 0};
    return arena_str(n->arena, (Str){json_string_value(value), json_string_length(value)});
}

json_t *json_of_str(Str s) {
    json_t *value = json_stringn(s.len ? s.at : "", s.len);
    if (value) return value;
    StrBuf ascii = {0};
    for (size_t i = 0; i < s.len; i++)
        strbuf_add_char(&ascii, (unsigned char)s.at[i] < 0x80 ? s.at[i] : '?');
    value = json_stringn(ascii.at, ascii.len);
    strbuf_free(&ascii);
    return value;
}

Str json_quoted(Arena *arena, Str s) {
    json_t *value = json_of_str(s);
    char *dump = json_dumps(value, JSON_ENCODE_ANY);
    if (!dump) die_out_of_memory(s.len);
    StrBuf text = {0};
    // JSON does not escape DEL and the controls U+0080 to U+009F; some terminals obey them.
    for (const char *c = dump; *c; c++) {
        unsigned char byte = (unsigned char)c[0], next = (unsigned char)c[1];
        bool is_c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
        if (is_c1 || byte == 0x7F)
            strbuf_printf(&text, "\\u%04X", is_c1 ? next : byte);
        else
            strbuf_add_char(&text, *c);
        c += is_c1;
    }
    Str kept = arena_str(arena, strbuf_str(&text));
    strbuf_free(&text);
    free(dump);
    json_decref(value);
    return kept;
}

json_t *json_of_real(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *json_read_file(const char *path, Err *err) {
    Sha256 digest;
    return json_read_digest(path, &digest, err);
}

json_t *json_parse(Str text, const char *name, Err *err) {
    json_error_t why;
    json_t *value = json_loadb(text.len ? text.at : "", text.len, JSON_REJECT_DUPLICATES, &why);
    if (value) return value;
    str_replace_controls(why.text, 0); // jansson shows what it met
    err_set(err, ERR_FORMAT, "%s: line %d: %s", name, why.line, why.text);
    return NULL;
}

json_t *json_read_digest(const char *path, Sha256 *digest, Err *err) {
    FileMap map;
    if (!map_file(&map, path, err)) return NULL;
    *digest = sha256_bytes(map.at, map.len);
    json_t *value = json_parse((Str){(const char *)map.at, map.len}, path, err);
    unmap_file(&map);
    if (!value || json_is_object(value)) return value;
    err_set(err, ERR_FORMAT, "%s: expected a JSON object", path);
    json_decref(value);
    return NULL;
}

char *json_text(const json_t *value) {
    char *text = json_dumps(value, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    size_t n = text ? strlen(text) : 0;
    char *line = text ? realloc(text, n + 2) : NULL;
    if (!line) die_out_of_memory(n + 2);
    memcpy(line + n, "\n", 2);
    return line;
}

Sha256 json_own_sha256(json_t *object) {
    json_t *rest = json_copy(object); // shallow
    json_object_del(rest, "sha256");
    char *text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (!text) die_out_of_memory(0);
    Sha256 digest = sha256_bytes(text, strlen(text));
    free(text);
    json_decref(rest);
    return digest;
}

bool json_write_file(const json_t *value, const char *path, Err *err) {
    char *text = json_text(value);
    bool ok = file_replace(path, text, strlen(text), err);
    free(text);
    return ok;
}
