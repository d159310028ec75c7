// lock.h — a lock on a directory, so that only one program works on it at a time.
//
// The lock is flock() on the directory itself: it needs no file, so it works where nothing can be
// written, and the system releases it when the process ends, however it ends. It is advisory: it binds
// programs that also take it. Where the file system has no such locks (some network ones refuse
// flock on a directory), `is_weak` is set and other processes are not excluded.
#ifndef LATHE_BASE_LOCK_H
#define LATHE_BASE_LOCK_H

#include <stdbool.h>

#include "base/err.h"

typedef struct {
    int fd;       // of the directory
    bool is_held; // dir_unlock() has something to release
    bool is_weak; // the file system has no locks: other processes are not excluded
} DirLock;

// Takes the lock of the directory `path`. When another process holds it: ERR_SYSTEM, "PATH is in use
// by process 4711" (or "another process" where the system does not report the number).
bool dir_lock(DirLock *lock, const char *path, Err *err);
void dir_unlock(DirLock *lock); // safe on a zeroed lock

// Whether another process holds the lock. `*process` receives its number, 0 if unknown.
bool dir_is_locked(const char *path, long *process);

#endif
