// child.h — a program run in a process of its own, with a log and a limit of time: what it does to
// itself (a crash, a hang) stays there.
//
// The child leads a process group, so that ending it ends what it started; one that shares its
// parent's group ends with that. Its standard input is empty; what it writes on standard output and
// error goes to the log.
#ifndef LATHE_BASE_CHILD_H
#define LATHE_BASE_CHILD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/progress.h"

typedef struct {
    const char *const *arguments;   // the program first, NULL after the last; found along PATH
    const char *const *environment; // "NAME=VALUE" in place of what this process has; may be NULL
    const char *log;                // truncated first; NULL: what the child writes is lost
    bool appends;                   // to the log, which is not truncated
    double most_seconds;            // 0: no limit
    bool shares_group;              // of processes, with this one
    const Progress *progress;       // may be NULL
    const char *stage;              // that is reported, with the seconds so far
} Child;

typedef struct {
    int code;     // of its exit; -1 when a signal ended it
    int signal;   // 0: none
    bool is_late; // it was ended because its time was over
    double seconds;
} ChildEnd;

// Runs the child to its end. False: it could not be started (ERR_SYSTEM), or the caller ended the
// work (ERR_STOPPED) and the child is gone. However it ended otherwise is in `end`.
bool child_run(const Child *child, ChildEnd *end, Err *err);

// The two halves of it, for work that goes on meanwhile: child_poll() returns true once the child
// has ended. child_kill() ends it and waits.
typedef struct {
    int pid;
    bool leads_group;
    double started;
} ChildProcess;
bool child_start(ChildProcess *process, const Child *child, Err *err);
bool child_poll(ChildProcess *process, ChildEnd *end);
void child_kill(ChildProcess *process);

#endif
