// err.h — why something failed, in words for the person who has to fix it.
//
// A function that can fail because the world is wrong (a file, an option, the disk) returns bool or
// a pointer and takes `Err *err` as its last parameter. On failure it fills `err` once, with the
// thing, what was found, what was expected and, where it helps, what to do. The kind decides the
// program's exit code. `err` may be NULL.
#ifndef LATHE_BASE_ERR_H
#define LATHE_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum {
    ERR_NONE,
    ERR_GATE,     // a proof failed                                              exit code 1
    ERR_USAGE,    // the command line is wrong                                   exit code 2
    ERR_FORMAT,   // input is broken, contradictory or unsupported               exit code 3
    ERR_SYSTEM,   // disk, memory, device                                        exit code 4
    ERR_UNPROVED, // no seal, or one that no longer counts: nothing was found wrong, exit code 5
    ERR_STOPPED,  // the caller ended it (Progress.goes_on)                      exit code 4
} ErrKind;

typedef struct {
    ErrKind kind;
    char text[1024]; // one message, NUL-terminated, no final newline
} Err;

// Fills `err` and returns false, so that `return err_set(...)` reads as what it does.
bool err_set(Err *err, ErrKind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// The same with a va_list, for functions that take a format themselves.
bool err_vset(Err *err, ErrKind kind, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

// As err_set, with the reason of the last failed system call appended (": No such file or
// directory").
bool err_errno(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Puts "prefix: " before a message already set. Returns false.
bool err_prefix(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
