// lock.c — flock() on a directory: tried for 200 ms; after that the error names the process that
// holds the lock.
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif
#include <time.h>
#include <unistd.h>

// dir_is_locked() of another process holds the lock for an instant: try again.
enum { TRIES = 20, PAUSE_MS = 10 };

// The process that holds a flock of `fd`, 0 if unknown. Linux lists them:
//     12: FLOCK  ADVISORY  WRITE 4711 08:02:131072 0 EOF
static long find_holder(int fd) {
    long holder = 0;
#ifdef __linux__
    struct stat st;
    FILE *list = fstat(fd, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
    if (!list) return 0;
    char line[256];
    while (fgets(line, sizeof line, list)) {
        long process;
        unsigned high, low;
        uint64_t inode;
        if (sscanf(line, "%*s FLOCK %*s WRITE %ld %x:%x:%" SCNu64, &process, &high, &low, &inode) ==
                4 &&
            inode == st.st_ino && high == major(st.st_dev) && low == minor(st.st_dev))
            holder = process;
    }
    fclose(list);
#else
    (void)fd;
#endif
    return holder;
}

static int open_dir(const char *path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// `path` may have become another directory between open and flock.
static bool is_at(int fd, const char *path) {
    struct stat held, there;
    return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
           held.st_ino == there.st_ino;
}

bool dir_lock(DirLock *lock, const char *path, Err *err) {
    *lock = (DirLock){0};
    for (int i = 0;; i++) {
        int fd = open_dir(path);
        if (fd < 0) return err_errno(err, "%s", path);
        bool is_taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
        bool is_weak = !is_taken && errno != EWOULDBLOCK && errno != EINTR;
        if ((is_taken || is_weak) && is_at(fd, path)) {
            *lock = (DirLock){.fd = fd, .is_held = true, .is_weak = is_weak};
            return true;
        }
        long holder = is_taken ? 0 : find_holder(fd);
        close(fd);
        if (i == TRIES) {
            char who[32] = "another process";
            if (holder) snprintf(who, sizeof who, "process %ld", holder);
            return err_set(err, ERR_SYSTEM, "%s is in use by %s", path, who);
        }
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
}

void dir_unlock(DirLock *lock) {
    if (lock->is_held) close(lock->fd); // releases it
    *lock = (DirLock){0};
}

bool dir_is_locked(const char *path, long *process) {
    *process = 0;
    int fd = open_dir(path);
    if (fd < 0) return false;
    bool is_locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (is_locked) *process = find_holder(fd);
    close(fd);
    return is_locked;
}
