// coreml_prepare.h — prepares a bundle on a machine: each package is compiled, and the bundle is
// loaded and run once in a process of its own (device_trial.h), before it is loaded in this
// process.
#ifndef LATHE_RUNTIME_COREML_PREPARE_H
#define LATHE_RUNTIME_COREML_PREPARE_H

#include "coreml/cache.h"
#include "runtime/runner.h"

// The files of an open package, for the cache: `package` must outlive it.
CoremlSource coreml_source(const Package *package, Arena *arena);

// RunnerOps.prepare of Core ML. Steps that were done on this machine before are skipped. Without a
// worker (coreml/worker.h) packages are compiled in this process and the bundle is not tried.
bool coreml_prepare(const Bundle *bundle, const Progress *progress, Err *err);

// first_load and first_run of a function, as recorded at the first time on this machine.
void coreml_first_times(const CoremlCompiled *compiled, const char *function, RunnerTimes *times);

// A line of the process's output, and of the note beside the compiled model: "ran LOG FUNCTION SECONDS
// SECONDS", load and first prediction. LOG names the compiled model.
#define COREML_RAN "ran %s %s %.6f %.6f\n"

#endif
