// expr.c — tokens to expression trees: recursive descent in Jinja's order of precedence.
#include <string.h>

#include "jinja/lex.h"

static Expr *parse_unary(Parser *p, bool with_filters);

static Expr *new_expr(Parser *p, ExprKind kind) {
    Expr *e = arena_new(p->arena, Expr);
    e->kind = kind;
    e->line = p->line;
    return e;
}

static Expr *pair(Parser *p, ExprKind kind, JOp op, Expr *a, Expr *b) {
    Expr *e = new_expr(p, kind);
    e->op = op;
    e->a = a;
    e->b = b;
    return e;
}

typedef struct {
    Expr **at;
    size_t count, cap;
} ExprList;

static void add_expr(Parser *p, ExprList *list, Expr *e) {
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 4;
        Expr **wider = arena_array(p->arena, list->cap, Expr *);
        if (list->count) memcpy(wider, list->at, list->count * sizeof *wider);
        list->at = wider;
    }
    list->at[list->count++] = e;
}

static void set_items(Expr *e, const ExprList *list) {
    e->items = list->at;
    e->n_items = list->count;
}

// "name=" before an argument: taken, and its name given.
static bool take_keyword(Parser *p, Str *name) {
    const char *mark = p->cursor;
    Token first = p->token;
    int line = p->line;
    if (first.kind != T_NAME) return false;
    parser_next(p);
    if (parser_take_op(p, "=")) {
        *name = first.text;
        return true;
    }
    p->cursor = mark;
    p->token = first;
    p->line = line;
    return false;
}

// "(a, *b, name=c, **d)", after the opening parenthesis.
static void parse_args(Parser *p, Expr *call) {
    ExprList items = {0};
    enum { MAX_KEYWORDS = 64 };
    Str keywords[MAX_KEYWORDS];
    while (!p->failed && !parser_peek_op(p, ")")) {
        if (parser_take_op(p, "**")) {
            call->rest_named = parse_expr(p);
        } else if (parser_take_op(p, "*")) {
            call->rest = parse_expr(p);
        } else {
            bool is_named =
                call->n_keywords < MAX_KEYWORDS && take_keyword(p, &keywords[call->n_keywords]);
            if (is_named)
                call->n_keywords++;
            else if (call->n_keywords || call->rest || call->rest_named)
                parser_fail(p, "a positional argument after a keyword argument");
            add_expr(p, &items, parse_expr(p));
        }
        if (!parser_take_op(p, ",")) break;
    }
    parser_need_op(p, ")");
    set_items(call, &items);
    call->keywords = arena_array(p->arena, call->n_keywords + 1, Str);
    memcpy(call->keywords, keywords, call->n_keywords * sizeof *keywords);
}

static Expr *parse_list(Parser *p, const char *close, ExprKind kind) {
    Expr *e = new_expr(p, kind);
    ExprList items = {0};
    while (!p->failed && !parser_peek_op(p, close)) {
        add_expr(p, &items, parse_expr(p));
        if (kind == X_DICT) {
            parser_need_op(p, ":");
            add_expr(p, &items, parse_expr(p));
        }
        if (!parser_take_op(p, ",")) break;
    }
    parser_need_op(p, close);
    set_items(e, &items);
    return e;
}

static Expr *literal(Parser *p, JValue v) {
    Expr *e = new_expr(p, X_LITERAL);
    e->literal = v;
    return e;
}

static Expr *parse_parens(Parser *p) {
    if (parser_take_op(p, ")")) return new_expr(p, X_TUPLE);
    Expr *first = parse_expr(p);
    if (parser_take_op(p, ")")) return first;
    Expr *e = new_expr(p, X_TUPLE);
    ExprList items = {0};
    add_expr(p, &items, first);
    while (!p->failed && parser_take_op(p, ",") && !parser_peek_op(p, ")"))
        add_expr(p, &items, parse_expr(p));
    parser_need_op(p, ")");
    set_items(e, &items);
    return e;
}

