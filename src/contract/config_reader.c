#include "contract/config.h"

#include <math.h>
#include <stdarg.h>

void config_fail(ConfigReader *r, const char *fmt, ...) {
    if (r->failed) return;
    r->failed = true;
    va_list args;
    va_start(args, fmt);
    err_vset(r->err, ERR_FORMAT, fmt, args);
    va_end(args);
    err_prefix(r->err, "%.*s", STR_ARG(r->file));
}

void config_from(ConfigReader *r, FieldId field, const char *fmt, ...) {
    enum { MOST_OF_VALUE = 60 }; // bytes of one in a message
    va_list args;
    va_start(args, fmt);
    Str text = arena_vprintf(r->arena, fmt, args);
    va_end(args);
    Str from =
        arena_printf(r->arena, "%.*s: %.*s%s%s%s", STR_ARG(r->file), STR_ARG(text),
                     r->is_default ? " (not in the file: " : "",
                     r->is_default ? r->class->name : "", r->is_default ? "'s default)" : "");
    StrBuf value = {0};
    contract_print_field(&r->out->values, field, &value);
    Str before = r->said[field];
    if (before.at && !str_eq(before, strbuf_str(&value)) && !r->failed) {
        r->failed = true;
        err_set(r->err, ERR_FORMAT,
                "the publisher's files contradict each other: %s is %.*s (%.*s), but %.*s (%.*s)",
                field_name(field), STR_ARG(str_cut(before, MOST_OF_VALUE)),
                STR_ARG(r->out->from[field]), STR_ARG(str_cut(strbuf_str(&value), MOST_OF_VALUE)),
                STR_ARG(from));
    }
    r->said[field] = arena_str(r->arena, strbuf_str(&value));
    r->out->from[field] = from;
    strbuf_free(&value);
}

const json_t *config_take(ConfigReader *r, json_t *object, const char *key) {
    json_t *value = json_object_get(object, key), *absent = json_object_get(r->defaults, key);
    r->is_default = !value && absent;
    if (!value) return absent;
    json_array_append(r->taken, value);
    json_object_del(object, key);
    return json_is_null(value) ? NULL : value;
}

bool config_number(ConfigReader *r, json_t *object, const char *key, double *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    if (json_is_number(value) && isfinite(json_number_value(value))) {
        *out = json_number_value(value);
        return true;
    }
    config_fail(r, "key '%s': expected a number", key);
    return false;
}

bool config_bool(ConfigReader *r, json_t *object, const char *key, bool *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    *out = json_is_true(value);
    if (!json_is_boolean(value)) config_fail(r, "key '%s': expected true or false", key);
    return json_is_boolean(value);
}

bool config_str(ConfigReader *r, json_t *object, const char *key, Str *out) {
    const json_t *value = config_take(r, object, key);
    if (!value) return false;
    *out = (Str){"", 0};
    if (json_is_string(value))
        *out = arena_str(r->arena, (Str){json_string_value(value), json_string_length(value)});
    else
        config_fail(r, "key '%s': expected a string", key);
    return json_is_string(value);
}
