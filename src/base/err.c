// err.c — messages in one fixed buffer; control characters that came from a file are replaced.
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

bool err_vset(Err *err, ErrKind kind, const char *fmt, va_list args) {
    if (!err) return false;
    err->kind = kind;
    vsnprintf(err->text, sizeof err->text, fmt, args);
    str_replace_controls(err->text,
                         kind == ERR_USAGE ? '\n' : 0); // a hint at usage has lines of its own
    return false;
}

bool err_set(Err *err, ErrKind kind, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    err_vset(err, kind, fmt, args);
    va_end(args);
    return false;
}

bool err_errno(Err *err, const char *fmt, ...) {
    int reason = errno;
    if (!err) return false;
    va_list args;
    va_start(args, fmt);
    err_vset(err, ERR_SYSTEM, fmt, args);
    va_end(args);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s", strerror(reason));
    return false;
}

bool err_prefix(Err *err, const char *fmt, ...) {
    if (!err) return false;
    Err inner = *err;
    va_list args;
    va_start(args, fmt);
    err_vset(err, inner.kind, fmt, args);
    va_end(args);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %.*s", (int)(sizeof err->text - 3),
             inner.text);
    return false;
}
