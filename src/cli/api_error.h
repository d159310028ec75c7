// api_error.h — errors of the public API in commands that use it.
#ifndef LATHE_CLI_API_ERROR_H
#define LATHE_CLI_API_ERROR_H

#include <lathe.h>

#include "base/err.h"

// Copies the error of a lathe.h function into `err`. Returns false.
bool err_of_lathe(const LatheError *from, Err *err);

#endif
