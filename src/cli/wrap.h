// wrap.h — text that goes on in the next line between words, as wide as the terminal is.
//
// Commands that are to be pasted are never wrapped: a terminal's own line break is no part of what is copied.
#ifndef LATHE_CLI_WRAP_H
#define LATHE_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

// The columns of the terminal that `out` is; 0 where it is none.
size_t terminal_width(FILE *out);
// The columns that UTF-8 text takes, one a character.
size_t text_columns(const char *text, size_t n);
// Prints `text` on `out`, which begins at column `at`, and goes on at column `indent` where the next word would cross
// column `width`; 0: never. No newline at the end.
void print_wrapped(FILE *out, const char *text, size_t at, size_t indent, size_t width);

#endif
