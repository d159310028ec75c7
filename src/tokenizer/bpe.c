// bpe.c — byte-level BPE: a word becomes the tokens of its bytes, then neighbours are
// joined, the pair with the lowest row in the table of merges first, of equal pairs the leftmost.
//
// Candidates wait in a heap and symbols form a linked list, so a word of n bytes takes n log n
// steps: one "word" can be as long as the text (a run of 200,000 letters). A candidate is stale
// when one of its symbols has been joined with another since; it is skipped, because the joined
// symbol has entered its own candidates.
#include "tokenizer/impl.h"

// Enters the pair of `left` and its right neighbour, if a merge joins them.
static void consider(Encoder *e, const Symbol *symbols, uint32_t left) {
    if (left == NO_TOKEN || symbols[left].next == NO_TOKEN) return;
    uint32_t row =
        merges_find(&e->tokenizer->merges, symbols[left].id, symbols[symbols[left].next].id);
    if (row != NO_TOKEN) heap_push(&e->heap, (Candidate){.order = row, .left = left});
}

void bpe_encode_word(Encoder *e, Str word) {
    const Tokenizer *t = e->tokenizer;
    if (t->pre.ignores_merges) {
        uint32_t id = index_find(t, &t->matched, word);
        if (id != NO_TOKEN) {
            token_list_add(e->out, id);
            return;
        }
    }
    Symbol *symbols = encoder_symbols(e, word.len);
    uint32_t n = 0;
    for (size_t i = 0; i < word.len; i++) {
        uint32_t id = t->byte_ids[(uint8_t)word.at[i]];
        if (id != NO_TOKEN) symbols[n++].id = id; // else its neighbours meet, as in HF tokenizers
    }
    bpe_join(e, symbols, n);
}

void bpe_join(Encoder *e, Symbol *symbols, uint32_t n) {
    const Tokenizer *t = e->tokenizer;
    if (n == 0) return;
    for (uint32_t i = 0; i < n; i++) {
        symbols[i].prev = i ? i - 1 : NO_TOKEN;
        symbols[i].next = i + 1;
    }
    symbols[n - 1].next = NO_TOKEN;
    for (uint32_t i = 0; i < n; i++) consider(e, symbols, i);
    while (e->heap.count) {
        Candidate c = heap_pop(&e->heap);
        const Merge *merge = &t->merges.rows[c.order];
        Symbol *left = &symbols[c.left];
        if (left->id != merge->left || left->next == NO_TOKEN) continue;
        Symbol *right = &symbols[left->next];
        if (right->id != merge->right) continue;
        left->id = merge->joined;
        right->id = NO_TOKEN;
        left->next = right->next;
        if (left->next != NO_TOKEN) symbols[left->next].prev = c.left;
        consider(e, symbols, left->prev);
        consider(e, symbols, c.left);
    }
    for (uint32_t i = 0; i != NO_TOKEN; i = symbols[i].next) token_list_add(e->out, symbols[i].id);
}
