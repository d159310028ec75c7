// jinja_lex.h — a template cut into text and tags, and a tag into tokens. Internal to text/.
#ifndef LATHE_TEXT_JINJA_LEX_H
#define LATHE_TEXT_JINJA_LEX_H

#include "text/jinja.h"

typedef enum { T_END, T_NAME, T_NUMBER, T_STRING, T_OP } TokenKind;

typedef struct {
    TokenKind kind;
    Str text; // as written; a string's content unescaped
    JValue number;
} Token;

typedef enum { P_TEXT, P_OUTPUT, P_BLOCK } PieceKind;

// A run of text, or what stands between {{ }} or {% %}.
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
} Parser;

// Fails with the line; the first failure sticks. Returns NULL.
void *parser_fail(Parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Cuts `source` into pieces, white space control applied.
void parser_cut(Parser *p, Str source);
// Starts reading a piece's tokens; p->token is the first.
void parser_open(Parser *p, const Piece *piece);
void parser_next(Parser *p);

#endif
