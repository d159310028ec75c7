#include "runtime/host.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "decoder/ports.h"
#include "decoder/rings.h"
#include "quant/quant.h"

// ---- rotary tables. The reference computes its own; verify compares what comes of both.

// YaRN (arXiv 2309.00071, section 3.2): pairs that turn often over the original context keep their
// frequency, slow ones are stretched by `factor`, between them a linear ramp by pair number.
static double yarn_frequency(const Contract *c, const LayerKind *k, uint32_t pair,
                             double frequency) {
    const double full_turn = 6.283185307179586;
    double log_base = log((double)k->rope_base), dims = k->rope_dim;
    double fast = dims * log(c->original_context / ((double)k->yarn_beta_fast * full_turn));
    double slow = dims * log(c->original_context / ((double)k->yarn_beta_slow * full_turn));
    double first = floor(fast / (2 * log_base)), last = ceil(slow / (2 * log_base));
    if (first < 0) first = 0;
    if (last > dims - 1) last = dims - 1;
    double width = last - first > 0.001 ? last - first : 0.001;
    double stretched = (pair - first) / width;
    if (stretched < 0) stretched = 0;
    if (stretched > 1) stretched = 1;
    double kept = (1 - stretched) * (double)k->yarn_ext_factor;
    return frequency * (kept + (1 - kept) / (double)k->rope_factor);
}

void host_rope_frequencies(const Contract *c, const LayerKind *k, bool is_long,
                           double *frequencies) {
    const F32List *divisors = NULL;
    if (k->rope_scaling == ROPE_SCALING_LLAMA3) divisors = &k->rope_freq_factors;
    if (k->rope_scaling == ROPE_SCALING_LONGROPE)
        divisors = is_long ? &k->rope_factors_long : &k->rope_factors_short;
    for (uint32_t pair = 0; pair < k->rope_dim / 2; pair++) {
        double frequency = exp(-log((double)k->rope_base) * (2.0 * pair / k->rope_dim));
        if (divisors) frequency /= (double)divisors->at[pair];
        if (k->rope_scaling == ROPE_SCALING_LINEAR) frequency /= (double)k->rope_factor;
        if (k->rope_scaling == ROPE_SCALING_YARN) frequency = yarn_frequency(c, k, pair, frequency);
        frequencies[pair] = frequency;
    }
}

static bool is_long(const Host *h, size_t length) {
    const Contract *c = h->contract;
    if (!contract_has_two_factor_sets(c)) return false;
    if (h->shape.rope_factors == ROPE_FACTORS_SHORT) return false;
    if (h->shape.rope_factors == ROPE_FACTORS_LONG) return true;
    return length > c->original_context;
}

static uint32_t n_stale(const Host *h, size_t length) {
    bool is_kept = h->ops->is_long(h, length) == h->is_long && h->ops->remembers(h, h->position);
    return is_kept ? 0 : h->position;
}

void host_take_factors(Host *h, bool is_long) {
    h->is_long = is_long;
}

static void fill_rope(const Host *h, HostStep *s, uint32_t kind) {
    const LayerKind *k = &h->contract->kinds[kind];
    const HostTables *to = &s->kinds[kind];
    const double *frequencies = h->frequencies[kind][h->is_long];
    double gain = (double)k->attn_factor;
    for (uint32_t pair = 0; pair < k->rope_dim / 2; pair++)
        for (uint32_t t = 0; t < s->n_rows; t++) {
            double angle = frequencies[pair] * ((double)s->position + t);
            to->cosines[(size_t)pair * s->n_rows + t] = (float)(cos(angle) * gain);
            to->sines[(size_t)pair * s->n_rows + t] = (float)(sin(angle) * gain);
        }
}

// ---- mask and place

bool host_has_ring(const Host *h, uint32_t kind) {
    return ring_holds(h->shape.ring_slots, h->contract->kinds[kind].attn_window,
                      h->shape.most_rows);
}

