// print.c — values as text: str(), repr() and json.dumps() of Python.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

// ---- str() and repr()

// The shortest decimal that reads back, with an exponent outside [1e-4, 1e16).
static void print_float(double x, StrBuf *out) {
    char text[40];
    if (isnan(x) || isinf(x)) {
        strbuf_add(out, str_of(isnan(x) ? "nan" : x < 0 ? "-inf" : "inf"));
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
    bool has_single = text_find(s, STR("'"), 0) != SIZE_MAX,
         has_double = text_find(s, STR("\""), 0) != SIZE_MAX;
    char quote = has_single && !has_double ? '"' : '\'';
    strbuf_add_char(out, quote);
    while (s.len) {
        Str from = s;
        uint32_t c = text_take(&s);
        if (c == '\\' || c == (unsigned char)quote)
            strbuf_printf(out, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            strbuf_add(out, str_of(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t"));
        else if (text_is_printable(c))
            strbuf_add(out, (Str){from.at, from.len - s.len});
        else
            strbuf_printf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
    strbuf_add_char(out, quote);
}

static void repr_list(JValue v, int depth, StrBuf *out);

static void repr(JValue v, int depth, StrBuf *out) {
    if (depth > TEMPLATE_MAX_DEPTH || out->len > TEMPLATE_MAX_OUTPUT) return;
    switch (v.kind) {
    case J_STR:
        if (v.is_safe) strbuf_add(out, STR("Markup("));
        repr_text(v.text, out);
        if (v.is_safe) strbuf_add_char(out, ')');
        break;
    case J_LIST: repr_list(v, depth, out); break;
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

static void repr_list(JValue v, int depth, StrBuf *out) {
    if (v.form == FORM_GENERATOR) { // Python adds its address
        strbuf_add(out, STR("<generator object>"));
        return;
    }
    strbuf_add(out, v.list->spelling);
    if (v.form == FORM_RANGE) return;
    static const struct {
        const char *open, *close;
    } marks[] = {[FORM_LIST] = {"[", "]"}, [FORM_TUPLE] = {"(", ")"}, [FORM_VIEW] = {"([", "])"}};
    strbuf_add(out, str_of(marks[v.form].open));
    for (size_t i = 0; i < v.list->count; i++) {
        if (i) strbuf_add(out, STR(", "));
        repr(v.list->at[i], depth + 1, out);
    }
    if (v.form == FORM_TUPLE && v.list->count == 1) strbuf_add_char(out, ',');
    strbuf_add(out, str_of(marks[v.form].close));
}

void jinja_repr(JValue v, StrBuf *out) {
    repr(v, 0, out);
}

void jinja_print(JValue v, StrBuf *out) {
    switch (v.kind) {
    case J_MISSING:
    case J_UNDEFINED: break;
    case J_NONE: strbuf_add(out, STR("None")); break;
    case J_BOOL: strbuf_add(out, str_of(v.truth ? "True" : "False")); break;
    case J_INT: strbuf_printf(out, "%" PRId64, v.integer); break;
    case J_FLOAT: print_float(v.number, out); break;
    case J_BIG_INT:
    case J_STR: strbuf_add(out, v.text); break;
    case J_LIST:
    case J_DICT: repr(v, 0, out); break;
    case J_NAMESPACE: {
        JValue names = {.kind = J_DICT, .dict = v.dict};
        strbuf_add(out, STR("<Namespace "));
        repr(names, 0, out);
        strbuf_add_char(out, '>');
        break;
    }
    case J_LOOP:
        strbuf_printf(out, "<LoopContext %zu/%zu>", v.loop->at + 1, v.loop->items->count);
        break;
    case J_MACRO:
        strbuf_add(out, STR("<Macro "));
        if (v.macro->stmt->text.len)
            repr_text(v.macro->stmt->text, out);
        else
            strbuf_add(out, STR("anonymous"));
        strbuf_add_char(out, '>');
        break;
    case J_METHOD:
    case J_FUNCTION: strbuf_printf(out, "<%s>", jinja_type_name(v)); break;
    }
}

JValue jinja_keep(Render *r, StrBuf *text) {
    JValue v = J_TEXT(STR(""));
    if (text->len > TEMPLATE_MAX_OUTPUT)
        jinja_fail(r, "string of more than %d bytes", TEMPLATE_MAX_OUTPUT);
    else if (jinja_charge_bytes(r, text->len))
        v = J_TEXT(arena_str(r->arena, strbuf_str(text)));
    strbuf_free(text);
    return v;
}

JValue jinja_to_text(Render *r, JValue v) {
    if (v.kind == J_STR) return v;
    StrBuf text = {0};
    jinja_print(v, &text);
    return jinja_keep(r, &text);
}

// ---- JSON

static void json_escape(uint32_t c, StrBuf *out) {
    if (c >= 0x10000) {
        strbuf_printf(out, "\\u%04x", 0xD800 + ((c - 0x10000) >> 10));
        c = 0xDC00 + ((c - 0x10000) & 0x3FF);
    }
    strbuf_printf(out, "\\u%04x", c);
}

static void json_text(Str s, bool is_ascii, StrBuf *out) {
    strbuf_add_char(out, '"');
    while (s.len) {
        Str from = s;
        uint32_t c = text_take(&s);
        static const char escapes[] = "\"\"\\\\\nn\rr\tt\bb\ff";
        bool is_escaped = false;
        for (size_t k = 0; escapes[k] && !is_escaped; k += 2)
            if ((unsigned char)escapes[k] == c)
                strbuf_printf(out, "\\%c", escapes[k + 1]), is_escaped = true;
        if (is_escaped) continue;
        if (c < 32 || (is_ascii && c > 126))
            json_escape(c, out);
        else
            strbuf_add(out, (Str){from.at, from.len - s.len});
    }
    strbuf_add_char(out, '"');
}

static void json_break(const JsonStyle *style, int level, StrBuf *out) {
    if (!style->breaks) return;
    strbuf_add_char(out, '\n');
    for (int i = 0; i < level; i++) strbuf_add(out, style->indent);
}

static void json_float(double x, StrBuf *out) {
    if (isnan(x) || isinf(x))
        strbuf_add(out, str_of(isnan(x) ? "NaN" : x < 0 ? "-Infinity" : "Infinity"));
    else
        print_float(x, out);
}

// A key is text; numbers, booleans and None are spelt as JSON has them.
static void json_key(Render *r, JValue key, const JsonStyle *style, StrBuf *out) {
    StrBuf text = {0};
    if (key.kind == J_STR)
        strbuf_add(&text, key.text);
    else if (jinja_is_number(key) || key.kind == J_NONE)
        jinja_to_json(r, key, style, 0, &text);
    else
        jinja_fail(r, "tojson: %s cannot be a key", jinja_type_name(key));
    json_text(strbuf_str(&text), style->is_ascii, out);
    strbuf_free(&text);
}

static int compare_entries(const void *a, const void *b) {
    JValue x = ((const JEntry *)a)->key, y = ((const JEntry *)b)->key;
    return x.kind == J_STR ? str_compare(x.text, y.text) : jinja_compare_numbers(x, y);
}

// As Python sorts keys: all must be text, or all numbers.
static JEntry *sorted_entries(Render *r, const JDict *dict) {
    for (size_t i = 1; i < dict->count; i++) {
        JValue a = dict->at[i - 1].key, b = dict->at[i].key;
        bool have_order =
            jinja_is_number(a) ? jinja_is_number(b) : a.kind == J_STR && b.kind == J_STR;
        if (!have_order)
            jinja_fail(r, "tojson: cannot sort keys of type %s and %s", jinja_type_name(a),
                       jinja_type_name(b));
        if (r->failed) return dict->at;
    }
    JEntry *entries = arena_array(r->arena, dict->count, JEntry);
    memcpy(entries, dict->at, dict->count * sizeof *entries);
    qsort(entries, dict->count, sizeof *entries, compare_entries);
    return entries;
}

static void json_dict(Render *r, const JDict *dict, const JsonStyle *style, int level,
                      StrBuf *out) {
    const JEntry *entries = style->is_sorted && dict->count ? sorted_entries(r, dict) : dict->at;
    strbuf_add_char(out, '{');
    for (size_t i = 0; i < dict->count && !r->failed; i++) {
        if (i) strbuf_add(out, style->item_gap);
        json_break(style, level + 1, out);
        json_key(r, entries[i].key, style, out);
        strbuf_add(out, style->key_gap);
        jinja_to_json(r, entries[i].value, style, level + 1, out);
    }
    if (dict->count) json_break(style, level, out);
    strbuf_add_char(out, '}');
}

void jinja_to_json(Render *r, JValue v, const JsonStyle *style, int level, StrBuf *out) {
    if (level > TEMPLATE_MAX_DEPTH) {
        jinja_fail(r, "a value nested too deep");
        return;
    }
    if (!jinja_charge(r, 1)) return;
    if (out->len > TEMPLATE_MAX_OUTPUT) {
        jinja_fail(r, "more than %d bytes of JSON", TEMPLATE_MAX_OUTPUT);
        return;
    }
    switch (v.kind) {
    case J_NONE: strbuf_add(out, STR("null")); break;
    case J_BOOL: strbuf_add(out, str_of(v.truth ? "true" : "false")); break;
    case J_INT:
    case J_BIG_INT: jinja_print(v, out); break;
    case J_FLOAT: json_float(v.number, out); break;
    case J_STR: json_text(v.text, style->is_ascii, out); break;
    case J_LIST:
        if (v.form > FORM_TUPLE) {
            jinja_fail(r, "tojson: cannot serialize %s", jinja_type_name(v));
            return;
        }
        strbuf_add_char(out, '[');
        for (size_t i = 0; i < v.list->count && !r->failed; i++) {
            if (i) strbuf_add(out, style->item_gap);
            json_break(style, level + 1, out);
            jinja_to_json(r, v.list->at[i], style, level + 1, out);
        }
        if (v.list->count) json_break(style, level, out);
        strbuf_add_char(out, ']');
        break;
    case J_DICT: json_dict(r, v.dict, style, level, out); break;
    default: jinja_fail(r, "tojson: cannot serialize %s", jinja_type_name(v));
    }
}
