// cache.h — compiled models, kept between runs: compiling for the Neural Engine takes minutes.
//
//     CACHE/compiled/KEY.mlmodelc   what Core ML compiled
//     CACHE/compiled/KEY.log        what was written meanwhile (log.h)
//     CACHE/compiled/KEY.package    the path of the package it was compiled from
//     CACHE/compiled/KEY.ran        it has run here: how long the first time took, a line a function
//
// CACHE is cache_dir() of base/file.h. KEY is a digest of the program, of the weights (the program
// alone does not name them, and a key without them serves stale weights), of the system's build and
// of the chip: what was compiled on another machine does not run on this one.
#ifndef LATHE_COREML_CACHE_H
#define LATHE_COREML_CACHE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/progress.h"

// What a compiled model is made of; every byte counts for the key.
typedef struct {
    const char *package; // path of the .mlpackage
    const void *program;
    size_t n_program;
    const Str *weights; // the bytes of its weight files, in the order of the package
    size_t n_weights;
} CoremlSource;

// A compiled model that is kept, and what it took to make it.
typedef struct {
    const char *path, *log; // in the arena
    double seconds;         // of compiling now; 0: it was there
} CoremlCompiled;

// The compiled form of `source`: from the cache, or compiled into it now, in a process of its own
// where coreml_set_worker() (worker.h) named a program. False and `err`, which names the log.
bool coreml_compiled(CoremlCompiled *out, const CoremlSource *source, const Progress *progress,
                     Arena *arena, Err *err);

// Seconds by what others report of models of that size; it depends on the chip.
uint64_t coreml_expected_seconds(const CoremlSource *source);

// Whether the compiled model has run on this machine before: noted beside it once it has, because a model
// that loads may still end the process at its first prediction. `note` (may be NULL): what was noted.
bool coreml_has_run(const CoremlCompiled *compiled, Arena *arena, Str *note);
bool coreml_note_run(const CoremlCompiled *compiled, Str note, Err *err);

// What the cache holds. `package` is empty where nobody noted it; the package may be gone since.
typedef struct {
    Str package;
    uint64_t n_bytes; // of the compiled model
} CoremlKept;
typedef struct {
    const char *dir;
    CoremlKept *models; // by key
    size_t count;
    uint64_t n_bytes; // of all that is there, logs included
} CoremlCache;
bool coreml_cache_read(CoremlCache *cache, Arena *arena, Err *err);
// Removes every compiled model and log.
bool coreml_cache_clear(Err *err);

#endif
