// jinja_filter.c — filters and tests, as tables.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

typedef JValue Filter(Render *r, JValue v, const JArgs *args);

// ---- filters of text and numbers

static JValue method_of(Render *r, JValue v, const char *name, const JArgs *args) {
    JValue text = jinja_to_text(r, v);
    return r->failed ? text : jinja_call_method(r, text, str_of(name), args);
}
static JValue filter_trim(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "strip", args);
}
static JValue filter_upper(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "upper", args);
}
static JValue filter_lower(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "lower", args);
}
static JValue filter_title(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "title", args);
}
static JValue filter_capitalize(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "capitalize", args);
}
static JValue filter_replace(Render *r, JValue v, const JArgs *args) {
    return method_of(r, v, "replace", args);
}
static JValue filter_string(Render *r, JValue v, const JArgs *args) {
    (void)args;
    return jinja_to_text(r, v);
}

JValue jinja_escape(Render *r, JValue v) {
    if (v.is_safe) return v;
    Str s = jinja_to_text(r, v).text;
    StrBuf out = {0};
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&#34;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        if (entity)
            strbuf_add(&out, str_of(entity));
        else
            strbuf_add_char(&out, c);
    }
    JValue escaped = jinja_keep(r, &out);
    escaped.is_safe = true;
    return escaped;
}

static JValue filter_escape(Render *r, JValue v, const JArgs *args) {
    (void)args;
    return jinja_escape(r, v);
}

static JValue filter_safe(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue text = jinja_to_text(r, v);
    text.is_safe = true;
    return text;
}

static JValue filter_int(Render *r, JValue v, const JArgs *args) {
    JValue otherwise = jinja_arg(args, 0, "default", J_NUMBER(0));
    if (v.kind == J_INT) return v;
    if (v.kind == J_BOOL) return J_NUMBER(v.truth);
    if (v.kind == J_FLOAT && fabs(v.number) < 9e18) return J_NUMBER((int64_t)v.number);
    if (v.kind != J_STR) return otherwise;
    char *text = arena_cstr(r->arena, text_strip(v.text, NULL, true, true)), *end;
    long long n = strtoll(text, &end, 10);
    if (*text && !*end) return J_NUMBER(n);
    double x = strtod(text, &end);
    return *text && !*end && fabs(x) < 9e18 ? J_NUMBER((int64_t)x) : otherwise;
}

static JValue filter_float(Render *r, JValue v, const JArgs *args) {
    JValue otherwise = jinja_arg(args, 0, "default", (JValue){.kind = J_FLOAT});
    if (v.kind == J_FLOAT) return v;
    if (v.kind == J_INT) return (JValue){.kind = J_FLOAT, .number = (double)v.integer};
    if (v.kind != J_STR) return otherwise;
    char *text = arena_cstr(r->arena, text_strip(v.text, NULL, true, true)), *end;
    double x = strtod(text, &end);
    return *text && !*end ? (JValue){.kind = J_FLOAT, .number = x} : otherwise;
}

static JValue filter_round(Render *r, JValue v, const JArgs *args) {
    JValue digits = jinja_arg(args, 0, "precision", J_NUMBER(0));
    JValue x = filter_float(r, v, &(JArgs){0});
    double scale = pow(10, digits.kind == J_INT ? (double)digits.integer : 0);
    JValue how = jinja_arg(args, 1, "method", J_TEXT(STR("common")));
    if (how.kind == J_STR && str_is(how.text, "ceil"))
        x.number = ceil(x.number * scale) / scale;
    else if (how.kind == J_STR && str_is(how.text, "floor"))
        x.number = floor(x.number * scale) / scale;
    else
        x.number = rint(x.number * scale) / scale;
    return x;
}

