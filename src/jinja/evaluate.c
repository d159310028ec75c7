// evaluate.c — expressions and calls.
#include "jinja/jinja.h"

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
        jinja_fail(r, "expected a dict after **, found %s", jinja_type_name(named));
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
    default: return jinja_fail(r, "%s is not callable", jinja_type_name(callee));
    }
}

JValue jinja_call(Render *r, const Expr *e, const JValue *caller) {
    JValue callee = jinja_evaluate(r, e->a);
    if (callee.kind == J_UNDEFINED && e->a->kind == X_ATTR && !r->failed)
        return jinja_fail(r, "unknown method '%.*s'", STR_ARG(e->a->name));
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
