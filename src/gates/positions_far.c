// positions_far.c — compares rows far into the context with the reference; a result of gate
// positions.
//
// The reference would take minutes to read thousands of tokens for one row. So the caches of both
// are filled in the same way: two chunks of a text are run, and their keys and values are copied
// repeatedly until the context is full. A row at any position must then give the same result. The
// factor set is that of the sequence that ends with the row.
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "gates/positions.h"
#include "proof/packed.h"
#include "proof/trace.h"

static void add_position(PositionList *out, uint64_t position, uint32_t context) {
    size_t at = 0;
    if (position >= context) return;
    while (at < out->count && out->at[at] > position) at++;
    if (at < out->count && out->at[at] == position) return;
    memmove(out->at + at + 1, out->at + at, (out->count - at) * sizeof *out->at);
    out->at[at] = (uint32_t)position;
    out->count++;
}

void position_edges(PositionList *out, const Contract *c, uint32_t context) {
    uint64_t original = c->original_context;
    const uint64_t all[] = {
        200,          1000,
        2049, // whole numbers that fp16 still has, and the first it has not
        original,     original - 1,
        original + 1, // lengths original + 1, original, original + 2
        context - 1,
    };
    *out = (PositionList){0};
    for (size_t i = 0; i < COUNT_OF(all); i++) add_position(out, all[i], context);
    for (uint32_t i = 0; i < contract_n_kinds(c); i++) {
        uint64_t window = c->kinds[i].attn_window;
        for (uint64_t at = window ? window - 1 : 0; window && at <= window + 1; at++)
            add_position(out, at, context);
    }
}

typedef struct {
    Proof *p;
    Shards *shards;
    Reference *reference; // with the packages' weights
    uint32_t *ids;        // [n_ids]
    size_t n_ids;
    uint32_t n_filled; // rows that are copied on
    float *x;          // [d_model, prefill_rows]
    float *rows;       // [prefill_rows, d_model]
    Metrics m;
    size_t n_places;
    bool *is_compared; // [context]
} FarRows;

// `n` tokens at `position` and after, which one call of a package takes; into f->x as the packages
// make them and f->rows as the reference does.
static bool run_rows(FarRows *f, uint32_t position, uint32_t n, Err *err) {
    uint32_t width = f->p->model.contract.d_model;
    const uint32_t *ids = f->ids + position % (f->n_ids - n + 1);
    const Host *host = &f->shards->host;
    host->ops->embed(host, ids, n, f->x, n);
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t k = 0; k < width; k++)
            f->rows[(size_t)t * width + k] = f->x[(size_t)k * n + t];
    reference_rewind(f->reference, position);
    return shards_run_layers(f->shards, f->x, position, n, err) &&
           reference_run_layers(f->reference, 0, f->p->model.contract.n_layers, f->rows, n, err);
}

// With what the context holds below `until`.
static bool fill_caches(FarRows *f, bool is_long, uint32_t until, Err *err) {
    const Chain *c = &f->p->bundle.chain;
    uint32_t step = c->prefill_rows ? c->prefill_rows : 1;
    reference_rewind(f->reference, 0);
    reference_force_factors(f->reference, is_long);
    host_take_factors(&f->shards->host, is_long);
    shards_reset(f->shards);
    for (uint32_t at = 0; at < f->n_filled; at += step)
        if (!run_rows(f, at, step, err)) return false;
    shards_repeat_states(f->shards, f->n_filled, until);
    reference_repeat(f->reference, f->n_filled, until);
    return true;
}

static bool compare_rows(FarRows *f, uint32_t position, uint32_t n, Err *err) {
    uint32_t width = f->p->model.contract.d_model;
    float *column = arena_array(f->p->arena, width, float);
    if (!run_rows(f, position, n, err)) return false;
    for (uint32_t t = 0; t < n; t++) {
        for (uint32_t k = 0; k < width; k++) column[k] = f->x[(size_t)k * n + t];
        metrics_add(&f->m, column, f->rows + (size_t)t * width, width);
    }
    f->n_places += n;
    memset(f->is_compared + position, true, n * sizeof *f->is_compared);
    return true;
}

// From high to low: a row that is written spoils nothing below it, but in rings, which are filled anew.
static bool compare_at_edges(FarRows *f, const PositionList *edges, uint32_t n, bool is_long,
                             bool *has_any, Err *err) {
    const Chain *c = &f->p->bundle.chain;
    for (size_t i = 0; i < edges->count; i++) {
        uint32_t last = edges->at[i], first = last + 1 < n ? 0 : last + 1 - n;
        if (first < f->n_filled || last >= c->context) continue;
        // The host's own rule decides, as it would in a session; whether it is right is
        // check_host_tables()'s to say.
        if (f->shards->host.ops->is_long(&f->shards->host, (size_t)last + 1) != is_long) continue;
        uint32_t until = c->ring_slots ? first : c->context;
        if ((!*has_any || c->ring_slots) && !fill_caches(f, is_long, until, err)) return false;
        *has_any = true;
        if (!compare_rows(f, first, n, err)) return false;
        progress_report(f->p->job->progress, "positions: edges", i + 1, edges->count);
    }
    return true;
}

static bool compare_all(FarRows *f, const PositionList *edges, Err *err) {
    uint32_t chunk = f->p->bundle.chain.prefill_rows;
    for (int is_long = 1; is_long >= 0; is_long--) {
        bool has_any = false;
        if (!compare_at_edges(f, edges, 1, is_long, &has_any, err)) return false;
        has_any = false;
        if (chunk && !compare_at_edges(f, edges, chunk, is_long, &has_any, err)) return false;
    }
    return true;
}

bool check_far_rows(Proof *p, Shards *shards, const PositionList *edges, size_t *n_compared,
                    Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t chunk = c->prefill_rows ? c->prefill_rows : 1, width = c->contract.d_model;
    FarRows f = {
        .p = p,
        .shards = shards,
        .n_filled = c->prefill_rows ? 2 * chunk : 64,
        .x = arena_array(p->arena, (size_t)width * chunk, float),
        .rows = arena_array(p->arena, (size_t)width * chunk, float),
        .is_compared = arena_array(p->arena, c->context, bool),
    };
    ReferenceOptions options = {.n_positions = c->context,
                                .rope_factors = p->use.rope_factors,
                                .weights = packed_weight_row,
                                .weights_context = packed_weights_open(p, err)};
    // Rows that are copied on have to lie in a ring, all of them.
    if (c->ring_slots && f.n_filled > c->ring_slots) f.n_filled -= chunk;
    if (f.n_filled + chunk > c->context) return true; // nothing is far in so short a context
    if (!options.weights_context || !proof_tokens(p, 3 * (size_t)chunk + 64, &f.ids, &f.n_ids, err))
        return false;
    f.reference = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    bool ok = f.reference && compare_all(&f, edges, err);
    reference_close(f.reference);
    if (ok && f.n_places) {
        char scope[48];
        snprintf(scope, sizeof scope, "%zu rows up to %u", f.n_places, edges->at[0]);
        proof_compare(p, "positions", scope, &f.m, positions_bound);
    }
    for (uint32_t i = 0; f.is_compared && i < c->context; i++) *n_compared += f.is_compared[i];
    return ok;
}
