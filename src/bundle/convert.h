// convert.h — MODEL.gguf to OUT.lathe, the whole way: read, compile, pack, state.
//
// The bundle is written beside its place under another name, synced and renamed, so a conversion
// that is killed leaves an older bundle as it was. The same source and options give the same bytes.
// A bundle that is replaced leaves its journal (verify/journal.md) to the new one.
// Memory stays bounded whatever the model: the source is mapped, weights are streamed. Measuring
// ranges takes what the reference takes besides: its cache of a thousand positions.
#ifndef LATHE_BUNDLE_CONVERT_H
#define LATHE_BUNDLE_CONVERT_H

#include "base/pool.h"
#include "base/progress.h"
#include "bundle/chain.h"
#include "compile/plan.h"

typedef struct {
    const char *model_path, *out_path;
    CompileOptions options; // but for the ranges, which are measured here
    bool measures_ranges;   // in the reference, and conditions by them (compile/condition.h)
    Str calibration_text;   // to measure over; at NULL: the built-in one
    bool replaces;          // an older bundle at out_path may go
    const char *tool_version;
    Pool *pool;
    const Progress *progress; // may be NULL
} ConvertJob;

// On success `chain` (in the arena) is what was written.
bool bundle_convert(Chain *chain, Arena *arena, const ConvertJob *job, Err *err);

#endif
