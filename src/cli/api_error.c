// api_error.c — kinds of the public API and ours, one for one.
#include "cli/api_error.h"

bool err_of_lathe(const LatheError *from, Err *err) {
    static const ErrKind kinds[] = {
        [LATHE_OK] = ERR_NONE,
        [LATHE_ERROR_GATE] = ERR_GATE,
        [LATHE_ERROR_USAGE] = ERR_USAGE,
        [LATHE_ERROR_FORMAT] = ERR_FORMAT,
        [LATHE_ERROR_SYSTEM] = ERR_SYSTEM,
        [LATHE_ERROR_STOPPED] = ERR_STOPPED,
        [LATHE_ERROR_UNPROVED] = ERR_UNPROVED,
    };
    return err_set(err, kinds[from->kind], "%s", from->text);
}
