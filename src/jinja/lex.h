// lex.h — a template cut into text and tags, a tag into tokens, and what the two parsers
// (statements, expressions) share. Internal to jinja/.
#ifndef LATHE_JINJA_LEX_H
#define LATHE_JINJA_LEX_H

#include "jinja/jinja.h"

typedef enum { T_END, T_NAME, T_NUMBER, T_STRING, T_OP } TokenKind;

typedef struct {
    TokenKind kind;
    Str text; // as written; a string's content unescaped
    JValue number;
} Token;

typedef enum { P_TEXT, P_OUTPUT, P_BLOCK } PieceKind;

// A run of text, or what is between {{ }} or {% %}.
typedef struct {
    PieceKind kind;
    Str text;
    int line;
} Piece;

typedef struct {
    Arena *arena;
    Err *err;
    bool failed;
    Piece *pieces;
    size_t n_pieces, cap, at; // `at`: next piece
    // tokens of the tag being parsed
    const char *cursor, *end;
    Token token;
    int line, depth;
    bool saw_rest, saw_named, saw_caller; // `varargs`, `kwargs`, `caller` since the macro began
    // An unknown filter or test is an error when the template is parsed; inside an `if` it is an
    // error only when it is evaluated.
    bool is_conditional, is_in_loop;
    int n_fors; // number of enclosing for statements: inside one nothing may assign to `loop`
    const Expr *unknown; // the first unknown filter or test that is an error at once
} Parser;

// Sets the error, with the line; the first failure sticks. Returns NULL.
void *parser_fail(Parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Cuts `source` into pieces, white space control applied.
void parser_cut(Parser *p, Str source);
// Starts reading a piece's tokens; p->token is the first.
void parser_open(Parser *p, const Piece *piece);
void parser_next(Parser *p);

// Three ways to look at the current token: test for one, take it if it is that one, require it.
bool parser_peek_op(const Parser *p, const char *op);
bool parser_peek_name(const Parser *p, const char *name);
bool parser_take_op(Parser *p, const char *op);
bool parser_take_name(Parser *p, const char *name);
void parser_need_op(Parser *p, const char *op);
Str parser_need_name(Parser *p);

// expr.c: expressions by recursive descent, in Jinja's order of precedence
Expr *parse_expr(Parser *p);
// An expression, or several separated by commas. If not with_condition, parsing of "x if y" stops
// after x.
Expr *parse_tuple(Parser *p, bool with_condition);
// "name(arguments)" after a "|"; `of` is what is filtered, or NULL.
Expr *parse_filter(Parser *p, Expr *of);
// The target of for, set and with: a name, or several, which brackets may nest; for `set` also
// namespace.name. Only inside brackets may a list of several end with a comma.
typedef enum { TARGET_OF_FOR, TARGET_OF_SET, TARGET_OF_WITH } TargetUse;
Expr *parse_target(Parser *p, TargetUse use);

#endif
