// verify.h — proves that a bundle computes what its model file means.
//
// Each gate compares the bundle on disk with something that does not share the code that made it
// and prints one line or more with figures. When all pass the bundle is sealed (bundle/seal.h).
#ifndef LATHE_VERIFY_VERIFY_H
#define LATHE_VERIFY_VERIFY_H

#include "bundle/bundle.h"
#include "proof/job.h"

// Runs the gates and writes verify/report.json; with all gates run and none failed, seals the
// bundle over what was read when it was opened. Returns false with ERR_GATE when one failed, or
// another kind when one could not run. Before the first gate it checks that the source is the file
// that the bundle was made from, that no other process works on the bundle, and that results can be
// written.
//
// A seal stays until there is a new verdict: if all gates pass, the new seal replaces it; if one
// fails, it is removed at the end. An interrupted run leaves the seal and verify/progress.json,
// from which job->resumes continues. If files change while gates run, nothing is recorded.
bool verify_bundle(const VerifyJob *job, Err *err);

// The path of the source of the bundle `dir`: `given`, or the file of its name beside the bundle or
// in the working directory. In the arena; NULL and `err` when there is none.
const char *verify_find_source(const char *dir, const Chain *chain, const char *given, Arena *arena,
                               Err *err);

// Judges only the model file job->model_path, before there is a bundle, by the gates contract and
// vote. Writes nothing.
bool verify_model(const VerifyJob *job, Err *err);

#endif
