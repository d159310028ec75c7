// filter.c — finds and applies filters; the filters of text and numbers.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

// ---- text

static JValue by_method(Render *r, JValue v, const char *name) {
    JValue text = jinja_to_text(r, v);
    return r->failed ? text : jinja_call_method(r, text, str_of(name), &(JArgs){0});
}
static JValue filter_upper(Render *r, JValue v, const JValue *in) {
    (void)in;
    return by_method(r, v, "upper");
}
static JValue filter_lower(Render *r, JValue v, const JValue *in) {
    (void)in;
    return by_method(r, v, "lower");
}
static JValue filter_capitalize(Render *r, JValue v, const JValue *in) {
    (void)in;
    return by_method(r, v, "capitalize");
}

static JValue filter_trim(Render *r, JValue v, const JValue *in) {
    JValue text = jinja_to_text(r, v), chars = jinja_or(in[0], J_NOTHING);
    if (r->failed) return text;
    return jinja_call_method(r, text, STR("strip"), &(JArgs){&chars, 1, NULL, 0});
}

// Unlike str.title(): words begin after white space, '-' and brackets only.
static JValue filter_title(Render *r, JValue v, const JValue *in) {
    (void)in;
    StrBuf out = {0};
    bool begins = true;
    for (Str s = jinja_to_text(r, v).text; s.len;) {
        Str from = s;
        uint32_t c = text_take(&s);
        text_change_case((Str){from.at, from.len - s.len}, begins ? CASE_UPPER : CASE_LOWER, &out);
        begins = text_is_space(c) || (c < 128 && c && strchr("-({[<", (int)c));
    }
    return jinja_keep(r, &out);
}

static JValue filter_string(Render *r, JValue v, const JValue *in) {
    (void)in;
    return jinja_to_text(r, v);
}

static JValue filter_replace(Render *r, JValue v, const JValue *in) {
    JValue args[] = {jinja_to_text(r, in[0]), jinja_to_text(r, in[1]), jinja_or(in[2], J_NOTHING)};
    JValue text = jinja_to_text(r, v);
    size_t n = args[2].kind == J_NONE ? 2 : 3;
    if (r->failed) return text;
    return jinja_call_method(r, text, STR("replace"), &(JArgs){args, n, NULL, 0});
}

static JValue filter_center(Render *r, JValue v, const JValue *in) {
    JValue width = jinja_or(in[0], J_NUMBER(80)), text = jinja_to_text(r, v);
    if (r->failed) return text;
    return jinja_call_method(r, text, STR("center"), &(JArgs){&width, 1, NULL, 0});
}

static JValue filter_forceescape(Render *r, JValue v, const JValue *in) {
    (void)in;
    v.is_safe = false;
    return jinja_escape(r, v);
}

static JValue filter_escape(Render *r, JValue v, const JValue *in) {
    (void)in;
    return jinja_escape(r, v);
}

static JValue filter_safe(Render *r, JValue v, const JValue *in) {
    (void)in;
    JValue text = jinja_to_text(r, v);
    text.is_safe = true;
    return text;
}

// Lines after the first are indented, empty ones not; in[1] and in[2] ask for those too.
static JValue filter_indent(Render *r, JValue v, const JValue *in) {
    JValue width = jinja_or(in[0], J_NUMBER(4));
    bool first = jinja_truth(jinja_or(in[1], J_TRUTH(false)));
    bool blank = jinja_truth(jinja_or(in[2], J_TRUTH(false)));
    Str s;
    int64_t n_spaces = 0;
    enum { MAX_INDENT = 10000 };
    if (!jinja_need_text(r, v, &s)) return v;
    if (width.kind != J_STR && !jinja_need_number(r, width, &n_spaces)) return v;
    StrBuf out = {0}, pad = {0};
    if (width.kind == J_STR) strbuf_add(&pad, width.text);
    for (int64_t i = 0; i < n_spaces && i < MAX_INDENT; i++) strbuf_add_char(&pad, ' ');
    bool is_last = false;
    for (size_t line = 0; !is_last && out.len <= TEMPLATE_MAX_OUTPUT; line++) {
        Str before = s, text = text_line(&s, false);
        // The text ended without a line's end, or is empty.
        is_last = text.len == before.len;
        if (line) strbuf_add_char(&out, '\n');
        if (line ? blank || text.len : first) strbuf_add(&out, strbuf_str(&pad));
        strbuf_add(&out, text);
    }
    strbuf_free(&pad);
    return jinja_keep(r, &out);
}

