// logits.c — the reference as a program, for oracles: logits [n_tokens, n_vocab] of token ids, or a
// greedy continuation. Reads ids from stdin.
//
//     reference_logits MODEL.gguf POSITIONS all < ids > raw float32
//     reference_logits MODEL.gguf POSITIONS greedy N < ids > ids
//     reference_logits MODEL.gguf POSITIONS chunks 10,290,@200,100 < ids > raw float32
//
// POSITIONS is how many to hold; with ":long" behind it LongRoPE's long factors apply at every
// length, as llama.cpp has it for a context beyond the original one.
//
// `chunks` feeds the ids in pieces of these lengths and gives the logits [n_vocab] of each piece's
// last one. `@N` goes back to position N, from where the ids are fed again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "huggingface/folder.h"
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

// Feeds by the steps of `chunks`, as above.
static bool feed_chunks(Reference *r, const uint32_t *ids, size_t n, const char *chunks,
                        float *logits, uint32_t n_vocab, Err *err) {
    size_t at = 0;
    for (const char *step = chunks; *step;) {
        bool goes_back = *step == '@';
        char *end;
        size_t count = strtoul(step + goes_back, &end, 10);
        bool is_step = end > step + goes_back && (*end == ',' || !*end);
        if (!is_step || (goes_back ? count > at : !count || count > n - at))
            return err_set(err, ERR_USAGE,
                           "step '%s' at position %zu of %zu ids: expected a "
                           "count of ids that are left, or @ and a position that was fed",
                           step, at, n);
        if (goes_back) {
            reference_rewind(r, (uint32_t)count);
            at = count;
        } else {
            if (!reference_feed(r, ids + at, count, logits, false, err)) return false;
            fwrite(logits, sizeof *logits, n_vocab, stdout);
            at += count;
        }
        step = *end ? end + 1 : end;
    }
    return true;
}

int main(int argc, char **argv) {
    Err err = {0};
    Arena arena = {0};
    Gguf g;
    Model m;
    if (argc < 4 || !model_open(&g, &arena, argv[1], &err) || !model_read(&m, &g, &arena, &err))
        return fail(&err);
    Pool *pool = pool_open(0, &err);
    char *end;
    ReferenceOptions options = {.n_positions = (uint32_t)strtoul(argv[2], &end, 10)};
    if (strcmp(end, ":long") == 0) options.rope_factors = ROPE_FACTORS_LONG;
    Reference *r = pool ? reference_open(&m, &m.contract, &options, pool, &err) : NULL;
    if (!r) return fail(&err);

    uint32_t *ids = arena_array(&arena, MAX_IDS, uint32_t), n_vocab = m.contract.n_vocab;
    size_t n = 0;
    while (n < MAX_IDS && scanf("%u", &ids[n]) == 1) n++;
    bool is_greedy = strcmp(argv[3], "greedy") == 0, is_chunks = strcmp(argv[3], "chunks") == 0;
    size_t n_rows = is_greedy || is_chunks ? 1 : n;
    float *logits = calloc(n_rows * (size_t)n_vocab, sizeof *logits);
    if (!logits) return fail(&err);
    if (is_chunks) {
        if (!feed_chunks(r, ids, n, argc > 4 ? argv[4] : "", logits, n_vocab, &err))
            return fail(&err);
    } else if (!reference_feed(r, ids, n, logits, !is_greedy, &err)) {
        return fail(&err);
    } else if (is_greedy) {
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
