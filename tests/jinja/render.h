// render.h — one template, variables as JSON, and what must come of them.
#ifndef LATHE_TESTS_JINJA_RENDER_H
#define LATHE_TESTS_JINJA_RENDER_H

#include <stddef.h>

#include "jinja/template.h"

enum { RENDER_NOW = 1790000000 }; // 2026-09-21 14:13:20 UTC

typedef struct {
    const char *source, *text; // the text must be equal, byte for byte
} RenderRow;

// Each row with the same variables; `variables` is the text of a JSON object.
void renders(const RenderRow *rows, size_t n, const char *variables);

typedef struct {
    const char *source;
    int line;
    const char *says; // a part of the message
} RefusalRow;

// Each row fails as ERR_FORMAT, with the line and these words.
void refuses(const RefusalRow *rows, size_t n, const char *variables);

// Compiles and renders. False on failure, with `err` filled; free the buffer either way.
bool render(Str source, const char *variables, StrBuf *out, Err *err);

#endif
