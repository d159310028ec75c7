// map.h — a file as read-only memory. The view is good until unmap_file(); if the file is truncated
// while mapped, reading it ends the program with SIGBUS, as in every program that maps files.
#ifndef LATHE_BASE_MAP_H
#define LATHE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// A file's identity and last change, from stat(). Any write moves the change time, which no program
// can set, even when length and modification time are restored; a replaced file has another inode.
// Not detected: two changes within a tick of the system's clock (some milliseconds), and changes on
// file systems without a change time.
typedef struct {
    uint64_t device, inode, n_bytes;
    int64_t modified_ns, changed_ns; // since 1970
} FileStamp;

typedef struct {
    const uint8_t *at; // NULL for an empty or closed mapping
    size_t len;
    FileStamp stamp; // of the file that is mapped, when it was
} FileMap;

// The stamp of the regular file at `path` now.
bool stamp_file(FileStamp *stamp, const char *path, Err *err);
// Whether `path` is still the file that `stamp` was taken of, unchanged; if not, ERR_GATE.
bool stamp_holds(const FileStamp *stamp, const char *path, Err *err);

// Maps all of the regular file `path`. An empty file gives {NULL, 0} and true.
bool map_file(FileMap *map, const char *path, Err *err);
void unmap_file(FileMap *map); // safe on a zeroed map

#endif
