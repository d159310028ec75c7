// host.c — the host's functions as mutants do them: they call the true function with other
// arguments, or change its result.
#include "mutants/host.h"

#include <stdlib.h>

#include "base/half.h"
#include "base/memory.h"
#include "base/size.h"
#include "decoder/ports.h"

static const MutantHost *mutant_of(const Host *h) {
    return (const MutantHost *)h->ops;
}

static const HostChanges *changes_of(const Host *h) {
    return &mutant_of(h)->changes;
}

uint32_t mutant_token(const Contract *c) {
    return c->n_vocab / 3 * 2;
}

// ---- rotary tables

static void change_frequencies(const HostChanges *m, double *frequencies[2], uint32_t n) {
    for (int i = 0; i < 2; i++)
        for (uint32_t pair = 0; pair < n; pair++) frequencies[i][pair] *= 1 + m->rope_speed_off;
    if (!m->takes_other_factors) return;
    double *shorter = frequencies[0];
    frequencies[0] = frequencies[1];
    frequencies[1] = shorter;
}

static bool open_tables(Host *h, Err *err) {
    if (mutant_of(h)->contract) h->contract = mutant_of(h)->contract;
    if (!host_ops.open(h, err)) return false;
    for (uint32_t kind = 0; kind < h->n_kinds; kind++)
        change_frequencies(changes_of(h), h->frequencies[kind],
                           h->contract->kinds[kind].rope_dim / 2);
    return true;
}

static uint32_t rotated_position(const HostChanges *m, const HostStep *step, uint32_t t) {
    int64_t at = (int64_t)step->position + t;
    if (m->rounds_position) at = (int64_t)round_to_half((float)at);
    if (step->position + t >= MUTANT_FAR) at += m->rope_shift_far;
    if (step->n_rows == 1)
        at += m->rope_shift_decode;
    else
        at += m->rope_shift_prefill + (step->position ? m->rope_shift_later : 0);
    return (uint32_t)at;
}

static bool shifts_positions(const HostChanges *m) {
    return m->rounds_position || m->rope_shift_far || m->rope_shift_decode ||
           m->rope_shift_prefill || m->rope_shift_later;
}

// The true tables of one row at a time, each at the position that the mutant takes it for.
static void fill_shifted(const Host *h, HostStep *step, uint32_t kind) {
    uint32_t pairs = h->contract->kinds[kind].rope_dim / 2, n = step->n_rows;
    const HostTables *to = &step->kinds[kind];
    float *column = calloc(2 * (size_t)pairs + 1, sizeof *column);
    if (!column) die_out_of_memory(2 * pairs * sizeof *column);
    for (uint32_t t = 0; t < n; t++) {
        HostStep row = {.position = rotated_position(changes_of(h), step, t), .n_rows = 1};
        row.kinds[kind] = (HostTables){.cosines = column, .sines = column + pairs};
        host_ops.fill_rope(h, &row, kind);
        for (uint32_t pair = 0; pair < pairs; pair++) {
            to->cosines[(size_t)pair * n + t] = column[pair];
            to->sines[(size_t)pair * n + t] = column[pairs + pair];
        }
    }
    free(column);
}

static void fill_rope(const Host *h, HostStep *step, uint32_t kind) {
    const HostChanges *m = changes_of(h);
    const LayerKind *k = &h->contract->kinds[kind];
    const HostTables *to = &step->kinds[kind];
    if (shifts_positions(m))
        fill_shifted(h, step, kind);
    else
        host_ops.fill_rope(h, step, kind);
    float gain = (float)(1 + m->rope_gain_off), sine_gain = gain;
    if (m->scales_cos_only) sine_gain /= k->attn_factor;
    for (size_t i = 0; i < (size_t)(k->rope_dim / 2) * step->n_rows; i++) {
        float cosine = to->cosines[i] * gain, sine = to->sines[i] * sine_gain;
        to->cosines[i] = m->swaps_cos_sin ? sine : cosine;
        to->sines[i] = m->swaps_cos_sin ? cosine : sine;
    }
}

static bool is_long(const Host *h, size_t length) {
    const HostChanges *m = changes_of(h);
    if (m->factors_by_context) length = h->shape.context;
    int64_t shifted = (int64_t)length - m->crossing_shift;
    return host_ops.is_long(h, shifted < 0 ? 0 : (size_t)shifted);
}

static uint32_t n_stale(const Host *h, size_t length) {
    return changes_of(h)->keeps_cache ? 0 : host_ops.n_stale(h, length);
}

// ---- mask and place

// A host whose rings are two slots shorter than the longest window and a call ask for: the first row
// of a call no longer finds the oldest it sees.
static Host shortened(const Host *h) {
    Host other = *h;
    uint32_t longest = 0;
    for (uint32_t kind = 0; kind < h->n_kinds; kind++)
        if (host_has_ring(h, kind))
            longest = (uint32_t)max_size(longest, h->contract->kinds[kind].attn_window);
    if (!changes_of(h)->has_short_ring || !longest) return other;
    other.shape.most_rows -= 2;
    other.shape.ring_slots = longest + other.shape.most_rows;
    return other;
}

// The mask of a ring as if slots were positions; columns of a step's own rows stay.
static void mask_by_slot(const Host *h, const HostStep *step, uint32_t kind, float *mask,
                         uint32_t self) {
    uint32_t window = h->contract->kinds[kind].attn_window;
    for (uint32_t s = 0; s < h->shape.ring_rows; s++)
        mask[s] = s <= self && (uint64_t)s + window > self ? 0 : MASK_OFF;
    for (uint32_t p = step->position; p <= self; p++) mask[host_column(h, step, kind, p)] = 0;
}

