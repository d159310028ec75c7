// mutants.h — tests the gates: bundles that are wrong on purpose are judged by the ordinary gates.
//
// A mutant is a conversion or a host with one error. Either both read another contract than the
// file states (contract/mutants.def), or a graph, a weight file, the metadata or the host's
// arithmetic is wrong (bundle_mutants.def). The reference reads the file and is always right.
// chain.json states the truth and every digest is right, so only what the bundle computes differs.
// The mutant is written to disk, and the gates read it like any bundle. If no gate fails, the
// mutant has survived: such an error would not be noticed.
//
// The true conversion is judged first and has to pass, so a mutant that changes nothing survives
// and is reported. Production code has no hooks for mutants: they replace steps of the conversion
// (ConvertSteps) and functions of the host (HostOps).
#ifndef LATHE_MUTANTS_MUTANTS_H
#define LATHE_MUTANTS_MUTANTS_H

#include "base/pool.h"
#include "base/progress.h"
#include "base/str.h"

typedef enum {
    CELL_PASSED,
    CELL_FAILED,  // killed the mutant
    CELL_NOT_RUN, // not asked for, or another gate had already killed the mutant (text)
} MutantCell;

// One row of the matrix. `cells` in the order of mutants_gate(); `killer` is the first line that
// failed.
typedef struct {
    const char *name, *kind, *doc; // kind: "contract", "graph", "rows", "bytes", "host", "keys"
    const MutantCell *cells;
    bool is_killed;
    const char *killer;
} MutantRow;
typedef void MutantLine(void *context, const MutantRow *row);

typedef struct {
    // the mutants are converted with its options; the matrix is written into it
    const char *bundle_dir;
    const char *model_path; // NULL: as for verify_bundle()
    const char *names;      // separated by commas, or "all"
    const char *gates;      // the gates that judge; NULL: all
    const char *tool_version;
    Pool *pool;
    const Progress *progress; // may be NULL
    MutantLine *line;         // may be NULL
    void *line_context;
} MutantsJob;

typedef struct {
    size_t n_run, n_survived, n_not_applicable;
} MutantsSum;

// The gates that judge, in order: "contract", "structure", …; NULL past the last.
const char *mutants_gate(size_t i);

// Runs the mutants and writes bundle_dir/verify/mutants.json. Returns false with ERR_GATE when one
// survived, when the true conversion does not pass, or when an edit changed nothing; other kinds
// when it could not run. Mutants that do not apply to the model or to the bundle's options are
// counted, and listed with the reason in the file.
bool mutants_run(const MutantsJob *job, MutantsSum *sum, Err *err);

#endif
