#include "proof/trace.h"

#include <string.h>

#include "base/size.h"
#include "decoder/ports.h"
#include "proof/packed.h"

// A few hundred tokens of several kinds: prose, dialogue, code, numbers, other scripts.
static const char text[] =
    "The lathe turned slowly while the apprentice watched the steel curl away in a bright ribbon. "
    "\"How do you know when to stop?\" she asked. \"You measure,\" the old man said, \"and then "
    "you "
    "measure again with something you did not make yourself.\" In 1906 the workshop had 14 "
    "benches, "
    "3 forges and a ledger of 2,048 orders; by 1931 only 7 were left.\n\n"
    "int gcd(int a, int b) {\n    while (b != 0) {\n        int t = a % b;\n        a = b;\n       "
    " "
    "b = t;\n    }\n    return a;\n}\n\n"
    "Der Meister prüft jedes Stück zweimal. La mesure ne ment pas, mais la main peut trembler. "
    "Проверка важнее скорости. 精度は速度より大切だ。\n\n"
    "1. Clamp the work. 2. Set the tool height. 3. Take a light cut, 0.1 mm, and look at the "
    "result "
    "before the next one. If the figures differ, trust neither until you know why they differ. "
    "user: write hello world in Erlang. assistant: -module(hello). -export([start/0]). start() -> "
    "io:format(\"Hello, world!~n\").\n";

// Of the whole text, beside a BOS; real vocabularies make hundreds.
enum { LEAST_TOKENS = 2 };

Str proof_text(void) {
    return str_of(text);
}

bool proof_tokens(Proof *p, size_t n, uint32_t **ids, size_t *count, Err *err) {
    TokenList list = {0};
    bool ok = true;
    // The text again and again, until there is enough of it.
    while (ok && list.count < n) {
        size_t before = list.count;
        ok = tokenizer_encode(p->tokenizer, str_of(text), before ? 0 : TOKENIZER_ADD_BOS, &list,
                              err);
        if (ok && list.count < before + LEAST_TOKENS)
            ok = err_set(err, ERR_FORMAT,
                         "the vocabulary makes only %zu tokens of a text of %zu bytes: it lacks "
                         "tokens for single bytes",
                         list.count - before, sizeof text - 1);
    }
    if (!ok) {
        token_list_free(&list);
        return false;
    }
    *count = min_size(n, p->bundle.chain.context);
    *ids = arena_array(p->arena, *count, uint32_t);
    memcpy(*ids, list.at, *count * sizeof **ids);
    token_list_free(&list);
    return true;
}

// ---- reference runs

typedef struct {
    const Chain *chain;
    Trace *trace;
    size_t *n_seen; // [n_shards + 1]
} Tap;

static void store(const Tap *tap, size_t at, const float *rows, size_t n) {
    size_t width = tap->chain->contract.d_model;
    memcpy(tap->trace->rows[at] + tap->n_seen[at] * width, rows, n * width * sizeof *rows);
    tap->n_seen[at] += n;
}

static void tap_stream(void *context, TapPlace place, uint32_t layer, const float *rows,
                       size_t width, size_t n) {
    const Tap *tap = context;
    const Chain *c = tap->chain;
    (void)width;
    if (place != TAP_STREAM) return;
    if (layer == c->contract.n_layers) {
        store(tap, c->n_shards, rows, n);
        return;
    }
    for (size_t i = 0; i < c->n_shards; i++)
        if (c->shards[i].first_layer == layer && c->shards[i].end_layer > layer)
            store(tap, i, rows, n);
}

bool trace_run(Proof *p, Trace *trace, const uint32_t *ids, size_t n, bool packed, Err *err) {
    const Chain *c = &p->bundle.chain;
    *trace = (Trace){n, arena_array(p->arena, c->n_shards + 1, float *)};
    for (size_t i = 0; i <= c->n_shards; i++)
        trace->rows[i] = arena_array(p->arena, n * c->contract.d_model, float);
    Tap tap = {c, trace, arena_array(p->arena, c->n_shards + 1, size_t)};
    ReferenceOptions options = {.n_positions = (uint32_t)n,
                                .rope_factors = c->use.rope_factors,
                                .tap = tap_stream,
                                .tap_context = &tap};
    if (packed) {
        options.weights = packed_weight_row;
        options.weights_context = packed_weights_open(p, err);
        if (!options.weights_context) return false;
    }
    Reference *r = reference_open(&p->model, &p->model.contract, &options, p->job->pool, err);
    bool ok = r && reference_feed(r, ids, n, NULL, false, err);
    reference_close(r);
    return ok;
}

bool proof_run_shard(Proof *p, Shards *shards, size_t i, const float *rows, size_t n_tokens,
                     float *out, Err *err) {
    const Chain *c = &p->bundle.chain;
    uint32_t width = c->contract.d_model, chunk = c->prefill_rows;
    shards_follow_length(shards, n_tokens);
    float *x = arena_array(p->arena, (size_t)width * max_size(1, chunk), float);
    for (size_t at = 0; at < n_tokens;) {
        uint32_t n = shards_step_rows(shards, (uint32_t)at, n_tokens - at);
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t k = 0; k < width; k++) x[(size_t)k * n + t] = rows[(at + t) * width + k];
        if (!shard_run(shards, i, x, x, (uint32_t)at, n, err)) return false;
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t k = 0; k < width; k++) out[(at + t) * width + k] = x[(size_t)k * n + t];
        at += n;
        progress_report(p->job->progress, "shard: tokens", at, n_tokens);
    }
    return true;
}
