// positions_host.c — compares what the host passes to the packages at every position (rotary
// tables, mask, slot in the state) with a second computation of each; a result of gate positions.
//
// It needs no model, so it can check every position: angles come from the reference's own formula
// over the source's contract, the factor set of each length from the rule as contract/use.h states
// it, mask and place from their definition in decoder/ports.h.
#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "gates/positions.h"
#include "reference/rope.h"

// Both compute in double and round to float once: half a unit in the last place of a number below
// 2 is 2^-24 on either side, and angles of 10^5 rad lose 10^-11 before that.
#define MOST_ROTARY_OFF 2.5e-7

// Masks are as long as the state: beyond this many numbers, positions are taken in strides.
#define MOST_MASK_NUMBERS ((uint64_t)1 << 26)

typedef struct {
    const Contract *contract; // the source's
    const Use *use;
    uint32_t state_rows, ring_slots, ring_rows, most_rows;
    bool is_blended;      // rows go to any slots; else one after another
    bool has_new_columns; // a step's rows have columns of their own, behind those of the slots
    // Of each kind of layers [rope_dim / 2], by the short and the long set.
    double *angles[CONTRACT_MAX_KINDS][2];
    size_t n_rows;   // looked at
    double most_off; // of cos and sin
    char fault[160]; // the first; empty while there is none
} HostCheck;

static bool takes_long(const HostCheck *h, uint64_t length) {
    if (!contract_has_two_factor_sets(h->contract)) return false;
    switch (h->use->rope_factors) {
    case ROPE_FACTORS_SHORT: return false;
    case ROPE_FACTORS_LONG: return true;
    case ROPE_FACTORS_AUTO: break;
    }
    return length > h->contract->original_context;
}

static void found_fault(HostCheck *h, uint32_t position, const char *what) {
    if (!h->fault[0]) snprintf(h->fault, sizeof h->fault, "position %u: %s", position, what);
}

static void check_rotary(HostCheck *h, const HostStep *step, uint32_t kind, bool is_long) {
    uint32_t position = step->position, n_rows = step->n_rows;
    const LayerKind *k = &h->contract->kinds[kind];
    const HostTables *tables = &step->kinds[kind];
    const double *angles = h->angles[kind][is_long];
    double gain = (double)k->attn_factor;
    for (uint32_t pair = 0; pair < k->rope_dim / 2; pair++)
        for (uint32_t t = 0; t < n_rows; t++) {
            double angle = angles[pair] * ((double)position + t);
            size_t at = (size_t)pair * n_rows + t;
            double off = fmax(fabs((double)tables->cosines[at] - cos(angle) * gain),
                              fabs((double)tables->sines[at] - sin(angle) * gain));
            if (!(off <= h->most_off)) h->most_off = off;
            if (!(off <= MOST_ROTARY_OFF * fmax(1, gain)))
                found_fault(h, position + t,
                            "cos or sin differ from those of the position and factor set");
        }
}

// How caches of a kind are used: `n` slots take positions in turn, of `rows` that there are. By
// the definition of decoder/rings.h: no cache of the whole context is shorter than it.
typedef struct {
    uint32_t n, rows;
} Turn;

static Turn turn_of(const HostCheck *h, const LayerKind *k) {
    bool is_ring =
        h->ring_slots && k->attn_window && k->attn_window + (uint64_t)h->most_rows <= h->ring_slots;
    return is_ring ? (Turn){h->ring_slots, h->ring_rows} : (Turn){h->state_rows, h->state_rows};
}

// The position whose row lies in `column` when the rows of a step see; -1: none that counts. A slot
// holds the last position that went there: of all before the step, or of those stored by it, too.
static int64_t held_by(const HostCheck *h, const HostStep *step, Turn turn, uint32_t column) {
    int64_t begin = step->position % turn.n, behind = (int64_t)column - begin;
    if (h->has_new_columns && column >= turn.rows)
        return (int64_t)step->position + column - turn.rows;
    // Where rows are put in place by one index they go on behind the last slot.
    if (!h->has_new_columns && !h->is_blended && behind >= 0 && behind < step->n_rows)
        return step->position + behind;
    if (column >= turn.n) return -1;
    int64_t last = (int64_t)step->position - 1;
    if (h->is_blended) last += step->n_rows;
    if (last < column) return -1;
    return last - (last - column) % turn.n;
}

