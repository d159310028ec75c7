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

#include "base/file.h"
#include "base/hash.h"
#include "coreml/device.h"
#include "coreml/log.h"
#include "coreml/worker.h"

#define COMPILED ".mlmodelc"

// ---- the place

static char *compiled_dir(Arena *arena, Err *err) {
    const char *cache = cache_dir(arena);
    if (!cache) {
        err_set(err, ERR_SYSTEM,
                "no folder for the cache: neither HOME nor LATHE_CACHE_DIR is set");
        return NULL;
    }
    char *dir = path_join(arena, cache, "compiled");
    return dir_make_all(dir, err) ? dir : NULL;
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
    Hasher *h = hasher_new();
    hasher_add(h, program.hex, sizeof program.hex);
    for (size_t i = 0; i < s->n_weights; i++) {
        Xxh128 weights = xxh128_bytes(s->weights[i].at, s->weights[i].len);
        hasher_add(h, weights.hex, sizeof weights.hex);
    }
    add_machine(h);
    return hasher_end(h);
}

// ---- the first time

// By what others report of models of half a GB to 2.5 GB: 30 s to some minutes for the compiler of the
// Neural Engine, and half an hour where several prefill sizes are compiled. It depends on the chip.
enum { SECONDS_A_GIB = 60, LEAST_SECONDS = 5 };

uint64_t coreml_expected_seconds(const CoremlSource *s) {
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < s->n_weights; i++) n_bytes += s->weights[i].len;
    uint64_t seconds = n_bytes * SECONDS_A_GIB >> 30;
    return seconds > LEAST_SECONDS ? seconds : LEAST_SECONDS;
}

static bool compile(CoremlCompiled *out, const CoremlSource *s, const char *fresh,
                    const Progress *progress, Err *err) {
    if (!worker_is_set()) return coreml_compile(s->package, fresh, err);
    unlink(out->log);
    const char *const arguments[] = {s->package, fresh, NULL};
    WorkerJob job = {.arguments = arguments,
                     .log = out->log,
                     .does = "compiling",
                     .stage = "compile for this machine: s",
                     .expected_seconds = coreml_expected_seconds(s)};
    if (!worker_run(&job, progress, &out->seconds, err)) return false;
    return path_is_dir(fresh) ||
           err_set(err, ERR_SYSTEM,
                   "%s: Core ML reported no error and wrote no compiled model; log: %s", s->package,
                   out->log);
}

// KEY`ending`, beside the compiled model.
static const char *beside(const CoremlCompiled *c, const char *ending, Arena *arena) {
    size_t n = strlen(c->path) - strlen(COMPILED);
    return arena_printf(arena, "%.*s%s", (int)n, c->path, ending).at;
}

// For `lathe cache`: a path that cannot be kept is only missing there.
static void note_package(const CoremlCompiled *c, const char *package, Arena *arena) {
    char *path = realpath(package, NULL);
    if (path) file_replace(beside(c, ".package", arena), path, strlen(path), NULL);
    free(path);
}

bool coreml_compiled(CoremlCompiled *out, const CoremlSource *s, const Progress *progress,
                     Arena *arena, Err *err) {
    const char *dir = compiled_dir(arena, err);
    if (!dir) return false;
    Sha256 key = key_of(s);
    *out = (CoremlCompiled){.path = arena_printf(arena, "%s/%.32s" COMPILED, dir, key.hex).at,
                            .log = arena_printf(arena, "%s/%.32s.log", dir, key.hex).at};
    const char *fresh =
        arena_printf(arena, "%s/%.32s.%ld.partial", dir, key.hex, (long)getpid()).at;
    if (path_is_dir(out->path)) return true;
    bool ok = compile(out, s, fresh, progress, err);
    // Another process may have been faster: what it made is as good.
    if (ok) note_package(out, s->package, arena);
    if (ok && rename(fresh, out->path) != 0 && !path_is_dir(out->path))
        ok = err_errno(err, "%s: cannot move the compiled model to this place", out->path);
    if (path_exists(fresh)) dir_remove_tree(fresh, NULL);
    return ok;
}

bool coreml_has_run(const CoremlCompiled *c, Arena *arena, Str *note) {
    const char *path = beside(c, ".ran", arena);
    if (!path_exists(path)) return false;
    if (note) *note = log_read_from(path, 0, arena);
    return true;
}

bool coreml_note_run(const CoremlCompiled *c, Str note, Err *err) {
    Arena scratch = {0};
    bool ok = file_replace(beside(c, ".ran", &scratch), note.at, note.len, err);
    arena_free(&scratch);
    return ok;
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

bool coreml_cache_read(CoremlCache *cache, Arena *arena, Err *err) {
    DirList list;
    *cache = (CoremlCache){.dir = compiled_dir(arena, err)};
    if (!cache->dir || !dir_list(&list, arena, cache->dir, err)) return false;
    cache->models = arena_array(arena, list.count, CoremlKept);
    for (size_t i = 0; i < list.count; i++) {
        CoremlCompiled c = {.path = path_join(arena, cache->dir, list.names[i])};
        uint64_t n_bytes = tree_bytes(c.path, arena);
        cache->n_bytes += n_bytes;
        if (!str_ends(str_of(list.names[i]), STR(COMPILED))) continue;
        cache->models[cache->count++] =
            (CoremlKept){log_read_from(beside(&c, ".package", arena), 0, arena), n_bytes};
    }
    return true;
}

bool coreml_cache_clear(Err *err) {
    Arena arena = {0};
    const char *dir = compiled_dir(&arena, err);
    bool ok = dir && dir_remove_tree(dir, err);
    arena_free(&arena);
    return ok;
}
