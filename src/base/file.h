// file.h — durable writes: files are written whole and synced; a directory is built under another
// name and renamed into place.
#ifndef LATHE_BASE_FILE_H
#define LATHE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// Writes `n` bytes to a new or truncated file at `path` and syncs it.
bool file_write(const char *path, const void *bytes, size_t n, Err *err);
// As file_write, but through a temporary file beside it and a rename: at every moment `path` is the
// whole old file or the whole new one.
bool file_replace(const char *path, const void *bytes, size_t n, Err *err);
// Writes all of `bytes` at `offset` of the open file `fd`; `path` is for the message.
bool file_write_at(int fd, uint64_t offset, const void *bytes, size_t n, const char *path,
                   Err *err);

bool dir_make(const char *path, Err *err);     // succeeds when it already is a directory
bool dir_make_all(const char *path, Err *err); // also makes missing directories above it
bool dir_sync(const char *path, Err *err);     // makes entries created in it durable
// Removes `path` and all below it; succeeds when absent; links are not followed.
bool dir_remove_tree(const char *path, Err *err);
// Moves the directory `fresh` to `place`; what was there is removed. Where the system can exchange
// two names (Linux renameat2, macOS renamex_np), `place` is at every moment the old directory or the
// new one, whole; elsewhere the old one is called `fresh`.old for a moment, and dir_recover() brings
// it back.
bool dir_replace(const char *fresh, const char *place, Err *err);
// Cleans up after a dir_replace() that was killed: the old directory is moved back when nothing is
// at `place`, and removed otherwise.
bool dir_recover(const char *fresh, const char *place, Err *err);
bool path_exists(const char *path);
bool path_is_dir(const char *path);

// The part of `path` after its last slash.
const char *path_file_name(const char *path);
// "dir/name" in the arena, NUL-terminated.
char *path_join(Arena *a, const char *dir, const char *name);

// The path of the program that runs; false when the system does not say.
enum { PROGRAM_PATH_SIZE = 4096 };
bool program_path(char path[PROGRAM_PATH_SIZE]);

// Where the platform keeps files that can be made again: $LATHE_CACHE_DIR where that is set, else
// ~/Library/Caches/lathe on a Mac, $XDG_CACHE_HOME/lathe or ~/.cache/lathe elsewhere. NULL when no
// variable names one.
const char *cache_dir(Arena *arena);

// Bytes that this user may still write on the file system of `path`.
bool disk_free(uint64_t *n_bytes, const char *path, Err *err);

// Names in `dir` (neither "." nor ".."), sorted by bytes.
typedef struct {
    char **names;
    size_t count;
} DirList;
bool dir_list(DirList *list, Arena *arena, const char *dir, Err *err);

#endif
