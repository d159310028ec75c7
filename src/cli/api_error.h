// api_error.h — errors of the public API in commands that use it.
#ifndef LATHE_CLI_API_ERROR_H
#define LATHE_CLI_API_ERROR_H

#include <lathe.h>

#include "base/err.h"

// The error of a function of lathe.h as a command reports it. Returns false.
bool err_of_lathe(const LatheError *from, Err *err);

#endif
