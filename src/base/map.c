#include "base/map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
        *map = (FileMap){at, (size_t)st.st_size};
    }
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
