// plan.h — which layers go into which package, decided in bytes.
//
// One compiled model may have about 2 GiB up to macOS 26 and 1 GiB from macOS 27; a larger one
// loads and runs, silently, on the CPU (measured by eeANE 2.1.0, PyPI, on an M2). Packed bytes
// count. By newer measurements of others the limit is on other sizes: from macOS 27 on the weights
// that one function reaches, up to macOS 26 a weight file (placement/placement.h). A package gets
// as many layers as stay below its target's limit; the last one also gets the head if there is
// room. Where the limit is on a weight file, a package has several.
#ifndef LATHE_COMPILE_PLAN_H
#define LATHE_COMPILE_PLAN_H

#include "chips/chips.h"
#include "compile/condition.h"
#include "contract/contract.h"
#include "decoder/kv_forms.h"
#include "decoder/ports.h"

typedef enum {
    NORM_MAX, // a row divided by its largest magnitude first: safe for any row, eps kept
    NORM_L2,  // one l2_norm and one multiplication where a call has one row (norm.c)
} NormForm;

typedef enum {
    WEIGHTS_INT8_CHANNEL, // one scale an output channel
    WEIGHTS_INT8_TENSOR,  // one scale a matrix
    WEIGHTS_F16,
} PackFormat;

typedef struct {
    const char *name; // "macos27"
    uint64_t package_limit;
    const char *doc;
    // by the newest measurements the limit is on what one function reaches
    bool newest_counts_functions;
} Target;

// What the target's limit counts: all files of a package (COUNT_CAUTIOUS, by the first
// measurements; no package within it has been reported as refused), or what the newest measurements
// say.
typedef enum { COUNT_CAUTIOUS, COUNT_NEWEST } SizeCount;

typedef struct {
    uint32_t context;      // positions to hold
    uint32_t prefill_rows; // T of `prefill`; 0 for no such function
    // `decode` also takes prefill_rows rows, and is the only function with layers.
    bool is_one_function;
    bool keeps_windows_whole; // caches of layers with a window hold the context, too
    KvForm kv;
    PackFormat weights;
    NormForm norm;
    const Target *target;
    ChipId chip;               // of the target
    uint32_t layers_per_shard; // at most; 0: as the target allows
    uint32_t head_slice_rows;  // at most; 0: pieces.h
    SizeCount sizes;
    uint32_t weight_files; // of each package, of about equal size; 0: as `sizes` needs
    const Ranges *ranges;  // measured ranges for the conditioning; NULL: nothing is scaled
} CompileOptions;

// Consecutive layers, the head or a part of it, or both.
typedef struct {
    uint32_t first_layer, end_layer;
    uint32_t first_logit, end_logit; // vocabulary rows; equal when the shard has no head
    uint64_t n_bytes;                // planned size of the package
    int residual_exp2;               // the package carries the residual stream / 2^residual_exp2
} ShardRange;

typedef struct {
    CompileOptions options;
    // rows of the KV states: the context, rounded up to a size that the ANE accepts
    uint32_t state_rows;
    // Of layers with a window (decoder/rings.h); 0 where a ring would be no shorter than state_rows.
    uint32_t ring_slots; // slots that positions go round,
    uint32_t ring_rows;  // and rows of the states, which hold some behind the last of them
    ShardRange *shards;
    size_t n_shards;
    LayerScaling *layers; // [n_layers]
    uint32_t slice_rows;  // vocabulary rows of one convolution of the head; the last has fewer
} ShardPlan;

const Target *target_named(const char *name); // NULL when unknown
// Reads "macos27" or "macos27:m4" into target and chip; when either is unknown, fails with a list
// of the known ones. target_text() gives text that target_read() reads back.
bool target_read(Str text, const Target **target, ChipId *chip, Err *err);
Str target_text(const Target *target, ChipId chip, Arena *arena);
const Target *target_at(size_t i); // NULL past the last
const char *weight_form_name(PackFormat form);
const char *size_count_name(SizeCount count); // "cautious", "newest"
bool size_count_named(Str name, SizeCount *count, Err *err);
// The limit for a package: twice the target's limit where functions are counted, since the head is
// a function of its own; where weight files are counted, half of what BLOB_MAX_FILES could hold, since
// a piece of weights is never cut and may leave nearly half of a file empty.
uint64_t plan_package_limit(const CompileOptions *options);
// What every weight file stays below, or 0 where a package has one.
uint64_t plan_file_limit(const CompileOptions *options);
const char *norm_form_name(NormForm form); // "max", "l2"
bool norm_form_named(Str name, NormForm *form, Err *err);
bool weight_form_named(const char *name, PackFormat *form);

// Rows a call of the plan's functions may store.
uint32_t plan_most_rows(const CompileOptions *options);
// Whether caches of layers of kind `k` are rings; how many rows they have.
bool plan_has_ring(const ShardPlan *plan, const LayerKind *k);
uint32_t plan_cache_rows(const ShardPlan *plan, const LayerKind *k);

// Fails, with the sizes in the message, when a single layer or a slice of the head does not fit.
bool plan_shards(ShardPlan *plan, const Model *model, const CompileOptions *options, Arena *arena,
                 Err *err);
// Adds the conditioning by `ranges` to a plan made without ranges. The plan keeps a pointer to
// `ranges`.
bool plan_take_ranges(ShardPlan *plan, const Model *model, const Ranges *ranges, Arena *arena,
                      Err *err);
// Fails when the norms of a shard would hold their eps as a number that vanishes in fp16. Separate
// from planning, because it cannot be judged before ranges are measured.
bool plan_keeps_eps(const ShardPlan *plan, const Contract *c, Err *err);

#endif
