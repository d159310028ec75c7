// evaluate.c — expressions.
#include "jinja/jinja.h"

// ---- names, attributes and items

JValue jinja_look_up(Render *r, Str name) {
    for (const Scope *s = r->scope; s; s = s->parent) {
        const JValue *v = jinja_get(r, &s->names, J_TEXT(name));
        if (v) return *v;
    }
    if (jinja_has_function(name)) return (JValue){.kind = J_FUNCTION, .text = name};
    return jinja_undefined(name);
}

static JValue bound_method(Render *r, JValue self, Str name) {
    JMethod *m = arena_new(r->arena, JMethod);
    *m = (JMethod){self, name};
    return (JValue){.kind = J_METHOD, .method = m};
}

static JValue loop_attribute(const JLoop *loop, Str name) {
    int64_t n = (int64_t)loop->items->count, at = (int64_t)loop->at;
    const JValue *items = loop->items->at;
    if (str_is(name, "index")) return J_NUMBER(at + 1);
    if (str_is(name, "index0")) return J_NUMBER(at);
    if (str_is(name, "revindex")) return J_NUMBER(n - at);
    if (str_is(name, "revindex0")) return J_NUMBER(n - at - 1);
    if (str_is(name, "first")) return J_TRUTH(at == 0);
    if (str_is(name, "last")) return J_TRUTH(at + 1 == n);
    if (str_is(name, "length")) return J_NUMBER(n);
    if (str_is(name, "depth")) return J_NUMBER((int64_t)loop->depth + 1);
    if (str_is(name, "depth0")) return J_NUMBER((int64_t)loop->depth);
    if (str_is(name, "previtem") && at > 0) return items[at - 1];
    if (str_is(name, "nextitem") && at + 1 < n) return items[at + 1];
    return jinja_undefined(name);
}

JValue jinja_attribute(Render *r, JValue v, Str name) {
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    const JMethodRow *method = jinja_find_method(v, name);
    if (method && !method->run && !method->run_any) return jinja_undefined(name);
    if (method) return bound_method(r, v, name);
    if (v.kind == J_LOOP) return loop_attribute(v.loop, name);
    if (v.kind == J_LIST && v.list->is_group) {
        if (str_is(name, "grouper")) return v.list->at[0];
        if (str_is(name, "list")) return v.list->at[1];
    }
    if (v.kind == J_DICT || v.kind == J_NAMESPACE) {
        const JValue *found = jinja_get(r, v.dict, J_TEXT(name));
        if (found) return *found;
    }
    return jinja_undefined(name);
}

static JValue element(JValue v, int64_t i) {
    int64_t n = (int64_t)(v.kind == J_LIST ? v.list->count : text_length(v.text));
    if (i < 0) i += n;
    if (i < 0 || i >= n) return jinja_undefined(STR("an item beyond the end"));
    if (v.kind == J_LIST) return v.list->at[i];
    v.text = text_slice(v.text, (size_t)i, (size_t)i + 1);
    return v;
}

JValue jinja_item(Render *r, JValue v, JValue key) {
    if (v.kind == J_UNDEFINED) return jinja_refuse_undefined(r, v);
    bool has_places = v.kind == J_STR || (v.kind == J_LIST && v.form <= FORM_RANGE);
    if (has_places && (key.kind == J_INT || key.kind == J_BOOL)) {
        if (v.kind == J_STR && !jinja_charge_bytes(r, v.text.len)) return v;
        return element(v, key.kind == J_INT ? key.integer : key.truth);
    }
    if (v.kind == J_DICT) {
        const JValue *found = jinja_get(r, v.dict, key);
        if (found) return *found;
    }
    if (key.kind == J_STR) return jinja_attribute(r, v, key.text);
    return jinja_undefined(STR("an item"));
}

// ---- calls

// The arguments as written, then those of *list and **dict.
static JArgs evaluate_args(Render *r, const Expr *call) {
    JList values = {0};
    for (size_t i = 0; i < call->n_items && !r->failed; i++) {
        if (call->rest && i == call->n_items - call->n_keywords) break;
        jinja_push(r, &values, jinja_evaluate(r, call->items[i]));
    }
    if (call->rest && !r->failed) {
        JValue rest = jinja_items(r, jinja_evaluate(r, call->rest));
        for (size_t i = 0; !r->failed && i < rest.list->count; i++)
            jinja_push(r, &values, rest.list->at[i]);
        for (size_t i = call->n_items - call->n_keywords; i < call->n_items && !r->failed; i++)
            jinja_push(r, &values, jinja_evaluate(r, call->items[i]));
    }
    JArgs args = {values.at, values.count, call->keywords, call->n_keywords};
    if (!call->rest_named || r->failed) return args;
    JValue named = jinja_evaluate(r, call->rest_named);
    if (r->failed) return args;
    if (named.kind != J_DICT) {
        jinja_fail(r, "** of a %s", jinja_type_name(named));
        return args;
    }
    Str *keywords = arena_array(r->arena, call->n_keywords + named.dict->count + 1, Str);
    for (size_t i = 0; i < call->n_keywords; i++) keywords[i] = call->keywords[i];
    for (size_t i = 0; i < named.dict->count && !r->failed; i++) {
        if (!jinja_need_text(r, named.dict->at[i].key, &keywords[args.n_keywords])) break;
        jinja_push(r, &values, named.dict->at[i].value);
        args.n_keywords++;
    }
    return (JArgs){values.at, values.count, keywords, args.n_keywords};
}

