// placement.h — what of a program would run on the Apple Neural Engine, predicted from the program
// alone.
//
// Nothing here ran on a device. The rules are published measurements of others, one table
// (placement.def), each with its source and the chips and systems it was seen on; where a source
// says nothing the verdict is "unknown". A rule can keep one op off (an island), the whole program
// (a package too large is run by the CPU without a word), leave the op there with wrong results
// (a fault), or only cost time or memory (a note).
//
// Ops are counted as the validator counts that measured the port this program descends from: every
// op but constants and constexpr ops, states and reshapes included; conv apart. The rules look at
// the program and the bytes it is given, and not at what they should be.
//
// Besides the rules there is an estimate: Core ML gives each op a cost per backend and takes the
// cheapest path, so a small graph is left on the CPU though every op of it is supported. The costs
// come from a few published anchors of one chip and are not part of the verdict.
#ifndef LATHE_PLACEMENT_PLACEMENT_H
#define LATHE_PLACEMENT_PLACEMENT_H

#include "chips/chips.h"
#include "mil/mil.h"

typedef enum {
    RULE_NOTE,   // costs time or memory, or needs care; stays on the ANE
    RULE_DOUBT,  // unknown: no source decides
    RULE_ISLAND, // the op runs elsewhere
    RULE_FAULT,  // runs on the ANE and fails or gives wrong numbers
    RULE_WHOLE,  // the whole program runs elsewhere
} RuleEffect;

typedef enum { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH } Confidence;

typedef struct {
    const char *id; // "A03": letters group subjects, see placement.def
    RuleEffect effect;
    Confidence confidence;
    int first_os, last_os; // versions of macOS it is applied to
    uint32_t chips;        // bits by ChipId that it is applied to; RULE_ALL_CHIPS
    uint64_t limit;        // its number; 0: it has none
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

// What the limits of macOS count. Packages were measured first, and nothing that keeps to them was
// ever refused; later a package of 1.25 GiB stayed on macOS 27 whose functions reached less each,
// and one of 3.22 GB was planned on macOS 26 whose weight files were four (kasper0406/gemma-coreml-
// chat).
typedef enum {
    SIZES_CAUTIOUS, // all files of a package
    SIZES_NEWEST,   // up to macOS 26 a weight file, from 27 on what one function reaches
} SizeRule;

typedef struct {
    const char *name; // "macos27"
    int os;           // 27; 0: not known, the strictest of all
    ChipId chip;      // CHIP_ANY: notes of every chip are for it, stronger rules of all chips only
    SizeRule size_rule;
} PlacementTarget;
// "macos27" or "macos27:m4"; false when system or chip is unknown. The name is without the chip.
bool placement_target_read(Str name, PlacementTarget *target);
const PlacementTarget *placement_target_at(size_t i); // of any chip; NULL past the last

typedef enum { PLACE_ANE, PLACE_UNKNOWN, PLACE_NOT } PlacementVerdict;

enum { PLACEMENT_NO_OP = UINT32_MAX }; // a finding about the function, or the program

typedef struct {
    uint32_t op; // of the function, or PLACEMENT_NO_OP; of a note the first one
    const PlacementRule *rule;
    uint32_t count; // of a note: how often
    Str detail;     // "kernel 1 x 16": what was found
} PlacementFinding;

// The segment cost model: milliseconds a call.
typedef struct {
    double ane_ms;       // of the cheapest path that uses the ANE, launches and changes included
    double notch_ms;     // of it lost to weights at half speed (X01)
    double cpu_ms;       // of everything on the CPU
    double price_ms;     // of those launches and changes
    uint32_t n_segments; // on the ANE, of that path
    PlacementVerdict
        verdict; // by what is saved against the price; PLACE_UNKNOWN within a factor of two
} PlacementEstimate;

typedef struct {
    const MilFunction *function;
    PlacementVerdict *verdicts; // [n_ops]; constants are PLACE_ANE and not counted
    uint32_t conv_total, conv_ane, compute_total, compute_ane;
    uint32_t n_unknown, n_faults;
    // Islands of integers (A03) before every op of the ANE: they run on the CPU once,
    // before it, and cut nothing.
    bool *is_index; // [n_ops]
    uint32_t n_index;
    const PlacementRule *evicted_by; // all of it runs elsewhere; NULL: it does not
    PlacementFinding *findings;
    size_t n_findings;
    // Weights that convolutions stream, packed, and those of them at half speed (X01).
    uint64_t conv_bytes, slow_bytes;
    uint64_t reach_bytes; // of the weight file: the records of its constants
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

// Whether it keeps to the limit of its target as SIZES_NEWEST counts, whatever the target asks for.
bool placement_fits_newest(const Placement *placement);

// Everything on the ANE but index arithmetic before it, nothing unknown, nothing at fault.
bool placement_is_resident(const Placement *placement);

// Over all functions.
typedef struct {
    uint32_t conv_ane, conv_total, compute_ane, compute_total, n_unknown, n_faults, n_index;
} PlacementSum;
PlacementSum placement_sum(const Placement *placement);

// "conv_ane=16/16 compute_ane=294/302 (predicted), 8 index ops predicted to run on the CPU first", and the
// first few findings that keep it from being resident, each with its rule.
void placement_print(const Placement *placement, StrBuf *out);
// The op a finding is about, or the function.
Str placement_finding_name(const FunctionPlacement *f, const PlacementFinding *found);

// Whether the op is counted: it is not when all it gives is constant (const, constexpr, and what is
// computed from such values when the model is compiled).
bool placement_counts(const MilFunction *f, const MilOp *op);

#endif