// Row t sees what is itself or one of the window - 1 positions before it, and all of them: a ring
// that is too short no longer holds the oldest.
static void check_mask(HostCheck *h, const Host *host, const HostStep *step, uint32_t kind) {
    const LayerKind *k = &h->contract->kinds[kind];
    const float *mask = step->kinds[kind].mask;
    Turn turn = turn_of(h, k);
    uint32_t n_columns = turn.rows + (h->has_new_columns ? step->n_rows : 0);
    if (kind >= host->n_kinds || host_n_columns(host, kind, step->n_rows) != n_columns) {
        found_fault(h, step->position, "the mask has other columns than the window asks for");
        return;
    }
    for (uint32_t t = 0; t < step->n_rows; t++, mask += n_columns) {
        int64_t self = (int64_t)step->position + t, window = k->attn_window, n_seen = 0;
        for (uint32_t column = 0; column < n_columns; column++) {
            int64_t p = held_by(h, step, turn, column);
            bool is_seen = p >= 0 && p <= self && (window == 0 || p + window > self);
            n_seen += is_seen;
            if (mask[column] == (is_seen ? 0.0f : MASK_OFF)) continue;
            found_fault(h, (uint32_t)self,
                        is_seen ? "the mask hides a slot that it should show"
                                : "the mask shows a slot that it should hide");
            return;
        }
        if (n_seen != (window && window <= self ? window : self + 1))
            found_fault(h, (uint32_t)self, "the caches no longer hold all that the window shows");
    }
}

static bool is_placed(const HostStep *step, const HostPlace *place, Turn turn) {
    uint32_t n_rows = step->n_rows, begin = step->position % turn.n;
    bool ok = place->begin == (int32_t)begin && place->end == (int32_t)(begin + n_rows);
    for (uint32_t s = 0; place->write_mask && s < turn.rows; s++)
        for (uint32_t t = 0; t < n_rows; t++)
            ok = ok && place->write_mask[(size_t)s * n_rows + t] ==
                           (s == (step->position + t) % turn.n ? 1.0f : 0.0f);
    return ok;
}

static void check_place(HostCheck *h, const HostStep *step) {
    bool ok = is_placed(step, &step->whole, (Turn){h->state_rows, h->state_rows});
    if (h->ring_slots) ok = ok && is_placed(step, &step->ring, (Turn){h->ring_slots, h->ring_rows});
    if (!ok) found_fault(h, step->position, "rows are written to other slots than expected");
}

static void check_rows(HostCheck *h, Host *host, uint32_t position, uint32_t n_rows) {
    uint64_t length = (uint64_t)position + n_rows;
    bool is_long = takes_long(h, length);
    if (host->ops->is_long(host, length) != is_long)
        found_fault(h, position,
                    is_long ? "the short factors apply where the long ones should"
                            : "the long factors apply where the short ones should");
    host_take_factors(host, host->ops->is_long(host, length));
    const HostStep *step = host_fill(host, position, n_rows);
    for (uint32_t kind = 0; kind < contract_n_kinds(h->contract); kind++) {
        check_rotary(h, step, kind, is_long);
        check_mask(h, host, step, kind);
    }
    check_place(h, step);
    h->n_rows += n_rows;
}

// Steps at every position (in strides where masks are long), and always around what is near a
// boundary.
static void check_function(HostCheck *h, Host *host, uint32_t context, uint32_t n_rows,
                           const PositionList *edges) {
    uint64_t numbers = (uint64_t)context * h->state_rows;
    uint32_t stride = (uint32_t)((numbers + MOST_MASK_NUMBERS - 1) / MOST_MASK_NUMBERS) * n_rows;
    // Chunks begin anywhere: an odd step takes them over all places within a chunk.
    if (n_rows > 1) stride += 1;
    for (uint64_t at = 0; at + n_rows <= context; at += stride)
        check_rows(h, host, (uint32_t)at, n_rows);
    for (size_t i = 0; i < edges->count; i++)
        if ((uint64_t)edges->at[i] + n_rows <= context) check_rows(h, host, edges->at[i], n_rows);
}

bool check_host_tables(Proof *p, Shards *shards, const PositionList *edges, Err *err) {
    const Chain *c = &p->bundle.chain;
    HostCheck h = {.contract = &p->model.contract,
                   .use = &p->use,
                   .state_rows = c->state_rows,
                   .ring_slots = c->ring_slots,
                   .ring_rows = c->ring_rows,
                   .most_rows = c->prefill_rows ? c->prefill_rows : 1,
                   .is_blended = str_is(c->kv, "overwrite"),
                   .has_new_columns = str_is(c->kv, "rows")};
    for (uint32_t kind = 0; kind < contract_n_kinds(h.contract); kind++)
        for (int i = 0; i < 2; i++) {
            const LayerKind *k = &h.contract->kinds[kind];
            h.angles[kind][i] = arena_array(p->arena, k->rope_dim / 2 + 1, double);
            reference_rope_frequencies(h.contract, k, i == 1, h.angles[kind][i]);
        }
    Host *host = &shards->host;
    // Every package gets copies of the same tables.
    check_function(&h, host, c->context, 1, edges);
    if (c->prefill_rows) check_function(&h, host, c->context, c->prefill_rows, edges);
    (void)err;
    json_t *figures = json_pack("{s:I, s:I, s:f}", "rows", (json_int_t)h.n_rows, "context",
                                (json_int_t)c->context, "rotary_off", h.most_off);
    if (h.fault[0])
        proof_result(p, "positions", false, figures, "host tables", "%s", h.fault);
    else
        proof_result(
            p, "positions", true, figures, "host tables",
            "cos, sin, mask, slot and factor set are right for %zu rows at positions 0..%u",
            h.n_rows, c->context - 1);
    return true;
}
