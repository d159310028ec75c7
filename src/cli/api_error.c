// api_error.c — the public API's kinds of errors as this program's, one to one.
#include "cli/api_error.h"

static ErrKind kind_of(LatheErrorKind kind) {
    switch (kind) {
    case LATHE_OK: return ERR_NONE;
    case LATHE_ERROR_GATE: return ERR_GATE;
    case LATHE_ERROR_USAGE: return ERR_USAGE;
    case LATHE_ERROR_FORMAT: return ERR_FORMAT;
    case LATHE_ERROR_SYSTEM: return ERR_SYSTEM;
    case LATHE_ERROR_UNPROVED: return ERR_UNPROVED;
    case LATHE_ERROR_STOPPED: return ERR_STOPPED;
    }
    return ERR_SYSTEM;
}

bool err_of_lathe(const LatheError *from, Err *err) {
    return err_set(err, kind_of(from->kind), "%s", from->text);
}
