// fault.c — a library to preload (LD_PRELOAD) that makes one call of a program that writes go
// wrong, to see what is left then. For tests/oracle/test_convert.py.
//
//     LATHE_FAULT=kill:N     the process gets SIGKILL instead of its Nth writing call
//     LATHE_FAULT=fail:N     the Nth writing call fails with ENOSPC
//     LATHE_FAULT=short:N    from the Nth pwrite on the disk is full: half of it is written, then
//                            none
//     LATHE_FAULT=count:1    nothing; at the end "N writing calls, N pwrite" on standard error
//
// With LATHE_FAULT_NO_EXCHANGE=1 the file system cannot exchange names, as older ones cannot.
// Writing calls are those that change a file system: mkdir, open for writing, pwrite, ftruncate,
// fsync, rename, renameat2, unlink, rmdir.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long n_calls, n_writes;

// The next definition of a function, as the type of that name.
#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static long wanted(const char *kind) {
    const char *fault = getenv("LATHE_FAULT");
    size_t n = strlen(kind);
    return fault && strncmp(fault, kind, n) == 0 ? strtol(fault + n, NULL, 10) : 0;
}

// Counts a call; whether it must fail, with errno set.
static bool fails(void) {
    n_calls++;
    if (n_calls == wanted("kill:")) kill(getpid(), SIGKILL);
    if (n_calls != wanted("fail:")) return false;
    errno = ENOSPC;
    return true;
}

__attribute__((destructor)) static void say_count(void) {
    if (wanted("count:")) fprintf(stderr, "%ld writing calls, %ld pwrite\n", n_calls, n_writes);
}

int mkdir(const char *path, mode_t mode) {
    return fails() ? -1 : NEXT(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
    return fails() ? -1 : NEXT(rename)(from, to);
}

int unlink(const char *path) {
    return fails() ? -1 : NEXT(unlink)(path);
}

int rmdir(const char *path) {
    return fails() ? -1 : NEXT(rmdir)(path);
}

int fsync(int fd) {
    return fails() ? -1 : NEXT(fsync)(fd);
}

int ftruncate64(int fd, off64_t n) {
    return fails() ? -1 : NEXT(ftruncate64)(fd, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    long full = wanted("short:");
    n_writes++;
    if (full && n_writes >= full) {
        if (n_writes == full && n > 1) return NEXT(pwrite64)(fd, bytes, n / 2, at);
        errno = ENOSPC;
        return -1;
    }
    return fails() ? -1 : NEXT(pwrite64)(fd, bytes, n, at);
}

int open64(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    if ((flags & O_ACCMODE) != O_RDONLY && fails()) return -1;
    return NEXT(open64)(path, flags, mode);
}

long syscall(long number, ...) {
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_renameat2) {
        if (getenv("LATHE_FAULT_NO_EXCHANGE")) {
            errno = EINVAL;
            return -1;
        }
        if (fails()) return -1;
    }
    return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
