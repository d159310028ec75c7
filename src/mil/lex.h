// lex.h — words, marks and numbers of the text form. Internal to mil/.
//
// The first error sticks and is reported with its line. After it the lexer is at the end of the
// text, and later calls fail without a message.
#ifndef LATHE_MIL_LEX_H
#define LATHE_MIL_LEX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

typedef struct {
    Arena *arena; // for strings
    const char *start, *at, *end;
    Err *err;
    bool failed;
} Lexer;

bool lex_fail(Lexer *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

char lex_peek(Lexer *l);           // the next mark or character, 0 at the end
bool lex_accept(Lexer *l, char c); // takes `c` when it is next
bool lex_expect(Lexer *l, char c);
bool lex_arrow(Lexer *l); // expects "->"

Str lex_peek_word(Lexer *l); // [A-Za-z_][A-Za-z0-9_@]*, empty when none is next
Str lex_word(Lexer *l, const char *what);
void lex_keyword(Lexer *l, const char *keyword);
// Takes `keyword` when it is next and a string follows it.
bool lex_accept_before_string(Lexer *l, const char *keyword);

Str lex_string(Lexer *l); // quoted: \" \\ \n \xNN; lives in the arena
Str lex_number(Lexer *l); // its characters, not yet checked
// Decimal or 0x…, with a sign. False when `s` is not an integer or does not fit 64 bits.
bool lex_integer(Str s, bool *is_negative, uint64_t *magnitude);
uint64_t lex_unsigned(Lexer *l, uint64_t most, const char *what);

#endif
