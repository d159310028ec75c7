// jinja_parse.c — tags to tree: statements, and expressions by recursive descent with Jinja's order
// of precedence.
#include <string.h>

#include "text/jinja_lex.h"

static bool peek_op(const Parser *p, const char *op) {
    return p->token.kind == T_OP && str_is(p->token.text, op);
}

static bool peek_name(const Parser *p, const char *name) {
    return p->token.kind == T_NAME && str_is(p->token.text, name);
}

static bool take_op(Parser *p, const char *op) {
    if (!peek_op(p, op)) return false;
    parser_next(p);
    return true;
}

static bool take_name(Parser *p, const char *name) {
    if (!peek_name(p, name)) return false;
    parser_next(p);
    return true;
}

static void need_op(Parser *p, const char *op) {
    if (!take_op(p, op))
        parser_fail(p, "'%.*s' where '%s' was expected", STR_ARG(p->token.text), op);
}

static Str need_name(Parser *p) {
    Str name = p->token.text;
    if (p->token.kind != T_NAME)
        parser_fail(p, "'%.*s' where a name was expected", STR_ARG(name));
    else
        parser_next(p);
    return name;
}

// ---- expressions

static Expr *parse_expr(Parser *p);
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

// "(a, b, name=c)", after the opening parenthesis.
static void parse_args(Parser *p, Expr *call) {
    ExprList items = {0};
    enum { MAX_KEYWORDS = 32 };
    Str *keywords = arena_array(p->arena, MAX_KEYWORDS, Str);
    while (!p->failed && !peek_op(p, ")")) {
        const char *mark = p->cursor;
        Token first = p->token;
        if (first.kind == T_NAME) {
            parser_next(p);
            if (peek_op(p, "=") && call->n_keywords < MAX_KEYWORDS) {
                parser_next(p);
                keywords[call->n_keywords++] = first.text;
            } else {
                p->cursor = mark;
                p->token = first;
            }
        }
        if (call->n_keywords && items.count < call->n_keywords - 1)
            parser_fail(p, "too many keywords");
        add_expr(p, &items, parse_expr(p));
        if (!take_op(p, ",")) break;
    }
    need_op(p, ")");
    set_items(call, &items);
    call->keywords = keywords;
}

static Expr *parse_list(Parser *p, const char *close, ExprKind kind) {
    Expr *e = new_expr(p, kind);
    ExprList items = {0};
    while (!p->failed && !peek_op(p, close)) {
        add_expr(p, &items, parse_expr(p));
        if (kind == X_DICT) {
            need_op(p, ":");
            add_expr(p, &items, parse_expr(p));
        }
        if (!take_op(p, ",")) break;
    }
    need_op(p, close);
    set_items(e, &items);
    return e;
}

static Expr *literal(Parser *p, JValue v) {
    Expr *e = new_expr(p, X_LITERAL);
    e->literal = v;
    return e;
}

static Expr *parse_parens(Parser *p) {
    if (take_op(p, ")")) return new_expr(p, X_TUPLE);
    Expr *first = parse_expr(p);
    if (take_op(p, ")")) return first;
    Expr *e = new_expr(p, X_TUPLE);
    ExprList items = {0};
    add_expr(p, &items, first);
    while (!p->failed && take_op(p, ",") && !peek_op(p, ")")) add_expr(p, &items, parse_expr(p));
    need_op(p, ")");
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
        return e;
    }
    if (t.kind == T_OP && str_is(t.text, "(")) return parse_parens(p);
    if (t.kind == T_OP && str_is(t.text, "[")) return parse_list(p, "]", X_LIST);
    if (t.kind == T_OP && str_is(t.text, "{")) return parse_list(p, "}", X_DICT);
    return parser_fail(p, "'%.*s' where an expression was expected", STR_ARG(t.text));
}

