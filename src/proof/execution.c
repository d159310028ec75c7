#include "proof/execution.h"

#include <string.h>

static bool needs_taps(const Proof *p) {
    for (int i = 0; p->running && i < GATE_COUNT; i++)
        if (strcmp(gates[i].name, p->running) == 0) return gates[i].engine == GATE_TAPS_VALUES;
    return false;
}

const EngineInfo *proof_engine(const Proof *p) {
    const EngineInfo *engine = p->job->engine ? p->job->engine : &engines[ENGINE_cpu];
    if (p->is_on_device) return engine;
    bool has_taps = engine->capabilities & ENGINE_HAS_TAPS;
    return needs_taps(p) && !has_taps ? &engines[ENGINE_cpu] : engine;
}

static Execution execution(const Proof *p, Arithmetic arithmetic) {
    return (Execution){.engine = proof_engine(p),
                       .host = p->job->host,
                       .arithmetic = arithmetic,
                       .pool = p->job->pool,
                       .progress = p->job->progress};
}

bool proof_open_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err) {
    Execution how = execution(p, arithmetic);
    return shards_open(shards, &p->bundle, &how, err);
}

bool proof_open_own_shards(const Proof *p, Shards *shards, Arithmetic arithmetic, Err *err) {
    Execution how = execution(p, arithmetic);
    how.engine = &engines[ENGINE_cpu];
    return shards_open(shards, &p->bundle, &how, err);
}

Session *proof_open_session(const Proof *p, const Bundle *bundle, Arithmetic arithmetic, Err *err) {
    Execution how = execution(p, arithmetic);
    return session_open(model_runner_open_bundle(bundle, &how, err), err);
}
