// proof.h — one run of the gates over one bundle: what they share, and what they say. Internal to
// proof/.
//
// Truth is the reference on the source's GGUF file. The bundle is what is on disk: packages are
// read back, weights are taken from weight.bin by the table in chain.json. Nothing here knows the
// compiler.
#ifndef LATHE_PROOF_PROOF_H
#define LATHE_PROOF_PROOF_H

#include <jansson.h>

#include "bundle/gates.h"
#include "proof/job.h"
#include "proof/metrics.h"
#include "reference/reference.h"
#include "runtime/shards.h"
#include "tokenizer/tokenizer.h"

typedef struct {
    const VerifyJob *job;
    Arena *arena;
    bool has_bundle; // or the model alone is judged, and bundle and tokenizer are empty
    Bundle bundle;
    Gguf source;
    Model model;
    Tokenizer *tokenizer;
    Use use;                      // the bundle's own; of a model alone the publisher's
    json_t *gates;                // of the report: name -> list of results
    json_t *sections;             // of the report: what is said besides the gates
    json_t *section_gates;        // section -> the gate that made it
    const char *running;          // the gate, NULL between gates
    const char *kernels;          // name of the set that computes
    Sha256 source_sha256;         // empty until proof_source_sha256() is asked
    json_t *seconds;              // name of a gate -> how long it took
    double started;               // now_seconds()
    bool has_failed, gate_failed; // anything so far; the gate that is running
    // The packages run on the job's engine, a device, whatever gate is running, and results are kept
    // apart from the proof (verify/device.h).
    bool is_on_device;
} Proof;

// Says and records one result. `figures` is taken over (a new reference) and may be NULL; `detail`
// is the line's text.
void proof_result(Proof *p, const char *gate, bool has_passed, json_t *figures, const char *scope,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
// The same under any verdict.
void proof_verdict(Proof *p, const char *gate, ProofVerdict verdict, json_t *figures,
                   const char *scope, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
// Says and records that nothing here could prove `fmt`, a claim in words ("rope_dim: the weights
// fit another reading as well"). It fails nothing; the report, the seal and chat's first line
// repeat it.
void proof_unproved(Proof *p, const char *gate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Says and records a remark: nothing was compared, so that no verdict belongs to it.
void proof_note(Proof *p, const char *gate, const char *scope, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Says and records which share of what could be asked a gate has asked: "585 of 4096 positions".
// The seal carries it, the page shows it where it is weak.
void proof_coverage(Proof *p, const char *gate, size_t n, size_t of, const char *what);
// What proof_unproved() recorded in `results` (gates by name): [{gate, scope, text}], by gate; a
// new reference.
json_t *proof_list_unproved(const json_t *results);
// Puts `value` (taken over) beside the gates in verify/report.json, for the page that shows it
// (report/): plots, tables and maps that are too much for a gate's figures. Of a gate, a section is
// its own: what two gates wrote would be half lost when a run that resumes keeps one of them.
void proof_section(Proof *p, const char *name, json_t *value);
// Weights of the source, all tensors together: what a token costs the reference.
double proof_n_weights(const Proof *p);
// Drops what is recorded of `gate`, results and sections: it runs again.
void proof_forget(Proof *p, const char *gate);
// Whether one of a gate's results failed.
bool proof_any_failed(const json_t *results);
// Digest of the source file that is there; read once.
Sha256 proof_source_sha256(Proof *p);
// The common case: the least cosine of all rows together, and of any one row.
typedef struct {
    double cos, worst;
} Bound;
void proof_compare(Proof *p, const char *gate, const char *scope, const Metrics *m, Bound least);

// The sections that say what was judged and how: bundle, contract, run, conditioning (report_context.c).
void proof_facts(Proof *p, bool is_sealed);

#endif
