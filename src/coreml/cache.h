// cache.h — compiled models, kept between runs: compiling for the Neural Engine takes minutes.
//
//     CACHE/compiled/KEY.mlmodelc   what Core ML compiled
//     CACHE/compiled/KEY.log        what the compiler wrote
//
// CACHE is ~/Library/Caches/lathe on a Mac, $XDG_CACHE_HOME/lathe or ~/.cache/lathe elsewhere, and
// $LATHE_CACHE_DIR where that is set. KEY is a digest of the program, of the weights (the program
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
    const void *weights; // may be NULL
    size_t n_weights;
} CoremlSource;

// The compiled form of `source`: from the cache, or compiled into it now, in a child process where
// coreml_set_worker() named a program. In the arena. NULL and `err`, which names the log.
const char *coreml_compiled(const CoremlSource *source, const Progress *progress, Arena *arena,
                            Err *err);

// The program that compiles in a process of its own, `PROGRAM coreml-worker PACKAGE COMPILED`:
// lathe itself, by path. Until it is set, models are compiled in this process, whose end a crash of
// the compiler would be. Must outlive all use; called once, before threads.
void coreml_set_worker(const char *program);

// The folder, in the arena; NULL when neither HOME nor a variable names one.
const char *coreml_cache_dir(Arena *arena);
// What the cache holds.
typedef struct {
    uint64_t n_models, n_bytes;
} CoremlCacheSize;
bool coreml_cache_size(CoremlCacheSize *size, Err *err);
// Removes every compiled model and log.
bool coreml_cache_clear(Err *err);

#endif
