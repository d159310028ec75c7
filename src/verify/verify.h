// verify.h — prove that a bundle means what its model means.
//
// Each gate compares the bundle on disk with something that does not share the code that made it
// and prints one line or more with figures. When all pass the bundle is sealed (bundle/seal.h).
#ifndef LATHE_VERIFY_VERIFY_H
#define LATHE_VERIFY_VERIFY_H

#include "bundle/bundle.h"
#include "proof/job.h"

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
