// file.c — files written whole and synced; a directory replaced by another in one step where the
// system can do that, recoverably where it cannot.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "base/size.h"

bool file_write_at(int fd, uint64_t offset, const void *bytes, size_t n, const char *path,
                   Err *err) {
    const uint8_t *at = bytes;
    while (n) {
        ssize_t done = pwrite(fd, at, min_size(n, 1 << 30), (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return err_errno(err, "%s: cannot write", path);
        at += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

bool file_write(const char *path, const void *bytes, size_t n, Err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return err_errno(err, "%s: cannot create", path);
    bool ok = file_write_at(fd, 0, bytes, n, path, err);
    if (ok && fsync(fd) != 0) ok = err_errno(err, "%s: cannot sync", path);
    if (close(fd) != 0 && ok) ok = err_errno(err, "%s: cannot close", path);
    return ok;
}

bool file_replace(const char *path, const void *bytes, size_t n, Err *err) {
    Arena arena = {0};
    Str temporary = arena_printf(&arena, "%s.new", path);
    bool ok = file_write(temporary.at, bytes, n, err);
    if (ok && rename(temporary.at, path) != 0) ok = err_errno(err, "%s: cannot replace", path);
    if (!ok) unlink(temporary.at);
    arena_free(&arena);
    return ok;
}

bool dir_make(const char *path, Err *err) {
    if (mkdir(path, 0777) == 0) return true;
    if (errno == EEXIST && path_is_dir(path)) return true;
    return err_errno(err, "%s: cannot create the directory", path);
}

bool dir_make_all(const char *path, Err *err) {
    Arena arena = {0};
    char *all = arena_cstr(&arena, str_of(path));
    bool ok = true;
    for (char *at = all + (*all != 0); ok && (at = strchr(at, '/')); at++) {
        *at = 0;
        ok = dir_make(all, err);
        *at = '/';
    }
    ok = ok && dir_make(path, err);
    arena_free(&arena);
    return ok;
}

bool dir_sync(const char *path, Err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(err, "%s", path);
    bool ok = fsync(fd) == 0 || errno == EINVAL; // some file systems cannot sync a directory
    if (!ok) err_errno(err, "%s: cannot sync", path);
    close(fd);
    return ok;
}

bool path_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

bool path_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *path_file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_join(Arena *a, const char *dir, const char *name) {
    return arena_cstr(a, arena_printf(a, "%s/%s", dir, name));
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool dir_list(DirList *list, Arena *arena, const char *dir, Err *err) {
    *list = (DirList){0};
    DIR *d = opendir(dir);
    if (!d) return err_errno(err, "%s", dir);
    size_t cap = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        list->names = arena_grow(arena, list->names, list->count, &cap, sizeof *list->names);
        list->names[list->count++] = arena_cstr(arena, str_of(entry->d_name));
    }
    closedir(d);
    if (list->count) qsort(list->names, list->count, sizeof *list->names, compare_names);
    return true;
}

bool dir_remove_tree(const char *path, Err *err) {
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? true : err_errno(err, "%s", path);
    if (!S_ISDIR(st.st_mode)) {
        if (unlink(path) != 0) return err_errno(err, "%s: cannot remove", path);
        return true;
    }
    Arena arena = {0};
    DirList list;
    bool ok = dir_list(&list, &arena, path, err);
    for (size_t i = 0; ok && i < list.count; i++)
        ok = dir_remove_tree(path_join(&arena, path, list.names[i]), err);
    if (ok && rmdir(path) != 0) ok = err_errno(err, "%s: cannot remove", path);
    arena_free(&arena);
    return ok;
}

// ---- one directory for another

// Exchanges two names in one step; false, with errno, when that was not done.
static bool exchange(const char *a, const char *b) {
#if defined(__linux__) && defined(SYS_renameat2)
    enum { EXCHANGE = 2 }; // RENAME_EXCHANGE of linux/fs.h
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE) == 0;
#elif defined(__APPLE__)
    return renamex_np(a, b, RENAME_SWAP) == 0;
#else
    (void)a, (void)b;
    errno = ENOSYS;
    return false;
#endif
}

static const char *old_name(Arena *a, const char *fresh) {
    return arena_printf(a, "%s.old", fresh).at;
}

bool dir_recover(const char *fresh, const char *place, Err *err) {
    Arena arena = {0};
    const char *old = old_name(&arena, fresh);
    bool ok = path_exists(place) || !path_exists(old)
                  ? dir_remove_tree(old, err)
                  : rename(old, place) == 0 ||
                        err_errno(err, "%s: cannot rename it back to %s", old, place);
    arena_free(&arena);
    return ok;
}

static bool replace_in_steps(const char *fresh, const char *place, const char *old, Err *err) {
    if (!dir_remove_tree(old, err)) return false;
    if (rename(place, old) != 0) return err_errno(err, "%s: cannot move it aside", place);
    if (rename(fresh, place) != 0) {
        err_errno(err, "%s: cannot rename it to %s", fresh, place);
        if (rename(old, place) != 0) err_prefix(err, "the older one is at %s", old);
        return false;
    }
    return dir_remove_tree(old, err);
}

bool dir_replace(const char *fresh, const char *place, Err *err) {
    if (!path_exists(place))
        return rename(fresh, place) == 0 ||
               err_errno(err, "%s: cannot rename it to %s", fresh, place);
    if (exchange(fresh, place)) return dir_remove_tree(fresh, err);
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return err_errno(err, "%s: cannot exchange it for %s", fresh, place);
    Arena arena = {0};
    bool ok = replace_in_steps(fresh, place, old_name(&arena, fresh), err);
    arena_free(&arena);
    return ok;
}

bool program_path(char path[PROGRAM_PATH_SIZE]) {
#ifdef __APPLE__
    uint32_t size = PROGRAM_PATH_SIZE;
    return _NSGetExecutablePath(path, &size) == 0;
#else
    ssize_t n = readlink("/proc/self/exe", path, PROGRAM_PATH_SIZE - 1);
    if (n > 0) path[n] = 0;
    return n > 0;
#endif
}

const char *cache_dir(Arena *arena) {
    const char *given = getenv("LATHE_CACHE_DIR"), *home = getenv("HOME");
    if (given && *given) return given;
#ifdef __APPLE__
    return home ? path_join(arena, home, "Library/Caches/lathe") : NULL;
#else
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (xdg && *xdg) return path_join(arena, xdg, "lathe");
    return home ? path_join(arena, home, ".cache/lathe") : NULL;
#endif
}

bool disk_free(uint64_t *n_bytes, const char *path, Err *err) {
    struct statvfs fs;
    if (statvfs(path, &fs) != 0) return err_errno(err, "%s", path);
    *n_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
    return true;
}