static JValue filter_abs(Render *r, JValue v, const JArgs *args) {
    (void)args;
    if (v.kind == J_INT && v.integer != INT64_MIN)
        return J_NUMBER(v.integer < 0 ? -v.integer : v.integer);
    if (v.kind == J_FLOAT) return (JValue){.kind = J_FLOAT, .number = fabs(v.number)};
    return jinja_fail(r, "abs of a %s", jinja_type_name(v));
}

static JValue filter_indent(Render *r, JValue v, const JArgs *args) {
    JValue width = jinja_arg(args, 0, "width", J_NUMBER(4));
    bool first = jinja_truth(jinja_arg(args, 1, "first", J_TRUTH(false)));
    bool blank = jinja_truth(jinja_arg(args, 2, "blank", J_TRUTH(false)));
    Str s = jinja_to_text(r, v).text;
    StrBuf out = {0}, pad = {0};
    enum { MAX_INDENT = 1000 };
    if (width.kind == J_STR) strbuf_add(&pad, width.text);
    for (int64_t i = 0; width.kind == J_INT && i < width.integer && i < MAX_INDENT; i++)
        strbuf_add_char(&pad, ' ');
    bool at_start = true, is_first = true;
    for (size_t i = 0; i < s.len && out.len < TEMPLATE_MAX_OUTPUT; i++) {
        if (at_start && (!is_first || first) && (blank || s.at[i] != '\n'))
            strbuf_add(&out, strbuf_str(&pad));
        strbuf_add_char(&out, s.at[i]);
        at_start = s.at[i] == '\n';
        if (at_start) is_first = false;
    }
    strbuf_free(&pad);
    return jinja_keep(r, &out);
}

static JValue filter_tojson(Render *r, JValue v, const JArgs *args) {
    JValue indent = jinja_arg(args, 1, "indent", jinja_arg(args, 9, "indent", J_NOTHING));
    JValue gaps = jinja_arg(args, 9, "separators", J_NOTHING);
    bool sorted = jinja_truth(jinja_arg(args, 9, "sort_keys", J_TRUTH(false)));
    int spaces = indent.kind == J_INT && indent.integer >= 0 && indent.integer < 100
                     ? (int)indent.integer
                     : -1;
    Str item_gap = spaces >= 0 ? STR(",") : STR(", "), key_gap = STR(": ");
    if (gaps.kind == J_LIST && gaps.list->count == 2 && gaps.list->at[0].kind == J_STR &&
        gaps.list->at[1].kind == J_STR)
        item_gap = gaps.list->at[0].text, key_gap = gaps.list->at[1].text;
    StrBuf out = {0};
    jinja_to_json(r, v, spaces, item_gap, key_gap, sorted, 0, &out);
    return jinja_keep(r, &out);
}

static JValue filter_default(Render *r, JValue v, const JArgs *args) {
    (void)r;
    bool for_false = jinja_truth(jinja_arg(args, 1, "boolean", J_TRUTH(false)));
    bool is_missing = v.kind == J_UNDEFINED || (for_false && !jinja_truth(v));
    return is_missing ? jinja_arg(args, 0, "default_value", J_TEXT(STR(""))) : v;
}

// ---- filters of sequences

static JValue filter_length(Render *r, JValue v, const JArgs *args) {
    (void)args;
    if (v.kind == J_STR) return J_NUMBER((int64_t)text_length(v.text));
    if (v.kind == J_LIST) return J_NUMBER((int64_t)v.list->count);
    if (v.kind == J_DICT) return J_NUMBER((int64_t)v.dict->count);
    if (v.kind == J_UNDEFINED) return J_NUMBER(0);
    return jinja_fail(r, "length of a %s", jinja_type_name(v));
}

static JValue filter_first(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue items = jinja_items(r, v);
    if (r->failed || items.list->count == 0)
        return (JValue){.kind = J_UNDEFINED, .text = STR("first")};
    return items.list->at[0];
}

static JValue filter_last(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue items = jinja_items(r, v);
    if (r->failed || items.list->count == 0)
        return (JValue){.kind = J_UNDEFINED, .text = STR("last")};
    return items.list->at[items.list->count - 1];
}

