// structure.c — checks that the files are those that chain.json describes. By the time this runs,
// bundle_open() has validated every program, every weight reference and the functions' ports.
#include <inttypes.h>

#include "gates/gates.h"
#include "proof/packed.h"
#include "proof/proof.h"

static size_t count_ops(const Package *p) {
    size_t n = 0;
    for (uint32_t i = 0; i < p->program->n_functions; i++) n += p->program->functions[i]->n_ops;
    return n;
}

bool gate_structure(Proof *p, Err *err) {
    const Chain *c = &p->bundle.chain;
    Err why = {0};
    bool ok = bundle_check_files(p->bundle.dir, c, true, p->job->progress, &why);
    proof_result(p, "structure", ok, NULL, "files", "%s",
                 ok ? "every file has the sha256 that chain.json states" : why.text);
    (void)err;
    why = (Err){0};
    ok = packed_weights_open(p, &why) != NULL;
    proof_result(p, "structure", ok, NULL, "weights", "%s",
                 ok ? "every weight of chain.json is in its package, with the shape stated"
                    : why.text);
    for (size_t i = 0; i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        bool fits = s->n_bytes < c->package_limit;
        char scope[32];
        snprintf(scope, sizeof scope, "shard %02zu", i);
        proof_result(p, "structure", fits,
                     json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)s->n_bytes, "limit",
                               (json_int_t)c->package_limit, "ops",
                               (json_int_t)count_ops(&p->bundle.packages[i])),
                     scope, "%zu ops, all valid; %zu functions; %.1f MiB of at most %.0f",
                     count_ops(&p->bundle.packages[i]), s->n_functions,
                     (double)s->n_bytes / (1 << 20), (double)c->package_limit / (1 << 20));
    }
    return true;
}
