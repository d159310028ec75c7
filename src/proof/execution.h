// execution.h — the bundle of a run of gates, executed: by the engine and fed by the host that the
// job names, as far as the gate that is running can use that engine.
#ifndef LATHE_PROOF_EXECUTION_H
#define LATHE_PROOF_EXECUTION_H

#include "proof/proof.h"
#include "runtime/session.h"

// The job's engine; the CPU engine for a gate that looks at the values inside a program (gates.def,
// GATE_TAPS_VALUES) where the job's has no taps.
const EngineInfo *proof_engine(const Proof *p);
// The same packages on lathe's own engine, whatever the job's is.
bool proof_open_own_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err);
bool proof_open_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err);
// `bundle`: the run's own, or a copy of it with a smaller context; it must outlive the session.
Session *proof_open_session(const Proof *p, const Bundle *bundle, Arithmetic arithmetic, Err *err);

#endif