static Expr *parse_primary(Parser *p) {
    Token t = p->token;
    if (t.kind == T_STRING) {
        StrBuf all = {0}; // neighbouring strings are one
        while (p->token.kind == T_STRING) {
            strbuf_add(&all, p->token.text);
            parser_next(p);
        }
        Expr *e = literal(p, J_TEXT(arena_str(p->arena, strbuf_str(&all))));
        strbuf_free(&all);
        return e;
    }
    parser_next(p);
    if (t.kind == T_NUMBER) return literal(p, t.number);
    if (t.kind == T_NAME) {
        if (str_is(t.text, "true") || str_is(t.text, "True")) return literal(p, J_TRUTH(true));
        if (str_is(t.text, "false") || str_is(t.text, "False")) return literal(p, J_TRUTH(false));
        if (str_is(t.text, "none") || str_is(t.text, "None")) return literal(p, J_NOTHING);
        Expr *e = new_expr(p, X_NAME);
        e->name = t.text;
        if (str_is(t.text, "varargs")) p->saw_rest = true;
        if (str_is(t.text, "kwargs")) p->saw_named = true;
        if (str_is(t.text, "caller")) p->saw_caller = true;
        return e;
    }
    if (t.kind == T_OP && str_is(t.text, "(")) return parse_parens(p);
    if (t.kind == T_OP && str_is(t.text, "[")) return parse_list(p, "]", X_LIST);
    if (t.kind == T_OP && str_is(t.text, "{")) return parse_list(p, "}", X_DICT);
    return parser_fail(p, "expected an expression, found '%.*s'", STR_ARG(t.text));
}

// "[i]" or "[from:to:step]", after the bracket.
static Expr *parse_subscript(Parser *p, Expr *of) {
    Expr *parts[3] = {NULL};
    int n = 0;
    bool is_slice = false;
    while (!p->failed) {
        if (!parser_peek_op(p, ":") && !parser_peek_op(p, "]")) parts[n] = parse_expr(p);
        if (n == 2 || !parser_take_op(p, ":")) break;
        is_slice = true;
        n++;
    }
    parser_need_op(p, "]");
    Expr *e = new_expr(p, is_slice ? X_SLICE : X_ITEM);
    e->a = of;
    e->b = parts[0];
    e->c = parts[1];
    e->d = parts[2];
    if (!is_slice && !parts[0]) return parser_fail(p, "empty subscript");
    return e;
}

static Expr *parse_call(Parser *p, Expr *of) {
    Expr *e = new_expr(p, X_CALL);
    e->a = of;
    parse_args(p, e);
    return e;
}

static Expr *parse_postfix(Parser *p, Expr *e) {
    while (!p->failed) {
        if (parser_take_op(p, ".")) {
            Expr *attr = new_expr(p, X_ATTR);
            attr->a = e;
            if (p->token.kind == T_NUMBER) { // "list.0"
                attr->kind = X_ITEM;
                attr->b = literal(p, p->token.number);
                parser_next(p);
            } else {
                attr->name = parser_need_name(p);
            }
            e = attr;
        } else if (parser_take_op(p, "[")) {
            e = parse_subscript(p, e);
        } else if (parser_take_op(p, "(")) {
            e = parse_call(p, e);
        } else {
            break;
        }
    }
    return e;
}

static void note_unknown(Parser *p, const Expr *e, bool is_known) {
    if (!is_known && !p->is_conditional && !p->unknown) p->unknown = e;
}

Expr *parse_filter(Parser *p, Expr *of) {
    Expr *e = new_expr(p, X_FILTER);
    e->a = of;
    e->name = parser_need_name(p);
    while (parser_take_op(p, ".")) { // a dotted name, which no filter here has
        Str part = parser_need_name(p);
        e->name = arena_printf(p->arena, "%.*s.%.*s", STR_ARG(e->name), STR_ARG(part));
    }
    if (parser_take_op(p, "(")) parse_args(p, e);
    note_unknown(p, e, jinja_has_filter(e->name));
    return e;
}

