// runner_coreml.h — functions of packages by Core ML, on the Neural Engine where it takes them.
#ifndef LATHE_RUNTIME_RUNNER_COREML_H
#define LATHE_RUNTIME_RUNNER_COREML_H

#include "runtime/runner.h"

extern const RunnerOps runner_coreml;

#endif