// "[i]" or "[from:to:step]", after the bracket.
static Expr *parse_subscript(Parser *p, Expr *of) {
    Expr *parts[3] = {NULL};
    int n = 0;
    bool is_slice = false;
    while (!p->failed) {
        if (!peek_op(p, ":") && !peek_op(p, "]")) parts[n] = parse_expr(p);
        if (n == 2 || !take_op(p, ":")) break;
        is_slice = true;
        n++;
    }
    need_op(p, "]");
    Expr *e = new_expr(p, is_slice ? X_SLICE : X_ITEM);
    e->a = of;
    e->b = parts[0];
    e->c = parts[1];
    e->d = parts[2];
    if (!is_slice && !parts[0]) return parser_fail(p, "an empty subscript");
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
        if (take_op(p, ".")) {
            Expr *attr = new_expr(p, X_ATTR);
            attr->a = e;
            if (p->token.kind == T_NUMBER) { // "list.0"
                attr->kind = X_ITEM;
                attr->b = literal(p, p->token.number);
                parser_next(p);
            } else {
                attr->name = need_name(p);
            }
            e = attr;
        } else if (take_op(p, "[")) {
            e = parse_subscript(p, e);
        } else if (take_op(p, "(")) {
            e = parse_call(p, e);
        } else {
            break;
        }
    }
    return e;
}

static Expr *parse_filter(Parser *p, Expr *of) {
    Expr *e = new_expr(p, X_FILTER);
    e->a = of;
    e->name = need_name(p);
    while (take_op(p, ".")) need_name(p);
    if (take_op(p, "(")) parse_args(p, e);
    return e;
}

// A test's argument may stand without parentheses: "is divisibleby 3".
static bool starts_argument(const Parser *p) {
    if (p->token.kind == T_STRING || p->token.kind == T_NUMBER) return true;
    if (p->token.kind == T_OP) return peek_op(p, "[") || peek_op(p, "{");
    static const char *const words[] = {"else", "or", "and", "is", "if", "in", "not", "recursive"};
    if (p->token.kind != T_NAME) return false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (str_is(p->token.text, words[i])) return false;
    return true;
}

static Expr *parse_test(Parser *p, Expr *of) {
    bool is_negated = take_name(p, "not");
    Expr *e = new_expr(p, X_TEST);
    e->a = of;
    e->name = need_name(p);
    if (take_op(p, "(")) {
        parse_args(p, e);
    } else if (starts_argument(p)) {
        ExprList one = {0};
        add_expr(p, &one, parse_postfix(p, parse_primary(p)));
        set_items(e, &one);
    }
    return is_negated ? pair(p, X_NOT, 0, e, NULL) : e;
}

static Expr *parse_filters(Parser *p, Expr *e) {
    while (!p->failed) {
        if (take_op(p, "|"))
            e = parse_filter(p, e);
        else if (take_name(p, "is"))
            e = parse_test(p, e);
        else if (take_op(p, "("))
            e = parse_call(p, e);
        else
            break;
    }
    return e;
}

static Expr *parse_unary(Parser *p, bool with_filters) {
    Expr *e;
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "an expression nested too deep");
    if (take_op(p, "-"))
        e = pair(p, X_NEGATE, 0, parse_unary(p, false), NULL);
    else if (take_op(p, "+"))
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
            if (!take_op(p, levels[level][i].text)) continue;
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
        if (take_op(p, rows[i].text)) {
            *op = rows[i].op;
            return true;
        }
    if (take_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (peek_name(p, "not")) {
        const char *mark = p->cursor;
        Token here = p->token;
        parser_next(p);
        if (take_name(p, "in")) {
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
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "an expression nested too deep");
    Expr *e = take_name(p, "not") ? pair(p, X_NOT, 0, parse_not(p), NULL) : parse_compare(p);
    p->depth--;
    return e;
}

static Expr *parse_and(Parser *p) {
    Expr *left = parse_not(p);
    while (!p->failed && take_name(p, "and")) left = pair(p, X_AND, 0, left, parse_not(p));
    return left;
}

static Expr *parse_or(Parser *p) {
    Expr *left = parse_and(p);
    while (!p->failed && take_name(p, "or")) left = pair(p, X_OR, 0, left, parse_and(p));
    return left;
}

static Expr *parse_expr(Parser *p) {
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "an expression nested too deep");
    Expr *e = parse_or(p);
    while (!p->failed && take_name(p, "if")) {
        Expr *choice = new_expr(p, X_IF);
        choice->a = e;
        choice->b = parse_or(p);
        choice->c = take_name(p, "else") ? parse_expr(p) : NULL;
        e = choice;
    }
    p->depth--;
    return e;
}