static JValue call_value(Render *r, JValue callee, const JArgs *args, const JValue *caller) {
    if (r->failed) return (JValue){0};
    switch (callee.kind) {
    case J_MACRO: return jinja_call_macro(r, callee.macro, args, caller);
    case J_METHOD: return jinja_call_method(r, callee.method->self, callee.method->name, args);
    case J_FUNCTION: return jinja_call_function(r, callee.text, args);
    case J_LOOP: return jinja_call_loop(r, callee.loop, args);
    case J_UNDEFINED: return jinja_refuse_undefined(r, callee);
    default: return jinja_fail(r, "a %s cannot be called", jinja_type_name(callee));
    }
}

JValue jinja_call(Render *r, const Expr *e, const JValue *caller) {
    JValue callee = jinja_evaluate(r, e->a);
    if (callee.kind == J_UNDEFINED && e->a->kind == X_ATTR && !r->failed)
        return jinja_fail(r, "there is no method '%.*s'", STR_ARG(e->a->name));
    JArgs args = evaluate_args(r, e);
    return call_value(r, callee, &args, caller);
}

JValue jinja_apply_filters(Render *r, const Expr *chain, JValue v) {
    if (chain->a) v = jinja_apply_filters(r, chain->a, v);
    if (r->failed) return v;
    JArgs args = evaluate_args(r, chain);
    return r->failed ? v : jinja_filter(r, v, chain->name, &args);
}

// ---- expressions

static JValue evaluate_items(Render *r, const Expr *e) {
    JValue list = jinja_sequence(r, e->kind == X_TUPLE ? FORM_TUPLE : FORM_LIST);
    for (size_t i = 0; i < e->n_items && !r->failed; i++)
        jinja_push(r, list.list, jinja_evaluate(r, e->items[i]));
    return list;
}

static JValue evaluate_dict(Render *r, const Expr *e) {
    JValue dict = jinja_dict(r);
    for (size_t i = 0; i + 1 < e->n_items && !r->failed; i += 2) {
        JValue key = jinja_evaluate(r, e->items[i]);
        jinja_put(r, dict.dict, key, jinja_evaluate(r, e->items[i + 1]));
    }
    return dict;
}

static JValue evaluate_slice(Render *r, const Expr *e) {
    JValue v = jinja_evaluate(r, e->a), bounds[3];
    const Expr *given[] = {e->b, e->c, e->d};
    for (size_t i = 0; i < COUNT_OF(given); i++)
        bounds[i] = given[i] ? jinja_evaluate(r, given[i]) : J_NOTHING;
    return r->failed ? v : jinja_slice(r, v, bounds[0], bounds[1], bounds[2]);
}

static JValue evaluate_kind(Render *r, const Expr *e) {
    JValue a = {0};
    switch (e->kind) {
    case X_LITERAL: return e->literal;
    case X_NAME: return jinja_look_up(r, e->name);
    case X_LIST:
    case X_TUPLE: return evaluate_items(r, e);
    case X_DICT: return evaluate_dict(r, e);
    case X_ATTR: a = jinja_evaluate(r, e->a); return r->failed ? a : jinja_attribute(r, a, e->name);
    case X_ITEM: {
        a = jinja_evaluate(r, e->a);
        JValue key = jinja_evaluate(r, e->b);
        return r->failed ? a : jinja_item(r, a, key);
    }
    case X_SLICE: return evaluate_slice(r, e);
    case X_CALL: return jinja_call(r, e, NULL);
    case X_FILTER:
    case X_TEST: {
        a = jinja_evaluate(r, e->a);
        JArgs args = evaluate_args(r, e);
        if (r->failed) return a;
        return e->kind == X_FILTER ? jinja_filter(r, a, e->name, &args)
                                   : jinja_test(r, a, e->name, &args);
    }
    case X_NOT: return J_TRUTH(!jinja_truth(jinja_evaluate(r, e->a)));
    case X_NEGATE: return jinja_negate(r, jinja_evaluate(r, e->a));
    case X_PLUS: return jinja_negate(r, jinja_negate(r, jinja_evaluate(r, e->a)));
    case X_AND: a = jinja_evaluate(r, e->a); return jinja_truth(a) ? jinja_evaluate(r, e->b) : a;
    case X_OR: a = jinja_evaluate(r, e->a); return jinja_truth(a) ? a : jinja_evaluate(r, e->b);
    case X_IF:
        if (jinja_truth(jinja_evaluate(r, e->b))) return jinja_evaluate(r, e->a);
        return e->c ? jinja_evaluate(r, e->c)
                    : jinja_undefined(STR("the value of an if without else"));
    case X_BINARY:
        a = jinja_evaluate(r, e->a);
        return jinja_binary(r, e->op, a, jinja_evaluate(r, e->b));
    case X_COMPARE:
        a = jinja_evaluate(r, e->a);
        return jinja_compare(r, e->op, a, jinja_evaluate(r, e->b));
    }
    return a;
}

JValue jinja_evaluate(Render *r, const Expr *e) {
    r->line = e->line;
    if (!jinja_charge(r, 1)) return (JValue){0};
    if (++r->depth > 4 * TEMPLATE_MAX_DEPTH) return jinja_fail(r, "nested too deep");
    JValue v = evaluate_kind(r, e);
    r->depth--;
    return v;
}
