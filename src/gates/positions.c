// positions.c — the same token at the same position must give the same row, whether tokens were fed
// one by one or in chunks, at chunk edges, far into the context and at the end of the state; and
// the host's tables must be right at every position.
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "gates/gates.h"
#include "gates/positions.h"
#include "proof/execution.h"
#include "proof/trace.h"

enum { N_TOKENS = 130 }; // crosses the edges of two chunks of 64 by one row each way

// The whole chain over `ids`, by single steps or in full chunks. out: [n, d_model].
static bool run_chain(Proof *p, Shards *shards, const uint32_t *ids, size_t n, uint32_t first,
                      bool in_chunks, float *out, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t width = c->contract.d_model;
    float *x = arena_array(p->arena, (size_t)width * max_size(1, c->prefill_rows), float);
    shards_follow_length(shards, first + n);
    for (size_t at = 0; at < n;) {
        uint32_t rows = in_chunks ? shards_step_rows(shards, first + (uint32_t)at, n - at) : 1;
        shards->host.ops->embed(&shards->host, ids + at, rows, x, rows);
        if (!shards_run_layers(shards, x, first + (uint32_t)at, rows, err)) return false;
        for (uint32_t t = 0; t < rows; t++)
            for (uint32_t k = 0; k < width; k++)
                out[(at + t) * width + k] = x[(size_t)k * rows + t];
        at += rows;
        progress_report(p->job->progress, "positions: tokens", at, n);
    }
    return true;
}

// The same `prefill_rows` tokens in one call, wherever a ring ends.
static bool run_chunk(Proof *p, Shards *shards, const uint32_t *ids, uint32_t first, float *out,
                      Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t width = c->contract.d_model, n = c->prefill_rows;
    float *x = arena_array(p->arena, (size_t)width * n, float);
    shards->host.ops->embed(&shards->host, ids, n, x, n);
    if (!shards_run_layers(shards, x, first, n, err)) return false;
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t k = 0; k < width; k++) out[t * width + k] = x[(size_t)k * n + t];
    return true;
}

static Metrics compare(const float *a, const float *b, size_t n, size_t width) {
    Metrics m = {0};
    for (size_t t = 0; t < n; t++) metrics_add(&m, a + t * width, b + t * width, width);
    return m;
}

// The last rows of the state, by steps and as one chunk, after a context that is full: of the rows
// of two chunks, over and over. The chunk finds the steps' rows in its slots and writes its own
// over them before it reads.
static bool check_end(Proof *p, Shards *shards, float *steps, float *chunk, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t rows = c->prefill_rows, first = c->context - rows, width = c->contract.d_model;
    uint32_t *ids;
    size_t n;
    uint32_t n_fed = (uint32_t)min_size(2 * (size_t)rows, first);
    if (c->ring_slots && n_fed > c->ring_slots) n_fed = rows; // copied on out of the ring
    if (!proof_tokens(p, n_fed + rows, &ids, &n, err)) return false;
    float *skipped = arena_array(p->arena, (size_t)n_fed * width, float);
    if (!run_chain(p, shards, ids, n_fed, 0, true, skipped, err)) return false;
    if (n_fed) shards_repeat_states(shards, n_fed, first);
    if (!run_chain(p, shards, ids + n_fed, rows, first, false, steps, err) ||
        !run_chunk(p, shards, ids + n_fed, first, chunk, err))
        return false;
    Metrics m = compare(steps, chunk, rows, width);
    char scope[48];
    snprintf(scope, sizeof scope, "%u..%u", first, first + rows - 1);
    proof_compare(p, "positions", scope, &m, positions_bound);
    return true;
}

bool gate_positions(Proof *p, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t *ids;
    size_t n, width = c->contract.d_model;
    Trace trace;
    Shards shards;
    if (!proof_tokens(p, N_TOKENS, &ids, &n, err) || !trace_run(p, &trace, ids, n, true, err))
        return false;
    if (!proof_open_shards(p, &shards, ARITHMETIC_FP16, err)) return false;
    const float *wanted = trace.rows[c->n_shards];
    float *steps = arena_array(p->arena, n * width, float);
    float *chunks = arena_array(p->arena, n * width, float);
    bool ok = run_chain(p, &shards, ids, n, 0, false, steps, err);
    if (ok) {
        char scope[48];
        Metrics m = compare(steps, wanted, n, width);
        snprintf(scope, sizeof scope, "0..%zu by steps", n - 1);
        proof_compare(p, "positions", scope, &m, positions_bound);
    }
    if (ok && c->prefill_rows) {
        shards_reset(&shards);
        ok = run_chain(p, &shards, ids, n, 0, true, chunks, err);
        Metrics m = compare(chunks, steps, n, width);
        if (ok) proof_compare(p, "positions", "chunks against steps", &m, positions_bound);
        if (ok && n >= c->prefill_rows) ok = check_end(p, &shards, steps, chunks, err);
    }
    PositionList edges;
    position_edges(&edges, &p->model.contract, c->context);
    size_t n_compared = n;
    ok = ok && check_far_rows(p, &shards, &edges, &n_compared, err) &&
         check_host_tables(p, &shards, &edges, err);
    if (ok)
        proof_coverage(p, "positions", n_compared, c->context,
                       "positions of the packages compared with the reference");
    shards_close(&shards);
    return ok;
}
