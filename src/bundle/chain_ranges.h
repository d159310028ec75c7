// chain_ranges.h — the member "ranges" of chain.json: what was measured before the conversion.
// Internal to bundle/.
#ifndef LATHE_BUNDLE_CHAIN_RANGES_H
#define LATHE_BUNDLE_CHAIN_RANGES_H

#include "base/json.h"
#include "range/ranges.h"

// The member as JSON; null when nothing was measured. The caller owns the reference.
json_t *chain_ranges_json(const Ranges *ranges);
// NULL when the member is null, or on failure. Every figure of the table must be there.
const Ranges *chain_need_ranges(JsonReader *n, const json_t *chain, uint32_t n_layers);
// A power of two, from 2^-64 to 2^64.
float chain_need_norm_factor(JsonReader *n, const json_t *object, const char *key);
float chain_need_factor(JsonReader *n, const json_t *object, const char *key);

#endif
