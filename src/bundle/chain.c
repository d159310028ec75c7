// chain.c — look-ups in chain.json's functions, for whoever runs them.
#include "bundle/chain.h"

uint32_t chain_decode_rows(const Chain *chain) {
    for (size_t i = 0; i < chain->n_shards; i++) {
        const ChainFunction *f = chain_function(&chain->shards[i], "decode");
        if (f) return f->n_rows;
    }
    return 1;
}

const ChainFunction *chain_function(const ChainShard *shard, const char *role) {
    for (size_t i = 0; i < shard->n_functions; i++)
        if (str_is(shard->functions[i].role, role)) return &shard->functions[i];
    return NULL;
}
