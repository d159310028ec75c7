// run_input.h — values for a function's inputs, as `lathe run` takes them on its command line.
#ifndef LATHE_CLI_RUN_INPUT_H
#define LATHE_CLI_RUN_INPUT_H

#include <lathe.h>

#include "base/err.h"

// Writes input `i` of `f` as `value` describes it: numbers with commas between (one: for every
// element), "zeros", "ones", "random:SEED", else the name of a file of its packed elements.
bool run_write_input(LatheFunction *f, size_t i, const char *value, Err *err);

#endif
