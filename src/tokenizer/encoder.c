// encoder.c — the memory for encoding one text: the growing list of ids, the symbols being joined,
// and the heap of pairs that could be joined.
#include <stdlib.h>

#include "tokenizer/impl.h"

// Room for one more item of `size` bytes in a list of `*cap`, `count` of them used.
static void *grown(void *at, size_t count, size_t *cap, size_t size) {
    if (count < *cap) return at;
    size_t more = *cap ? 2 * *cap : 64;
    at = realloc(at, more * size);
    if (!at) die_out_of_memory(more * size);
    *cap = more;
    return at;
}

void token_list_add(TokenList *list, uint32_t id) {
    list->at = grown(list->at, list->count, &list->cap, sizeof *list->at);
    list->at[list->count++] = id;
}

void token_list_free(TokenList *list) {
    free(list->at);
    *list = (TokenList){0};
}

Symbol *encoder_symbols(Encoder *e, size_t n) {
    if (n > e->symbols_cap) {
        free(e->symbols);
        e->symbols_cap = n > 256 ? n : 256;
        e->symbols = malloc(e->symbols_cap * sizeof *e->symbols);
        if (!e->symbols) die_out_of_memory(e->symbols_cap * sizeof *e->symbols);
    }
    return e->symbols;
}

static bool goes_before(Candidate a, Candidate b) {
    return a.order != b.order ? a.order < b.order : a.left < b.left;
}

void heap_push(CandidateHeap *h, Candidate c) {
    h->at = grown(h->at, h->count, &h->cap, sizeof *h->at);
    size_t i = h->count++;
    for (; i && goes_before(c, h->at[(i - 1) / 2]); i = (i - 1) / 2) h->at[i] = h->at[(i - 1) / 2];
    h->at[i] = c;
}

Candidate heap_pop(CandidateHeap *h) {
    Candidate first = h->at[0], last = h->at[--h->count];
    size_t i = 0, child;
    for (; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && goes_before(h->at[child + 1], h->at[child])) child++;
        if (!goes_before(h->at[child], last)) break;
        h->at[i] = h->at[child];
    }
    h->at[i] = last;
    return first;
}

void encoder_close(Encoder *e) {
    free(e->symbols);
    free(e->heap.at);
    strbuf_free(&e->normalized);
    pcre2_match_data_free(e->match);
    pcre2_match_context_free(e->context);
    pcre2_jit_stack_free(e->jit_stack);
}
