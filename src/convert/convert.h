// convert.h — MODEL.gguf to OUT.lathe, the whole way: read, compile, pack, state.
//
// The bundle is written beside its place under another name, synced and renamed, so a conversion
// that is killed leaves an older bundle as it was. The same source and options give the same bytes.
// A bundle that is replaced leaves its journal (verify/journal.md, .jsonl) to the new one.
// Memory stays bounded whatever the model: the source is mapped, weights are streamed. Measuring
// ranges takes what the reference takes besides: its cache of a thousand positions.
#ifndef LATHE_CONVERT_CONVERT_H
#define LATHE_CONVERT_CONVERT_H

#include "base/pool.h"
#include "base/progress.h"
#include "bundle/chain.h"
#include "compile/compile.h"
#include "contract/stated.h"
#include "gguf/gguf.h"

// A deliberate fault of the conversion, so that `verify --mutants` can see whether a gate notices
// it: what the compiler makes goes through these hands on its way to the disk, and chain.json goes
// on saying what a right conversion would have said. Each may be NULL.
typedef struct {
    // What the compiler reads of the model; a copy, with layers of its own.
    void (*model)(void *context, Model *m, Arena *arena);
    // A shard that chain.json has been told of, before it is written.
    bool (*shard)(void *context, CompiledShard *shard, Arena *arena, Err *err);
    // Its weight file at `path`, before digests are taken.
    bool (*weights)(void *context, const CompiledShard *shard, const char *path, Err *err);
    // The keys of host.gguf, each to be replaced by another.
    void (*keys)(void *context, const GgufKey **keys, size_t n_keys, Arena *arena);
    void *context;
} ConvertFault;

typedef struct {
    const char *model_path, *out_path;
    CompileOptions options; // but for the ranges, which are measured here
    // How the bundle is to be used: choices away from the publisher's, as options give them; NULL
    // for each that was not made. The context of `options` is taken from here, too.
    const char *chosen[USE_COUNT];
    bool measures_ranges; // in the reference, and conditions by them (compile/condition.h)
    Str calibration_text; // to measure over; at NULL: the built-in one
    ConfigFiles second;   // what the model's publisher says; a contradiction stops it
    bool replaces;        // an older bundle at out_path may go
    const char *tool_version;
    Pool *pool;
    const Progress *progress;  // may be NULL
    const ConvertFault *fault; // of mutants; NULL in use
} ConvertJob;

// On success `chain` (in the arena) is what was written.
bool bundle_convert(Chain *chain, Arena *arena, const ConvertJob *job, Err *err);

#endif
