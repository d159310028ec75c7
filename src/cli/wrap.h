// wrap.h — prints text wrapped between words at the width of the terminal.
//
// Commands that people paste are not wrapped: a line break made by the terminal is not copied, one
// that was printed is.
#ifndef LATHE_CLI_WRAP_H
#define LATHE_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

// The number of columns if `out` is a terminal, else 0.
size_t terminal_width(FILE *out);
// The columns that UTF-8 text takes, counted as one per character.
size_t text_columns(const char *text, size_t n);
// Prints `text` on `out`, starting at column `at`. Where a word would pass column `width` (0:
// never), a new line begins, indented to column `indent`. Prints no newline at the end.
void print_wrapped(FILE *out, const char *text, size_t at, size_t indent, size_t width);

// Prints a formatted text as one line of `out`, wrapped at the width of its terminal, with lines after
// the first indented to column `indent`.
void print_line(FILE *out, size_t indent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