// An expression, or several separated by commas: a tuple.
static Expr *parse_tuple(Parser *p, bool with_condition) {
    Expr *first = with_condition ? parse_expr(p) : parse_or(p);
    if (!peek_op(p, ",")) return first;
    Expr *e = new_expr(p, X_TUPLE);
    ExprList items = {0};
    add_expr(p, &items, first);
    while (!p->failed && take_op(p, ",") && p->token.kind != T_END)
        add_expr(p, &items, with_condition ? parse_expr(p) : parse_or(p));
    set_items(e, &items);
    return e;
}

// What set and for assign to: a name, names separated by commas, or namespace.name.
static Expr *parse_target(Parser *p) {
    Expr *e = new_expr(p, X_NAME);
    bool has_paren = take_op(p, "(");
    e->name = need_name(p);
    if (take_op(p, ".")) {
        Expr *attr = new_expr(p, X_ATTR);
        attr->a = e;
        attr->name = need_name(p);
        return attr;
    }
    if (!peek_op(p, ",")) return e;
    Expr *tuple = new_expr(p, X_TUPLE);
    ExprList items = {0};
    add_expr(p, &items, e);
    while (!p->failed && take_op(p, ",")) {
        Expr *name = new_expr(p, X_NAME);
        name->name = need_name(p);
        add_expr(p, &items, name);
    }
    if (has_paren) need_op(p, ")");
    set_items(tuple, &items);
    return tuple;
}

// ---- statements

static void close_tag(Parser *p) {
    if (p->token.kind != T_END) parser_fail(p, "'%.*s' is too much here", STR_ARG(p->token.text));
}

static Stmt *new_stmt(Parser *p, StmtKind kind) {
    Stmt *s = arena_new(p->arena, Stmt);
    s->kind = kind;
    s->line = p->line;
    return s;
}

static Stmt *parse_block(Parser *p);

// Statements until a block tag whose first word is one of `ends`; the tag is open, its word taken.
// `end` tells which one it was.
static Stmt *parse_until(Parser *p, const char *const *ends, Str *end) {
    Stmt *first = NULL, **last = &first;
    if (++p->depth > TEMPLATE_MAX_DEPTH) return parser_fail(p, "statements nested too deep");
    int opened = p->line;
    while (!p->failed && p->at < p->n_pieces) {
        const Piece *piece = &p->pieces[p->at++];
        Stmt *s = NULL;
        p->line = piece->line;
        if (piece->kind == P_TEXT) {
            s = new_stmt(p, S_TEXT);
            s->text = piece->text;
        } else if (piece->kind == P_OUTPUT) {
            parser_open(p, piece);
            s = new_stmt(p, S_OUTPUT);
            s->expr = parse_tuple(p, true);
            close_tag(p);
        } else {
            parser_open(p, piece);
            for (size_t i = 0; ends && ends[i]; i++) {
                if (!peek_name(p, ends[i])) continue;
                *end = p->token.text;
                parser_next(p);
                p->depth--;
                return first;
            }
            s = parse_block(p);
        }
        *last = s;
        if (s) last = &s->next;
    }
    p->depth--;
    p->line = opened;
    if (ends) parser_fail(p, "'%s' is missing", ends[0]);
    return first;
}

static Stmt *parse_if(Parser *p) {
    static const char *const ends[] = {"endif", "elif", "else", NULL}, *const last[] = {"endif",
                                                                                        NULL};
    Stmt *s = new_stmt(p, S_IF);
    Str end = {"", 0};
    s->expr = parse_expr(p);
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    if (p->failed) return s;
    if (str_is(end, "elif")) {
        s->otherwise = parse_if(p);
    } else {
        close_tag(p);
        if (str_is(end, "else")) {
            s->otherwise = parse_until(p, last, &end);
            close_tag(p);
        }
    }
    return s;
}

static Stmt *parse_for(Parser *p) {
    static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
    Stmt *s = new_stmt(p, S_FOR);
    Str end = {"", 0};
    s->target = parse_target(p);
    if (!take_name(p, "in")) parser_fail(p, "for without 'in'");
    s->expr = parse_tuple(p, false);
    if (take_name(p, "if")) s->filter = parse_expr(p);
    if (peek_name(p, "recursive")) parser_fail(p, "recursive loops are not supported");
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    close_tag(p);
    if (str_is(end, "else")) {
        s->otherwise = parse_until(p, last, &end);
        close_tag(p);
    }
    return s;
}

