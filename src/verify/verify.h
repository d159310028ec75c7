// verify.h — prove that a bundle means what its model means.
//
// Each gate compares the bundle on disk with something that does not share the code that made it
// and prints one line or more with figures. When all pass the bundle is sealed (bundle/seal.h).
#ifndef LATHE_VERIFY_VERIFY_H
#define LATHE_VERIFY_VERIFY_H

#include "base/pool.h"
#include "base/progress.h"
#include "bundle/bundle.h"
#include "bundle/verdict.h"
#include "contract/stated.h"
#include "contract/use.h"

// One line: "layer golden  layers 00..03  cos=0.999958 rmse=0.0047 max_abs=0.027  ok".
typedef void VerifyLine(void *context, const char *gate, const char *scope, const char *figures,
                        ProofVerdict verdict);

// A remark that is no result.
typedef void VerifyNote(void *context, const char *text);

typedef struct {
    const char *bundle_dir;
    const char *model_path;          // NULL: the source's file name beside the bundle or here
    ConfigFiles second;              // the publisher's files, for the contract gate
    const char *chosen[USE_COUNT];   // of a model file: choices away from the publisher's use
    bool accepts_template;           // a chat template that looks mangled is taken as it is
    const char *gates;               // NULL: all; or names separated by commas
    const char *vote_text;           // a file for the vote to read; NULL: the built-in text
    bool is_vote_long;               // the vote also reads behind the original context
    bool is_verbose;                 // every reading of the vote gets a line
    bool resumes;                    // keeps results of the last run whose inputs are as they were
    const struct HostFaults *faults; // for mutants: what the host does wrong; NULL in use
    bool blames;                     // where layers fail: which op is the first to diverge
    const char *tool_version;
    Pool *pool;
    const Progress *progress; // may be NULL
    VerifyLine *line;         // may be NULL
    VerifyNote *note;         // may be NULL
    void *line_context;       // of both
    bool *is_sealed;          // set when the run ends with a seal that holds; may be NULL
    bool *has_report;         // set once verify/report.json is written; may be NULL
} VerifyJob;

// Runs the gates and writes verify/report.json; with all gates run and none failed, seals the
// bundle over what was read when it was opened. Returns false with ERR_GATE when one failed, or
// another kind when one could not run. Before the first gate it looks whether this is the file the
// bundle was made of, whether nobody else works on the bundle and whether results can be written.
//
// No proof is taken away without a new verdict: a seal stands until all gates have passed, which
// replaces it, or a gate failed, which removes it at the end. A run that breaks off leaves the seal
// and verify/progress.json, which job->resumes goes on from. Where files were changed while gates
// ran, nothing is recorded.
bool verify_bundle(const VerifyJob *job, Err *err);

// Where the source of the bundle `dir` lies: `given`, or the file of its name beside the bundle or
// in the working directory. In the arena; NULL and `err` when there is none.
const char *verify_find_source(const char *dir, const Chain *chain, const char *given, Arena *arena,
                               Err *err);

// Judges the model file job->model_path alone, before there is a bundle: the gates that ask what it
// means (contract, vote). Writes nothing.
bool verify_model(const VerifyJob *job, Err *err);

#endif
