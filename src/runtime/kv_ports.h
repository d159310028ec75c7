// kv_ports.h — the ports by which a function of layers takes new rows into its KV caches, by the form
// that the bundle was converted with (decoder/kv_forms.def).
#ifndef LATHE_RUNTIME_KV_PORTS_H
#define LATHE_RUNTIME_KV_PORTS_H

#include "bundle/chain.h"
#include "decoder/kv_forms.h"
#include "runtime/host.h"
#include "runtime/runner.h"

// Of one layer of the shard: places of ports among the runner's.
typedef struct {
    bool has_ring;
    uint32_t begin, end;   // KV_SLICE: inputs,
    uint32_t in_state;     // and how many layers before it share its state
    uint32_t new_k, new_v; // KV_ROWS: outputs
} KvLayerPorts;

typedef struct {
    KvForm form;
    uint32_t write_mask,
        write_ring; // KV_OVERWRITE: inputs; those that no layer asks for are no ports
    uint32_t n_layers;
    KvLayerPorts *layers; // [n_layers]
} KvPorts;

// Finds the ports of `r`, a function of layers of `shard` for n_rows rows; refuses one that lacks some,
// or has them in another size. kv_ports_free() has to be called in both cases.
bool kv_ports_find(KvPorts *p, const Runner *r, const Chain *chain, const ChainShard *shard,
                   uint32_t n_rows, Err *err);
void kv_ports_free(KvPorts *p); // safe on zeroed KvPorts

// Writes where the rows of a step go, before the function runs.
void kv_ports_write(const KvPorts *p, Runner *r, const Contract *c, const HostStep *step);
// Puts new rows that the last run gave where they go, in the form that leaves this to the host.
bool kv_ports_place(const KvPorts *p, Runner *r, RunnerState *state, const HostStep *step,
                    Err *err);

#endif