static JValue filter_list(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue items = jinja_items(r, v), copy = jinja_list(r);
    for (size_t i = 0; !r->failed && i < items.list->count; i++)
        jinja_push(r, copy.list, items.list->at[i]);
    return copy;
}

static JValue filter_reverse(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue items = jinja_items(r, v), copy = jinja_list(r);
    for (size_t i = r->failed ? 0 : items.list->count; i-- > 0;)
        jinja_push(r, copy.list, items.list->at[i]);
    if (v.kind != J_STR) return copy;
    StrBuf out = {0};
    for (size_t i = 0; i < copy.list->count; i++) strbuf_add(&out, copy.list->at[i].text);
    return jinja_keep(r, &out);
}

// A dotted attribute ("function.name") or index of each item.
static JValue path_of(Render *r, JValue v, JValue path) {
    if (path.kind != J_STR) return jinja_item(r, v, path);
    Str left = path.text;
    while (left.len && !r->failed) {
        size_t dot = text_find(left, STR("."), 0);
        Str part = {left.at, dot == SIZE_MAX ? left.len : dot};
        v = jinja_item(r, v, J_TEXT(part));
        left = dot == SIZE_MAX ? (Str){"", 0} : (Str){left.at + dot + 1, left.len - dot - 1};
    }
    return v;
}

static JValue filter_join(Render *r, JValue v, const JArgs *args) {
    JValue items = jinja_items(r, v);
    JValue gap = jinja_to_text(r, jinja_arg(args, 0, "d", J_TEXT(STR(""))));
    JValue path = jinja_arg(args, 1, "attribute", J_NOTHING);
    StrBuf out = {0};
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        if (i) strbuf_add(&out, gap.text);
        JValue item = items.list->at[i];
        jinja_print(path.kind == J_NONE ? item : path_of(r, item, path), &out);
    }
    return jinja_keep(r, &out);
}

static JValue filter_map(Render *r, JValue v, const JArgs *args) {
    JValue list = jinja_list(r);
    JValue items = jinja_truth(v) ? jinja_items(r, v) : list; // nothing to map is no mistake
    JValue path = jinja_arg(args, 9, "attribute", J_NOTHING);
    JValue otherwise = jinja_arg(args, 9, "default", J_NOTHING);
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue item = items.list->at[i];
        if (path.kind != J_NONE) {
            item = path_of(r, item, path);
            if (item.kind == J_UNDEFINED && otherwise.kind != J_NONE) item = otherwise;
        } else if (args->count && args->at[0].kind == J_STR) {
            JArgs rest = {args->at + 1, args->count - 1, args->keywords, args->n_keywords};
            item = jinja_filter(r, item, args->at[0].text, &rest);
        } else {
            return jinja_fail(r, "map needs a filter or an attribute");
        }
        jinja_push(r, list.list, item);
    }
    return list;
}

// select, reject, selectattr, rejectattr: items whose (attribute's) test holds, or does not.
static JValue choose(Render *r, JValue v, const JArgs *args, bool by_attribute, bool wanted) {
    JValue list = jinja_list(r);
    JValue items = jinja_truth(v) ? jinja_items(r, v) : list;
    size_t skip = by_attribute ? 1 : 0;
    if (args->count < skip) return jinja_fail(r, "an attribute is missing");
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue item = items.list->at[i];
        JValue of = by_attribute ? path_of(r, item, args->at[0]) : item;
        bool holds;
        if (args->count > skip && args->at[skip].kind == J_STR) {
            JArgs rest = {args->at + skip + 1, args->count - skip - 1, NULL, 0};
            holds = jinja_truth(jinja_test(r, of, args->at[skip].text, &rest));
        } else {
            holds = jinja_truth(of);
        }
        if (holds == wanted) jinja_push(r, list.list, item);
    }
    return list;
}
static JValue filter_select(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, false, true);
}
static JValue filter_reject(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, false, false);
}
static JValue filter_selectattr(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, true, true);
}
static JValue filter_rejectattr(Render *r, JValue v, const JArgs *args) {
    return choose(r, v, args, true, false);
}

