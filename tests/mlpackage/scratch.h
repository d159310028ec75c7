// scratch.h — a folder for one test program's files, gone when it ends well.
#ifndef LATHE_TESTS_MLPACKAGE_SCRATCH_H
#define LATHE_TESTS_MLPACKAGE_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

typedef struct {
    char path[512];
} Scratch;

// Made anew; ends the program when that fails.
static inline Scratch scratch_open(const char *name) {
    const char *dir = getenv("LATHE_TEST_TMP");
    Scratch s;
    Err err;
    snprintf(s.path, sizeof s.path, "%s/%s-%ld", dir ? dir : "/tmp", name, (long)getpid());
    if (!dir_remove_tree(s.path, &err) || !dir_make(s.path, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return s;
}

static inline void scratch_close(const Scratch *s) {
    dir_remove_tree(s->path, NULL);
}

#endif
