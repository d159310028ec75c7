#include "verify/proof.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "mil/ports.h"

static void record_line(Proof *p, const char *gate, ProofVerdict verdict, json_t *figures,
                        const char *scope, const char *fmt, va_list args) {
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    str_tame(text, 0);
    bool has_failed = verdict == PROOF_FAILED;
    if (has_failed) p->has_failed = p->gate_failed = true;
    json_t *results = json_object_get(p->gates, gate);
    if (!results) {
        results = json_array();
        json_object_set_new(p->gates, gate, results);
    }
    json_array_append_new(results, json_pack("{s:o, s:b, s:s, s:o, s:o}", "scope",
                                             json_of_str(str_of(scope)), "passed", (int)!has_failed,
                                             "verdict", proof_verdict_name(verdict), "text",
                                             json_of_str(str_of(text)), "figures",
                                             figures ? figures : json_object()));
    if (p->job->line) p->job->line(p->job->line_context, gate, scope, text, verdict);
}

void proof_result(Proof *p, const char *gate, bool has_passed, json_t *figures, const char *scope,
                  const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    record_line(p, gate, has_passed ? PROOF_PASSED : PROOF_FAILED, figures, scope, fmt, args);
    va_end(args);
}

void proof_verdict(Proof *p, const char *gate, ProofVerdict verdict, json_t *figures,
                   const char *scope, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    record_line(p, gate, verdict, figures, scope, fmt, args);
    va_end(args);
}

void proof_unproved(Proof *p, const char *gate, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    record_line(p, gate, PROOF_UNPROVED, NULL, "-", fmt, args);
    va_end(args);
}

void proof_note(Proof *p, const char *gate, const char *scope, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    record_line(p, gate, PROOF_NOTE, NULL, scope, fmt, args);
    va_end(args);
}

void proof_coverage(Proof *p, const char *gate, size_t n, size_t of, const char *what) {
    json_t *figures = json_pack("{s:{s:I, s:I, s:s}}", "coverage", "n", (json_int_t)n, "of",
                                (json_int_t)of, "what", what);
    proof_verdict(p, gate, PROOF_NOTE, figures, "coverage", "%zu of %zu %s (%.3g %%)", n, of, what,
                  100.0 * (double)n / (double)max_size(of, 1));
}

json_t *proof_list_unproved(const json_t *results) {
    json_t *list = json_array();
    const json_t *result;
    size_t k;
    for (int i = 0; i < GATE_COUNT; i++)
        json_array_foreach(json_object_get(results, gates[i].name), k, result) {
            if (proof_verdict_of(result) != PROOF_UNPROVED) continue;
            json_array_append_new(list, json_pack("{s:s, s:O, s:O}", "gate", gates[i].name, "scope",
                                                  json_object_get(result, "scope"), "text",
                                                  json_object_get(result, "text")));
        }
    return list;
}

void proof_section(Proof *p, const char *name, json_t *value) {
    assert(value);
    json_object_set_new(p->sections, name, value);
    if (p->running) json_object_set_new(p->section_gates, name, json_string(p->running));
}

double proof_n_weights(const Proof *p) {
    double n = 0;
    for (size_t i = 0; i < p->source.n_tensors; i++) n += (double)p->source.tensors[i].n_weights;
    return n;
}

void proof_forget(Proof *p, const char *gate) {
    const char *section;
    json_t *owner;
    void *next;
    json_object_del(p->gates, gate);
    json_object_foreach_safe(p->section_gates, next, section, owner) {
        if (strcmp(json_string_value(owner), gate) != 0) continue;
        json_object_del(p->sections, section);
        json_object_del(p->section_gates, section);
    }
}

bool proof_any_failed(const json_t *results) {
    size_t i;
    const json_t *result;
    json_array_foreach(results, i, result) {
        if (proof_verdict_of(result) == PROOF_FAILED) return true;
    }
    return false;
}

Sha256 proof_source_sha256(Proof *p) {
    if (!p->source_sha256.hex[0]) p->source_sha256 = gguf_digest(&p->source, p->job->progress);
    return p->source_sha256;
}

void proof_compare(Proof *p, const char *gate, const char *scope, const Metrics *m, Bound least) {
    double cos = metrics_cos(m);
    bool has_passed =
        m->n_rows > 0 && !m->has_bad && cos >= least.cos && m->worst_cos >= least.worst;
    json_t *figures =
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:f, s:f}", "cos", json_of_real(cos), "worst_cos",
                  json_of_real(m->worst_cos), "rmse", json_of_real(metrics_rmse(m)), "max_abs",
                  json_of_real(m->max_abs), "rows", (json_int_t)m->n_rows, "least_cos", least.cos,
                  "least_worst", least.worst);
    proof_result(p, gate, has_passed, figures, scope,
                 "cos=%.7f worst=%.7f rmse=%.3g max_abs=%.3g%s", cos, m->worst_cos, metrics_rmse(m),
                 m->max_abs, m->has_bad ? " NOT FINITE" : "");
}

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
                         "the vocabulary makes %zu tokens of a text of %zu bytes: it lacks bytes",
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
        uint32_t n = chunk && at + chunk <= n_tokens ? chunk : 1;
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t k = 0; k < width; k++) x[(size_t)k * n + t] = rows[(at + t) * width + k];
        if (!shard_run(shards, i, x, x, (uint32_t)at, n, err)) return false;
        for (uint32_t t = 0; t < n; t++)
            for (uint32_t k = 0; k < width; k++) out[(at + t) * width + k] = x[(size_t)k * n + t];
        at += n;
        progress_report(p->job->progress, "shard", at, n_tokens);
    }
    return true;
}
