#include "runtime/device_trial.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "runtime/coreml_prepare.h"
#include "runtime/state_test.h"

static void print_times(const Shard *shard) {
    ShardRole functions[SHARD_MAX_ROLES];
    size_t n = shard_roles(shard, functions);
    for (size_t k = 0; k < n; k++) {
        const Runner *r = functions[k].runner;
        RunnerTimes t;
        if (!r->ops->times) continue;
        r->ops->times(r, &t);
        const ChainFunction *f = chain_function(shard->chain, functions[k].role);
        Arena scratch = {0};
        printf(COREML_RAN, t.log, arena_cstr(&scratch, f->name), t.load, t.cold_run);
        arena_free(&scratch);
    }
}

static bool run_head(Shards *s, Err *err) {
    const Contract *c = &s->bundle->chain.contract;
    float *row = big_alloc(c->d_model * sizeof *row, "a row", err);
    float *logits = row ? big_alloc(c->n_vocab * sizeof *logits, "logits", err) : NULL;
    for (uint32_t i = 0; row && i < c->d_model; i++) row[i] = i % 2 ? 1 : -1;
    bool ok = logits && shards_run_head(s, row, logits, err);
    free(row);
    free(logits);
    return ok;
}

bool device_trial(const char *dir, Err *err) {
    Arena arena = {0};
    Bundle bundle = {0};
    Shards shards = {0};
    Execution how = {.engine = &engines[ENGINE_coreml], .arithmetic = ARITHMETIC_FP16};
    bool ok = bundle_open(&bundle, &arena, dir, err) && shards_open(&shards, &bundle, &how, err);
    ok = ok && states_are_kept(&shards, err) && run_head(&shards, err);
    for (size_t i = 0; ok && i < bundle.chain.n_shards; i++) print_times(&shards.shards[i]);
    if (shards.bundle) shards_close(&shards);
    bundle_close(&bundle);
    arena_free(&arena);
    return ok;
}
