// resume.h — results of earlier runs that still hold. Internal to proof/.
//
// Every run writes, gate by gate, a digest of all that the gate's result depends on (`inputs`): the
// build of lathe and the kernels, the gate's number, the contract, and as bundle/gates.def says the
// source, host.gguf, the packages; for the vote its text. They stand in two files: progress.json
// after each gate of a run that has not ended, report.json at its end. A record counts when it is
// as it was written and the files on disk are those that chain.json states. Every run begins with
// what is known of the bundle and replaces, gate by gate, what it runs again, so that a run of some
// gates, or one that breaks off, loses nothing. Where the files on disk are not those of chain.json, only
// failures are known: they stand until the gate runs again. A run that resumes leaves alone what did not fail
// over the inputs of this run.
#ifndef LATHE_PROOF_RESUME_H
#define LATHE_PROOF_RESUME_H

#include "proof/proof.h"

enum { MAX_RECORDS = 2 };

typedef struct {
    json_t *inputs; // name of a gate -> digest of what its result depends on, in this run
    json_t *stated; // the same of the results that the proof has, of whatever run
    json_t *records[MAX_RECORDS]; // of earlier runs, the newest first
    size_t n_records;
} Resume;

// Computes the inputs of this run and reads the records of earlier ones; what holds of them goes
// into the proof. Where the job resumes and no record counts, a note says why.
bool resume_open(Resume *r, Proof *p, Err *err);
// Says the results of gate `id` that the proof has; false when it has to run.
bool resume_keep(const Resume *r, Proof *p, GateId id);
// Drops what the proof has of gate `id`: it runs again, over this run's inputs.
void resume_forget(Resume *r, Proof *p, GateId id);
void resume_close(Resume *r);

// Writes verify/progress.json: the results so far, for a run that goes on where this one broke off.
bool progress_write(const Resume *r, const Proof *p, Err *err);
// At the end of a run, whose report has it all.
void progress_remove(const Proof *p);

#endif
