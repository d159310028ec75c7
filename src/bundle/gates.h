// gates.h — the gates a bundle has to pass, one row each (gates.def). verify/ runs them, the seal lists
// them, the page shows them.
#ifndef LATHE_BUNDLE_GATES_H
#define LATHE_BUNDLE_GATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

// What a gate's result depends on, besides the contract and the options of the conversion. --resume
// keeps a result only if none of these has changed.
enum {
    GATE_NEEDS_SOURCE = 1,   // the GGUF file the bundle was made of
    GATE_NEEDS_HOST = 2,     // host.gguf
    GATE_NEEDS_PACKAGES = 4, // every file of every package
    GATE_NEEDS_ALL = 7,      // the three above
    GATE_NEEDS_USE = 8,      // how the bundle is used: context, long factors … (contract/use.def)
    GATE_NEEDS_PUBLISHER = 16, // the publisher's files that were given
    GATE_NEEDS_VOTE_TEXT = 32, // --vote-text
    GATE_NEEDS_VOTE_LONG = 64, // --vote-long
};

// What a gate asks of the engine that runs the packages.
typedef enum {
    GATE_RUNS_NOTHING,  // executes no package
    GATE_READS_OUTPUTS, // works with any engine
    GATE_TAPS_VALUES,   // needs an engine that shows the values between the ops (engine_set_tap)
} GateEngine;

// Whether the gate judges mutants (mutants/): the gates about what a bundle computes do.
typedef enum {
    MUTANTS_NOT_JUDGED,
    MUTANTS_JUDGED,
    MUTANTS_JUDGED_LAST, // runs only if no other gate has failed, because it costs most
} GateMutants;

typedef struct {
    const char *name;
    const char *doc;      // what it compares: help and page
    const char *question; // what it answers, for the page
    const char *truth;    // the truth that it compares with
    uint32_t schema;  // raised when the gate gets stricter: seals with a lower number do not count
    unsigned needs;   // GATE_NEEDS_…
    bool takes_model; // can judge a model file that has not been converted
    // --resume never keeps its result: it is cheap, and its input files may differ
    bool always_runs;
    GateEngine engine;
    GateMutants mutants;
    const char *hint,
        *command; // what to do when it fails; with the placeholders of bundle/advice.h
} GateInfo;

typedef enum {
#define GATE(id, ...) GATE_##id,
#include "bundle/gates.def"
#undef GATE
    GATE_COUNT
} GateId;

extern const GateInfo gates[GATE_COUNT];

// Whether `list` ("graph,layer-golden") names the gate; '-' in the list also stands for a space in
// the name. NULL names all gates.
bool gate_is_listed(const char *list, const char *name);
// Refuses a list that is empty or names a gate that does not exist.
bool gate_check_list(const char *list, Err *err);

#endif