// A test's argument may be written without parentheses: "is divisibleby 3".
static bool starts_argument(const Parser *p) {
    if (p->token.kind == T_STRING || p->token.kind == T_NUMBER) return true;
    if (p->token.kind == T_OP) return parser_peek_op(p, "[") || parser_peek_op(p, "{");
    static const char *const words[] = {"else", "or", "and"};
    if (p->token.kind != T_NAME) return false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_is(p->token.text, words[i])) return false;
    return true;
}

static Expr *parse_test(Parser *p, Expr *of) {
    bool is_negated = parser_take_name(p, "not");
    Expr *e = new_expr(p, X_TEST);
    e->a = of;
    e->name = parser_need_name(p);
    if (parser_peek_name(p, "is"))
        parser_fail(p, "a test cannot follow a test without parentheses");
    if (parser_take_op(p, "(")) {
        parse_args(p, e);
    } else if (starts_argument(p)) {
        ExprList one = {0};
        add_expr(p, &one, parse_postfix(p, parse_primary(p)));
        set_items(e, &one);
    }
    note_unknown(p, e, jinja_has_test(e->name));
    return is_negated ? pair(p, X_NOT, 0, e, NULL) : e;
}

static Expr *parse_filters(Parser *p, Expr *e) {
    while (!p->failed) {
        if (parser_take_op(p, "|"))
            e = parse_filter(p, e);
        else if (parser_take_name(p, "is"))
            e = parse_test(p, e);
        else if (parser_take_op(p, "("))
            e = parse_call(p, e);
        else
            break;
    }
    return e;
}

static Expr *parse_unary(Parser *p, bool with_filters) {
    Expr *e;
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "expression nested too deep");
    if (parser_take_op(p, "-"))
        e = pair(p, X_NEGATE, 0, parse_unary(p, false), NULL);
    else if (parser_take_op(p, "+"))
        e = pair(p, X_PLUS, 0, parse_unary(p, false), NULL);
    else
        e = parse_primary(p);
    e = parse_postfix(p, e);
    p->depth--;
    return with_filters ? parse_filters(p, e) : e;
}

typedef struct {
    const char *text;
    JOp op;
} OpRow;

