#include "proof/execution.h"

static Execution execution(const Proof *p, Arithmetic arithmetic) {
    return (Execution){.host = p->job->host, .arithmetic = arithmetic, .pool = p->job->pool};
}

bool proof_open_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err) {
    Execution how = execution(p, arithmetic);
    return shards_open(shards, &p->bundle, &how, err);
}

Session *proof_open_session(const Proof *p, const Bundle *bundle, Arithmetic arithmetic, Err *err) {
    Execution how = execution(p, arithmetic);
    return session_open(model_runner_open_bundle(bundle, &how, err), err);
}
