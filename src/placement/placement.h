// placement.h — predicts from a program which of its ops run on the Apple Neural Engine.
//
// Nothing here ran on a device. The rules are measurements that others published, in one table
// (placement.def), each with its source and the chips and systems on which it was observed; without
// a source the verdict is "unknown". A rule can say that one op runs elsewhere (an island), that
// the whole program does (the CPU silently runs a package that is too large), that an op gives
// wrong results (a fault), or that it costs time or memory (a note).
//
// Every op counts except constants and constexpr ops, so reshapes and ops on states count; conv is
// also counted separately. The rules judge the program and the files as they are, not as they
// should be.
//
// There is also an estimate. Core ML assigns each op a cost per backend and takes the cheapest
// path, so it leaves a small graph on the CPU even if the Neural Engine supports every op. The
// costs come from a few published figures of one chip and are not part of the verdict.
#ifndef LATHE_PLACEMENT_PLACEMENT_H
#define LATHE_PLACEMENT_PLACEMENT_H

#include "chips/chips.h"
#include "mil/mil.h"

typedef enum {
    RULE_NOTE,   // costs time or memory, or needs care; stays on the ANE
    RULE_DOUBT,  // unknown: no source settles it
    RULE_ISLAND, // the op runs elsewhere
    RULE_FAULT,  // runs on the ANE and fails or gives wrong numbers
    RULE_WHOLE,  // the whole program runs elsewhere
} RuleEffect;

typedef enum { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH } Confidence;

typedef struct {
    const char *id; // "A03": letters group subjects, see placement.def
    RuleEffect effect;
    Confidence confidence;
    int first_os, last_os; // versions of macOS it applies to
    uint32_t chips;        // bits by ChipId of the chips it applies to; RULE_ALL_CHIPS
    uint64_t limit;        // the number in the rule; 0: none
    const char *text, *seen, *source;
} PlacementRule;

typedef enum {
#define RULE(id, ...) RULE_##id,
#include "placement/placement.def"
#undef RULE
    RULE_COUNT
} RuleId;
extern const PlacementRule placement_rules[RULE_COUNT];
#define RULE_ALL_CHIPS UINT32_MAX
const char *rule_effect_name(RuleEffect effect);    // "note", "unknown", "island", …
const char *confidence_name(Confidence confidence); // "low", "medium", "high"

// What the limits of macOS count. The first measurements were of whole packages, and no report
// contradicts a package within those limits. Later a package of 1.25 GiB stayed on the Neural
// Engine of macOS 27, each of whose functions reached less, and one of 3.22 GB with four weight
// files was planned for it on macOS 26 (kasper0406/gemma-coreml-chat).
typedef enum {
    SIZES_CAUTIOUS, // all files of a package
    SIZES_NEWEST,   // up to macOS 26 a weight file, from 27 on what one function reaches
} SizeRule;

typedef struct {
    const char *name; // "macos27"
    int os;           // 27; 0: unknown, so the strictest rule of any system applies
    // CHIP_ANY: notes about any chip apply, stronger rules only if they are about all chips
    ChipId chip;
    SizeRule size_rule;
} PlacementTarget;
// "macos27" or "macos27:m4"; false when system or chip is unknown. The name in `target` has no
// chip.
bool placement_target_read(Str name, PlacementTarget *target);
const PlacementTarget *placement_target_at(size_t i); // of any chip; NULL past the last

typedef enum { PLACE_ANE, PLACE_UNKNOWN, PLACE_NOT } PlacementVerdict;

enum { PLACEMENT_NO_OP = UINT32_MAX }; // for a finding about the function or the program

typedef struct {
    uint32_t op; // index in the function, or PLACEMENT_NO_OP; for a note the first op
    const PlacementRule *rule;
    uint32_t count; // for a note: number of ops
    Str detail;     // "kernel 1 x 16": what was found
} PlacementFinding;

// The segment cost model: milliseconds a call.
typedef struct {
    // the cheapest path that uses the ANE, with launches and changes of backend
    double ane_ms;
    double notch_ms;     // the part of it that weights at half speed cost (X01)
    double cpu_ms;       // all ops on the CPU
    double price_ms;     // the launches and changes of backend in ane_ms
    uint32_t n_segments; // segments of that path on the ANE
    // by the time saved compared with price_ms; PLACE_UNKNOWN within a factor of two
    PlacementVerdict verdict;
} PlacementEstimate;

typedef struct {
    const MilFunction *function;
    PlacementVerdict *verdicts; // [n_ops]; constants are PLACE_ANE and not counted
    uint32_t conv_total, conv_ane, compute_total, compute_ane;
    uint32_t n_unknown, n_faults;
    // Index ops (A03) before the first op of the ANE: they run on the CPU once, and split no
    // segment.
    bool *is_index; // [n_ops]
    uint32_t n_index;
    // the rule by which the whole function runs elsewhere; NULL: none
    const PlacementRule *evicted_by;
    PlacementFinding *findings;
    size_t n_findings;
    // Bytes of packed weights that convolutions stream, and the part that streams at half speed
    // (X01).
    uint64_t conv_bytes, slow_bytes;
    uint64_t reach_bytes; // bytes of the weight file that the function's constants use
    PlacementEstimate estimate;
} FunctionPlacement;

typedef struct {
    PlacementTarget target;
    uint64_t n_bytes;
    uint64_t file_bytes;          // of the largest weight file, by the records that functions name
    uint32_t n_files;             // weight files that functions name
    FunctionPlacement *functions; // in the program's order
    size_t n_functions;
} Placement;

// Judges `program`, which has passed mil_validate(), as a package of `n_bytes`. All in the arena;
// the program must outlive it.
void placement_judge(Placement *placement, Arena *arena, const MilProgram *program,
                     uint64_t n_bytes, const PlacementTarget *target);

// Whether the package is within the limit of its target as SIZES_NEWEST counts, whatever rule the
// target asks for.
bool placement_fits_newest(const Placement *placement);

// Whether every op except index ops before the first is on the ANE, none is unknown and none has a
// fault.
bool placement_is_resident(const Placement *placement);

// Sums over all functions.
typedef struct {
    uint32_t conv_ane, conv_total, compute_ane, compute_total, n_unknown, n_faults, n_index;
} PlacementSum;
PlacementSum placement_sum(const Placement *placement);

// "conv_ane=16/16 compute_ane=294/302 (predicted), 8 index ops predicted to run on the CPU first", and the
// first few findings that keep it from being resident, each with its rule.
void placement_print(const Placement *placement, StrBuf *out);
// The op a finding is about, or the function.
Str placement_finding_name(const FunctionPlacement *f, const PlacementFinding *found);

// Whether the op counts: ops with only constant results (const, constexpr, and what Core ML
// computes from them when it compiles) do not.
bool placement_counts(const MilFunction *f, const MilOp *op);

#endif
