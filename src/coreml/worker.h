// worker.h — runs Core ML in a process of its own, so that a crash, a hang or exhausted memory ends
// that process and not this one.
//
// The process is lathe itself, `PROGRAM coreml-worker …`, so that the system's own cache of
// compiled models, which is keyed by the name of the process, serves both. Its output is kept.
//
// Limits of the process, by environment:
//     LATHE_COREML_MINUTES   how long it may take; default 60
//     LATHE_COREML_GIB       how much memory it may have; default: what the machine has
#ifndef LATHE_COREML_WORKER_H
#define LATHE_COREML_WORKER_H

#include "base/err.h"
#include "base/progress.h"

typedef struct {
    const char *const *arguments; // after "coreml-worker", NULL at the end
    const char *log;              // its output is added to this file
    const char *does;             // "compiling", "its first prediction": for messages
    const char *stage;            // of the progress; counts seconds
    uint64_t expected_seconds;    // as others report; 0: unknown
} WorkerJob;

// Sets the path of the program, which must stay valid. Call it once, before threads start. Until
// then no process is started and worker_is_set() is false.
void coreml_set_worker(const char *program);
bool worker_is_set(void);
// For a process that may itself crash without harm: it runs bundles without trying them first in
// another process (runtime/coreml_prepare.h), so that its first load is the first on this machine.
void coreml_skip_trials(void);
bool worker_tries_first(void);

// Runs the job and waits. *seconds is how long it took. False and `err`, which names the log and
// explains its text, when the process failed, was ended by a signal or exceeded a limit;
// ERR_STOPPED when `progress` cancelled it.
bool worker_run(const WorkerJob *job, const Progress *progress, double *seconds, Err *err);

// What the process does with its arguments, those after "coreml-worker":
//     PACKAGE COMPILED   compiles
//     --try BUNDLE       loads a bundle and runs it: runtime/device_trial.h
bool worker_compile(int argc, char **argv, Err *err);

#endif
