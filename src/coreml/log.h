// log.h — what Core ML writes on stderr and into the system's log. It is kept with the compiled
// model, as KEY.log, because a refusal of the Neural Engine's compiler may be visible nowhere else.
#ifndef LATHE_COREML_LOG_H
#define LATHE_COREML_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

enum { LOG_TAIL = 600 }; // characters of a log that an error repeats

// The last characters of the file, "" when there is none.
void log_read_tail(const char *path, char *text, size_t size);

// Adds what the system's log has of Core ML's subsystems in the last `seconds` and a little more:
// `log show`, on a Mac; LATHE_COREML_LOG names another program that prints it. Takes up to half a
// minute. A failure is ignored: the log only helps people.
void log_add_unified(const char *path, double seconds);

// Between the two calls, this process's stderr goes to the file. Not nested.
typedef struct {
    int saved; // descriptor of stderr; -1: not redirected
    long from; // bytes of the file before
} LogCatch;
LogCatch log_catch_begin(const char *path);
void log_catch_end(LogCatch *c);

long log_size(const char *path); // bytes; 0 when there is none
// The file's content from byte `from` on, at most the last 64 KiB of it. In the arena.
Str log_read_from(const char *path, long from, Arena *arena);

#endif
