#include "runtime/kv_ports.h"

#include <stdlib.h>

#include "base/memory.h"
#include "decoder/ports.h"

enum { INDEX_AXES = 4 };

static bool check_input(const Runner *r, const char *name, size_t count, bool is_float,
                        uint32_t *found, Err *err) {
    const char *unit = is_float ? "numbers" : "integers";
    *found = runner_find_input(r, name);
    if (*found == RUNNER_NO_PORT)
        return err_set(err, ERR_FORMAT, "no input '%s', the contract asks for %zu %s", name, count,
                       unit);
    const RunnerPort *p = &r->inputs[*found];
    if (p->count == count && p->is_float == is_float) return true;
    return err_set(err, ERR_FORMAT, "input '%s': %zu %s, the contract asks for %zu %s", name,
                   p->count, p->is_float ? "numbers" : "integers", count, unit);
}

static bool find_slice(KvPorts *p, const Runner *r, uint32_t layer, Arena *names, Err *err) {
    return check_input(r, port_of_layer(names, INPUT_KV_BEGIN, layer), INDEX_AXES, false,
                       &p->layers[layer].begin, err) &&
           check_input(r, port_of_layer(names, INPUT_KV_END, layer), INDEX_AXES, false,
                       &p->layers[layer].end, err);
}

static bool check_output(const Runner *r, const char *name, size_t count, uint32_t *found,
                         Err *err) {
    *found = runner_find_output(r, name);
    size_t has = *found == RUNNER_NO_PORT ? 0 : r->outputs[*found].count;
    return has == count ||
           err_set(err, ERR_FORMAT, "output '%s': %zu numbers, the contract asks for %zu", name,
                   has, count);
}

static bool find_new_rows(KvPorts *p, const Runner *r, uint32_t layer, const Contract *c,
                          uint32_t n_rows, Arena *names, Err *err) {
    size_t heads = (size_t)n_rows * c->n_kv_heads;
    return check_output(r, port_of_layer(names, OUTPUT_NEW_K, layer), heads * c->head_dim,
                        &p->layers[layer].new_k, err) &&
           check_output(r, port_of_layer(names, OUTPUT_NEW_V, layer), heads * c->head_dim_v,
                        &p->layers[layer].new_v, err);
}

static bool find_layers(KvPorts *p, const Runner *r, const Contract *c, uint32_t n_rows,
                        Arena *names, Err *err) {
    for (uint32_t l = 0; l < p->n_layers && p->form != KV_OVERWRITE; l++)
        if (p->form == KV_SLICE ? !find_slice(p, r, l, names, err)
                                : !find_new_rows(p, r, l, c, n_rows, names, err))
            return false;
    return true;
}

bool kv_ports_find(KvPorts *p, const Runner *r, const Chain *chain, const ChainShard *shard,
                   uint32_t n_rows, Err *err) {
    uint32_t n[2] = {0}; // layers with caches of the whole context, and with rings
    *p = (KvPorts){.write_mask = RUNNER_NO_PORT,
                   .write_ring = RUNNER_NO_PORT,
                   .n_layers = shard->end_layer - shard->first_layer};
    p->layers = calloc(p->n_layers + 1, sizeof *p->layers);
    if (!p->layers) die_out_of_memory(p->n_layers * sizeof *p->layers);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        KvLayerPorts *layer = &p->layers[l];
        layer->has_ring =
            chain_has_ring(chain, contract_layer(&chain->contract, shard->first_layer + l));
        layer->in_state = n[layer->has_ring]++;
    }
    if (!kv_form_named(chain->kv, &p->form, err)) return false;
    if (p->form == KV_OVERWRITE &&
        ((n[0] && !check_input(r, INPUT_WRITE_MASK, (size_t)n_rows * chain->state_rows, true,
                               &p->write_mask, err)) ||
         (n[1] && !check_input(r, INPUT_WRITE_RING, (size_t)n_rows * chain->ring_rows, true,
                               &p->write_ring, err))))
        return false;
    Arena names = {0};
    bool ok = find_layers(p, r, &chain->contract, n_rows, &names, err);
    arena_free(&names);
    return ok;
}

void kv_ports_free(KvPorts *p) {
    free(p->layers);
    *p = (KvPorts){0};
}

static const HostPlace *place_of(const KvPorts *p, uint32_t layer, const HostStep *step) {
    return p->layers[layer].has_ring ? &step->ring : &step->whole;
}

// A state of the slice form is [2 layers, kv heads, S, head_dim].
static void write_indices(const KvPorts *p, Runner *r, const Contract *c, const HostStep *step) {
    for (uint32_t l = 0; l < p->n_layers; l++) {
        const HostPlace *place = place_of(p, l, step);
        int32_t at = 2 * (int32_t)p->layers[l].in_state;
        int32_t begin[INDEX_AXES] = {at, 0, place->begin, 0};
        int32_t end[INDEX_AXES] = {at + 2, (int32_t)c->n_kv_heads, place->end,
                                   (int32_t)c->head_dim};
        r->ops->write(r, p->layers[l].begin, begin);
        r->ops->write(r, p->layers[l].end, end);
    }
}

void kv_ports_write(const KvPorts *p, Runner *r, const Contract *c, const HostStep *step) {
    if (p->write_mask != RUNNER_NO_PORT) r->ops->write(r, p->write_mask, step->whole.write_mask);
    if (p->write_ring != RUNNER_NO_PORT) r->ops->write(r, p->write_ring, step->ring.write_mask);
    if (p->form == KV_SLICE) write_indices(p, r, c, step);
}

bool kv_ports_place(const KvPorts *p, Runner *r, RunnerState *state, const HostStep *step,
                    Err *err) {
    Arena names = {0};
    bool ok = true;
    for (uint32_t l = 0; ok && p->form == KV_ROWS && l < p->n_layers; l++) {
        Str k = str_of(port_of_layer(&names, CACHE_K, l));
        Str v = str_of(port_of_layer(&names, CACHE_V, l));
        uint32_t at = (uint32_t)place_of(p, l, step)->begin;
        ok = r->ops->put_rows(r, state, k, p->layers[l].new_k, at, err) &&
             r->ops->put_rows(r, state, v, p->layers[l].new_v, at, err);
    }
    arena_free(&names);
    return ok;
}
