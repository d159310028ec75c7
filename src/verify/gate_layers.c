// gate_layers.c — what a shard computes, against the reference: once with the same weights in fp32,
// which leaves nothing but errors of the graph; once as it will run, against the source's weights.
#include <stdio.h>

#include "verify/proof.h"

enum { N_TOKENS = 96 }; // one full chunk of prefill and 32 single steps after it

// fp32 with equal weights differs in the order of sums, and in the few constants that a program
// holds as fp16 (the score scale among them, 2^-12 relative). A misplaced mask, a swapped head or
// one wrong slot costs cosines of 1e-4 and more.
static const Bound graph_bound = {0.999999, 0.999999};
// fp16 activations and int8 weights. Codes of 7 bits err by about 1 % of a row's rms, so a branch
// is off by some 1e-4 in cosine, and by a few times that where errors of thirty layers add up;
// single rows scatter around it. A row that took another position's place is below 0.9.
static const Bound golden_bound = {0.999, 0.99};

static bool compare_shards(Proof *p, const char *gate, Arithmetic arithmetic, bool packed,
                           Bound least, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t *ids;
    size_t n;
    Trace trace;
    Shards shards;
    if (!proof_tokens(p, N_TOKENS, &ids, &n, err) || !trace_run(p, &trace, ids, n, packed, err))
        return false;
    if (!shards_open(&shards, &p->bundle, arithmetic, p->job->pool, err)) return false;
    float *out = arena_array(p->arena, n * c->contract.d_model, float);
    bool ok = true;
    size_t last = 0;
    for (size_t i = 0; i < c->n_shards; i++)
        if (c->shards[i].end_layer > c->shards[i].first_layer) last = i;
    for (size_t i = 0; ok && i < c->n_shards; i++) {
        const ChainShard *s = &c->shards[i];
        if (s->end_layer == s->first_layer) continue;
        ok = proof_run_shard(p, &shards, i, trace.rows[i], n, out, err);
        if (!ok) break;
        const float *wanted = trace.rows[i == last ? c->n_shards : i + 1];
        Metrics m = {0};
        for (size_t t = 0; t < n; t++)
            metrics_add(&m, out + t * c->contract.d_model, wanted + t * c->contract.d_model,
                        c->contract.d_model);
        char scope[48];
        snprintf(scope, sizeof scope, "layers %02u..%02u", s->first_layer, s->end_layer - 1);
        proof_compare(p, gate, scope, &m, least);
    }
    shards_close(&shards);
    return ok;
}

bool gate_graph(Proof *p, Err *err) {
    return compare_shards(p, "graph", ARITHMETIC_FP32, true, graph_bound, err);
}

bool gate_golden(Proof *p, Err *err) {
    return compare_shards(p, "layer golden", ARITHMETIC_FP16, false, golden_bound, err);
}
