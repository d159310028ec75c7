#include "coreml/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "base/child.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/lock.h"
#include "coreml/device.h"
#include "coreml/errors.h"

static const char *worker_program;

void coreml_set_worker(const char *program) {
    worker_program = program;
}

// ---- the place

const char *coreml_cache_dir(Arena *arena) {
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

static char *compiled_dir(Arena *arena, Err *err) {
    const char *cache = coreml_cache_dir(arena);
    if (!cache) {
        err_set(err, ERR_SYSTEM, "no cache folder: neither HOME nor LATHE_CACHE_DIR is set");
        return NULL;
    }
    char *dir = path_join(arena, cache, "compiled");
    for (char *at = dir + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        bool ok = dir_make(dir, err);
        *at = '/';
        if (!ok) return NULL;
    }
    return dir_make(dir, err) ? dir : NULL;
}

// ---- the key

#ifdef __APPLE__
static void add_machine(Hasher *h) {
    static const char *const names[] = {"kern.osversion", "machdep.cpu.brand_string"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[256] = "";
        size_t n = sizeof text - 1;
        sysctlbyname(names[i], text, &n, NULL, 0);
        hasher_add(h, text, strlen(text) + 1);
    }
}
#else
static void add_machine(Hasher *h) {
    struct utsname u;
    if (uname(&u) != 0) return;
    hasher_add(h, u.release, strlen(u.release) + 1);
    hasher_add(h, u.machine, strlen(u.machine) + 1);
}
#endif

static Sha256 key_of(const CoremlSource *s) {
    Xxh128 program = xxh128_bytes(s->program, s->n_program);
    Xxh128 weights = xxh128_bytes(s->weights, s->n_weights);
    Hasher *h = hasher_new();
    hasher_add(h, program.hex, sizeof program.hex);
    hasher_add(h, weights.hex, sizeof weights.hex);
    add_machine(h);
    return hasher_end(h);
}

// ---- compiling

enum { WORKER_MINUTES = 60, WORKER_LOG_TAIL = 600 };

// The log's last lines, for an error.
static void read_tail(const char *log, char *text, size_t size) {
    FILE *f = fopen(log, "rb");
    text[0] = 0;
    if (!f) return;
    if (fseek(f, 0, SEEK_END) == 0) {
        long n = ftell(f), from = n > (long)size - 1 ? n - ((long)size - 1) : 0;
        if (fseek(f, from, SEEK_SET) == 0) text[fread(text, 1, size - 1, f)] = 0;
    }
    fclose(f);
}

static bool say_failure(const char *package, const char *log, const ChildEnd *end, Err *err) {
    char tail[WORKER_LOG_TAIL], text[WORKER_LOG_TAIL + 200];
    read_tail(log, tail, sizeof tail);
    if (end->signal)
        snprintf(text, sizeof text, "the compiler's process ended by signal %d; log %s: %s",
                 end->signal, log, tail);
    else
        snprintf(text, sizeof text, "log %s: %s", log, tail);
    return coreml_error_set(err, package, text);
}

// For an hour at most: a compiler that hangs is ended. It ends with this process, too.
static bool run_worker(const CoremlSource *s, const char *compiled, const char *log,
                       const Progress *progress, Err *err) {
    const char *const arguments[] = {worker_program, "coreml-worker", s->package, compiled, NULL};
    Child child = {.arguments = arguments,
                   .log = log,
                   .most_seconds = WORKER_MINUTES * 60.0,
                   .shares_group = true,
                   .progress = progress,
                   .stage = "compile for this machine"};
    ChildEnd end;
    if (!child_run(&child, &end, err)) return err_prefix(err, "%s", s->package);
    if (end.is_late)
        return err_set(err, ERR_SYSTEM,
                       "%s: Core ML has not compiled it within %d minutes; log: %s", s->package,
                       WORKER_MINUTES, log);
    return path_is_dir(compiled) || say_failure(s->package, log, &end, err);
}

static bool compile(const CoremlSource *s, const char *compiled, const char *log,
                    const Progress *progress, Err *err) {
    if (!worker_program) return coreml_compile(s->package, compiled, err);
    return run_worker(s, compiled, log, progress, err);
}

const char *coreml_compiled(const CoremlSource *s, const Progress *progress, Arena *arena,
                            Err *err) {
    const char *dir = compiled_dir(arena, err);
    if (!dir) return NULL;
    Sha256 key = key_of(s);
    const char *place = arena_printf(arena, "%s/%.32s.mlmodelc", dir, key.hex).at;
    const char *log = arena_printf(arena, "%s/%.32s.log", dir, key.hex).at;
    const char *fresh =
        arena_printf(arena, "%s/%.32s.%ld.partial", dir, key.hex, (long)getpid()).at;
    if (path_is_dir(place)) return place;
    bool ok = compile(s, fresh, log, progress, err);
    // Another process may have been faster: what it made is as good.
    if (ok && rename(fresh, place) != 0 && !path_is_dir(place))
        ok = err_errno(err, "%s: cannot move the compiled model there", place);
    if (path_exists(fresh)) dir_remove_tree(fresh, NULL);
    return ok ? place : NULL;
}

// ---- what is there

static uint64_t tree_bytes(const char *path, Arena *arena) {
    struct stat st;
    DirList list;
    if (lstat(path, &st) != 0) return 0;
    if (!S_ISDIR(st.st_mode)) return (uint64_t)st.st_size;
    uint64_t n = 0;
    if (!dir_list(&list, arena, path, NULL)) return 0;
    for (size_t i = 0; i < list.count; i++)
        n += tree_bytes(path_join(arena, path, list.names[i]), arena);
    return n;
}

bool coreml_cache_size(CoremlCacheSize *size, Err *err) {
    Arena arena = {0};
    DirList list;
    *size = (CoremlCacheSize){0};
    const char *dir = compiled_dir(&arena, err);
    bool ok = dir && dir_list(&list, &arena, dir, err);
    for (size_t i = 0; ok && i < list.count; i++) {
        size->n_models += str_ends(str_of(list.names[i]), STR(".mlmodelc"));
        size->n_bytes += tree_bytes(path_join(&arena, dir, list.names[i]), &arena);
    }
    arena_free(&arena);
    return ok;
}

bool coreml_cache_clear(Err *err) {
    Arena arena = {0};
    const char *dir = compiled_dir(&arena, err);
    bool ok = dir && dir_remove_tree(dir, err);
    arena_free(&arena);
    return ok;
}
