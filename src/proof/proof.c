#include "proof/proof.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "decoder/ports.h"

static void record_line(Proof *p, const char *gate, ProofVerdict verdict, json_t *figures,
                        const char *scope, const char *fmt, va_list args) {
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    str_replace_controls(text, 0);
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
