// resume.h — results of earlier runs that are still valid. Internal to proof/.
//
// Every run writes, gate by gate, a digest of all that the gate's result depends on (`inputs`): the
// build of lathe and the kernels, the gate's number, the contract, and as bundle/gates.def says the
// source, host.gguf, the packages; for the vote its text. Two files record them: progress.json
// after each gate of a running run, report.json at its end. A record counts if it was not edited
// and the files on disk are those that chain.json states. Every run begins with the recorded
// results and replaces, gate by gate, those that it computes again, so a run of some gates, or one
// that is interrupted, loses nothing. If the files on disk are not those of chain.json, only
// failures are kept, until the gate runs again. A run with --resume keeps results that did not fail
// and whose inputs are those of this run.
#ifndef LATHE_PROOF_RESUME_H
#define LATHE_PROOF_RESUME_H

#include "proof/proof.h"

enum { MAX_RECORDS = 2 };

typedef struct {
    json_t *inputs; // name of a gate -> digest of what its result depends on in this run
    json_t *stated; // the same for the results that the proof contains, of whatever run
    json_t *records[MAX_RECORDS]; // records of earlier runs, the newest first
    size_t n_records;
} Resume;

// Computes the inputs of this run and reads the records of earlier ones; adds their valid results
// to the proof. If the job resumes and no record counts, a note says why.
bool resume_open(Resume *r, Proof *p, Err *err);
// Reports the results of gate `id` that the proof contains; false when the gate has to run.
bool resume_keep(const Resume *r, Proof *p, GateId id);
// Drops the proof's results of gate `id`, because it runs again with this run's inputs.
void resume_forget(Resume *r, Proof *p, GateId id);
void resume_close(Resume *r);

// Writes verify/progress.json: the results so far, from which --resume continues if this run is
// interrupted.
bool progress_write(const Resume *r, const Proof *p, Err *err);
// Removes it at the end of a run, when report.json contains everything.
void progress_remove(const Proof *p);

#endif
