// index.c — tokens by text or by bytes: a hash table with open addressing, half full at most.
#include <xxhash.h>

#include "tokenizer/impl.h"

static Str index_key(const Token *token, const TokenIndex *index) {
    return index->is_by_bytes ? token->bytes : token->text;
}

// The slot of `key`: the one that holds it, or the empty one where it would go.
static size_t index_slot(const Tokenizer *t, const TokenIndex *index, Str key) {
    size_t slot = (size_t)XXH3_64bits(key.at, key.len) & (index->n_slots - 1);
    while (index->slots[slot] != NO_TOKEN &&
           !str_eq(index_key(&t->tokens[index->slots[slot]], index), key))
        slot = (slot + 1) & (index->n_slots - 1);
    return slot;
}

uint32_t index_find(const Tokenizer *t, const TokenIndex *index, Str key) {
    return index->slots[index_slot(t, index, key)];
}

void index_start(Tokenizer *t, TokenIndex *index, bool is_by_bytes) {
    *index = (TokenIndex){.n_slots = 16, .is_by_bytes = is_by_bytes};
    while (index->n_slots < 2 * t->n_tokens) index->n_slots *= 2;
    index->slots = arena_array(&t->arena, index->n_slots, uint32_t);
    memset(index->slots, 0xFF, index->n_slots * sizeof *index->slots); // NO_TOKEN
}

void index_put(const Tokenizer *t, TokenIndex *index, uint32_t id) {
    index->slots[index_slot(t, index, index_key(&t->tokens[id], index))] = id;
}
