// child.h — a program run in a process of its own, with a log and a time limit: its crash or hang
// does not reach the caller.
//
// The child leads a process group of its own, so that ending it also ends the processes that it
// started; with shares_group it stays in its parent's group and ends with it. Its standard input is
// empty; its standard output and error go to the log.
#ifndef LATHE_BASE_CHILD_H
#define LATHE_BASE_CHILD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/progress.h"

typedef struct {
    const char *const *arguments;   // the program (looked up in PATH) first, NULL after the last
    const char *const *environment; // "NAME=VALUE" in place of what this process has; may be NULL
    const char *log;                // truncated first; NULL: the child's output is discarded
    bool appends;                   // to the log instead of truncating it
    double most_seconds;            // 0: no limit
    bool shares_group;              // of processes, with this one
    const Progress *progress;       // may be NULL
    const char *stage; // name of the stage for `progress`, which gets the seconds so far
} Child;

typedef struct {
    int code;     // of its exit; -1 when a signal ended it
    int signal;   // 0: none
    bool is_late; // it was ended because it exceeded most_seconds
    double seconds;
} ChildEnd;

// Runs the child to its end and stores how it ended in `end`. False: it could not be started
// (ERR_SYSTEM), or the caller cancelled (ERR_STOPPED) and the child was ended.
bool child_run(const Child *child, ChildEnd *end, Err *err);

// The same in two halves, for callers that do other work meanwhile: child_poll() returns true once
// the child has ended. child_kill() ends it and waits.
typedef struct {
    int pid;
    bool leads_group;
    double started;
} ChildProcess;
bool child_start(ChildProcess *process, const Child *child, Err *err);
bool child_poll(ChildProcess *process, ChildEnd *end);
void child_kill(ChildProcess *process);

#endif
