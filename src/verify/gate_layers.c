// gate_layers.c — what a shard computes, against the reference: once with the same weights in fp32,
// which leaves nothing but errors of the graph; once as it will run, against the source's weights.
#include <stdio.h>

#include "verify/proof.h"

enum { N_TOKENS = 96 }; // one full chunk of prefill and 32 single steps after it

// fp32 with equal weights differs only in the order of sums: 1e-7 relative a layer. A misplaced
// mask, a swapped head or one wrong slot costs cosines of 1e-4 and more.
#define LEAST_GRAPH_COS 0.999999
// fp16 activations and int8 weights; the port of Phi-4-mini that lathe descends from had 0.99996 a
// layer and 0.9985 over twenty.
#define LEAST_GOLDEN_COS 0.999

static bool compare_shards(Proof *p, const char *gate, Arithmetic arithmetic, bool packed,
                           double least_cos, Err *err) {
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
        proof_compare(p, gate, scope, &m, least_cos);
    }
    shards_close(&shards);
    return ok;
}

bool gate_graph(Proof *p, Err *err) {
    return compare_shards(p, "graph", ARITHMETIC_FP32, true, LEAST_GRAPH_COS, err);
}

bool gate_golden(Proof *p, Err *err) {
    return compare_shards(p, "layer golden", ARITHMETIC_FP16, false, LEAST_GOLDEN_COS, err);
}
