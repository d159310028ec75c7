// jinja_value.c — the interpreter's values: making, comparing, printing.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

// ---- containers

JValue jinja_list(Render *r) {
    return (JValue){.kind = J_LIST, .list = arena_new(r->arena, JList)};
}

void jinja_push(Render *r, JList *list, JValue v) {
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 8;
        JValue *wider = arena_array(r->arena, list->cap, JValue);
        if (list->count) memcpy(wider, list->at, list->count * sizeof *wider);
        list->at = wider;
    }
    list->at[list->count++] = v;
}

JValue jinja_dict(Render *r) {
    return (JValue){.kind = J_DICT, .dict = arena_new(r->arena, JDict)};
}

const JValue *jinja_get(const JDict *dict, JValue key) {
    for (size_t i = 0; i < dict->count; i++)
        if (jinja_equal(dict->at[i].key, key)) return &dict->at[i].value;
    return NULL;
}

void jinja_put(Render *r, JDict *dict, JValue key, JValue v) {
    for (size_t i = 0; i < dict->count; i++)
        if (jinja_equal(dict->at[i].key, key)) {
            dict->at[i].value = v;
            return;
        }
    if (dict->count == dict->cap) {
        dict->cap = dict->cap ? dict->cap * 2 : 8;
        JEntry *wider = arena_array(r->arena, dict->cap, JEntry);
        if (dict->count) memcpy(wider, dict->at, dict->count * sizeof *wider);
        dict->at = wider;
    }
    dict->at[dict->count++] = (JEntry){key, v};
}

JValue jinja_items(Render *r, JValue v) {
    JValue out = jinja_list(r);
    switch (v.kind) {
    case J_LIST: return v;
    case J_DICT:
    case J_NAMESPACE:
        for (size_t i = 0; i < v.dict->count; i++) jinja_push(r, out.list, v.dict->at[i].key);
        return out;
    case J_STR: {
        size_t n = text_length(v.text);
        if (r->steps + n > TEMPLATE_MAX_STEPS) return jinja_fail(r, "too many steps");
        r->steps += n;
        for (size_t at = 0; at < v.text.len;) {
            Str rest = {v.text.at + at, v.text.len - at};
            Str one = text_slice(rest, 0, 1);
            jinja_push(r, out.list, J_TEXT(one));
            at += one.len;
        }
        return out;
    }
    case J_UNDEFINED: return out;
    default: return jinja_fail(r, "a %s cannot be looped over", jinja_type_name(v));
    }
}

// ---- comparing

bool jinja_truth(JValue v) {
    switch (v.kind) {
    case J_BOOL: return v.truth;
    case J_INT: return v.integer != 0;
    case J_FLOAT: return v.number != 0;
    case J_STR: return v.text.len > 0;
    case J_LIST: return v.list->count > 0;
    case J_DICT: return v.dict->count > 0;
    case J_UNDEFINED:
    case J_NONE: return false;
    default: return true;
    }
}

static bool is_number(JValue v) {
    return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
}

static double as_double(JValue v) {
    return v.kind == J_INT ? (double)v.integer : v.kind == J_FLOAT ? v.number : v.truth ? 1 : 0;
}

static bool equal(JValue a, JValue b, int depth) {
    if (depth > TEMPLATE_MAX_DEPTH) return false;
    if (is_number(a) && is_number(b)) {
        if (a.kind != J_FLOAT && b.kind != J_FLOAT)
            return (a.kind == J_INT ? a.integer : a.truth) ==
                   (b.kind == J_INT ? b.integer : b.truth);
        return as_double(a) == as_double(b);
    }
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case J_UNDEFINED:
    case J_NONE: return true;
    case J_STR: return str_eq(a.text, b.text);
    case J_LIST:
        if (a.list->count != b.list->count || a.is_tuple != b.is_tuple) return false;
        for (size_t i = 0; i < a.list->count; i++)
            if (!equal(a.list->at[i], b.list->at[i], depth + 1)) return false;
        return true;
    case J_DICT:
        if (a.dict->count != b.dict->count) return false;
        for (size_t i = 0; i < a.dict->count; i++) {
            const JValue *other = jinja_get(b.dict, a.dict->at[i].key);
            if (!other || !equal(a.dict->at[i].value, *other, depth + 1)) return false;
        }
        return true;
    case J_NAMESPACE: return a.dict == b.dict;
    case J_MACRO: return a.macro == b.macro;
    case J_FUNCTION: return str_eq(a.text, b.text);
    default: return false;
    }
}

bool jinja_equal(JValue a, JValue b) {
    return equal(a, b, 0);
}

