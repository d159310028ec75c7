// execution.h — executes a run's bundle on the job's engine with the job's host, if the running
// gate can use that engine.
#ifndef LATHE_PROOF_EXECUTION_H
#define LATHE_PROOF_EXECUTION_H

#include "proof/proof.h"
#include "runtime/session.h"

// The job's engine; but the CPU engine for a gate that reads values inside a program (gates.def:
// GATE_TAPS_VALUES) if the job's engine has no taps.
const EngineInfo *proof_engine(const Proof *p);
// Opens the same packages on lathe's own engine, whatever the job's engine is.
bool proof_open_own_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err);
bool proof_open_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err);
// `bundle`: the run's own, or a copy of it with a smaller context; it must outlive the session.
Session *proof_open_session(const Proof *p, const Bundle *bundle, Arithmetic arithmetic, Err *err);

#endif
