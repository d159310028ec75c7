#include "runtime/wide_step.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "decoder/ports.h"

static size_t n_pairs(const Host *h, uint32_t kind) {
    return h->contract->kinds[kind].rope_dim / 2;
}

static bool open_place(HostPlace *place, size_t n_slots, uint32_t n_rows, Err *err) {
    place->write_mask = big_alloc(n_slots * n_rows * sizeof(float), "write mask", err);
    return place->write_mask != NULL;
}

bool wide_step_open(WideStep *w, const Host *h, uint32_t n_rows, Err *err) {
    *w = (WideStep){.n_rows = n_rows};
    for (uint32_t kind = 0; kind < h->n_kinds; kind++) {
        HostTables *t = &w->step.kinds[kind];
        size_t n_bytes = (n_pairs(h, kind) * n_rows + 1) * sizeof(float);
        t->cosines = big_alloc(n_bytes, "rotary table", err);
        t->sines = big_alloc(n_bytes, "rotary table", err);
        t->mask = big_alloc(host_n_columns(h, kind, n_rows) * n_rows * sizeof(float), "mask", err);
        if (!t->cosines || !t->sines || !t->mask) return false;
    }
    if (!h->shape.has_write_mask) return true;
    return open_place(&w->step.whole, h->shape.state_rows, n_rows, err) &&
           (!h->shape.ring_rows || open_place(&w->step.ring, h->shape.ring_rows, n_rows, err));
}

void wide_step_close(WideStep *w) {
    for (uint32_t kind = 0; kind < CONTRACT_MAX_KINDS; kind++) {
        free(w->step.kinds[kind].cosines);
        free(w->step.kinds[kind].sines);
        free(w->step.kinds[kind].mask);
    }
    free(w->step.whole.write_mask);
    free(w->step.ring.write_mask);
    *w = (WideStep){0};
}

static void repeat_columns(float *wide, const float *narrow, size_t n, uint32_t n_rows) {
    for (size_t i = 0; i < n; i++)
        for (uint32_t t = 0; t < n_rows; t++) wide[i * n_rows + t] = narrow[i];
}

// Slots, and where a step's own rows have columns, the first of those: the copies see what the row sees.
static void repeat_mask(float *wide, const float *narrow, const Host *h, uint32_t kind,
                        uint32_t n_rows) {
    size_t n_narrow = host_n_columns(h, kind, 1), n_wide = host_n_columns(h, kind, n_rows);
    for (uint32_t t = 0; t < n_rows; t++, wide += n_wide) {
        memcpy(wide, narrow, n_narrow * sizeof *wide);
        for (size_t i = n_narrow; i < n_wide; i++) wide[i] = MASK_OFF;
    }
}

static void repeat_place(HostPlace *wide, const HostPlace *narrow, size_t n_slots,
                         uint32_t n_rows) {
    wide->begin = narrow->begin;
    wide->end = narrow->begin + (int32_t)n_rows;
    if (!wide->write_mask) return;
    memset(wide->write_mask, 0, n_slots * n_rows * sizeof(float));
    for (size_t slot = 0; slot < n_slots; slot++)
        wide->write_mask[slot * n_rows] = narrow->write_mask[slot];
}

const HostStep *wide_step_fill(WideStep *w, const Host *h, const HostStep *narrow) {
    assert(narrow->n_rows == 1);
    HostStep *s = &w->step;
    s->position = narrow->position;
    s->n_rows = w->n_rows;
    for (uint32_t kind = 0; kind < h->n_kinds; kind++) {
        const HostTables *from = &narrow->kinds[kind];
        repeat_columns(s->kinds[kind].cosines, from->cosines, n_pairs(h, kind), w->n_rows);
        repeat_columns(s->kinds[kind].sines, from->sines, n_pairs(h, kind), w->n_rows);
        repeat_mask(s->kinds[kind].mask, from->mask, h, kind, w->n_rows);
    }
    repeat_place(&s->whole, &narrow->whole, h->shape.state_rows, w->n_rows);
    repeat_place(&s->ring, &narrow->ring, h->shape.ring_rows, w->n_rows);
    return s;
}
