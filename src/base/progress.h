// progress.h — how long work tells its caller where it stands. The library calls; only cli/ draws.
#ifndef LATHE_BASE_PROGRESS_H
#define LATHE_BASE_PROGRESS_H

#include <stdint.h>

typedef struct {
    // Called now and then from the thread that does the work: `done` of `total` (bytes, or steps;
    // 0 when it is not known) of the stage `what`.
    void (*report)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
} Progress;

// `p` may be NULL.
static inline void progress_report(const Progress *p, const char *what, uint64_t done,
                                   uint64_t total) {
    if (p && p->report) p->report(p->context, what, done, total);
}

#endif
