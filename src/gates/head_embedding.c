// head_embedding.c — the embedding row of every token as the host gives it: the source's row times
// the contract's embedding_scale, to the last bit. Texts contain only a fraction of a vocabulary,
// so the whole table is checked, which takes about a second.
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "gates/head_checks.h"
#include "quant/quant.h"

enum { BATCH = 64 };

static float peak_of(const float *row, size_t n) {
    float peak = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(row[i])) return INFINITY;
        peak = fmaxf(peak, fabsf(row[i]));
    }
    return peak;
}

static void insert_loud(LoudToken loud[N_LOUD], size_t *n, LoudToken token) {
    size_t at = *n;
    while (at > 0 && loud[at - 1].peak < token.peak) at--;
    if (at == N_LOUD) return;
    if (*n < N_LOUD) (*n)++;
    memmove(loud + at + 1, loud + at, (*n - at - 1) * sizeof *loud);
    loud[at] = token;
}

size_t find_loud_tokens(Proof *p, const Host *host, LoudToken loud[N_LOUD]) {
    size_t n = 0, width = p->bundle.chain.contract.d_model;
    float *row = arena_array(p->arena, width, float);
    for (uint32_t id = 0; id < p->bundle.chain.contract.n_vocab; id++) {
        host->ops->embed(host, &id, 1, row, 1);
        insert_loud(loud, &n, (LoudToken){id, peak_of(row, width)});
    }
    return n;
}

bool check_embedding(Proof *p, const Host *host, Err *err) {
    (void)err;
    const Contract *c = &p->model.contract;
    Rows table = p->model.weights.embedding;
    size_t width = c->d_model, n_equal = 0;
    uint32_t first_wrong = 0, ids[BATCH];
    float *found = arena_array(p->arena, BATCH * width, float);
    float *row = arena_array(p->arena, width, float);
    for (uint32_t at = 0; at < c->n_vocab; at += BATCH) {
        uint32_t n = (uint32_t)min_size(BATCH, c->n_vocab - at);
        for (uint32_t k = 0; k < n; k++) ids[k] = at + k;
        host->ops->embed(host, ids, n, found, n);
        for (uint32_t k = 0; k < n; k++) {
            bool is_equal = true;
            decode_row(table.tensor, table.first_row + at + k, row);
            for (size_t i = 0; i < width && is_equal; i++) {
                float expected = row[i] * c->embedding_scale;
                is_equal = memcmp(&expected, &found[i * n + k], sizeof expected) == 0;
            }
            if (!is_equal && n_equal == at + k) first_wrong = at + k;
            n_equal += is_equal;
        }
        progress_report(p->job->progress, "embedding: rows", at + n, c->n_vocab);
    }
    bool has_passed = n_equal == c->n_vocab;
    json_t *figures =
        json_pack("{s:I, s:I}", "tokens", (json_int_t)c->n_vocab, "equal", (json_int_t)n_equal);
    if (has_passed)
        proof_result(p, "head", true, figures, "embedding",
                     "%zu of %u rows equal the source's times embedding_scale, bit for bit",
                     n_equal, c->n_vocab);
    else
        proof_result(p, "head", false, figures, "embedding",
                     "%zu of %u rows equal the source's times embedding_scale; the first that "
                     "differs is that of token %u",
                     n_equal, c->n_vocab, first_wrong);
    return true;
}