static JValue filter_truncate(Render *r, JValue v, const JValue *in) {
    int64_t length, leeway;
    Str end, s;
    if (!jinja_need_number(r, jinja_or(in[0], J_NUMBER(255)), &length) ||
        !jinja_need_text(r, jinja_or(in[2], J_TEXT(STR("..."))), &end) ||
        !jinja_need_number(r, jinja_or(in[3], J_NUMBER(5)), &leeway))
        return v;
    int64_t room = length - (int64_t)text_length(end);
    if (room < 0) return jinja_fail(r, "truncate: length is shorter than 'end'");
    JValue n = jinja_filter(r, v, STR("length"), &(JArgs){0});
    if (r->failed || n.integer <= length + leeway || !jinja_need_text(r, v, &s)) return v;
    s = text_slice(s, 0, (size_t)room);
    size_t space = text_find_last(s, STR(" "));
    if (!jinja_truth(jinja_or(in[1], J_TRUTH(false))) && space != SIZE_MAX) s.len = space;
    StrBuf out = {0};
    strbuf_add(&out, s);
    strbuf_add(&out, end);
    return jinja_keep(r, &out);
}

static JValue filter_format(Render *r, JValue v, const JArgs *args) {
    JValue text = jinja_to_text(r, v), values = jinja_sequence(r, FORM_TUPLE);
    if (args->n_keywords) {
        values = jinja_dict(r);
        if (args->count > args->n_keywords)
            return jinja_fail(r, "format takes positional or keyword arguments, not both");
        for (size_t k = 0; k < args->n_keywords; k++)
            jinja_put(r, values.dict, J_TEXT(args->keywords[k]), args->at[k]);
    }
    for (size_t i = 0; !args->n_keywords && i < args->count; i++)
        jinja_push(r, values.list, args->at[i]);
    return r->failed ? text : jinja_format_percent(r, text.text, values);
}

// ---- numbers

// As float() reads text. False for what it refuses.
static bool read_float(Render *r, Str s, double *out) {
    char *text = arena_cstr(r->arena, text_strip(s, NULL, true, true)), *end;
    *out = strtod(text, &end);
    return *text && !*end && !strpbrk(text, "xX(");
}

static JValue truncated(Render *r, double x, JValue otherwise) {
    return isfinite(x) ? jinja_whole_part(r->arena, x) : otherwise;
}

static bool is_decimal(Str s) {
    size_t i = s.len && (*s.at == '-' || *s.at == '+'), first = i;
    while (i < s.len && s.at[i] >= '0' && s.at[i] <= '9') i++;
    return i == s.len && i > first;
}

static JValue filter_int(Render *r, JValue v, const JValue *in) {
    JValue otherwise = jinja_or(in[0], J_NUMBER(0));
    int64_t base;
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    if (v.kind == J_INT || v.kind == J_BIG_INT) return v;
    if (v.kind == J_BOOL) return J_NUMBER(v.truth);
    if (v.kind == J_FLOAT) return truncated(r, v.number, otherwise);
    if (v.kind != J_STR) return otherwise;
    if (!jinja_need_number(r, jinja_or(in[1], J_NUMBER(10)), &base)) return v;
    if (base < 2 || base > 36) base = 10;
    Str digits = text_strip(v.text, NULL, true, true);
    if (base == 10 && is_decimal(digits)) return jinja_integer(r->arena, digits);
    char *text = arena_cstr(r->arena, digits), *end;
    errno = 0;
    long long n = strtoll(text, &end, (int)base);
    if (*text && !*end && base != 10)
        return errno ? jinja_fail(r, "the number does not fit into 64 bits") : J_NUMBER(n);
    double x;
    return read_float(r, v.text, &x) ? truncated(r, x, otherwise) : otherwise;
}

static JValue filter_float(Render *r, JValue v, const JValue *in) {
    JValue otherwise = jinja_or(in[0], (JValue){.kind = J_FLOAT});
    double x = 0;
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    if (jinja_is_number(v))
        x = jinja_number(v);
    else if (v.kind != J_STR || !read_float(r, v.text, &x))
        return otherwise;
    return (JValue){.kind = J_FLOAT, .number = x};
}

// Halves go to the even neighbour, as Python's round() has it; of a whole number a whole one.
static JValue filter_round(Render *r, JValue v, const JValue *in) {
    JValue how = jinja_or(in[1], J_TEXT(STR("common")));
    int64_t digits;
    if (!jinja_is_number(v))
        return jinja_fail(r, "round: expected a number, found %s", jinja_type_name(v));
    if (!jinja_need_number(r, jinja_or(in[0], J_NUMBER(0)), &digits)) return v;
    if (digits > 300 || digits < -300)
        return jinja_fail(r, "round: precision %lld, expected -300 to 300", (long long)digits);
    double x = jinja_number(v), scale = pow(10, (double)digits);
    if (how.kind == J_STR && (str_is(how.text, "ceil") || str_is(how.text, "floor"))) {
        x = (str_is(how.text, "ceil") ? ceil(x * scale) : floor(x * scale)) / scale;
    } else if (how.kind != J_STR || !str_is(how.text, "common")) {
        return jinja_fail(r, "round: expected method common, ceil or floor");
    } else if (v.kind != J_FLOAT && digits >= 0) {
        return v.kind == J_BOOL ? J_NUMBER(v.truth) : v;
    } else if (digits >= 0) {
        char text[700]; // 309 digits before the point, 300 after it
        snprintf(text, sizeof text, "%.*f", (int)digits, x);
        x = strtod(text, NULL);
    } else {
        x = rint(x * scale) / scale;
    }
    if (v.kind != J_FLOAT && str_is(how.text, "common")) return truncated(r, x, v);
    return (JValue){.kind = J_FLOAT, .number = x};
}

