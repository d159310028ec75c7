// output.h — results as JSON on stdout.
#ifndef LATHE_CLI_OUTPUT_H
#define LATHE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

// Prints `value` (taken over) and a newline; `flags` are json_dumpf's.
void output_json(json_t *value, size_t flags);
// Whether output_json() was called. If so, a later error is already part of the printed result.
bool output_has_json(void);

#endif
