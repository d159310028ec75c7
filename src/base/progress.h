// progress.h — callbacks of long operations: how far they are, and whether to continue. The library
// calls them; only cli/ draws.
#ifndef LATHE_BASE_PROGRESS_H
#define LATHE_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    // Called repeatedly from the working thread: `done` of `total` (0 if unknown) of the stage `what`, in
    // bytes, or in what its name states after a colon: "vote: readings".
    void (*report)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
    // Called between two steps: false cancels the work, which then fails with ERR_STOPPED. May be
    // NULL.
    bool (*goes_on)(void *context);
    // A message that deserves a line of its own. May be NULL.
    void (*note)(void *context, const char *text);
} Progress;

// `p` may be NULL.
static inline void progress_report(const Progress *p, const char *what, uint64_t done,
                                   uint64_t total) {
    if (p && p->report) p->report(p->context, what, done, total);
}

static inline bool progress_goes_on(const Progress *p) {
    return !p || !p->goes_on || p->goes_on(p->context);
}

// Reports, and fails with ERR_STOPPED when the caller cancels.
static inline bool progress_step(const Progress *p, const char *what, uint64_t done, uint64_t total,
                                 Err *err) {
    progress_report(p, what, done, total);
    return progress_goes_on(p) || err_set(err, ERR_STOPPED, "stopped by the caller (%s)", what);
}

static inline void progress_note(const Progress *p, const char *text) {
    if (p && p->note) p->note(p->context, text);
}

#endif
