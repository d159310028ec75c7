// golden.c — a bundle's shards under an arithmetic against the fp32 reference, as a program, for
// oracles: what the gate `layer golden` does, in any arithmetic and with rows told apart that came
// out infinite or as zeros. Reads token ids from stdin.
//
//     range_golden BUNDLE MODEL.gguf fp32|fp16|ane < ids > one line of JSON a shard
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "reference/reference.h"
#include "runtime/shards.h"

enum { MAX_IDS = 1 << 12 };

typedef struct {
    const Chain *chain;
    Arena *arena;
    float **rows; // [n_shards + 1]: entering each shard, and after the last
    size_t n_ids, n_seen;
} Trace;

static int fail(const Err *err) {
    fprintf(stderr, "%s\n", err->text);
    return 1;
}

static void tap(void *context, TapPlace place, uint32_t layer, const float *rows, size_t width,
                size_t n) {
    Trace *t = context;
    const Chain *c = t->chain;
    if (place != TAP_STREAM) return;
    for (size_t i = 0; i <= c->n_shards; i++) {
        uint32_t first = i < c->n_shards ? c->shards[i].first_layer : c->contract.n_layers;
        if (first == layer) memcpy(t->rows[i] + t->n_seen * width, rows, n * width * sizeof *rows);
    }
    if (layer == c->contract.n_layers) t->n_seen += n;
}

typedef struct {
    double dot, found, wanted, squares;
    size_t n_infinite, n_zero_rows, n_rows;
} Comparison;

static void compare(Comparison *c, const float *found, const float *wanted, size_t n) {
    size_t n_zero = 0, n_bad = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)found[i], b = (double)wanted[i];
        if (a == 0) n_zero++;
        if (!isfinite(a)) n_bad++;
        if (!isfinite(a)) continue;
        c->dot += a * b;
        c->found += a * a;
        c->wanted += b * b;
        c->squares += (a - b) * (a - b);
    }
    c->n_infinite += n_bad;
    if (n_zero == n) c->n_zero_rows++;
    c->n_rows++;
}

static bool run_shard(Shards *shards, const Trace *t, size_t shard, Err *err) {
    const Chain *c = t->chain;
    size_t width = c->contract.d_model, chunk = c->prefill_rows;
    float *x = arena_array(t->arena, width * max_size(1, chunk), float);
    float *row = arena_array(t->arena, width, float);
    Comparison sum = {0};
    for (size_t at = 0, n; at < t->n_ids; at += n) {
        n = chunk && at + chunk <= t->n_ids ? chunk : 1;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < width; k++) x[k * n + i] = t->rows[shard][(at + i) * width + k];
        if (!shard_run(shards, shard, x, x, (uint32_t)at, (uint32_t)n, err)) return false;
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < width; k++) row[k] = x[k * n + i];
            compare(&sum, row, t->rows[shard + 1] + (at + i) * width, width);
        }
    }
    printf("{\"first\": %u, \"end\": %u, \"cos\": %.10f, \"rmse\": %.6g, \"infinite\": %zu, "
           "\"zero_rows\": %zu, \"rows\": %zu}\n",
           c->shards[shard].first_layer, c->shards[shard].end_layer,
           sum.dot / (sqrt(sum.found) * sqrt(sum.wanted) + 1e-300),
           sqrt(sum.squares / (double)(sum.n_rows * width)), sum.n_infinite, sum.n_zero_rows,
           sum.n_rows);
    return true;
}

int main(int argc, char **argv) {
    Err err = {0};
    Arena arena = {0};
    Gguf g;
    Model m;
    Bundle bundle;
    Arithmetic arithmetic;
    Shards shards;
    if (argc != 4 || !arithmetic_named(argv[3], &arithmetic, &err) ||
        !bundle_open(&bundle, &arena, argv[1], &err) || !gguf_open(&g, &arena, argv[2], &err) ||
        !model_read(&m, &g, &arena, &err))
        return fail(&err);
    Pool *pool = pool_open(0, &err);
    Execution how = {.arithmetic = arithmetic, .pool = pool};
    if (!pool || !shards_open(&shards, &bundle, &how, &err)) return fail(&err);

    const Chain *c = &bundle.chain;
    uint32_t *ids = arena_array(&arena, MAX_IDS, uint32_t);
    Trace t = {.chain = c, .arena = &arena, .rows = arena_array(&arena, c->n_shards + 1, float *)};
    while (t.n_ids < MAX_IDS && scanf("%u", &ids[t.n_ids]) == 1) t.n_ids++;
    for (size_t i = 0; i <= c->n_shards; i++)
        t.rows[i] = arena_array(&arena, t.n_ids * m.contract.d_model, float);
    ReferenceOptions options = {.n_positions = c->context,
                                .rope_factors = c->use.rope_factors,
                                .tap = tap,
                                .tap_context = &t};
    Reference *r = reference_open(&m, &m.contract, &options, pool, &err);
    bool ok = r && reference_feed(r, ids, t.n_ids, NULL, false, &err);
    for (size_t i = 0; ok && i < c->n_shards; i++)
        if (c->shards[i].end_layer > c->shards[i].first_layer) ok = run_shard(&shards, &t, i, &err);
    reference_close(r);
    shards_close(&shards);
    pool_close(pool);
    gguf_close(&g);
    bundle_close(&bundle);
    arena_free(&arena);
    return ok ? 0 : fail(&err);
}
