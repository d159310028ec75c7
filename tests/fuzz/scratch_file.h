// scratch_file.h — for parsers that read a file: a folder of this process in memory, where the
// system has such a place, and the fuzzer's bytes as a file in it.
#ifndef LATHE_TESTS_FUZZ_SCRATCH_FILE_H
#define LATHE_TESTS_FUZZ_SCRATCH_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

// Made at the first call; stays when the process ends, as a crash would leave it anyway.
static inline const char *scratch_dir(void) {
    static char path[64];
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/lathe-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(path)) abort();
    }
    return path;
}

// Writes `size` bytes to the file `name` of the folder; returns its path, good until the next call.
static inline const char *scratch_file(const char *name, const uint8_t *data, size_t size) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch_dir(), name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
    return path;
}

#endif