static JValue fold(Render *r, JValue v) {
    if (v.kind != J_STR) return v;
    return jinja_call_method(r, v, STR("lower"), &(JArgs){0});
}

// Stable, by value or attribute; text without regard to case unless asked.
static JValue filter_sort(Render *r, JValue v, const JArgs *args) {
    JValue list = filter_list(r, v, args);
    bool reverse = jinja_truth(jinja_arg(args, 0, "reverse", J_TRUTH(false)));
    bool exact = jinja_truth(jinja_arg(args, 1, "case_sensitive", J_TRUTH(false)));
    JValue path = jinja_arg(args, 2, "attribute", J_NOTHING);
    for (size_t i = 1; !r->failed && i < list.list->count; i++)
        for (size_t k = i; k > 0 && !r->failed; k--) {
            JValue *a = &list.list->at[k - 1], *b = &list.list->at[k];
            JValue x = path.kind == J_NONE ? *a : path_of(r, *a, path);
            JValue y = path.kind == J_NONE ? *b : path_of(r, *b, path);
            int order = jinja_order(r, exact ? x : fold(r, x), exact ? y : fold(r, y));
            if (++r->steps > TEMPLATE_MAX_STEPS) jinja_fail(r, "too many steps");
            if (reverse ? order >= 0 : order <= 0) break;
            JValue swap = *a;
            *a = *b;
            *b = swap;
        }
    return list;
}

static JValue filter_unique(Render *r, JValue v, const JArgs *args) {
    JValue items = jinja_items(r, v), list = jinja_list(r), seen = jinja_list(r);
    bool exact = jinja_truth(jinja_arg(args, 0, "case_sensitive", J_TRUTH(false)));
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue key = exact ? items.list->at[i] : fold(r, items.list->at[i]);
        if (jinja_contains(r, seen, key)) continue;
        jinja_push(r, seen.list, key);
        jinja_push(r, list.list, items.list->at[i]);
    }
    return list;
}

static JValue filter_items(Render *r, JValue v, const JArgs *args) {
    if (v.kind == J_UNDEFINED) return jinja_list(r);
    if (v.kind != J_DICT) return jinja_fail(r, "items of a %s", jinja_type_name(v));
    return jinja_call_method(r, v, STR("items"), args);
}

static JValue filter_dictsort(Render *r, JValue v, const JArgs *args) {
    (void)args;
    JValue items = filter_items(r, v, args);
    static const Str attribute = {"attribute", 9};
    JValue zero = J_NUMBER(0);
    return r->failed ? items : filter_sort(r, items, &(JArgs){&zero, 1, &attribute, 1});
}

static JValue filter_sum(Render *r, JValue v, const JArgs *args) {
    JValue items = jinja_items(r, v), path = jinja_arg(args, 0, "attribute", J_NOTHING);
    JValue total = jinja_arg(args, 1, "start", J_NUMBER(0));
    for (size_t i = 0; !r->failed && i < items.list->count; i++) {
        JValue item = items.list->at[i];
        total = jinja_binary(r, OP_ADD, total, path.kind == J_NONE ? item : path_of(r, item, path));
    }
    return total;
}

static JValue extreme(Render *r, JValue v, int sign) {
    JValue items = jinja_items(r, v);
    if (r->failed || items.list->count == 0)
        return (JValue){.kind = J_UNDEFINED, .text = STR("extreme")};
    JValue best = items.list->at[0];
    for (size_t i = 1; i < items.list->count && !r->failed; i++)
        if (jinja_order(r, fold(r, items.list->at[i]), fold(r, best)) * sign > 0)
            best = items.list->at[i];
    return best;
}
static JValue filter_max(Render *r, JValue v, const JArgs *args) {
    (void)args;
    return extreme(r, v, 1);
}
static JValue filter_min(Render *r, JValue v, const JArgs *args) {
    (void)args;
    return extreme(r, v, -1);
}

