// render.c — executes statements: output, assignment, loops with break and continue.
#include "jinja/jinja.h"

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } Flow;

static Flow run(Render *r, const Stmt *s);

static bool check_output(Render *r) {
    if (r->out->len + r->n_held > TEMPLATE_MAX_OUTPUT)
        jinja_fail(r, "the output has more than %d bytes, the limit", TEMPLATE_MAX_OUTPUT);
    return !r->failed;
}

// ---- macros

// What is output until capture_end() becomes a string.
typedef struct {
    StrBuf text, *out;
    Scope *scope;
} Capture;

static void capture_begin(Render *r, Capture *c, Scope *scope) {
    *c = (Capture){.out = r->out, .scope = r->scope};
    r->n_held += r->out->len;
    r->out = &c->text;
    r->scope = scope;
}

static JValue capture_end(Render *r, Capture *c) {
    r->out = c->out;
    r->scope = c->scope;
    r->n_held -= r->out->len;
    return jinja_keep(r, &c->text);
}

// Renders `body` in scope `scope` into a string.
static JValue capture(Render *r, Scope *scope, const Stmt *body, Flow *flow) {
    Capture c;
    capture_begin(r, &c, scope);
    *flow = run(r, body);
    return capture_end(r, &c);
}

static bool has_param(const Stmt *s, Str name) {
    for (size_t i = 0; i < s->n_params; i++)
        if (str_eq(s->params[i], name)) return true;
    return false;
}

// What no parameter takes goes to `varargs` and `kwargs`, if the macro reads them.
static void bind_rest(Render *r, const Stmt *s, const JArgs *args, const JValue *caller) {
    size_t n_plain = args->count - args->n_keywords;
    JValue rest = jinja_sequence(r, FORM_TUPLE), named = jinja_dict(r);
    for (size_t i = s->n_params; i < n_plain; i++) jinja_push(r, rest.list, args->at[i]);
    for (size_t k = 0; k < args->n_keywords; k++)
        if (!has_param(s, args->keywords[k]))
            jinja_put(r, named.dict, J_TEXT(args->keywords[k]), args->at[n_plain + k]);
    if (caller && !s->takes_caller) jinja_put(r, named.dict, J_TEXT(STR("caller")), *caller);
    if (rest.list->count && !s->takes_rest)
        jinja_fail(r, "macro '%.*s' takes %zu arguments, found %zu", STR_ARG(s->text), s->n_params,
                   n_plain);
    if (named.dict->count && !s->takes_named)
        jinja_fail(r, "macro '%.*s' takes no argument '%.*s'", STR_ARG(s->text),
                   STR_ARG(named.dict->at[0].key.text));
    if (s->takes_rest) jinja_assign(r, STR("varargs"), rest);
    if (s->takes_named) jinja_assign(r, STR("kwargs"), named);
}

static JValue macro_argument(Render *r, const Stmt *s, size_t i, const JArgs *args) {
    size_t n_plain = args->count - args->n_keywords;
    if (i < n_plain) return args->at[i];
    for (size_t k = 0; k < args->n_keywords; k++)
        if (str_eq(args->keywords[k], s->params[i])) return args->at[n_plain + k];
    return s->defaults[i] ? jinja_evaluate(r, s->defaults[i]) : jinja_undefined(s->params[i]);
}

JValue jinja_call_macro(Render *r, const JMacro *m, const JArgs *args, const JValue *caller) {
    const Stmt *s = m->stmt;
    Scope *scope = jinja_push_scope(r, m->scope), *outer = r->scope;
    r->scope = scope;
    bind_rest(r, s, args, caller);
    for (size_t i = 0; i < s->n_params && !r->failed; i++)
        jinja_assign(r, s->params[i], macro_argument(r, s, i, args));
    if (caller && s->takes_caller) jinja_assign(r, STR("caller"), *caller);
    r->scope = outer;
    Flow flow; // a macro's body has no jump out of it
    return r->failed ? (JValue){0} : capture(r, scope, s->body, &flow);
}

