// map.h — a file as read-only memory. The view is good until unmap_file(); a file that shrinks
// while mapped is the user's doing and ends in SIGBUS, as for every program that maps.
#ifndef LATHE_BASE_MAP_H
#define LATHE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    const uint8_t *at; // NULL for an empty or closed mapping
    size_t len;
} FileMap;

// Maps all of the regular file `path`. An empty file gives {NULL, 0} and true.
bool map_file(FileMap *map, const char *path, Err *err);
void unmap_file(FileMap *map); // safe on a zeroed map

#endif
