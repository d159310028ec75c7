// output.h — what programs get from a command: JSON on stdout, and the exit code.
#ifndef LATHE_CLI_OUTPUT_H
#define LATHE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

// Prints `value` (taken over) and a newline; `flags` are json_dumpf's.
void output_json(json_t *value, size_t flags);
// Whether output_json() was called. If so, a later error is already part of the printed result.
bool output_has_json(void);
// The exit code for an error of this kind; errors in JSON state it as "code".
int exit_code(ErrKind kind);

#endif