uint32_t host_room(const Host *h, uint32_t position) {
    bool may_wrap = h->shape.ring_slots == 0 || h->shape.has_write_mask;
    return may_wrap ? UINT32_MAX : ring_room(h->shape.ring_slots, position);
}

static uint32_t n_slots(const Host *h, uint32_t kind) {
    return host_has_ring(h, kind) ? h->shape.ring_rows : h->shape.state_rows;
}

size_t host_n_columns(const Host *h, uint32_t kind, uint32_t n_rows) {
    return n_slots(h, kind) + (h->shape.masks_new_rows ? n_rows : 0);
}

// Rows of a step follow its first in slots, but where each has a column of the write mask.
size_t host_column(const Host *h, const HostStep *step, uint32_t kind, size_t p) {
    bool is_new = p >= step->position && p < (size_t)step->position + step->n_rows;
    if (is_new && h->shape.masks_new_rows) return n_slots(h, kind) + p - step->position;
    if (!host_has_ring(h, kind)) return p;
    if (is_new && !h->shape.has_write_mask)
        return step->position % h->shape.ring_slots + p - step->position;
    return p % h->shape.ring_slots;
}

// Row t is at position + t and sees positions up to itself, within the window of its layer.
static void fill_mask(const Host *h, HostStep *step, uint32_t kind) {
    uint32_t window = h->contract->kinds[kind].attn_window;
    size_t n_columns = host_n_columns(h, kind, step->n_rows);
    float *mask = step->kinds[kind].mask;
    for (uint32_t t = 0; t < step->n_rows; t++, mask += n_columns) {
        uint32_t self = step->position + t;
        uint32_t from = window && self + 1 > window ? self + 1 - window : 0;
        for (size_t i = 0; i < n_columns; i++) mask[i] = MASK_OFF;
        for (uint32_t p = from; p <= self; p++) mask[host_column(h, step, kind, p)] = 0;
    }
}

// In caches of `n_slots` rows, of which `n` take positions in turn.
static void fill_place_in(HostPlace *to, const HostStep *s, uint32_t n, uint32_t n_slots) {
    if (n == 0) return;
    to->begin = (int32_t)(s->position % n);
    to->end = to->begin + (int32_t)s->n_rows;
    if (!to->write_mask) return;
    memset(to->write_mask, 0, (size_t)n_slots * s->n_rows * sizeof(float));
    for (uint32_t t = 0; t < s->n_rows; t++)
        to->write_mask[(size_t)((s->position + t) % n) * s->n_rows + t] = 1.0f;
}

static void fill_place(const Host *h, HostStep *s) {
    fill_place_in(&s->whole, s, h->shape.state_rows, h->shape.state_rows);
    fill_place_in(&s->ring, s, h->shape.ring_slots, h->shape.ring_rows);
}

const HostStep *host_fill(Host *h, uint32_t position, uint32_t n_rows) {
    assert(n_rows <= h->shape.most_rows);
    assert(n_rows <= h->shape.state_rows && position <= h->shape.state_rows - n_rows);
    h->step.position = position;
    h->step.n_rows = n_rows;
    for (uint32_t kind = 0; kind < h->n_kinds; kind++) {
        h->ops->fill_rope(h, &h->step, kind);
        h->ops->fill_mask(h, &h->step, kind);
    }
    h->ops->fill_place(h, &h->step);
    return &h->step;
}

// ---- rows in, rows and logits out

static void embed(const Host *h, const uint32_t *tokens, size_t n, float *x, size_t n_rows) {
    const Contract *c = h->contract;
    for (size_t t = 0; t < n_rows; t++) {
        if (t < n) decode_row(h->embedding, tokens[t], h->row);
        for (uint32_t i = 0; i < c->d_model; i++)
            x[(size_t)i * n_rows + t] = h->row[i] * c->embedding_scale;
    }
}

static void take_row(const Host *h, const float *x, size_t n_rows, size_t at, float *row) {
    for (uint32_t i = 0; i < h->contract->d_model; i++) row[i] = x[(size_t)i * n_rows + at];
}