// Left-associative levels, tightest first.
static const OpRow levels[][4] = {
    {{"**", OP_POW}},
    {{"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOOR_DIV}, {"%", OP_MOD}},
    {{"~", OP_CONCAT}},
    {{"+", OP_ADD}, {"-", OP_SUB}},
};

static Expr *parse_level(Parser *p, int level) {
    if (level < 0) return parse_unary(p, true);
    Expr *left = parse_level(p, level - 1);
    for (bool goes_on = true; goes_on && !p->failed;) {
        goes_on = false;
        for (int i = 0; i < 4 && levels[level][i].text && !goes_on; i++) {
            if (!parser_take_op(p, levels[level][i].text)) continue;
            left = pair(p, X_BINARY, levels[level][i].op, left, parse_level(p, level - 1));
            goes_on = true;
        }
    }
    return left;
}

static bool take_comparison(Parser *p, JOp *op) {
    static const OpRow rows[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE},
                                 {">=", OP_GE}, {"<", OP_LT},  {">", OP_GT}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (parser_take_op(p, rows[i].text)) {
            *op = rows[i].op;
            return true;
        }
    if (parser_take_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (parser_peek_name(p, "not")) {
        const char *mark = p->cursor;
        Token here = p->token;
        parser_next(p);
        if (parser_take_name(p, "in")) {
            *op = OP_NOT_IN;
            return true;
        }
        p->cursor = mark;
        p->token = here;
    }
    return false;
}

// "a < b < c": a < b and b < c. The middle is evaluated once, which only side effects could tell,
// and templates have none.
static Expr *parse_compare(Parser *p) {
    enum { SUMS = COUNT_OF(levels) - 1 };
    Expr *left = parse_level(p, SUMS), *all = NULL;
    JOp op;
    while (!p->failed && take_comparison(p, &op)) {
        Expr *right = parse_level(p, SUMS);
        Expr *one = pair(p, X_COMPARE, op, left, right);
        all = all ? pair(p, X_AND, 0, all, one) : one;
        left = right;
    }
    return all ? all : left;
}

static Expr *parse_not(Parser *p) {
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "expression nested too deep");
    Expr *e = parser_take_name(p, "not") ? pair(p, X_NOT, 0, parse_not(p), NULL) : parse_compare(p);
    p->depth--;
    return e;
}

static Expr *parse_and(Parser *p) {
    Expr *left = parse_not(p);
    while (!p->failed && parser_take_name(p, "and")) left = pair(p, X_AND, 0, left, parse_not(p));
    return left;
}

static Expr *parse_or(Parser *p) {
    Expr *left = parse_and(p);
    while (!p->failed && parser_take_name(p, "or")) left = pair(p, X_OR, 0, left, parse_and(p));
    return left;
}

Expr *parse_expr(Parser *p) {
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "expression nested too deep");
    const Expr *unknown = p->unknown;
    bool was_conditional = p->is_conditional;
    Expr *e = parse_or(p);
    while (!p->failed && parser_take_name(p, "if")) {
        p->is_conditional = true;
        p->unknown = unknown;
        Expr *choice = new_expr(p, X_IF);
        choice->a = e;
        choice->b = parse_or(p);
        choice->c = parser_take_name(p, "else") ? parse_expr(p) : NULL;
        e = choice;
    }
    p->is_conditional = was_conditional;
    p->depth--;
    return e;
}

// An expression, or several separated by commas: a tuple.
Expr *parse_tuple(Parser *p, bool with_condition) {
    Expr *first = with_condition ? parse_expr(p) : parse_or(p);
    if (!parser_peek_op(p, ",")) return first;
    Expr *e = new_expr(p, X_TUPLE);
    ExprList items = {0};
    add_expr(p, &items, first);
    while (!p->failed && parser_take_op(p, ",") && p->token.kind != T_END)
        add_expr(p, &items, with_condition ? parse_expr(p) : parse_or(p));
    set_items(e, &items);
    return e;
}

static Expr *parse_one_target(Parser *p, TargetUse use, bool in_brackets);

// Targets with commas between. In brackets there may be none.
static Expr *parse_targets(Parser *p, TargetUse use, bool in_brackets) {
    Expr *tuple = new_expr(p, X_TUPLE);
    ExprList items = {0};
    bool is_tuple = in_brackets && parser_peek_op(p, ")");
    while (!p->failed && !(in_brackets && parser_peek_op(p, ")"))) {
        add_expr(p, &items, parse_one_target(p, use, in_brackets));
        if (!parser_take_op(p, ",")) break;
        is_tuple = true;
    }
    if (!is_tuple && !p->failed) return items.at[0];
    set_items(tuple, &items);
    return tuple;
}

static Expr *parse_one_target(Parser *p, TargetUse use, bool in_brackets) {
    static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
    if (parser_take_op(p, "(")) {
        if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "targets nested too deep");
        Expr *inner = parse_targets(p, use, true);
        parser_need_op(p, ")");
        p->depth--;
        return inner;
    }
    Expr *e = new_expr(p, X_NAME);
    e->name = parser_need_name(p);
    for (size_t i = 0; i < COUNT_OF(constants); i++)
        if (str_is(e->name, constants[i]))
            return parser_fail(p, "cannot assign to '%s'", constants[i]);
    bool is_attribute = use == TARGET_OF_SET && !in_brackets && parser_take_op(p, ".");
    if (!is_attribute) {
        if (str_is(e->name, "loop") && p->n_fors && use != TARGET_OF_WITH)
            parser_fail(p, "'loop' is the loop's own name and cannot be assigned to");
        return e;
    }
    Expr *attr = new_expr(p, X_ATTR);
    attr->a = e;
    attr->name = parser_need_name(p);
    return attr;
}

Expr *parse_target(Parser *p, TargetUse use) {
    return parse_targets(p, use, false);
}
