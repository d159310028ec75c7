// worker.h — Core ML at work in a process of its own: what crashes, hangs or takes all memory there
// ends that process, not this one.
//
// The process is lathe itself, `PROGRAM coreml-worker …`, so that the system's own
// cache of compiled models, which goes by the name of the process, serves both. Its output is kept.
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
    uint64_t expected_seconds;    // by what others report; 0: not known
} WorkerJob;

// The program, by path. Must outlive all use; called once, before threads. Until it is set there are
// no processes: worker_is_set() is false.
void coreml_set_worker(const char *program);
bool worker_is_set(void);
// This process is itself one whose end is no loss: it runs bundles without trying them first in another
// (runtime/coreml_prepare.h), so that its first load is the machine's.
void coreml_skip_trials(void);
bool worker_tries_first(void);

// Runs the job and waits. *seconds is how long it took. False and `err`, which names the log and
// explains its text, when the process failed, was ended by a signal or passed a limit; ERR_STOPPED
// when `progress` ended it.
bool worker_run(const WorkerJob *job, const Progress *progress, double *seconds, Err *err);

// What the process does with its arguments, those after "coreml-worker":
//     PACKAGE COMPILED   compiles
//     --try BUNDLE       loads a bundle and runs it: runtime/device_trial.h
bool worker_compile(int argc, char **argv, Err *err);

#endif