int jinja_order(Render *r, JValue a, JValue b) {
    if (is_number(a) && is_number(b)) {
        if (a.kind == J_INT && b.kind == J_INT)
            return (a.integer > b.integer) - (a.integer < b.integer);
        double x = as_double(a), y = as_double(b);
        return (x > y) - (x < y);
    }
    if (a.kind == J_STR && b.kind == J_STR) {
        int order = str_compare(a.text, b.text); // UTF-8 sorts as code points do
        return (order > 0) - (order < 0);
    }
    if (a.kind == J_LIST && b.kind == J_LIST) {
        for (size_t i = 0; i < a.list->count && i < b.list->count && !r->failed; i++) {
            int order = jinja_equal(a.list->at[i], b.list->at[i])
                            ? 0
                            : jinja_order(r, a.list->at[i], b.list->at[i]);
            if (order) return order;
        }
        return (a.list->count > b.list->count) - (a.list->count < b.list->count);
    }
    jinja_fail(r, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
    return 0;
}

bool jinja_contains(Render *r, JValue container, JValue v) {
    switch (container.kind) {
    case J_STR:
        if (v.kind != J_STR) {
            jinja_fail(r, "a string contains strings, not %s", jinja_type_name(v));
            return false;
        }
        return text_find(container.text, v.text, 0) != SIZE_MAX;
    case J_LIST:
        for (size_t i = 0; i < container.list->count; i++)
            if (jinja_equal(container.list->at[i], v)) return true;
        return false;
    case J_DICT:
    case J_NAMESPACE: return jinja_get(container.dict, v) != NULL;
    case J_UNDEFINED: return false;
    default: jinja_fail(r, "a %s contains nothing", jinja_type_name(container)); return false;
    }
}

// ---- printing

const char *jinja_type_name(JValue v) {
    static const char *const names[] = {
        [J_UNDEFINED] = "undefined value",
        [J_NONE] = "None",
        [J_BOOL] = "boolean",
        [J_INT] = "integer",
        [J_FLOAT] = "float",
        [J_STR] = "string",
        [J_LIST] = "list",
        [J_DICT] = "dict",
        [J_NAMESPACE] = "namespace",
        [J_MACRO] = "macro",
        [J_METHOD] = "method",
        [J_FUNCTION] = "function",
    };
    return names[v.kind];
}

// repr() of a Python float: the shortest decimal that reads back, with an exponent outside
// [1e-4, 1e16).
static void print_float(double x, StrBuf *out) {
    char text[40];
    if (isnan(x)) {
        strbuf_add(out, STR("nan"));
        return;
    }
    if (isinf(x)) {
        strbuf_add(out, str_of(x < 0 ? "-inf" : "inf"));
        return;
    }
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, x);
        if (strtod(text, NULL) == x) break;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        snprintf(text, sizeof text, "%.*f", digits - 1 - exponent > 1 ? digits - 1 - exponent : 1,
                 x);
        strbuf_add(out, str_of(text));
        return;
    }
    char *e = strchr(text, 'e');
    *e = 0;
    strbuf_printf(out, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
}

static void repr_text(Str s, StrBuf *out) {
    bool has_single = memchr(s.at, '\'', s.len) != NULL,
         has_double = memchr(s.at, '"', s.len) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';
    strbuf_add_char(out, quote);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c == '\\' || c == (unsigned char)quote)
            strbuf_printf(out, "\\%c", c);
        else if (c == '\n')
            strbuf_add(out, STR("\\n"));
        else if (c == '\r')
            strbuf_add(out, STR("\\r"));
        else if (c == '\t')
            strbuf_add(out, STR("\\t"));
        else if (c < 32 || c == 127)
            strbuf_printf(out, "\\x%02x", c);
        else
            strbuf_add_char(out, (char)c);
    }
    strbuf_add_char(out, quote);
}

static void repr(JValue v, int depth, StrBuf *out) {
    if (depth > TEMPLATE_MAX_DEPTH) return;
    switch (v.kind) {
    case J_STR: repr_text(v.text, out); break;
    case J_LIST:
        strbuf_add_char(out, v.is_tuple ? '(' : '[');
        for (size_t i = 0; i < v.list->count; i++) {
            if (i) strbuf_add(out, STR(", "));
            repr(v.list->at[i], depth + 1, out);
        }
        if (v.is_tuple && v.list->count == 1) strbuf_add_char(out, ',');
        strbuf_add_char(out, v.is_tuple ? ')' : ']');
        break;
    case J_DICT:
        strbuf_add_char(out, '{');
        for (size_t i = 0; i < v.dict->count; i++) {
            if (i) strbuf_add(out, STR(", "));
            repr(v.dict->at[i].key, depth + 1, out);
            strbuf_add(out, STR(": "));
            repr(v.dict->at[i].value, depth + 1, out);
        }
        strbuf_add_char(out, '}');
        break;
    case J_UNDEFINED: strbuf_add(out, STR("Undefined")); break;
    default: jinja_print(v, out);
    }
}

void jinja_repr(JValue v, StrBuf *out) {
    repr(v, 0, out);
}

void jinja_print(JValue v, StrBuf *out) {
    switch (v.kind) {
    case J_UNDEFINED: break;
    case J_NONE: strbuf_add(out, STR("None")); break;
    case J_BOOL: strbuf_add(out, str_of(v.truth ? "True" : "False")); break;
    case J_INT: strbuf_printf(out, "%" PRId64, v.integer); break;
    case J_FLOAT: print_float(v.number, out); break;
    case J_STR: strbuf_add(out, v.text); break;
    case J_LIST:
    case J_DICT: repr(v, 0, out); break;
    case J_NAMESPACE: strbuf_add(out, STR("<Namespace>")); break;
    default: strbuf_printf(out, "<%s>", jinja_type_name(v));
    }
}

