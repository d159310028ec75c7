// jinja_render.c — the tree, evaluated.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja.h"

struct Scope {
    Scope *parent;
    JDict names;
};

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } Flow;

static JValue evaluate(Render *r, const Expr *e);
static Flow run(Render *r, const Stmt *s);

JValue jinja_fail(Render *r, const char *fmt, ...) {
    if (!r->failed) {
        char text[800];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        err_set(r->err, ERR_FORMAT, "template line %d: %s", r->line, text);
    }
    r->failed = true;
    return (JValue){0};
}

static bool step(Render *r, int line) {
    r->line = line;
    if (++r->steps > TEMPLATE_MAX_STEPS) jinja_fail(r, "more than %d steps", TEMPLATE_MAX_STEPS);
    if (r->out->len > TEMPLATE_MAX_OUTPUT) jinja_fail(r, "more than %d bytes", TEMPLATE_MAX_OUTPUT);
    return !r->failed;
}

// ---- names

static Scope *push_scope(Render *r, Scope *parent) {
    Scope *s = arena_new(r->arena, Scope);
    s->parent = parent;
    return s;
}

static void assign_name(Render *r, Str name, JValue v) {
    jinja_put(r, &r->scope->names, J_TEXT(name), v);
}

static JValue look_up(Render *r, Str name) {
    for (const Scope *s = r->scope; s; s = s->parent) {
        const JValue *v = jinja_get(&s->names, J_TEXT(name));
        if (v) return *v;
    }
    if (jinja_has_function(name)) return (JValue){.kind = J_FUNCTION, .text = name};
    return (JValue){.kind = J_UNDEFINED, .text = name};
}

// ---- attributes and items

static JValue undefined(Str name) {
    return (JValue){.kind = J_UNDEFINED, .text = name};
}

static JValue bound_method(Render *r, JValue self, Str name) {
    JMethod *m = arena_new(r->arena, JMethod);
    *m = (JMethod){self, name};
    return (JValue){.kind = J_METHOD, .method = m};
}

static JValue refuse_undefined(Render *r, JValue v) {
    return jinja_fail(r, "'%.*s' is undefined", STR_ARG(v.text));
}

JValue jinja_attribute(Render *r, JValue v, Str name) {
    if (v.kind == J_UNDEFINED) return refuse_undefined(r, v);
    if (jinja_has_method(v, name)) return bound_method(r, v, name);
    if (v.kind == J_DICT || v.kind == J_NAMESPACE) {
        const JValue *found = jinja_get(v.dict, J_TEXT(name));
        if (found) return *found;
    }
    return undefined(name);
}

static JValue element(JValue v, int64_t i) {
    if (v.kind == J_LIST) {
        int64_t n = (int64_t)v.list->count;
        if (i < 0) i += n;
        return i >= 0 && i < n ? v.list->at[i] : undefined(STR("list element"));
    }
    int64_t n = (int64_t)text_length(v.text);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return undefined(STR("character"));
    return J_TEXT(text_slice(v.text, (size_t)i, (size_t)i + 1));
}

JValue jinja_item(Render *r, JValue v, JValue key) {
    if (v.kind == J_UNDEFINED) return refuse_undefined(r, v);
    if ((v.kind == J_LIST || v.kind == J_STR) && (key.kind == J_INT || key.kind == J_BOOL))
        return element(v, key.kind == J_INT ? key.integer : key.truth);
    if (v.kind == J_DICT) {
        const JValue *found = jinja_get(v.dict, key);
        if (found) return *found;
    }
    if (key.kind == J_STR) return jinja_attribute(r, v, key.text);
    return undefined(STR("item"));
}

static bool slice_bound(Render *r, const Expr *e, int64_t otherwise, int64_t n, int64_t least,
                        int64_t *out) {
    *out = otherwise;
    if (!e) return true;
    JValue v = evaluate(r, e);
    if (v.kind == J_NONE) return true;
    if (v.kind != J_INT) {
        jinja_fail(r, "a slice by %s", jinja_type_name(v));
        return false;
    }
    *out = v.integer < 0 ? v.integer + n : v.integer;
    if (*out < least) *out = least;
    if (*out > n) *out = n;
    return true;
}

