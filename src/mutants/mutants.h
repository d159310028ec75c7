// mutants.h — do the gates notice? A compiler and a host that are wrong on purpose, judged by the
// ordinary gates.
//
// Each mutant is a fresh conversion with one thing wrong: the compiler and the host read another
// contract than the file states (contract/mutants.def), or a graph, a weight file, the host's
// arithmetic or its metadata is not what it should be (faults.def). The reference never is: it
// reads the file. chain.json goes on stating the truth and every digest is right, so nothing gives
// the mutant away but what it computes. The bundle is written to disk and read back by the gates
// like any other; a mutant that no gate fails is a survivor, and means that such an error would
// pass.
//
// The true conversion is judged first, and has to pass: so a mutant that changes nothing survives,
// and shows. Mutants are made by this layer alone; what they need of others are hooks that are
// empty in use (ConvertJob.fault, Bundle.faults).
#ifndef LATHE_MUTANTS_MUTANTS_H
#define LATHE_MUTANTS_MUTANTS_H

#include "base/pool.h"
#include "base/progress.h"
#include "base/str.h"

typedef enum {
    CELL_PASSED,
    CELL_FAILED,  // killed the mutant
    CELL_NOT_RUN, // not asked for; the text gate also when another one has killed it
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
    const char *bundle_dir; // whose options are taken, and where the matrix is written
    const char *model_path; // NULL: as for verify_bundle()
    const char *names;      // separated by commas, or "all"
    const char *gates;      // only these judge; NULL: all
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
