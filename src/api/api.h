// api.h — what the files of the public API share. Internal to api/; callers see include/lathe.h.
#ifndef LATHE_API_API_H
#define LATHE_API_API_H

#include <lathe.h>

#include "base/err.h"

// Copies `from` to the caller's error, which may be NULL. Returns false.
bool api_fail(LatheError *to, const Err *from);

#endif
