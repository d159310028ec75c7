// convert.h — converts MODEL.gguf to OUT.lathe: reads the contract, compiles, packs weights, writes
// chain.json.
//
// The bundle is written under another name beside its place, synced and renamed, so a conversion
// that is killed leaves an older bundle as it was. The same source and options give the same bytes,
// except for verify/source.json (bundle/source.h). The journal of a replaced bundle
// (verify/journal.md, .jsonl) is carried over to the new one. Memory does not grow with the model:
// the source is mapped, weights are streamed. Measuring ranges also needs the reference's KV cache
// of a thousand positions.
#ifndef LATHE_CONVERT_CONVERT_H
#define LATHE_CONVERT_CONVERT_H

#include "base/pool.h"
#include "base/progress.h"
#include "bundle/chain.h"
#include "compile/compile.h"
#include "contract/stated.h"
#include "gguf/settings.h"
#include "mlpackage/package.h"

// A shard that is to be written as a package; `shard` is already in the chain.
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

// The steps of a conversion that write its files, as a table of functions. To compile or write in
// another way, a caller replaces entries of `convert_steps`; its functions may call the originals,
// and find their own data in a struct that begins with the table. Memory in `arena` lives as long
// as the chain.
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
    CompileOptions options; // without ranges, which are measured here
    GgufSettings settings;  // of the source: what the user states beyond the file's own keys
    // How the bundle is to be used: choices that differ from the publisher's, as given by options;
    // NULL where none was given. They also set the context of `options`.
    const char *chosen[USE_COUNT];
    // in the reference, and bases the conditioning on them (compile/condition.h)
    bool measures_ranges;
    uint64_t most_weights_measured; // a model with more weights is not measured; 0: no limit
    Str calibration_text;           // to measure over; at NULL: the built-in one
    ConfigFiles second;             // the publisher's files; a contradiction stops the conversion
    bool replaces;                  // an older bundle at out_path may be replaced
    const char *tool_version;
    Pool *pool;
    const Progress *progress;  // may be NULL
    const ConvertSteps *steps; // NULL: convert_steps
} ConvertJob;

// On success `chain` (in the arena) is what was written. On failure, also when `progress` cancels
// (ERR_STOPPED), the files written so far are removed.
bool bundle_convert(Chain *chain, Arena *arena, const ConvertJob *job, Err *err);

#endif
