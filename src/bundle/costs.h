// costs.h — what a bundle costs on a device, computed from the sizes of its parts: predicted, not
// measured.
#ifndef LATHE_BUNDLE_COSTS_H
#define LATHE_BUNDLE_COSTS_H

#include "bundle/chain.h"

typedef struct {
    uint64_t kv_bytes;       // of all KV caches
    uint64_t kv_saved_bytes; // more they would be without rings (decoder/rings.h)
    uint32_t n_rings;        // layers that have one
    uint64_t kv_token_bytes; // read and written to store one token's rows in them
    uint64_t weight_bytes;   // read for each token: all layers and the head
    // Weights in the device's memory once every function is loaded. On M5 Max and M6 each loaded
    // function held its own (Anemll/anemll-forge, FEEDBACK_ANE_MULTIFUNCTION_MEMORY).
    uint64_t wired_bytes;
    // The same for a bundle with separate `prefill` and `decode`, and for one with a single
    // function for both.
    uint64_t wired_bytes_two, wired_bytes_one;
} BundleCosts;

void bundle_costs(BundleCosts *costs, const Chain *chain);
// "9 of 12 layers keep 576 positions, …: 14.2 MB saved": what rings save, in one line. Nothing where
// there are none.
void bundle_costs_print_rings(const BundleCosts *costs, const Chain *chain, StrBuf *out);

#endif