static JValue evaluate_slice(Render *r, const Expr *e) {
    JValue v = evaluate(r, e->a);
    if (v.kind == J_UNDEFINED && !r->failed) return refuse_undefined(r, v);
    if (v.kind != J_LIST && v.kind != J_STR)
        return jinja_fail(r, "a slice of a %s", jinja_type_name(v));
    int64_t n = (int64_t)(v.kind == J_LIST ? v.list->count : text_length(v.text)), by = 1, from, to;
    if (e->d) {
        JValue given = evaluate(r, e->d);
        if (given.kind == J_INT) by = given.integer;
        if ((given.kind != J_INT && given.kind != J_NONE) || by == 0)
            return jinja_fail(r, "a slice step that is no number or 0");
    }
    bool is_back = by < 0;
    if (!slice_bound(r, e->b, is_back ? n - 1 : 0, n, is_back ? -1 : 0, &from) ||
        !slice_bound(r, e->c, is_back ? -1 : n, n, is_back ? -1 : 0, &to))
        return (JValue){0};
    if (is_back && from > n - 1) from = n - 1;
    if (v.kind == J_STR && by == 1)
        return J_TEXT(text_slice(v.text, (size_t)from, (size_t)(to > from ? to : from)));
    JValue items = jinja_items(r, v), list = jinja_list(r);
    if (r->failed) return list;
    for (int64_t i = from; is_back ? i > to : i < to; i += by) {
        jinja_push(r, list.list, items.list->at[i]);
        if (by > n || by < -n) break; // the next index could overflow, and is outside anyway
    }
    list.is_tuple = v.is_tuple;
    if (v.kind == J_LIST) return list;
    StrBuf text = {0};
    for (size_t i = 0; i < list.list->count; i++) strbuf_add(&text, list.list->at[i].text);
    return jinja_keep(r, &text);
}

// ---- operators

static bool is_number(JValue v) {
    return v.kind == J_INT || v.kind == J_FLOAT || v.kind == J_BOOL;
}

static JValue integer_op(Render *r, JOp op, int64_t a, int64_t b) {
    int64_t result;
    bool overflows = false;
    switch (op) {
    case OP_ADD: overflows = __builtin_add_overflow(a, b, &result); break;
    case OP_SUB: overflows = __builtin_sub_overflow(a, b, &result); break;
    case OP_MUL: overflows = __builtin_mul_overflow(a, b, &result); break;
    case OP_POW:
        result = 1;
        for (int64_t i = 0; i < b && !overflows; i++) {
            overflows = __builtin_mul_overflow(result, a, &result);
            if (result == 0 || (result == 1 && a == 1)) break;
        }
        break;
    default: // OP_FLOOR_DIV, OP_MOD: round down, as Python does
        if (b == 0) return jinja_fail(r, "a division by zero");
        if (b == -1) return op == OP_MOD ? J_NUMBER(0) : integer_op(r, OP_SUB, 0, a);
        result = a / b - (a % b != 0 && (a < 0) != (b < 0));
        if (op == OP_MOD) result = a - result * b;
    }
    return overflows ? jinja_fail(r, "a number beyond 64 bits") : J_NUMBER(result);
}

static JValue float_op(Render *r, JOp op, double a, double b) {
    double result = 0;
    if ((op == OP_DIV || op == OP_FLOOR_DIV || op == OP_MOD) && b == 0)
        return jinja_fail(r, "a division by zero");
    switch (op) {
    case OP_ADD: result = a + b; break;
    case OP_SUB: result = a - b; break;
    case OP_MUL: result = a * b; break;
    case OP_DIV: result = a / b; break;
    case OP_FLOOR_DIV: result = floor(a / b); break;
    case OP_MOD: result = a - b * floor(a / b); break;
    default: result = pow(a, b);
    }
    return (JValue){.kind = J_FLOAT, .number = result};
}

static double number_of(JValue v) {
    return v.kind == J_FLOAT ? v.number : v.kind == J_INT ? (double)v.integer : v.truth ? 1 : 0;
}

static JValue repeat(Render *r, JValue v, int64_t times) {
    size_t n = times > 0 ? (size_t)times : 0, length = v.kind == J_STR ? v.text.len : v.list->count;
    if (n && length > TEMPLATE_MAX_OUTPUT / sizeof(JValue) / n)
        return jinja_fail(r, "a repetition of %zu times %zu", n, length);
    StrBuf text = {0};
    JValue list = jinja_list(r);
    for (size_t i = 0; i < n; i++) {
        if (v.kind == J_STR) strbuf_add(&text, v.text);
        for (size_t k = 0; v.kind == J_LIST && k < length; k++)
            jinja_push(r, list.list, v.list->at[k]);
    }
    if (v.kind == J_LIST) return list;
    return jinja_keep(r, &text);
}

