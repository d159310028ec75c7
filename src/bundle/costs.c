#include "bundle/costs.h"

#include "decoder/kv_forms.h"
#include "decoder/ports.h"

enum { HALF_BYTES = 2 };

static uint64_t tensor_bytes(const ChainTensor *t) {
    uint64_t count = (uint64_t)t->n_rows * t->n_cols;
    if (str_is(t->form, "fp16")) return HALF_BYTES * count;
    return count + (str_is(t->form, "int8") ? HALF_BYTES * (uint64_t)t->n_rows : HALF_BYTES);
}

static uint64_t weight_bytes(const ChainShard *s, bool of_head) {
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < s->n_tensors; i++)
        if ((s->tensors[i].layer == CHAIN_NO_LAYER) == of_head)
            n_bytes += tensor_bytes(&s->tensors[i]);
    return n_bytes;
}

static void count_caches(BundleCosts *costs, const Chain *chain) {
    const Contract *c = &chain->contract;
    uint64_t slot_bytes = (uint64_t)c->n_kv_heads * (c->head_dim + c->head_dim_v) * HALF_BYTES;
    for (uint32_t layer = 0; layer < c->n_layers; layer++) {
        uint32_t rows = chain_cache_rows(chain, contract_layer(c, layer));
        costs->kv_bytes += slot_bytes * rows;
        costs->kv_saved_bytes += slot_bytes * (chain->state_rows - rows);
        costs->n_rings += chain_has_ring(chain, contract_layer(c, layer));
    }
    // Read and written a token: whole caches, or the new rows of each layer.
    bool is_whole = str_is(chain->kv, kv_form_name(KV_OVERWRITE));
    costs->kv_token_bytes = is_whole ? 2 * costs->kv_bytes : slot_bytes * c->n_layers;
}

void bundle_costs(BundleCosts *costs, const Chain *chain) {
    *costs = (BundleCosts){0};
    count_caches(costs, chain);
    for (size_t i = 0; i < chain->n_shards; i++) {
        const ChainShard *s = &chain->shards[i];
        uint64_t layers = weight_bytes(s, false), head = weight_bytes(s, true);
        bool has_prefill = chain_function(s, FUNCTION_PREFILL) != NULL;
        costs->weight_bytes += layers + head;
        costs->wired_bytes_one += layers + head;
        costs->wired_bytes_two += 2 * layers + head;
        costs->wired_bytes += layers * (1 + (uint64_t)has_prefill) + head;
    }
}

void bundle_costs_print_rings(const BundleCosts *costs, const Chain *chain, StrBuf *out) {
    if (costs->n_rings == 0) return;
    strbuf_printf(
        out,
        "%u of %u layers keep %u positions, their window and one call, not the context of "
        "%u: KV caches of %.1f MB, %.1f MB saved",
        costs->n_rings, chain->contract.n_layers, chain->ring_slots, chain->context,
        (double)costs->kv_bytes / 1e6, (double)costs->kv_saved_bytes / 1e6);
}
