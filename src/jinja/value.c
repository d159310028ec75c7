// value.c — values of the interpreter: construction, access, comparison.
#include <string.h>

#include "jinja/jinja.h"

// ---- containers

JValue jinja_sequence(Render *r, JForm form) {
    return (JValue){.kind = J_LIST, .form = form, .list = arena_new(r->arena, JList)};
}

JValue jinja_list(Render *r) {
    return jinja_sequence(r, FORM_LIST);
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

JValue jinja_share(Render *r, JValue list, size_t from, size_t to, JForm form) {
    JValue part = jinja_sequence(r, form);
    size_t n = to > from ? to - from : 0;
    if (n) *part.list = (JList){.at = list.list->at + from, .count = n, .cap = n};
    return part;
}

JValue jinja_pair(Render *r, JValue a, JValue b) {
    JValue both = jinja_sequence(r, FORM_TUPLE);
    jinja_push(r, both.list, a);
    jinja_push(r, both.list, b);
    return both;
}

JValue jinja_dict(Render *r) {
    return (JValue){.kind = J_DICT, .dict = arena_new(r->arena, JDict)};
}

const JValue *jinja_get(Render *r, const JDict *dict, JValue key) {
    for (size_t i = 0; i < dict->count; i++)
        if (jinja_equal(r, dict->at[i].key, key)) return &dict->at[i].value;
    return NULL;
}

static bool is_hashable(JValue v) {
    if (v.kind == J_DICT) return false;
    if (v.kind != J_LIST || v.form == FORM_GENERATOR || v.form == FORM_RANGE) return true;
    for (size_t i = 0; v.form == FORM_TUPLE && i < v.list->count; i++)
        if (!is_hashable(v.list->at[i])) return false;
    return v.form == FORM_TUPLE;
}

bool jinja_need_hashable(Render *r, JValue key) {
    if (!is_hashable(key)) jinja_fail(r, "%s cannot be a dict key", jinja_type_name(key));
    return !r->failed;
}

void jinja_put(Render *r, JDict *dict, JValue key, JValue v) {
    if (!jinja_need_hashable(r, key)) return;
    jinja_charge(r, dict->count / 8);
    for (size_t i = 0; i < dict->count; i++)
        if (jinja_equal(r, dict->at[i].key, key)) {
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
    case J_LIST:
        if (v.form != FORM_GENERATOR) return v;
        *out.list = *v.list;
        *v.list = (JList){0};
        return out;
    case J_DICT:
        for (size_t i = 0; i < v.dict->count; i++) jinja_push(r, out.list, v.dict->at[i].key);
        return out;
    case J_STR: {
        if (!jinja_charge(r, text_length(v.text))) return out;
        for (size_t at = 0; at < v.text.len;) {
            Str rest = {v.text.at + at, v.text.len - at};
            Str one = text_slice(rest, 0, 1);
            jinja_push(r, out.list, J_TEXT(one));
            at += one.len;
        }
        return out;
    }
    case J_UNDEFINED: return out;
    default: return jinja_fail(r, "%s is not iterable", jinja_type_name(v));
    }
}

// ---- comparing

bool jinja_truth(JValue v) {
    switch (v.kind) {
    case J_BOOL: return v.truth;
    case J_INT: return v.integer != 0;
    case J_FLOAT: return v.number != 0;
    case J_STR: return v.text.len > 0;
    case J_LIST: return v.list->count > 0 || v.form == FORM_GENERATOR;
    case J_DICT: return v.dict->count > 0;
    case J_UNDEFINED:
    case J_NONE: return false;
    default: return true;
    }
}

static bool equal(Render *r, JValue a, JValue b, int depth) {
    if (depth > TEMPLATE_MAX_DEPTH) jinja_fail(r, "values nested too deep to compare");
    if (!jinja_charge(r, depth > 0)) return false;
    if (jinja_is_number(a) && jinja_is_number(b))
        return !jinja_is_nan(a) && !jinja_is_nan(b) && jinja_compare_numbers(a, b) == 0;
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case J_UNDEFINED:
    case J_NONE: return true;
    case J_STR: return str_eq(a.text, b.text);
    case J_LIST:
        if (a.form == FORM_GENERATOR || b.form == FORM_GENERATOR) return a.list == b.list;
        if (a.list->count != b.list->count || a.form != b.form) return false;
        for (size_t i = 0; i < a.list->count; i++)
            if (!equal(r, a.list->at[i], b.list->at[i], depth + 1)) return false;
        return true;
    case J_DICT:
        if (a.dict->count != b.dict->count) return false;
        for (size_t i = 0; i < a.dict->count; i++) {
            const JValue *other = jinja_get(r, b.dict, a.dict->at[i].key);
            if (!other || !equal(r, a.dict->at[i].value, *other, depth + 1)) return false;
        }
        return true;
    case J_NAMESPACE: return a.dict == b.dict;
    case J_LOOP: return a.loop == b.loop;
    case J_MACRO: return a.macro == b.macro;
    case J_FUNCTION: return str_eq(a.text, b.text);
    default: return false;
    }
}