static JValue filter_abs(Render *r, JValue v, const JValue *in) {
    (void)in;
    if (!jinja_is_number(v))
        return jinja_fail(r, "abs: expected a number, found %s", jinja_type_name(v));
    return jinja_number(v) < 0 ? jinja_negate(r, v) : v.kind == J_BOOL ? J_NUMBER(v.truth) : v;
}

// ---- any value

static JValue filter_tojson(Render *r, JValue v, const JValue *in) {
    JValue indent = jinja_or(in[1], J_NOTHING), gaps = jinja_or(in[2], J_NOTHING);
    JsonStyle style = {
        .breaks = indent.kind != J_NONE,
        .item_gap = indent.kind != J_NONE ? STR(",") : STR(", "),
        .key_gap = STR(": "),
        .is_ascii = jinja_truth(jinja_or(in[0], J_TRUTH(false))),
        .is_sorted = jinja_truth(jinja_or(in[3], J_TRUTH(false))),
    };
    enum { MAX_INDENT = 1000 };
    char spaces[MAX_INDENT];
    if (indent.kind == J_STR) {
        style.indent = indent.text;
    } else if (indent.kind != J_NONE) {
        int64_t n;
        if (!jinja_need_number(r, indent, &n)) return v;
        if (n > MAX_INDENT) return jinja_fail(r, "tojson: indent %lld is too large", (long long)n);
        memset(spaces, ' ', sizeof spaces);
        style.indent = (Str){spaces, n > 0 ? (size_t)n : 0};
    }
    if (gaps.kind != J_NONE) {
        if (gaps.kind != J_LIST || gaps.list->count != 2)
            return jinja_fail(r, "tojson: expected two strings as separators");
        if (!jinja_need_text(r, gaps.list->at[0], &style.item_gap) ||
            !jinja_need_text(r, gaps.list->at[1], &style.key_gap))
            return v;
    }
    StrBuf out = {0};
    jinja_to_json(r, v, &style, 0, &out);
    return jinja_keep(r, &out);
}

static JValue filter_default(Render *r, JValue v, const JValue *in) {
    (void)r;
    bool for_false = jinja_truth(jinja_or(in[1], J_TRUTH(false)));
    bool is_missing = v.kind == J_UNDEFINED || (for_false && !jinja_truth(v));
    return is_missing ? jinja_or(in[0], J_TEXT(STR(""))) : v;
}

static JValue filter_attr(Render *r, JValue v, const JValue *in) {
    Str name;
    if (!jinja_need_text(r, in[0], &name)) return v;
    if (v.kind == J_DICT && jinja_has_method(v, name) == METHOD_NONE) return jinja_undefined(name);
    return jinja_attribute(r, v, name);
}

// ---- the table

static const JFilterRow filters[] = {
    {"abs", filter_abs, "", NULL},
    {"attr", filter_attr, "name", NULL},
    {"capitalize", filter_capitalize, "", NULL},
    {"center", filter_center, "width?", NULL},
    {"d", filter_default, "default_value? boolean?", NULL},
    {"default", filter_default, "default_value? boolean?", NULL},
    {"e", filter_escape, "", NULL},
    {"escape", filter_escape, "", NULL},
    {"float", filter_float, "default?", NULL},
    {"forceescape", filter_forceescape, "", NULL},
    {"format", NULL, NULL, filter_format},
    {"indent", filter_indent, "width? first? blank?", NULL},
    {"int", filter_int, "default? base?", NULL},
    {"lower", filter_lower, "", NULL},
    {"replace", filter_replace, "old new count?", NULL},
    {"round", filter_round, "precision? method?", NULL},
    {"safe", filter_safe, "", NULL},
    {"string", filter_string, "", NULL},
    {"title", filter_title, "", NULL},
    {"tojson", filter_tojson, "ensure_ascii? indent? separators? sort_keys?", NULL},
    {"trim", filter_trim, "chars?", NULL},
    {"truncate", filter_truncate, "length? killwords? end? leeway?", NULL},
    {"upper", filter_upper, "", NULL},
    {0},
};

static const JFilterRow *find_filter(Str name) {
    const JFilterRow *const tables[] = {filters, jinja_list_filters};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        for (const JFilterRow *row = tables[i]; row->name; row++)
            if (str_is(name, row->name)) return row;
    return NULL;
}

bool jinja_has_filter(Str name) {
    return find_filter(name) != NULL;
}

JValue jinja_filter(Render *r, JValue v, Str name, const JArgs *args) {
    const JFilterRow *row = find_filter(name);
    JValue in[JINJA_MAX_PARAMS];
    if (!row) return jinja_fail(r, "unknown filter '%.*s'", STR_ARG(name));
    if (row->run_any) return row->run_any(r, v, args);
    return jinja_bind(r, name, row->params, args, in) ? row->run(r, v, in) : J_NOTHING;
}