static JValue new_macro(Render *r, const Stmt *s) {
    JMacro *m = arena_new(r->arena, JMacro);
    *m = (JMacro){s, r->scope};
    return (JValue){.kind = J_MACRO, .macro = m};
}

// ---- loops

static void assign_one(Render *r, const Expr *target, JValue v) {
    if (target->kind == X_NAME) {
        jinja_assign(r, target->name, v);
        return;
    }
    JValue space = jinja_look_up(r, target->a->name);
    if (space.kind != J_NAMESPACE)
        jinja_fail(r, "'%.*s' is not a namespace: only attributes of a namespace can be set",
                   STR_ARG(target->a->name));
    else if (str_starts(target->name, STR("_")))
        jinja_fail(r, "namespace attribute '%.*s' must not begin with '_'", STR_ARG(target->name));
    else
        jinja_put(r, space.dict, J_TEXT(target->name), v);
}

static void assign(Render *r, const Expr *target, JValue v) {
    if (r->failed) return;
    if (target->kind != X_TUPLE) {
        assign_one(r, target, v);
        return;
    }
    if (v.kind == J_UNDEFINED) {
        jinja_refuse_undefined(r, v);
        return;
    }
    JValue items = jinja_items(r, v);
    if (!r->failed && items.list->count != target->n_items)
        jinja_fail(r, "cannot unpack %zu values into %zu names", items.list->count,
                   target->n_items);
    for (size_t i = 0; i < target->n_items && !r->failed; i++)
        assign(r, target->items[i], items.list->at[i]);
}

// What was assigned to `target`: for several names a tuple, whatever they were taken from.
static JValue target_value(Render *r, const Expr *target) {
    if (target->kind == X_NAME) return jinja_look_up(r, target->name);
    JValue tuple = jinja_sequence(r, FORM_TUPLE);
    for (size_t i = 0; i < target->n_items; i++)
        jinja_push(r, tuple.list, target_value(r, target->items[i]));
    return tuple;
}

// The items a loop over `source` visits: those its condition lets through.
static JValue loop_items(Render *r, const Stmt *s, JValue source) {
    JValue items = jinja_items(r, source);
    if (r->failed || !s->filter) return items;
    JValue kept = jinja_list(r);
    Scope *outer = r->scope;
    for (size_t i = 0; i < items.list->count && !r->failed; i++) {
        r->scope = jinja_push_scope(r, outer);
        assign(r, s->target, items.list->at[i]);
        if (jinja_truth(jinja_evaluate(r, s->filter)))
            jinja_push(r, kept.list, target_value(r, s->target));
    }
    r->scope = outer;
    return kept;
}

static Flow run_scoped(Render *r, const Stmt *body) {
    Scope *outer = r->scope;
    r->scope = jinja_push_scope(r, outer);
    Flow flow = run(r, body);
    r->scope = outer;
    return flow;
}

// As Jinja has it, `else` is for loops none of whose rounds came to its end: also for one that each
// round left by break or continue. A jump in it is one of the loop around.
static Flow run_loop(Render *r, const Stmt *s, JValue source, size_t depth) {
    JValue items = loop_items(r, s, source);
    if (r->failed) return FLOW_ON;
    Scope *outer = r->scope;
    JLoop *loop = arena_new(r->arena, JLoop);
    *loop = (JLoop){.stmt = s, .scope = outer, .items = items.list, .depth = depth};
    bool has_ended_one = false;
    for (Flow flow = FLOW_ON; loop->at < items.list->count && flow != FLOW_BREAK; loop->at++) {
        if (r->failed) break;
        r->scope = jinja_push_scope(r, outer);
        jinja_assign(r, STR("loop"), (JValue){.kind = J_LOOP, .loop = loop});
        assign(r, s->target, items.list->at[loop->at]);
        flow = run(r, s->body);
        has_ended_one = has_ended_one || flow == FLOW_ON;
    }
    r->scope = outer;
    return has_ended_one || r->failed ? FLOW_ON : run_scoped(r, s->otherwise);
}

static Flow run_for(Render *r, const Stmt *s) {
    JValue source = jinja_evaluate(r, s->expr);
    return r->failed ? FLOW_ON : run_loop(r, s, source, 0);
}

