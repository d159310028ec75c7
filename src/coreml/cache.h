// cache.h — keeps compiled models between runs, because compiling for the Neural Engine takes
// minutes.
//
//     CACHE/compiled/KEY.mlmodelc   what Core ML compiled
//     CACHE/compiled/KEY.log        what Core ML wrote while it compiled (log.h)
//     CACHE/compiled/KEY.package    the path of the package it was compiled from
//     CACHE/compiled/KEY.ran        exists once the model has run here: times of the first run, one line per function
//
// CACHE is cache_dir() of base/file.h. KEY is a digest of the program, of the weights (the program
// does not contain them, and a key without them would give outdated weights), of the system's build
// and of the chip, because a model compiled for another machine does not run on this one.
#ifndef LATHE_COREML_CACHE_H
#define LATHE_COREML_CACHE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/progress.h"

// The source of a compiled model; every byte is part of the key.
typedef struct {
    const char *package; // path of the .mlpackage
    const void *program;
    size_t n_program;
    const Str *weights; // the bytes of its weight files, in the order of the package
    size_t n_weights;
} CoremlSource;

// A compiled model in the cache.
typedef struct {
    const char *path, *log; // in the arena
    double seconds;         // that compiling took now; 0: it was in the cache
} CoremlCompiled;

// The compiled form of `source`: from the cache, or compiled into it now (in a process of its own
// if coreml_set_worker(), worker.h, named a program). On failure false and `err`, which names the
// log.
bool coreml_compiled(CoremlCompiled *out, const CoremlSource *source, const Progress *progress,
                     Arena *arena, Err *err);

// Expected seconds to compile, from what others report of models of that size; depends on the chip.
uint64_t coreml_expected_seconds(const CoremlSource *source);

// Whether the compiled model has run on this machine before: recorded beside it after its first
// run, because a model that loads may still crash the process at its first prediction. `note` (may
// be NULL) receives the record.
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