typedef struct {
    const char *name;
    Filter *run;
} FilterRow;

static const FilterRow filters[] = {
    {"trim", filter_trim},
    {"upper", filter_upper},
    {"lower", filter_lower},
    {"title", filter_title},
    {"capitalize", filter_capitalize},
    {"replace", filter_replace},
    {"safe", filter_safe},
    {"string", filter_string},
    {"escape", filter_escape},
    {"e", filter_escape},
    {"int", filter_int},
    {"float", filter_float},
    {"round", filter_round},
    {"abs", filter_abs},
    {"indent", filter_indent},
    {"tojson", filter_tojson},
    {"default", filter_default},
    {"d", filter_default},
    {"length", filter_length},
    {"count", filter_length},
    {"first", filter_first},
    {"last", filter_last},
    {"list", filter_list},
    {"reverse", filter_reverse},
    {"join", filter_join},
    {"map", filter_map},
    {"select", filter_select},
    {"reject", filter_reject},
    {"selectattr", filter_selectattr},
    {"rejectattr", filter_rejectattr},
    {"sort", filter_sort},
    {"unique", filter_unique},
    {"items", filter_items},
    {"dictsort", filter_dictsort},
    {"sum", filter_sum},
    {"max", filter_max},
    {"min", filter_min},
};

JValue jinja_filter(Render *r, JValue v, Str name, const JArgs *args) {
    for (size_t i = 0; i < COUNT_OF(filters); i++)
        if (str_is(name, filters[i].name)) return filters[i].run(r, v, args);
    return jinja_fail(r, "filter '%.*s' is not known", STR_ARG(name));
}

// ---- tests

typedef enum {
    IS_DEFINED,
    IS_UNDEFINED,
    IS_NONE,
    IS_STRING,
    IS_MAPPING,
    IS_ITERABLE,
    IS_SEQUENCE,
    IS_NUMBER,
    IS_INTEGER,
    IS_FLOAT,
    IS_BOOLEAN,
    IS_TRUE,
    IS_FALSE,
    IS_CALLABLE,
    IS_EQ,
    IS_NE,
    IS_LT,
    IS_LE,
    IS_GT,
    IS_GE,
    IS_IN,
    IS_ODD,
    IS_EVEN,
    IS_DIVISIBLE,
    IS_LOWER,
    IS_UPPER,
} TestId;

typedef struct {
    const char *name;
    TestId id;
    size_t n_args;
} TestRow;

static const TestRow tests[] = {
    {"defined", IS_DEFINED, 0},
    {"undefined", IS_UNDEFINED, 0},
    {"none", IS_NONE, 0},
    {"string", IS_STRING, 0},
    {"mapping", IS_MAPPING, 0},
    {"iterable", IS_ITERABLE, 0},
    {"sequence", IS_SEQUENCE, 0},
    {"number", IS_NUMBER, 0},
    {"integer", IS_INTEGER, 0},
    {"float", IS_FLOAT, 0},
    {"boolean", IS_BOOLEAN, 0},
    {"true", IS_TRUE, 0},
    {"false", IS_FALSE, 0},
    {"callable", IS_CALLABLE, 0},
    {"equalto", IS_EQ, 1},
    {"eq", IS_EQ, 1},
    {"==", IS_EQ, 1},
    {"ne", IS_NE, 1},
    {"!=", IS_NE, 1},
    {"lt", IS_LT, 1},
    {"lessthan", IS_LT, 1},
    {"<", IS_LT, 1},
    {"le", IS_LE, 1},
    {"<=", IS_LE, 1},
    {"gt", IS_GT, 1},
    {"greaterthan", IS_GT, 1},
    {">", IS_GT, 1},
    {"ge", IS_GE, 1},
    {">=", IS_GE, 1},
    {"in", IS_IN, 1},
    {"odd", IS_ODD, 0},
    {"even", IS_EVEN, 0},
    {"divisibleby", IS_DIVISIBLE, 1},
    {"lower", IS_LOWER, 0},
    {"upper", IS_UPPER, 0},
};