static JValue join_lists(Render *r, JValue a, JValue b) {
    JValue list = jinja_list(r);
    if (r->steps + a.list->count + b.list->count > TEMPLATE_MAX_STEPS)
        return jinja_fail(r, "too many steps");
    r->steps += a.list->count + b.list->count;
    for (size_t i = 0; i < a.list->count; i++) jinja_push(r, list.list, a.list->at[i]);
    for (size_t i = 0; i < b.list->count; i++) jinja_push(r, list.list, b.list->at[i]);
    list.is_tuple = a.is_tuple;
    return list;
}

static JValue join_texts(Render *r, JValue a, JValue b) {
    StrBuf text = {0};
    jinja_print(a, &text);
    jinja_print(b, &text);
    if (text.len > TEMPLATE_MAX_OUTPUT) {
        strbuf_free(&text);
        return jinja_fail(r, "a string of more than %d bytes", TEMPLATE_MAX_OUTPUT);
    }
    return jinja_keep(r, &text);
}

JValue jinja_binary(Render *r, JOp op, JValue a, JValue b) {
    if (r->failed) return (JValue){0};
    if (op == OP_CONCAT) return join_texts(r, a, b);
    if (a.kind == J_UNDEFINED) return refuse_undefined(r, a);
    if (b.kind == J_UNDEFINED) return refuse_undefined(r, b);
    if (op == OP_ADD && a.kind == J_STR && b.kind == J_STR) {
        bool is_safe = a.is_safe || b.is_safe;
        if (is_safe) a = jinja_escape(r, a), b = jinja_escape(r, b);
        JValue joined = join_texts(r, a, b);
        joined.is_safe = is_safe;
        return joined;
    }
    if (op == OP_ADD && a.kind == J_LIST && b.kind == J_LIST) return join_lists(r, a, b);
    if (op == OP_MUL && (a.kind == J_STR || a.kind == J_LIST) && b.kind == J_INT)
        return repeat(r, a, b.integer);
    if (op == OP_MUL && (b.kind == J_STR || b.kind == J_LIST) && a.kind == J_INT)
        return repeat(r, b, a.integer);
    if (op == OP_MOD && a.kind == J_STR) return jinja_fail(r, "'%%' formatting is not supported");
    if (!is_number(a) || !is_number(b))
        return jinja_fail(r, "this operator does not take %s and %s", jinja_type_name(a),
                          jinja_type_name(b));
    bool is_whole = a.kind != J_FLOAT && b.kind != J_FLOAT && op != OP_DIV;
    int64_t x = a.kind == J_INT ? a.integer : a.truth, y = b.kind == J_INT ? b.integer : b.truth;
    if (is_whole && !(op == OP_POW && y < 0)) return integer_op(r, op, x, y);
    return float_op(r, op, number_of(a), number_of(b));
}

static JValue compare(Render *r, JOp op, JValue a, JValue b) {
    if (r->failed) return (JValue){0};
    switch (op) {
    case OP_EQ: return J_TRUTH(jinja_equal(a, b));
    case OP_NE: return J_TRUTH(!jinja_equal(a, b));
    case OP_IN: return J_TRUTH(jinja_contains(r, b, a));
    case OP_NOT_IN: return J_TRUTH(!jinja_contains(r, b, a));
    default: break;
    }
    if (a.kind == J_UNDEFINED) return refuse_undefined(r, a);
    if (b.kind == J_UNDEFINED) return refuse_undefined(r, b);
    int order = jinja_order(r, a, b);
    return J_TRUTH(op == OP_LT   ? order < 0
                   : op == OP_LE ? order <= 0
                   : op == OP_GT ? order > 0
                                 : order >= 0);
}

static JValue negate(Render *r, JValue v) {
    if (v.kind == J_INT || v.kind == J_BOOL)
        return integer_op(r, OP_SUB, 0, v.kind == J_INT ? v.integer : v.truth);
    if (v.kind == J_FLOAT) return (JValue){.kind = J_FLOAT, .number = -v.number};
    return jinja_fail(r, "minus a %s", jinja_type_name(v));
}

// ---- calls

JValue jinja_arg(const JArgs *args, size_t i, const char *keyword, JValue otherwise) {
    size_t n_plain = args->count - args->n_keywords;
    if (i < n_plain) return args->at[i];
    for (size_t k = 0; k < args->n_keywords; k++)
        if (str_is(args->keywords[k], keyword)) return args->at[n_plain + k];
    return otherwise;
}