static Stmt *parse_set(Parser *p) {
    static const char *const ends[] = {"endset", NULL};
    Stmt *s = new_stmt(p, S_SET);
    s->target = parse_target(p);
    if (take_op(p, "=")) {
        s->expr = parse_tuple(p, true);
        close_tag(p);
        return s;
    }
    s->kind = S_SET_BLOCK;
    while (take_op(p, "|")) s->filter = parse_filter(p, s->filter);
    close_tag(p);
    Str end;
    s->body = parse_until(p, ends, &end);
    close_tag(p);
    return s;
}

// "(a, b=1)" after the name of a macro or of call.
static void parse_params(Parser *p, Stmt *s) {
    enum { MAX_PARAMS = 64 };
    s->params = arena_array(p->arena, MAX_PARAMS, Str);
    s->defaults = arena_array(p->arena, MAX_PARAMS, Expr *);
    while (!p->failed && !peek_op(p, ")")) {
        if (s->n_params == MAX_PARAMS)
            parser_fail(p, "a macro of more than %d parameters", MAX_PARAMS);
        if (p->failed) return;
        s->params[s->n_params] = need_name(p);
        if (take_op(p, "=")) s->defaults[s->n_params] = parse_expr(p);
        s->n_params++;
        if (!take_op(p, ",")) break;
    }
    need_op(p, ")");
}

static Stmt *parse_macro(Parser *p) {
    static const char *const ends[] = {"endmacro", NULL};
    Stmt *s = new_stmt(p, S_MACRO);
    Str end;
    s->text = need_name(p);
    need_op(p, "(");
    parse_params(p, s);
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    if (p->token.kind == T_NAME) parser_next(p); // "endmacro name"
    close_tag(p);
    return s;
}

static Stmt *parse_call_block(Parser *p) {
    static const char *const ends[] = {"endcall", NULL};
    Stmt *s = new_stmt(p, S_CALL);
    Str end;
    if (take_op(p, "(")) parse_params(p, s);
    s->expr = parse_expr(p);
    if (!p->failed && s->expr->kind != X_CALL) parser_fail(p, "call needs a macro call");
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    close_tag(p);
    return s;
}

static Stmt *parse_filter_block(Parser *p) {
    static const char *const ends[] = {"endfilter", NULL};
    Stmt *s = new_stmt(p, S_FILTER);
    Str end;
    s->filter = parse_filter(p, NULL);
    while (take_op(p, "|")) s->filter = parse_filter(p, s->filter);
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    close_tag(p);
    return s;
}

static Stmt *parse_generation(Parser *p) { // transformers' mark of what the model wrote
    static const char *const ends[] = {"endgeneration", NULL};
    Stmt *s = new_stmt(p, S_BODY);
    Str end;
    close_tag(p);
    s->body = parse_until(p, ends, &end);
    close_tag(p);
    return s;
}

static Stmt *parse_jump(Parser *p, StmtKind kind) {
    Stmt *s = new_stmt(p, kind);
    close_tag(p);
    return s;
}

static Stmt *parse_block(Parser *p) {
    if (take_name(p, "if")) return parse_if(p);
    if (take_name(p, "for")) return parse_for(p);
    if (take_name(p, "set")) return parse_set(p);
    if (take_name(p, "macro")) return parse_macro(p);
    if (take_name(p, "call")) return parse_call_block(p);
    if (take_name(p, "filter")) return parse_filter_block(p);
    if (take_name(p, "generation")) return parse_generation(p);
    if (take_name(p, "break")) return parse_jump(p, S_BREAK);
    if (take_name(p, "continue")) return parse_jump(p, S_CONTINUE);
    return parser_fail(p, "tag '%.*s' is not known", STR_ARG(p->token.text));
}

Stmt *jinja_parse(Arena *arena, Str source, Err *err) {
    Err why = {0};
    Parser p = {.arena = arena, .err = &why};
    // Line ends become \n, and one at the very end goes, as Jinja does.
    char *text = arena_alloc(arena, source.len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < source.len; i++) {
        bool is_crlf = source.at[i] == '\r' && i + 1 < source.len && source.at[i + 1] == '\n';
        if (!is_crlf) text[n++] = source.at[i] == '\r' ? '\n' : source.at[i];
    }
    if (n && text[n - 1] == '\n') n--;
    parser_cut(&p, (Str){text, n});
    Stmt *body = new_stmt(&p, S_BODY);
    if (!p.failed) body->body = parse_until(&p, NULL, NULL);
    if (!p.failed) return body;
    if (err) *err = why;
    return NULL;
}
