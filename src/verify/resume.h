// resume.h — results of an earlier run that still hold. Internal to verify/.
//
// Every run writes into report.json, gate by gate, a digest of all that the gate's result depends
// on (`inputs`): the tool, the gate's number, the contract, and as bundle/gates.def says the
// source, host.gguf, the packages; for the vote its text. A run that resumes keeps the results of
// gates that passed over the same inputs, after the report was found to be as it was written and
// the files on disk to be those that chain.json states; everything else is run again.
#ifndef LATHE_VERIFY_RESUME_H
#define LATHE_VERIFY_RESUME_H

#include "verify/proof.h"

typedef struct {
    json_t *inputs; // name of a gate -> digest of what its result depends on; of this run
    json_t *report; // of the earlier run; NULL: nothing is kept
} Resume;

// Computes the inputs of this run and, where the job resumes, reads the earlier report. One that is
// missing, broken, edited, or of a bundle whose files have changed keeps nothing, which is noted.
bool resume_open(Resume *r, Proof *p, Err *err);
// Takes over the results and the sections of gate `id` and says so; false when it has to run.
bool resume_keep(const Resume *r, Proof *p, GateId id);
void resume_close(Resume *r);

#endif