static JArgs evaluate_args(Render *r, const Expr *call) {
    JValue *values = arena_array(r->arena, call->n_items, JValue);
    for (size_t i = 0; i < call->n_items && !r->failed; i++)
        values[i] = evaluate(r, call->items[i]);
    return (JArgs){values, call->n_items, call->keywords, call->n_keywords};
}

// Renders `body` in scope `scope` into a string.
static JValue capture(Render *r, Scope *scope, const Stmt *body) {
    StrBuf text = {0};
    StrBuf *out = r->out;
    Scope *outer = r->scope;
    r->out = &text;
    r->scope = scope;
    run(r, body);
    r->out = out;
    r->scope = outer;
    return jinja_keep(r, &text);
}

static JValue call_macro(Render *r, const JMacro *m, const JArgs *args, const JValue *caller) {
    const Stmt *s = m->stmt;
    Scope *scope = push_scope(r, m->scope), *outer = r->scope;
    if (args->count - args->n_keywords > s->n_params)
        return jinja_fail(r, "macro '%.*s' takes %zu arguments", STR_ARG(s->text), s->n_params);
    r->scope = scope;
    for (size_t i = 0; i < s->n_params && !r->failed; i++) {
        const char *name = arena_cstr(r->arena, s->params[i]);
        static const JKind MISSING = J_FUNCTION; // no argument is a function without a name
        JValue v = jinja_arg(args, i, name, (JValue){.kind = MISSING});
        if (v.kind == MISSING && v.text.len == 0)
            v = s->defaults[i] ? evaluate(r, s->defaults[i]) : undefined(s->params[i]);
        assign_name(r, s->params[i], v);
    }
    if (caller) assign_name(r, STR("caller"), *caller);
    r->scope = outer;
    if (r->failed) return (JValue){0};
    return capture(r, scope, s->body);
}

static JValue call_value(Render *r, JValue callee, const JArgs *args, const JValue *caller) {
    if (r->failed) return (JValue){0};
    switch (callee.kind) {
    case J_MACRO: return call_macro(r, callee.macro, args, caller);
    case J_METHOD: return jinja_call_method(r, callee.method->self, callee.method->name, args);
    case J_FUNCTION: return jinja_call_function(r, callee.text, args);
    case J_UNDEFINED: return refuse_undefined(r, callee);
    default: return jinja_fail(r, "a %s cannot be called", jinja_type_name(callee));
    }
}

static JValue evaluate_call(Render *r, const Expr *e, const JValue *caller) {
    JValue callee = evaluate(r, e->a);
    if (callee.kind == J_UNDEFINED && e->a->kind == X_ATTR && !r->failed)
        return jinja_fail(r, "there is no method '%.*s'", STR_ARG(e->a->name));
    JArgs args = evaluate_args(r, e);
    return call_value(r, callee, &args, caller);
}

static JValue apply_filter(Render *r, const Expr *e, JValue v) {
    if (e->a) v = apply_filter(r, e->a, v); // filter chains of set and filter blocks
    JArgs args = evaluate_args(r, e);
    return r->failed ? v : jinja_filter(r, v, e->name, &args);
}

// ---- expressions

static JValue evaluate_items(Render *r, const Expr *e) {
    JValue list = jinja_list(r);
    for (size_t i = 0; i < e->n_items && !r->failed; i++)
        jinja_push(r, list.list, evaluate(r, e->items[i]));
    list.is_tuple = e->kind == X_TUPLE;
    return list;
}

static JValue evaluate_dict(Render *r, const Expr *e) {
    JValue dict = jinja_dict(r);
    for (size_t i = 0; i + 1 < e->n_items && !r->failed; i += 2) {
        JValue key = evaluate(r, e->items[i]);
        jinja_put(r, dict.dict, key, evaluate(r, e->items[i + 1]));
    }
    return dict;
}

