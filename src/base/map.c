// map.c — mmap of whole regular files, each with a stamp by which a later change is detected.
#include "base/map.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define MODIFIED(st) (st)->st_mtimespec
#define CHANGED(st)  (st)->st_ctimespec
#else
#define MODIFIED(st) (st)->st_mtim
#define CHANGED(st)  (st)->st_ctim
#endif

static int64_t nanoseconds(struct timespec t) {
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static FileStamp stamp_of(const struct stat *st) {
    return (FileStamp){(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                       nanoseconds(MODIFIED(st)), nanoseconds(CHANGED(st))};
}

bool stamp_file(FileStamp *stamp, const char *path, Err *err) {
    struct stat st;
    *stamp = (FileStamp){0};
    if (stat(path, &st) != 0) return err_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_FORMAT, "%s: not a regular file", path);
    *stamp = stamp_of(&st);
    return true;
}

bool stamp_holds(const FileStamp *stamp, const char *path, Err *err) {
    FileStamp now;
    if (!stamp_file(&now, path, err)) return false;
    if (now.device != stamp->device || now.inode != stamp->inode)
        return err_set(err, ERR_GATE, "%s: replaced by another file while in use", path);
    if (now.n_bytes != stamp->n_bytes || now.modified_ns != stamp->modified_ns ||
        now.changed_ns != stamp->changed_ns)
        return err_set(err, ERR_GATE, "%s: changed while in use", path);
    return true;
}

bool map_file(FileMap *map, const char *path, Err *err) {
    *map = (FileMap){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(err, "%s", path);
    struct stat st;
    if (fstat(fd, &st) != 0) {
        err_errno(err, "%s", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_FORMAT, "%s: not a regular file", path);
        goto fail;
    }
    if (st.st_size > 0) {
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at == MAP_FAILED) {
            err_errno(err, "%s: cannot map", path);
            goto fail;
        }
        *map = (FileMap){.at = at, .len = (size_t)st.st_size};
    }
    map->stamp = stamp_of(&st);
    close(fd);
    return true;
fail:
    close(fd);
    return false;
}

void unmap_file(FileMap *map) {
    // munmap wants a non-const pointer; the mapping was ours to make and is ours to end.
    if (map->at) munmap((void *)(uintptr_t)map->at, map->len);
    *map = (FileMap){0};
}