JValue jinja_keep(Render *r, StrBuf *text) {
    JValue v = J_TEXT(arena_str(r->arena, strbuf_str(text)));
    strbuf_free(text);
    if (r->arena->n_bytes > (size_t)4 * TEMPLATE_MAX_OUTPUT) return jinja_fail(r, "too much text");
    return v;
}

JValue jinja_to_text(Render *r, JValue v) {
    if (v.kind == J_STR) return v;
    StrBuf text = {0};
    jinja_print(v, &text);
    return jinja_keep(r, &text);
}

// ---- JSON

JValue jinja_from_json(Render *r, const json_t *json) {
    switch (json_typeof(json)) {
    case JSON_TRUE: return J_TRUTH(true);
    case JSON_FALSE: return J_TRUTH(false);
    case JSON_NULL: return J_NOTHING;
    case JSON_INTEGER: return J_NUMBER(json_integer_value(json));
    case JSON_REAL: return (JValue){.kind = J_FLOAT, .number = json_real_value(json)};
    case JSON_STRING:
        return J_TEXT(
            arena_str(r->arena, (Str){json_string_value(json), json_string_length(json)}));
    case JSON_ARRAY: {
        JValue list = jinja_list(r);
        for (size_t i = 0; i < json_array_size(json); i++)
            jinja_push(r, list.list, jinja_from_json(r, json_array_get(json, i)));
        return list;
    }
    case JSON_OBJECT: {
        JValue dict = jinja_dict(r);
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)json, key, value) {
            jinja_put(r, dict.dict, J_TEXT(arena_str(r->arena, str_of(key))),
                      jinja_from_json(r, value));
        }
        return dict;
    }
    }
    return J_NOTHING;
}

static void json_text(Str s, StrBuf *out) {
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        static const char escapes[] = "\"\"\\\\\nn\rr\tt\bb\ff";
        bool is_escaped = false;
        for (size_t k = 0; escapes[k] && !is_escaped; k += 2)
            if ((unsigned char)escapes[k] == c)
                strbuf_printf(out, "\\%c", escapes[k + 1]), is_escaped = true;
        if (is_escaped) continue;
        if (c < 32)
            strbuf_printf(out, "\\u%04x", c);
        else
            strbuf_add_char(out, (char)c);
    }
    strbuf_add_char(out, '"');
}

static void json_break(int indent, int level, StrBuf *out) {
    if (indent < 0) return;
    strbuf_add_char(out, '\n');
    for (int i = 0; i < indent * level; i++) strbuf_add_char(out, ' ');
}

static int compare_entries(const void *a, const void *b) {
    const JEntry *x = a, *y = b;
    return x->key.kind == J_STR && y->key.kind == J_STR ? str_compare(x->key.text, y->key.text) : 0;
}

void jinja_to_json(Render *r, JValue v, int indent, Str item_gap, Str key_gap, bool sorted,
                   int level, StrBuf *out) {
    if (level > TEMPLATE_MAX_DEPTH) {
        jinja_fail(r, "a value nested too deep");
        return;
    }
    switch (v.kind) {
    case J_NONE: strbuf_add(out, STR("null")); break;
    case J_BOOL: strbuf_add(out, str_of(v.truth ? "true" : "false")); break;
    case J_INT:
    case J_FLOAT: jinja_print(v, out); break;
    case J_STR: json_text(v.text, out); break;
    case J_LIST:
        strbuf_add_char(out, '[');
        for (size_t i = 0; i < v.list->count; i++) {
            if (i) strbuf_add(out, item_gap);
            json_break(indent, level + 1, out);
            jinja_to_json(r, v.list->at[i], indent, item_gap, key_gap, sorted, level + 1, out);
        }
        if (v.list->count) json_break(indent, level, out);
        strbuf_add_char(out, ']');
        break;
    case J_DICT: {
        JEntry *entries = v.dict->at;
        if (sorted && v.dict->count) {
            entries = arena_array(r->arena, v.dict->count, JEntry);
            memcpy(entries, v.dict->at, v.dict->count * sizeof *entries);
            qsort(entries, v.dict->count, sizeof *entries, compare_entries);
        }
        strbuf_add_char(out, '{');
        for (size_t i = 0; i < v.dict->count; i++) {
            if (i) strbuf_add(out, item_gap);
            json_break(indent, level + 1, out);
            json_text(jinja_to_text(r, entries[i].key).text, out);
            strbuf_add(out, key_gap);
            jinja_to_json(r, entries[i].value, indent, item_gap, key_gap, sorted, level + 1, out);
        }
        if (v.dict->count) json_break(indent, level, out);
        strbuf_add_char(out, '}');
        break;
    }
    default: jinja_fail(r, "tojson of a %s", jinja_type_name(v));
    }
}
