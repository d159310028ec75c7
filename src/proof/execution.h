// execution.h — the bundle of a run of gates, executed: by the engine and fed by the host that the
// run is asked to use.
#ifndef LATHE_PROOF_EXECUTION_H
#define LATHE_PROOF_EXECUTION_H

#include "proof/proof.h"
#include "runtime/session.h"

bool proof_open_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err);
// `bundle`: the run's own, or a copy of it with a smaller context; it must outlive the session.
Session *proof_open_session(const Proof *p, const Bundle *bundle, Arithmetic arithmetic, Err *err);

#endif
