// convert.h — MODEL.gguf to OUT.lathe, the whole way: read, compile, pack, state.
//
// The bundle is written beside its place under another name, synced and renamed, so a conversion
// that is killed leaves an older bundle as it was. The same source and options give the same bytes,
// but for verify/source.json (bundle/source.h).
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
#include "gguf/settings.h"
#include "mlpackage/package.h"

// A shard to be written as a package: chain.json has been told of `shard` already.
typedef struct {
    CompiledShard *shard;
    const char *path; // of the package, which does not exist yet
    PackJob pack;     // but for put and its context
    const PackageNote *notes;
    size_t n_notes;
} ShardWriting;

// The keys and tensors of host.gguf.
typedef struct {
    const char *path;
    size_t alignment;
    const GgufKey **keys;
    size_t n_keys;
    const TensorInfo *const *tensors;
    size_t n_tensors;
} HostWriting;

// The steps of a conversion that make its files, as a table: another way to compile or to write
// replaces entries of `convert_steps` and may call the originals. Its own data follow the table in a
// struct that begins with it. Memory in `arena` lives as long as the chain.
typedef struct ConvertSteps ConvertSteps;
struct ConvertSteps {
    bool (*compile)(const ConvertSteps *steps, CompiledShard *shard, const Model *model,
                    const ShardPlan *plan, const ShardRange *range, Arena *arena, Err *err);
    bool (*write_package)(const ConvertSteps *steps, const ShardWriting *w, Arena *arena, Err *err);
    bool (*write_host)(const ConvertSteps *steps, const HostWriting *w, Arena *arena, Err *err);
};
extern const ConvertSteps convert_steps;

typedef struct {
    const char *model_path, *out_path;
    CompileOptions options; // but for the ranges, which are measured here
    GgufSettings settings;  // of the source: what the user says beyond what stands in it
    // How the bundle is to be used: choices away from the publisher's, as options give them; NULL
    // for each that was not made. The context of `options` is taken from here, too.
    const char *chosen[USE_COUNT];
    bool measures_ranges; // in the reference, and conditions by them (compile/condition.h)
    uint64_t most_weights_measured; // a model of more is not measured; 0: no limit
    Str calibration_text;           // to measure over; at NULL: the built-in one
    ConfigFiles second;             // what the model's publisher says; a contradiction stops it
    bool replaces;                  // an older bundle at out_path may go
    const char *tool_version;
    Pool *pool;
    const Progress *progress;  // may be NULL
    const ConvertSteps *steps; // NULL: convert_steps
} ConvertJob;

// On success `chain` (in the arena) is what was written. When `progress` ends it (ERR_STOPPED), or on any other failure, what was written is removed.
bool bundle_convert(Chain *chain, Arena *arena, const ConvertJob *job, Err *err);

#endif
