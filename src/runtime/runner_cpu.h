// runner_cpu.h — the CPU engine as a Runner.
#ifndef LATHE_RUNTIME_RUNNER_CPU_H
#define LATHE_RUNTIME_RUNNER_CPU_H

#include "runtime/runner.h"

extern const RunnerOps runner_cpu;

#endif
