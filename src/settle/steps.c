// steps.c — single steps of a bundle with real embedding rows, for timing.
#include <stdlib.h>

#include "base/size.h"
#include "range/calibration.h"
#include "settle/work.h"

const uint32_t *work_tokens(Work *w, size_t n, Err *err) {
    const Chain *c = &w->bundle.chain;
    Calibration text;
    if (!calibration_make(&text, &c->contract, &w->bundle.host, (Str){NULL, 0}, c->context,
                          &w->arena, err))
        return NULL;
    uint32_t *ids = arena_array(&w->arena, n, uint32_t);
    const CalibrationPiece *longest = &text.pieces[0];
    for (size_t i = 1; i < text.n_pieces; i++)
        if (text.pieces[i].count > longest->count) longest = &text.pieces[i];
    for (size_t i = 0; i < n; i++) ids[i] = longest->ids[i % longest->count];
    return ids;
}

bool steps_open(Steps *s, Work *w, Err *err) {
    const Chain *c = &w->bundle.chain;
    size_t most = max_size(1, c->prefill_rows);
    *s = (Steps){.work = w, .tokens = work_tokens(w, most, err)};
    if (!s->tokens) return false;
    s->x = big_alloc(most * c->contract.d_model * sizeof *s->x, "activations", err);
    s->logits = big_alloc(c->contract.n_vocab * sizeof *s->logits, "logits", err);
    return s->x && s->logits && shards_open(&s->shards, &w->bundle, &w->how, err);
}

void steps_close(Steps *s) {
    if (s->shards.bundle) shards_close(&s->shards);
    free(s->x);
    free(s->logits);
}

bool steps_layers(Steps *s, uint32_t position, uint32_t n_rows, Err *err) {
    const Host *host = &s->shards.host;
    host->ops->embed(host, s->tokens, n_rows, s->x, n_rows);
    return shards_run_layers(&s->shards, s->x, position, n_rows, err);
}

bool steps_decode(Steps *s, uint32_t position, Err *err) {
    return steps_layers(s, position, 1, err) && shards_run_head(&s->shards, s->x, s->logits, err);
}