static bool is_integral(Render *r, JValue v) {
    if (v.kind != J_INT)
        jinja_fail(r, "this test needs a whole number, not %s", jinja_type_name(v));
    return v.kind == J_INT;
}

static bool is_cased(Render *r, JValue v, const char *method) {
    JValue text = jinja_to_text(r, v);
    JValue changed = jinja_call_method(r, text, str_of(method), &(JArgs){0});
    JValue other = jinja_call_method(r, text, str_of(strcmp(method, "upper") ? "upper" : "lower"),
                                     &(JArgs){0});
    return str_eq(changed.text, text.text) && !str_eq(other.text, text.text);
}

static bool holds(Render *r, JValue v, TestId id, JValue arg) {
    switch (id) {
    case IS_DEFINED: return v.kind != J_UNDEFINED;
    case IS_UNDEFINED: return v.kind == J_UNDEFINED;
    case IS_NONE: return v.kind == J_NONE;
    case IS_STRING: return v.kind == J_STR;
    case IS_MAPPING: return v.kind == J_DICT;
    case IS_ITERABLE:
        return v.kind == J_LIST || v.kind == J_DICT || v.kind == J_STR || v.kind == J_UNDEFINED;
    case IS_SEQUENCE:
        return v.kind == J_LIST || v.kind == J_DICT || v.kind == J_STR || v.kind == J_UNDEFINED;
    case IS_NUMBER: return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
    case IS_INTEGER: return v.kind == J_INT;
    case IS_FLOAT: return v.kind == J_FLOAT;
    case IS_BOOLEAN: return v.kind == J_BOOL;
    case IS_TRUE: return v.kind == J_BOOL && v.truth;
    case IS_FALSE: return v.kind == J_BOOL && !v.truth;
    case IS_CALLABLE: return v.kind == J_MACRO || v.kind == J_METHOD || v.kind == J_FUNCTION;
    case IS_EQ: return jinja_equal(v, arg);
    case IS_NE: return !jinja_equal(v, arg);
    case IS_LT: return jinja_order(r, v, arg) < 0;
    case IS_LE: return jinja_order(r, v, arg) <= 0;
    case IS_GT: return jinja_order(r, v, arg) > 0;
    case IS_GE: return jinja_order(r, v, arg) >= 0;
    case IS_IN: return jinja_contains(r, arg, v);
    case IS_ODD: return is_integral(r, v) && v.integer % 2 != 0;
    case IS_EVEN: return is_integral(r, v) && v.integer % 2 == 0;
    case IS_DIVISIBLE:
        if (!is_integral(r, v) || !is_integral(r, arg)) return false;
        if (arg.integer == 0) jinja_fail(r, "a division by zero");
        return arg.integer && (arg.integer == -1 || v.integer % arg.integer == 0);
    case IS_LOWER: return is_cased(r, v, "lower");
    case IS_UPPER: return is_cased(r, v, "upper");
    }
    return false;
}

JValue jinja_test(Render *r, JValue v, Str name, const JArgs *args) {
    for (size_t i = 0; i < COUNT_OF(tests); i++) {
        if (!str_is(name, tests[i].name)) continue;
        if (args->count != tests[i].n_args)
            return jinja_fail(r, "test '%.*s' takes %zu arguments", STR_ARG(name), tests[i].n_args);
        return J_TRUTH(holds(r, v, tests[i].id, args->count ? args->at[0] : J_NOTHING));
    }
    return jinja_fail(r, "test '%.*s' is not known", STR_ARG(name));
}
