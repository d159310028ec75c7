// lock.h — one program at a time works on a directory.
//
// The lock is flock() on the directory itself: it needs no file, so it works where nothing can be
// written, and the system lets go of it when the process ends, however it ends. It is advice among
// programs that ask for it. File systems that have no such locks (some network ones refuse flock on
// a directory) give a lock that keeps nobody out, and say so.
#ifndef LATHE_BASE_LOCK_H
#define LATHE_BASE_LOCK_H

#include <stdbool.h>

#include "base/err.h"

typedef struct {
    int fd;       // of the directory
    bool is_held; // something is to be let go
    bool is_weak; // the file system has no locks: nobody is kept out
} DirLock;

// Takes the lock of the directory `path`. When another process has it, ERR_SYSTEM with that process
// as far as the system tells it; `path` is then the message's subject: "PATH is in use by …".
bool dir_lock(DirLock *lock, const char *path, Err *err);
void dir_unlock(DirLock *lock); // safe on a zeroed lock

// Whether another process holds the lock. `*process` gets its number, 0 where it is not known.
bool dir_is_locked(const char *path, long *process);

#endif
