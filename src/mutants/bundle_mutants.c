#include "mutants/bundle_mutants.h"

#include <string.h>

#include "base/size.h"

enum {
    DECODE = IN_DECODE,
    PREFILL = IN_PREFILL,
    BOTH = IN_DECODE | IN_PREFILL,
    HEAD = IN_HEAD,
};

static const BundleMutant mutants[] = {
#define GRAPH(name_, functions_, doc_, ...)                                                        \
    {.name = #name_,                                                                               \
     .doc = doc_,                                                                                  \
     .kind = MUTANT_GRAPH,                                                                         \
     .functions = functions_,                                                                      \
     .edits = {__VA_ARGS__}},
#define EDITS(...)                                                                                 \
    { __VA_ARGS__ }
#define GRAPH_KV(name_, functions_, doc_, overwrite_, slice_, rows_)                               \
    {.name = #name_,                                                                               \
     .doc = doc_,                                                                                  \
     .kind = MUTANT_GRAPH,                                                                         \
     .functions = functions_,                                                                      \
     .edits_of = {[KV_OVERWRITE] = overwrite_, [KV_SLICE] = slice_, [KV_ROWS] = rows_}},
#define ROWS(name_, doc_) {.name = #name_, .doc = doc_, .kind = MUTANT_ROWS, .rows = edit_##name_},
#define BYTES(name_, doc_)                                                                         \
    {.name = #name_, .doc = doc_, .kind = MUTANT_BYTES, .bytes = edit_##name_},
#define HOST(name_, doc_, ...)                                                                     \
    {.name = #name_, .doc = doc_, .kind = MUTANT_HOST, .host = {__VA_ARGS__}},
#define HOST_FAR(name_, doc_, ...)                                                                 \
    {.name = #name_, .doc = doc_, .kind = MUTANT_HOST, .is_far = true, .host = {__VA_ARGS__}},
#define KEYS(name_, doc_) {.name = #name_, .doc = doc_, .kind = MUTANT_KEYS, .keys = edit_##name_},
#include "mutants/bundle_mutants.def"
#undef GRAPH
#undef GRAPH_KV
#undef EDITS
#undef ROWS
#undef BYTES
#undef HOST
#undef HOST_FAR
#undef KEYS
};

const BundleMutant *bundle_mutant_at(size_t i) {
    return i < COUNT_OF(mutants) ? &mutants[i] : NULL;
}

// Whether the edits deal with how query heads are shared out.
static bool regroups_heads(const BundleMutant *mutant) {
    for (size_t i = 0; i < MAX_EDITS && mutant->edits[i].line; i++)
        if (strstr(mutant->edits[i].to, "$G")) return true;
    return false;
}

// Whether they multiply what feed-forward projects, and nothing else.
static bool scales_feed_forward(const BundleMutant *mutant) {
    return mutant->edits[0].line && strcmp(mutant->edits[0].line, "%$U") == 0;
}

static bool has_window_within(const Contract *c, uint32_t context) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].attn_window != 0 && c->kinds[i].attn_window + 1 < context) return true;
    return false;
}

static bool has_attn_factor(const Contract *c) {
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].attn_factor != 1) return true;
    return false;
}

bool is_mutant_of_rings(const BundleMutant *mutant) {
    const HostChanges *h = &mutant->host;
    return h->ring_slot_shift || h->masks_by_slot || h->has_short_ring || h->keeps_overwritten;
}

const char *bundle_mutant_idle_reason(const BundleMutant *mutant, const Contract *c,
                                      uint32_t context, uint32_t prefill_rows) {
    const HostChanges *h = &mutant->host;
    // Angles that are all off by as much turn queries and keys alike.
    bool is_of_chunks = h->rope_shift_decode || h->rope_shift_prefill || h->rope_shift_later ||
                        h->counts_padding || h->counts_later_padding || h->reads_last_row;
    bool is_of_window = h->ignores_window || h->window_shift || is_mutant_of_rings(mutant);
    bool is_of_factors =
        h->takes_other_factors || h->factors_by_context || h->crossing_shift || h->keeps_cache;
    if (is_of_window && !has_window_within(c, context)) return "no window lies within the context";
    if (h->has_short_ring && prefill_rows < 3) return "the bundle has no prefill";
    if (is_of_factors && !h->takes_other_factors && c->original_context + 1 >= context)
        return "the context ends before the long factors apply";
    if (h->rounds_position && context <= 2049) return "fp16 has every position of the context";
    if (h->rope_shift_far && context <= MUTANT_FAR) return "the context ends before it";
    if (h->hides_from && context <= h->hides_from + 1) return "the context ends before it";
    if (h->scales_cos_only && !has_attn_factor(c)) return "the attention factor is 1";
    if (is_of_factors && !contract_has_two_factor_sets(c))
        return "the model has one set of factors";
    if (is_of_chunks && !prefill_rows) return "the bundle has no prefill";
    if ((h->rope_shift_later || h->counts_later_padding) && context < 2 * (uint64_t)prefill_rows)
        return "a second chunk does not fit in the context";
    if (scales_feed_forward(mutant) &&
        has_post_norms(contract_layer(c, MUTANT_LAYER % c->n_layers)))
        return "the norm after feed-forward divides by what its input is multiplied by";
    if (regroups_heads(mutant) && (c->n_kv_heads == 1 || c->n_kv_heads == c->n_heads))
        return "there is only one way to assign query heads to kv heads";
    return NULL;
}

const char *norm_mutant_idle_reason(const BundleMutant *mutant, uint32_t prefill_rows) {
    bool has_place = mutant->functions & IN_PREFILL && prefill_rows;
    for (size_t i = 0; i < MAX_EDITS && mutant->edits[i].line; i++)
        if (strstr(mutant->edits[i].line, "_norm_total") && !has_place)
            return "norms of one row are one l2_norm here";
    return NULL;
}
