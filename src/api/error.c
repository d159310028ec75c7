// error.c — errors of the library as errors of the public API.
#include <string.h>

#include "api/api.h"

static const LatheErrorKind kinds[] = {
    [ERR_NONE] = LATHE_OK,
    [ERR_GATE] = LATHE_ERROR_GATE,
    [ERR_USAGE] = LATHE_ERROR_USAGE,
    [ERR_FORMAT] = LATHE_ERROR_FORMAT,
    [ERR_SYSTEM] = LATHE_ERROR_SYSTEM,
    [ERR_STOPPED] = LATHE_ERROR_STOPPED,
};
_Static_assert(sizeof(((Err *)0)->text) == sizeof(((LatheError *)0)->text),
               "texts are copied whole");

bool api_fail(LatheError *to, const Err *from) {
    if (!to) return false;
    to->kind = kinds[from->kind];
    memcpy(to->text, from->text, sizeof to->text);
    return false;
}

const char *lathe_version(void) {
    return LATHE_VERSION;
}
