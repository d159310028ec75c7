// example.h — the worked example of the format (sheet.h) made with lathe's own builder and writer.
#ifndef LATHE_TESTS_MLPACKAGE_EXAMPLE_H
#define LATHE_TESTS_MLPACKAGE_EXAMPLE_H

#include "mlpackage/package.h"

// Writes the package to `path`, which must not exist.
bool example_write(const char *path, Err *err);

#endif
