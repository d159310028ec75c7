// parse.c — tags to statements.
#include <string.h>

#include "jinja/lex.h"

static void close_tag(Parser *p) {
    if (p->token.kind != T_END) parser_fail(p, "unexpected '%.*s'", STR_ARG(p->token.text));
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
                if (!parser_peek_name(p, ends[i])) continue;
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

// The branches of an if form a chain by `otherwise`, made and walked without recursion.
static Stmt *parse_if(Parser *p) {
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    static const char *const last[] = {"endif", NULL};
    Stmt *first = NULL, **link = &first;
    Str end = STR("if");
    bool was_conditional = p->is_conditional;
    p->is_conditional = true;
    while (!p->failed && !str_is(end, "endif") && !str_is(end, "else")) {
        Stmt *s = *link = new_stmt(p, first ? S_ELIF : S_IF);
        s->expr = parse_tuple(p, false);
        close_tag(p);
        s->body = parse_until(p, ends, &end);
        link = &s->otherwise;
    }
    close_tag(p);
    if (str_is(end, "else")) {
        *link = parse_until(p, last, &end);
        close_tag(p);
    }
    p->is_conditional = was_conditional;
    return first;
}

// The body of anything but an if: what it holds is reached, as far as parsing can tell. Whether
// break and continue are allowed in it says `is_in_loop`.
static Stmt *parse_body(Parser *p, const char *const *ends, Str *end, bool is_in_loop) {
    bool was_conditional = p->is_conditional, was_in_loop = p->is_in_loop;
    p->is_conditional = false;
    p->is_in_loop = is_in_loop;
    Stmt *body = parse_until(p, ends, end);
    p->is_conditional = was_conditional;
    p->is_in_loop = was_in_loop;
    return body;
}

// What Jinja compiles as a part of a body (a loop's condition, a block's filters, defaults): there
// a filter that does not exist is a mistake at once, also within an if.
static Expr *parse_inner(Parser *p) {
    bool was_conditional = p->is_conditional;
    p->is_conditional = false;
    Expr *e = parse_expr(p);
    p->is_conditional = was_conditional;
    return e;
}

static Expr *parse_block_filter(Parser *p, Expr *of) {
    bool was_conditional = p->is_conditional;
    p->is_conditional = false;
    Expr *e = parse_filter(p, of);
    p->is_conditional = was_conditional;
    return e;
}

static Stmt *parse_for(Parser *p) {
    static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
    Stmt *s = new_stmt(p, S_FOR);
    Str end = {"", 0};
    p->n_fors++;
    s->target = parse_target(p, TARGET_OF_FOR);
    if (!parser_take_name(p, "in")) parser_fail(p, "for: expected 'in'");
    s->expr = parse_tuple(p, false);
    if (parser_take_name(p, "if")) s->filter = parse_inner(p);
    s->is_recursive = parser_take_name(p, "recursive");
    close_tag(p);
    s->body = parse_body(p, ends, &end, true);
    close_tag(p);
    if (str_is(end, "else")) {
        // What loop() renders is a text of its own: no jump leads out of it.
        s->otherwise = parse_body(p, last, &end, p->is_in_loop && !s->is_recursive);
        close_tag(p);
    }
    p->n_fors--;
    return s;
}

static Stmt *parse_set(Parser *p) {
    static const char *const ends[] = {"endset", NULL};
    Stmt *s = new_stmt(p, S_SET);
    s->target = parse_target(p, TARGET_OF_SET);
    if (parser_take_op(p, "=")) {
        s->expr = parse_tuple(p, true);
        close_tag(p);
        return s;
    }
    s->kind = S_SET_BLOCK;
    while (parser_take_op(p, "|")) s->filter = parse_block_filter(p, s->filter);
    close_tag(p);
    Str end;
    s->body = parse_body(p, ends, &end, p->is_in_loop);
    close_tag(p);
    return s;
}

enum { MAX_PARAMS = 64 };

// "(a, b=1)" after the name of a macro or of call.
static void parse_params(Parser *p, Stmt *s) {
    s->params = arena_array(p->arena, MAX_PARAMS, Str);
    s->defaults = arena_array(p->arena, MAX_PARAMS, Expr *);
    while (!p->failed && !parser_peek_op(p, ")")) {
        if (s->n_params == MAX_PARAMS)
            parser_fail(p, "macro with more than %d parameters", MAX_PARAMS);
        if (p->failed) return;
        s->params[s->n_params] = parser_need_name(p);
        if (parser_take_op(p, "=")) s->defaults[s->n_params] = parse_inner(p);
        s->n_params++;
        if (!parser_take_op(p, ",")) break;
    }
    parser_need_op(p, ")");
}

// The body of a macro or call block, and which of the special names it reads. What a macro within
// it reads counts for it, too.
static void read_macro_body(Parser *p, Stmt *s, const char *const *ends) {
    bool rest = p->saw_rest, named = p->saw_named, caller = p->saw_caller;
    Str end;
    p->saw_rest = p->saw_named = p->saw_caller = false;
    s->body = parse_body(p, ends, &end, false);
    s->takes_rest = p->saw_rest;
    s->takes_named = p->saw_named;
    s->takes_caller = p->saw_caller;
    p->saw_rest = p->saw_rest || rest;
    p->saw_named = p->saw_named || named;
    p->saw_caller = p->saw_caller || caller;
}

static Stmt *parse_macro(Parser *p) {
    static const char *const ends[] = {"endmacro", NULL};
    Stmt *s = new_stmt(p, S_MACRO);
    s->text = parser_need_name(p);
    parser_need_op(p, "(");
    parse_params(p, s);
    close_tag(p);
    read_macro_body(p, s, ends);
    if (p->token.kind == T_NAME) parser_next(p); // "endmacro name"
    close_tag(p);
    return s;
}

static Stmt *parse_call_block(Parser *p) {
    static const char *const ends[] = {"endcall", NULL};
    Stmt *s = new_stmt(p, S_CALL);
    if (parser_take_op(p, "(")) parse_params(p, s);
    s->expr = parse_expr(p);
    if (!p->failed && s->expr->kind != X_CALL) parser_fail(p, "call: expected a macro call");
    close_tag(p);
    read_macro_body(p, s, ends);
    close_tag(p);
    return s;
}

static Stmt *parse_filter_block(Parser *p) {
    static const char *const ends[] = {"endfilter", NULL};
    Stmt *s = new_stmt(p, S_FILTER);
    Str end;
    s->filter = parse_block_filter(p, NULL);
    while (parser_take_op(p, "|")) s->filter = parse_block_filter(p, s->filter);
    close_tag(p);
    s->body = parse_body(p, ends, &end, p->is_in_loop);
    close_tag(p);
    return s;
}

static Stmt *parse_generation(Parser *p) { // transformers' mark of what the model wrote
    static const char *const ends[] = {"endgeneration", NULL};
    Stmt *s = new_stmt(p, S_BODY);
    Str end;
    close_tag(p);
    s->body = parse_body(p, ends, &end, false);
    close_tag(p);
    return s;
}

// "with a = 1, (b, c) = d": names for its body alone.
static Stmt *parse_with(Parser *p) {
    static const char *const ends[] = {"endwith", NULL};
    Stmt *s = new_stmt(p, S_WITH);
    Str end;
    s->targets = arena_array(p->arena, MAX_PARAMS, Expr *);
    s->defaults = arena_array(p->arena, MAX_PARAMS, Expr *);
    while (!p->failed && p->token.kind != T_END) {
        if (s->n_params == MAX_PARAMS) parser_fail(p, "more than %d names", MAX_PARAMS);
        if (s->n_params && !p->failed) parser_need_op(p, ",");
        if (p->failed) return s;
        s->targets[s->n_params] = parse_target(p, TARGET_OF_WITH);
        parser_need_op(p, "=");
        s->defaults[s->n_params++] = parse_expr(p);
    }
    s->body = parse_body(p, ends, &end, p->is_in_loop);
    close_tag(p);
    return s;
}

static Stmt *parse_jump(Parser *p, StmtKind kind) {
    Stmt *s = new_stmt(p, kind);
    if (!p->is_in_loop) parser_fail(p, "break or continue outside of a loop");
    close_tag(p);
    return s;
}

static Stmt *parse_block(Parser *p) {
    if (parser_take_name(p, "if")) return parse_if(p);
    if (parser_take_name(p, "for")) return parse_for(p);
    if (parser_take_name(p, "set")) return parse_set(p);
    if (parser_take_name(p, "macro")) return parse_macro(p);
    if (parser_take_name(p, "call")) return parse_call_block(p);
    if (parser_take_name(p, "filter")) return parse_filter_block(p);
    if (parser_take_name(p, "generation")) return parse_generation(p);
    if (parser_take_name(p, "with")) return parse_with(p);
    if (parser_take_name(p, "break")) return parse_jump(p, S_BREAK);
    if (parser_take_name(p, "continue")) return parse_jump(p, S_CONTINUE);
    return parser_fail(p, "unknown tag '%.*s'", STR_ARG(p->token.text));
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
    if (!p.failed && p.unknown) {
        p.line = p.unknown->line;
        parser_fail(&p, "unknown %s '%.*s'", p.unknown->kind == X_TEST ? "test" : "filter",
                    STR_ARG(p.unknown->name));
    }
    if (!p.failed) return body;
    if (err) *err = why;
    return NULL;
}