static JValue evaluate_kind(Render *r, const Expr *e) {
    switch (e->kind) {
    case X_LITERAL: return e->literal;
    case X_NAME: return look_up(r, e->name);
    case X_LIST:
    case X_TUPLE: return evaluate_items(r, e);
    case X_DICT: return evaluate_dict(r, e);
    case X_ATTR: {
        JValue v = evaluate(r, e->a);
        return r->failed ? v : jinja_attribute(r, v, e->name);
    }
    case X_ITEM: {
        JValue v = evaluate(r, e->a), key = evaluate(r, e->b);
        return r->failed ? v : jinja_item(r, v, key);
    }
    case X_SLICE: return evaluate_slice(r, e);
    case X_CALL: return evaluate_call(r, e, NULL);
    case X_FILTER: {
        JValue v = evaluate(r, e->a);
        JArgs args = evaluate_args(r, e);
        return r->failed ? v : jinja_filter(r, v, e->name, &args);
    }
    case X_TEST: {
        JValue v = evaluate(r, e->a);
        JArgs args = evaluate_args(r, e);
        return r->failed ? v : jinja_test(r, v, e->name, &args);
    }
    case X_NOT: return J_TRUTH(!jinja_truth(evaluate(r, e->a)));
    case X_NEGATE: return negate(r, evaluate(r, e->a));
    case X_PLUS: return evaluate(r, e->a);
    case X_AND: {
        JValue a = evaluate(r, e->a);
        return jinja_truth(a) ? evaluate(r, e->b) : a;
    }
    case X_OR: {
        JValue a = evaluate(r, e->a);
        return jinja_truth(a) ? a : evaluate(r, e->b);
    }
    case X_IF:
        if (jinja_truth(evaluate(r, e->b))) return evaluate(r, e->a);
        return e->c ? evaluate(r, e->c) : undefined(STR("the value of an if without else"));
    case X_BINARY: {
        JValue a = evaluate(r, e->a);
        return jinja_binary(r, e->op, a, evaluate(r, e->b));
    }
    case X_COMPARE: {
        JValue a = evaluate(r, e->a);
        return compare(r, e->op, a, evaluate(r, e->b));
    }
    }
    return (JValue){0};
}

static JValue evaluate(Render *r, const Expr *e) {
    if (!step(r, e->line)) return (JValue){0};
    if (++r->depth > 4 * TEMPLATE_MAX_DEPTH) return jinja_fail(r, "nested too deep");
    JValue v = evaluate_kind(r, e);
    r->depth--;
    return v;
}

// ---- statements

static void assign(Render *r, const Expr *target, JValue v) {
    if (r->failed) return;
    if (target->kind == X_NAME) {
        assign_name(r, target->name, v);
    } else if (target->kind == X_ATTR) {
        JValue space = look_up(r, target->a->name);
        if (space.kind != J_NAMESPACE) {
            jinja_fail(r, "only a namespace's attributes can be set");
            return;
        }
        jinja_put(r, space.dict, J_TEXT(target->name), v);
    } else {
        JValue items = jinja_items(r, v);
        if (!r->failed && items.list->count != target->n_items)
            jinja_fail(r, "%zu values for %zu names", items.list->count, target->n_items);
        for (size_t i = 0; i < target->n_items && !r->failed; i++)
            assign_name(r, target->items[i]->name, items.list->at[i]);
    }
}

// The items a loop visits: those its condition lets through.
static JValue loop_items(Render *r, const Stmt *s) {
    JValue source = evaluate(r, s->expr);
    JValue items = r->failed ? source : jinja_items(r, source);
    if (r->failed || !s->filter) return items;
    JValue kept = jinja_list(r);
    Scope *outer = r->scope;
    for (size_t i = 0; i < items.list->count && !r->failed; i++) {
        r->scope = push_scope(r, outer);
        assign(r, s->target, items.list->at[i]);
        if (jinja_truth(evaluate(r, s->filter))) jinja_push(r, kept.list, items.list->at[i]);
    }
    r->scope = outer;
    return kept;
}

static void set_loop(Render *r, JDict *loop, const JList *items, size_t i, int64_t depth) {
    int64_t n = (int64_t)items->count, at = (int64_t)i;
#define FIELD(name, v) jinja_put(r, loop, J_TEXT(STR(name)), v)
    FIELD("index", J_NUMBER(at + 1));
    FIELD("index0", J_NUMBER(at));
    FIELD("revindex", J_NUMBER(n - at));
    FIELD("revindex0", J_NUMBER(n - at - 1));
    FIELD("first", J_TRUTH(i == 0));
    FIELD("last", J_TRUTH(at + 1 == n));
    FIELD("length", J_NUMBER(n));
    FIELD("depth", J_NUMBER(depth));
    FIELD("depth0", J_NUMBER(depth - 1));
    FIELD("previtem", i ? items->at[i - 1] : undefined(STR("previtem")));
    FIELD("nextitem", at + 1 < n ? items->at[i + 1] : undefined(STR("nextitem")));
#undef FIELD
}

