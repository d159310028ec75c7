#include "coreml/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/child.h"

enum { MOST_READ = 64 << 10, SHOW_SECONDS = 30, SPARE_SECONDS = 5 };

long log_size(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

static size_t read_end(const char *path, long from, char *text, size_t most) {
    FILE *f = fopen(path, "rb");
    size_t n = 0;
    long size = log_size(path);
    if (size - from > (long)most) from = size - (long)most;
    if (f && fseek(f, from, SEEK_SET) == 0) n = fread(text, 1, most, f);
    if (f) fclose(f);
    return n;
}

void log_read_tail(const char *path, char *text, size_t size) {
    text[read_end(path, 0, text, size - 1)] = 0;
}

Str log_read_from(const char *path, long from, Arena *arena) {
    char *text = arena_alloc(arena, MOST_READ + 1, 1);
    size_t n = read_end(path, from, text, MOST_READ);
    text[n] = 0;
    return (Str){text, n};
}

// ---- the system's log

static const char *show_program(void) {
    const char *given = getenv("LATHE_COREML_LOG");
    if (given && *given) return given;
#ifdef __APPLE__
    return "/usr/bin/log";
#else
    return NULL;
#endif
}

void log_add_unified(const char *path, double seconds) {
    const char *program = show_program();
    char last[32];
    if (!program) return;
    snprintf(last, sizeof last, "%.0fs", seconds + SPARE_SECONDS);
    const char *const arguments[] = {
        program,       "show",
        "--last",      last,
        "--style",     "compact",
        "--predicate", "subsystem == \"com.apple.espresso\" OR subsystem == \"com.apple.coreml\"",
        NULL};
    Child child = {.arguments = arguments,
                   .log = path,
                   .appends = true,
                   .most_seconds = SHOW_SECONDS,
                   .shares_group = true,
                   .stage = "log"};
    ChildEnd end;
    child_run(&child, &end, NULL);
}

// ---- stderr of this process

LogCatch log_catch_begin(const char *path) {
    LogCatch c = {.saved = -1, .from = log_size(path)};
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    fflush(stderr);
    if (file >= 0) c.saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
    if (c.saved >= 0) dup2(file, 2);
    if (file >= 0) close(file);
    return c;
}

void log_catch_end(LogCatch *c) {
    if (c->saved < 0) return;
    fflush(stderr);
    dup2(c->saved, 2);
    close(c->saved);
    c->saved = -1;
}
