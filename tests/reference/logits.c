// logits.c — the reference as a program, for oracles: logits [n_tokens, n_vocab] of token ids, or a
// greedy continuation. Reads ids from stdin.
//
//     reference_logits MODEL.gguf POSITIONS all < ids > raw float32
//     reference_logits MODEL.gguf POSITIONS greedy N < ids > ids
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

enum { MAX_IDS = 1 << 16 };

static uint32_t largest(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int fail(const Err *err) {
    fprintf(stderr, "%s\n", err->text);
    return 1;
}

int main(int argc, char **argv) {
    Err err = {0};
    Arena arena = {0};
    Gguf g;
    Model m;
    if (argc < 4 || !gguf_open(&g, &arena, argv[1], &err) || !model_read(&m, &g, &arena, &err))
        return fail(&err);
    Pool *pool = pool_open(0, &err);
    ReferenceOptions options = {.n_positions = (uint32_t)strtoul(argv[2], NULL, 10)};
    Reference *r = pool ? reference_open(&m, &m.contract, &options, pool, &err) : NULL;
    if (!r) return fail(&err);

    uint32_t *ids = arena_array(&arena, MAX_IDS, uint32_t), n_vocab = m.contract.n_vocab;
    size_t n = 0;
    while (n < MAX_IDS && scanf("%u", &ids[n]) == 1) n++;
    bool is_greedy = strcmp(argv[3], "greedy") == 0;
    float *logits = calloc((is_greedy ? 1 : n) * (size_t)n_vocab, sizeof *logits);
    if (!logits || !reference_feed(r, ids, n, logits, !is_greedy, &err)) return fail(&err);
    if (is_greedy) {
        for (int i = argc > 4 ? atoi(argv[4]) : 0; i > 0; i--) {
            uint32_t id = largest(logits, n_vocab);
            printf("%u\n", id);
            if (i > 1 && !reference_feed(r, &id, 1, logits, false, &err)) return fail(&err);
        }
    } else {
        fwrite(logits, sizeof *logits, n * n_vocab, stdout);
    }
    free(logits);
    reference_close(r);
    pool_close(pool);
    gguf_close(&g);
    arena_free(&arena);
    return 0;
}