// The row of position `self`.
static void change_mask_row(const Host *h, const HostStep *step, uint32_t kind, float *mask,
                            uint32_t self) {
    const HostChanges *m = changes_of(h);
    uint32_t window = h->contract->kinds[kind].attn_window, n_slots = h->shape.state_rows;
    uint32_t oldest = window && self + 1 > window ? self + 1 - window : 0, newest = oldest;
    size_t n_columns = host_n_columns(h, kind, step->n_rows);
#define COLUMN(p) mask[host_column(h, step, kind, p)]
    if (host_has_ring(h, kind) && m->masks_by_slot) mask_by_slot(h, step, kind, mask, self);
    // Windows of another length: as far back as the caches go.
    uint32_t least = host_has_ring(h, kind) && self + 1 > h->shape.ring_slots
                         ? self + 1 - h->shape.ring_slots
                         : 0;
    if (window && m->ignores_window) newest = least;
    if (window && m->window_shift > 0 && oldest > least)
        newest = oldest - (uint32_t)min_size((size_t)m->window_shift, oldest - least);
    for (uint32_t p = newest; p < oldest; p++) COLUMN(p) = 0;
    for (uint32_t p = oldest; window && self + 1 >= window && m->window_shift < 0 &&
                              p < oldest + (uint32_t)-m->window_shift;
         p++)
        COLUMN(p) = MASK_OFF;
    if (m->sees_shift > 0 && self + 1 < n_slots) COLUMN(self + 1) = 0;
    if (m->sees_shift < 0) COLUMN(self) = MASK_OFF;
    for (uint32_t p = oldest; p < oldest + m->n_missed && p < n_slots; p++) COLUMN(p) = MASK_OFF;
    for (uint32_t p = (uint32_t)max_size(m->hides_from, oldest); m->hides_from && p < self; p++)
        COLUMN(p) = MASK_OFF;
    for (size_t i = 0; m->mask_off != 0 && i < n_columns; i++)
        if (mask[i] != 0) mask[i] = m->mask_off;
#undef COLUMN
}

static void fill_mask(const Host *h, HostStep *step, uint32_t kind) {
    Host used = shortened(h);
    host_ops.fill_mask(&used, step, kind);
    size_t n_columns = host_n_columns(h, kind, step->n_rows);
    for (uint32_t t = 0; t < step->n_rows; t++)
        change_mask_row(&used, step, kind, step->kinds[kind].mask + t * n_columns,
                        step->position + t);
}

static void fill_place(const Host *h, HostStep *step) {
    const HostChanges *m = changes_of(h);
    Host used = shortened(h);
    int64_t shifted = (int64_t)step->position + m->slot_shift;
    HostStep moved = *step;
    if (shifted >= 0 && shifted + step->n_rows <= h->shape.state_rows)
        moved.position = (uint32_t)shifted;
    host_ops.fill_place(&used, &moved);
    step->whole = moved.whole;
    step->ring = moved.ring;
    if (!m->ring_slot_shift) return;
    moved.whole.write_mask = NULL;
    moved.position += (uint32_t)m->ring_slot_shift;
    host_ops.fill_place(&used, &moved);
    step->ring = moved.ring;
}

// ---- rows in, rows and logits out

static void embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows) {
    const HostChanges *m = changes_of(h);
    const Contract *c = h->contract;
    uint32_t *read = calloc(n, sizeof *read);
    if (!read) die_out_of_memory(n * sizeof *read);
    for (size_t t = 0; t < n; t++) read[t] = (tokens[t] + m->token_shift) % c->n_vocab;
    host_ops.embed(h, read, n, x, n_rows);
    free(read);
    for (size_t t = 0; t < n_rows; t++) {
        bool is_zeroed = m->zeroes_one_embedding && tokens[min_size(t, n - 1)] == mutant_token(c);
        for (size_t i = 0; i < c->d_model; i++)
            x[i * n_rows + t] *= is_zeroed ? 0 : 1 + m->embedding_off;
    }
}

static void take_row(const Host *h, const float *x, size_t n_rows, size_t at, float *row) {
    host_ops.take_row(h, x, n_rows, changes_of(h)->reads_last_row ? n_rows - 1 : at, row);
}

static void put_logits(const Host *h, float *logits, size_t first, const float *slice, size_t n) {
    host_ops.put_logits(h, logits, first, slice, n);
    size_t token = mutant_token(h->contract);
    if (changes_of(h)->lowers_one_logit && first <= token && token < first + n) logits[token] -= 1;
}

// ---- where the sequence is

static void advance(Host *h, size_t n, size_t n_rows) {
    const HostChanges *m = changes_of(h);
    bool counts = m->counts_padding || (m->counts_later_padding && h->position > 0);
    host_ops.advance(h, n, n_rows);
    if (counts) h->position = (uint32_t)min_size(h->position + (n_rows - n), h->shape.context);
}

static void rewind_to(Host *h, uint32_t position) {
    bool is_short = changes_of(h)->keeps_stale_slot && position && position < h->position;
    host_ops.rewind(h, position + is_short);
}

static bool remembers(const Host *h, uint32_t position) {
    Host used = shortened(h);
    return changes_of(h)->keeps_overwritten || host_ops.remembers(&used, position);
}

void mutant_host(MutantHost *m, const HostChanges *changes, const Contract *contract) {
    *m = (MutantHost){
        .ops = {.open = open_tables,
                .embed = embed,
                .fill_rope = fill_rope,
                .fill_mask = fill_mask,
                .fill_place = fill_place,
                .is_long = is_long,
                .n_stale = n_stale,
                .take_row = take_row,
                .put_logits = put_logits,
                .advance = advance,
                .rewind = rewind_to,
                .remembers = remembers},
        .changes = *changes,
        .contract = contract,
    };
}