static void put_logits(const Host *h, float *logits, size_t first, const float *slice, size_t n) {
    assert(first + n <= h->contract->n_vocab);
    memcpy(logits + first, slice, n * sizeof *slice);
}

// ---- where the sequence is

static void advance(Host *h, size_t n, size_t n_rows) {
    assert(n <= n_rows);
    h->written =
        (uint32_t)max_size(h->written, h->position + max_size(n_rows, h->shape.least_rows));
    h->position += (uint32_t)n;
}

// What was written behind a position that is gone back to has taken the place of rows before it. A
// row sees no further than the longest of the windows that have rings.
static bool remembers(const Host *h, uint32_t position) {
    uint32_t oldest = ring_oldest(h->shape.ring_slots, h->written);
    for (uint32_t kind = 0; h->shape.ring_slots && kind < h->n_kinds; kind++) {
        uint32_t window = h->contract->kinds[kind].attn_window;
        if (host_has_ring(h, kind) && oldest && position + 1 < oldest + window) return false;
    }
    return true;
}

static void rewind_to(Host *h, uint32_t position) {
    if (position < h->position) h->position = position;
    if (h->position == 0) h->written = 0;
}

// ---- opening

static bool open_kind(Host *h, uint32_t kind, Err *err) {
    const LayerKind *k = &h->contract->kinds[kind];
    size_t pairs = k->rope_dim / 2, rows = h->shape.most_rows;
    double **frequencies = h->frequencies[kind];
    HostTables *t = &h->step.kinds[kind];
    for (int i = 0; i < 2; i++) {
        frequencies[i] = big_alloc((pairs + 1) * sizeof(double), "rotary table", err);
        if (!frequencies[i]) return false;
        host_rope_frequencies(h->contract, k, i == 1, frequencies[i]);
    }
    t->cosines = big_alloc((pairs * rows + 1) * sizeof(float), "rotary table", err);
    t->sines = big_alloc((pairs * rows + 1) * sizeof(float), "rotary table", err);
    t->mask =
        big_alloc(rows * host_n_columns(h, kind, h->shape.most_rows) * sizeof(float), "mask", err);
    return t->cosines && t->sines && t->mask;
}

static bool open_tables(Host *h, Err *err) {
    size_t n_mask = (size_t)h->shape.most_rows * h->shape.state_rows; // as rows, then of rings
    h->n_kinds = contract_n_kinds(h->contract);
    for (uint32_t kind = 0; kind < h->n_kinds; kind++)
        if (!open_kind(h, kind, err)) return false;
    h->row = big_alloc(h->contract->d_model * sizeof *h->row, "an embedding row", err);
    if (h->shape.has_write_mask)
        h->step.whole.write_mask = big_alloc(n_mask * sizeof(float), "write mask", err);
    n_mask = (size_t)h->shape.most_rows * h->shape.ring_rows;
    if (h->shape.has_write_mask && n_mask)
        h->step.ring.write_mask = big_alloc(n_mask * sizeof(float), "write mask", err);
    return h->row && (!h->shape.has_write_mask ||
                      (h->step.whole.write_mask && (!n_mask || h->step.ring.write_mask)));
}

const HostOps host_ops = {
    .open = open_tables,
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
    .remembers = remembers,
};

bool host_open(Host *h, const HostOps *ops, const Contract *contract, const TensorInfo *embedding,
               const HostShape *shape, Err *err) {
    *h = (Host){.ops = ops, .contract = contract, .embedding = embedding, .shape = *shape};
    if (!ops->open(h, err)) {
        host_close(h);
        return false;
    }
    host_take_factors(h, ops->is_long(h, 0));
    return true;
}

void host_close(Host *h) {
    for (uint32_t kind = 0; kind < CONTRACT_MAX_KINDS; kind++) {
        for (int i = 0; i < 2; i++) free(h->frequencies[kind][i]);
        free(h->step.kinds[kind].cosines);
        free(h->step.kinds[kind].sines);
        free(h->step.kinds[kind].mask);
    }
    free(h->row);
    free(h->step.whole.write_mask);
    free(h->step.ring.write_mask);
    *h = (Host){0};
}