bool jinja_equal(Render *r, JValue a, JValue b) {
    return equal(r, a, b, 0);
}

int jinja_order(Render *r, JValue a, JValue b) {
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_compare_numbers(a, b);
    if (a.kind == J_STR && b.kind == J_STR) {
        int order = str_compare(a.text, b.text); // UTF-8 sorts as code points do
        return (order > 0) - (order < 0);
    }
    if (a.kind == J_LIST && b.kind == J_LIST && a.form == b.form && a.form <= FORM_TUPLE) {
        if (++r->depth > TEMPLATE_MAX_DEPTH) jinja_fail(r, "lists nested too deep to compare");
        for (size_t i = 0; i < a.list->count && i < b.list->count && !r->failed; i++) {
            int order = jinja_equal(r, a.list->at[i], b.list->at[i])
                            ? 0
                            : jinja_order(r, a.list->at[i], b.list->at[i]);
            if (order || r->failed) {
                r->depth--;
                return order;
            }
        }
        r->depth--;
        return (a.list->count > b.list->count) - (a.list->count < b.list->count);
    }
    jinja_fail(r, "cannot order %s and %s", jinja_type_name(a), jinja_type_name(b));
    return 0;
}

bool jinja_contains(Render *r, JValue container, JValue v) {
    switch (container.kind) {
    case J_STR:
        if (v.kind != J_STR) {
            jinja_fail(r, "'in' a string: expected a string, found %s", jinja_type_name(v));
            return false;
        }
        return jinja_charge_bytes(r, container.text.len) &&
               text_find(container.text, v.text, 0) != SIZE_MAX;
    case J_LIST: {
        JValue items = jinja_items(r, container);
        for (size_t i = 0; jinja_charge(r, 1) && i < items.list->count; i++)
            if (jinja_equal(r, items.list->at[i], v)) return true;
        return false;
    }
    case J_DICT:
        return jinja_need_hashable(r, v) && jinja_charge(r, container.dict->count / 8) &&
               jinja_get(r, container.dict, v);
    case J_UNDEFINED: return false;
    default:
        jinja_fail(r, "'in' needs a container, found %s", jinja_type_name(container));
        return false;
    }
}

// ---- names

const char *jinja_type_name(JValue v) {
    static const char *const names[] = {
        [J_UNDEFINED] = "undefined value",
        [J_NONE] = "None",
        [J_BOOL] = "boolean",
        [J_INT] = "integer",
        [J_BIG_INT] = "integer",
        [J_FLOAT] = "float",
        [J_STR] = "string",
        [J_LIST] = "list",
        [J_DICT] = "dict",
        [J_NAMESPACE] = "namespace",
        [J_LOOP] = "loop",
        [J_MACRO] = "macro",
        [J_METHOD] = "method",
        [J_FUNCTION] = "function",
        [J_MISSING] = "nothing",
    };
    static const char *const forms[] = {
        [FORM_TUPLE] = "tuple",
        [FORM_RANGE] = "range",
        [FORM_VIEW] = "dict view",
        [FORM_GENERATOR] = "generator",
    };
    return v.kind == J_LIST && v.form != FORM_LIST ? forms[v.form] : names[v.kind];
}

JValue jinja_undefined(Str name) {
    return (JValue){.kind = J_UNDEFINED, .text = name};
}

JValue jinja_refuse_undefined(Render *r, JValue v) {
    return jinja_fail(r, "'%.*s' is undefined", STR_ARG(v.text));
}
