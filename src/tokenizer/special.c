// special.c — finds special tokens in text: the leftmost, and of several at one place the longest,
// as HF's added tokens match.
//
// The tokens are sorted by their bytes, so tokens with a common beginning are neighbours. A search
// at one place narrows that range byte by byte; most places end at the first byte.
#include <stdlib.h>

#include "tokenizer/impl.h"

typedef struct {
    Str text;
    uint32_t id;
} Named;

static int compare_named(const void *a, const void *b) {
    return str_compare(((const Named *)a)->text, ((const Named *)b)->text);
}

static bool is_in(const Token *token, unsigned types) {
    return (types >> token->type & 1) && token->text.len;
}

void special_build(SpecialSet *set, Tokenizer *t, unsigned types) {
    size_t n = 0, n_sorted = 0;
    for (size_t id = 0; id < t->n_tokens; id++) n += is_in(&t->tokens[id], types);
    Named *sorted = arena_array(&t->arena, n + 1, Named);
    for (uint32_t id = 0; id < t->n_tokens; id++)
        if (is_in(&t->tokens[id], types)) sorted[n_sorted++] = (Named){t->tokens[id].text, id};
    qsort(sorted, n, sizeof *sorted, compare_named);
    uint32_t *ids = arena_array(&t->arena, n + 1, uint32_t);
    uint32_t at = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        set->first[byte] = at;
        for (; at < n && (uint8_t)sorted[at].text.at[0] == byte; at++) ids[at] = sorted[at].id;
    }
    set->first[256] = at;
    set->ids = ids;
}

// The first place in [low, high) whose token's byte `depth` is at least `byte`. All are longer than
// `depth`.
static uint32_t lower_bound(const Tokenizer *t, const SpecialSet *set, uint32_t low, uint32_t high,
                            size_t depth, unsigned byte) {
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uint8_t)t->tokens[set->ids[middle]].text.at[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest token of the set that begins `text`, which is not empty; or NO_TOKEN.
static uint32_t longest_here(const Tokenizer *t, const SpecialSet *set, Str text) {
    uint8_t byte = (uint8_t)text.at[0];
    uint32_t low = set->first[byte], high = set->first[byte + 1], found = NO_TOKEN;
    for (size_t depth = 1; low < high; depth++) {
        // Of tokens with the same beginning, the one that ends here comes first.
        if (t->tokens[set->ids[low]].text.len == depth) found = set->ids[low++];
        if (depth == text.len) break;
        byte = (uint8_t)text.at[depth];
        low = lower_bound(t, set, low, high, depth, byte);
        high = lower_bound(t, set, low, high, depth, byte + 1u);
    }
    return found;
}

uint32_t special_next(const Tokenizer *t, const SpecialSet *set, Str text, size_t *at) {
    for (; *at < text.len; (*at)++) {
        uint32_t id = longest_here(t, set, (Str){text.at + *at, text.len - *at});
        if (id != NO_TOKEN) return id;
    }
    return NO_TOKEN;
}