JValue jinja_call_loop(Render *r, const JLoop *loop, const JArgs *args) {
    JValue in[1];
    if (!loop->stmt->is_recursive) return jinja_fail(r, "loop() needs a for with 'recursive'");
    if (!jinja_bind(r, STR("loop"), "iterable", args, in)) return J_NOTHING;
    Capture c;
    capture_begin(r, &c, loop->scope);
    run_loop(r, loop->stmt, in[0], loop->depth + 1);
    return capture_end(r, &c);
}

// ---- statements

static void print(Render *r, JValue v) {
    if (!r->failed) jinja_print(v, r->out);
}

static Flow run_if(Render *r, const Stmt *s) {
    for (;; s = s->otherwise) {
        bool holds = jinja_truth(jinja_evaluate(r, s->expr));
        if (r->failed) return FLOW_ON;
        if (holds) return run(r, s->body);
        if (!s->otherwise || s->otherwise->kind != S_ELIF) return run(r, s->otherwise);
    }
}

static Flow run_with(Render *r, const Stmt *s) {
    Scope *outer = r->scope, *inner = jinja_push_scope(r, outer);
    for (size_t i = 0; i < s->n_params && !r->failed; i++) {
        r->scope = outer; // values mean what they mean outside
        JValue v = jinja_evaluate(r, s->defaults[i]);
        r->scope = inner;
        assign(r, s->targets[i], v);
    }
    r->scope = inner;
    Flow flow = r->failed ? FLOW_ON : run(r, s->body);
    r->scope = outer;
    return flow;
}

static void run_call_block(Render *r, const Stmt *s) {
    JValue caller = new_macro(r, s);
    print(r, jinja_call(r, s->expr, &caller));
}

// The body of a set or filter block. A jump out of it drops what was made of it.
static Flow filtered_body(Render *r, const Stmt *s, JValue *v) {
    Flow flow;
    *v = capture(r, jinja_push_scope(r, r->scope), s->body, &flow);
    if (s->filter && !r->failed && flow == FLOW_ON) *v = jinja_apply_filters(r, s->filter, *v);
    return flow;
}

static Flow run_set_block(Render *r, const Stmt *s) {
    JValue v;
    Flow flow = filtered_body(r, s, &v);
    if (flow == FLOW_ON) assign(r, s->target, v);
    return flow;
}

static Flow run_filter_block(Render *r, const Stmt *s) {
    JValue v;
    Flow flow = filtered_body(r, s, &v);
    if (flow == FLOW_ON) print(r, v);
    return flow;
}

static Flow run_one(Render *r, const Stmt *s) {
    switch (s->kind) {
    case S_TEXT: strbuf_add(r->out, s->text); break;
    case S_OUTPUT: print(r, jinja_evaluate(r, s->expr)); break;
    case S_IF:
    case S_ELIF: return run_if(r, s);
    case S_FOR: return run_for(r, s);
    case S_SET: assign(r, s->target, jinja_evaluate(r, s->expr)); break;
    case S_SET_BLOCK: return run_set_block(r, s);
    case S_MACRO: jinja_assign(r, s->text, new_macro(r, s)); break;
    case S_CALL: run_call_block(r, s); break;
    case S_FILTER: return run_filter_block(r, s);
    case S_BREAK: return FLOW_BREAK;
    case S_CONTINUE: return FLOW_CONTINUE;
    case S_WITH: return run_with(r, s);
    case S_BODY: return run_scoped(r, s->body);
    }
    return FLOW_ON;
}

void jinja_run(Render *r, const Stmt *body) {
    run(r, body);
}

static Flow run(Render *r, const Stmt *s) {
    Flow flow = FLOW_ON;
    if (++r->depth > 4 * TEMPLATE_MAX_DEPTH) jinja_fail(r, "nested too deep");
    for (; s && flow == FLOW_ON && !r->failed; s = s->next) {
        r->line = s->line;
        if (jinja_charge(r, 1)) flow = run_one(r, s);
        check_output(r);
    }
    r->depth--;
    return flow;
}
