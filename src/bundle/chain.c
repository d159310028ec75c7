// chain.c — look-ups in chain.json's functions, for whoever runs them.
#include "bundle/chain.h"

#include "decoder/rings.h"

uint32_t chain_decode_rows(const Chain *chain) {
    for (size_t i = 0; i < chain->n_shards; i++) {
        const ChainFunction *f = chain_function(&chain->shards[i], "decode");
        if (f) return f->n_rows;
    }
    return 1;
}

uint32_t chain_most_rows(const Chain *chain) {
    return chain->prefill_rows ? chain->prefill_rows : 1;
}

bool chain_has_ring(const Chain *chain, const LayerKind *k) {
    return ring_holds(chain->ring_slots, k->attn_window, chain_most_rows(chain));
}

uint32_t chain_cache_rows(const Chain *chain, const LayerKind *k) {
    return chain_has_ring(chain, k) ? chain->ring_rows : chain->state_rows;
}

const ChainFunction *chain_function(const ChainShard *shard, const char *role) {
    for (size_t i = 0; i < shard->n_functions; i++)
        if (str_is(shard->functions[i].role, role)) return &shard->functions[i];
    return NULL;
}