static int64_t loop_depth(Render *r) {
    JValue outer = look_up(r, STR("loop"));
    if (outer.kind != J_NAMESPACE) return 1;
    const JValue *depth = jinja_get(outer.dict, J_TEXT(STR("depth")));
    return depth && depth->kind == J_INT ? depth->integer + 1 : 1;
}

static Flow run_for(Render *r, const Stmt *s) {
    JValue items = loop_items(r, s);
    if (r->failed) return FLOW_ON;
    Scope *outer = r->scope;
    if (items.list->count == 0 && s->otherwise) {
        r->scope = push_scope(r, outer);
        run(r, s->otherwise);
        r->scope = outer;
        return FLOW_ON;
    }
    int64_t depth = loop_depth(r);
    for (size_t i = 0; i < items.list->count && !r->failed; i++) {
        r->scope = push_scope(r, outer);
        JValue loop = jinja_dict(r);
        loop.kind = J_NAMESPACE;
        set_loop(r, loop.dict, items.list, i, depth);
        assign_name(r, STR("loop"), loop);
        assign(r, s->target, items.list->at[i]);
        if (run(r, s->body) == FLOW_BREAK) break;
    }
    r->scope = outer;
    return FLOW_ON;
}

static void run_call_block(Render *r, const Stmt *s) {
    JMacro *m = arena_new(r->arena, JMacro);
    *m = (JMacro){s, r->scope, true};
    JValue caller = {.kind = J_MACRO, .macro = m};
    JValue v = evaluate_call(r, s->expr, &caller);
    if (!r->failed) jinja_print(v, r->out);
}

static Flow run_one(Render *r, const Stmt *s) {
    switch (s->kind) {
    case S_TEXT: strbuf_add(r->out, s->text); break;
    case S_OUTPUT: {
        JValue v = evaluate(r, s->expr);
        if (!r->failed) jinja_print(v, r->out);
        break;
    }
    case S_IF: {
        JValue v = evaluate(r, s->expr);
        if (r->failed) break;
        return run(r, jinja_truth(v) ? s->body : s->otherwise);
    }
    case S_FOR: return run_for(r, s);
    case S_SET: assign(r, s->target, evaluate(r, s->expr)); break;
    case S_SET_BLOCK: {
        JValue v = capture(r, push_scope(r, r->scope), s->body);
        assign(r, s->target, s->filter && !r->failed ? apply_filter(r, s->filter, v) : v);
        break;
    }
    case S_MACRO: {
        JMacro *m = arena_new(r->arena, JMacro);
        *m = (JMacro){s, r->scope, false};
        assign_name(r, s->text, (JValue){.kind = J_MACRO, .macro = m});
        break;
    }
    case S_CALL: run_call_block(r, s); break;
    case S_FILTER: {
        JValue v = capture(r, push_scope(r, r->scope), s->body);
        if (!r->failed) v = apply_filter(r, s->filter, v);
        if (!r->failed) jinja_print(v, r->out);
        break;
    }
    case S_BREAK: return FLOW_BREAK;
    case S_CONTINUE: return FLOW_CONTINUE;
    case S_BODY: return run(r, s->body);
    }
    return FLOW_ON;
}

static Flow run(Render *r, const Stmt *s) {
    Flow flow = FLOW_ON;
    if (++r->depth > 4 * TEMPLATE_MAX_DEPTH) {
        jinja_fail(r, "nested too deep");
        return flow;
    }
    for (; s && flow == FLOW_ON && step(r, s->line); s = s->next) flow = run_one(r, s);
    r->depth--;
    return flow;
}

// ---- the public face

Template *template_compile(Str source, Err *err) {
    Template *t = calloc(1, sizeof *t);
    if (!t) memory_is_out(sizeof *t);
    t->body = jinja_parse(&t->arena, source, err);
    if (t->body) return t;
    template_close(t);
    return NULL;
}

void template_close(Template *t) {
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}

bool template_render(const Template *t, const json_t *variables, int64_t now, StrBuf *out,
                     Err *err) {
    Arena arena = {0};
    Scope globals = {0};
    Render r = {.arena = &arena, .err = err, .now = now, .globals = &globals, .out = out};
    r.scope = &globals;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)variables, name, value) {
        assign_name(&r, arena_str(&arena, str_of(name)), jinja_from_json(&r, value));
    }
    r.scope = push_scope(&r, &globals);
    run(&r, t->body);
    arena_free(&arena);
    return !r.failed;
}
