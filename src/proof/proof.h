// proof.h — one run of the gates over one bundle: what the gates share, and how they report.
//
// The truth is the reference on the source's GGUF file. The bundle is judged as it is on disk:
// packages are read back, and weights are read from weight.bin by the table in chain.json. Nothing
// here uses the compiler.
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
    bool has_bundle; // false: only the model is judged, and bundle and tokenizer are empty
    Bundle bundle;
    Gguf source;
    Model model;
    Tokenizer *tokenizer;
    Use use;                      // the bundle's; for a model file the publisher's
    json_t *gates;                // of the report: name -> list of results
    json_t *sections;             // of the report: what it states besides the gates' results
    json_t *section_gates;        // section -> the gate that made it
    const char *running;          // the running gate; NULL between gates
    const char *kernels;          // name of the kernel set in use
    Sha256 source_sha256;         // empty until proof_source_sha256() is called
    json_t *seconds;              // name of a gate -> seconds that it took
    double started;               // now_seconds()
    bool has_failed, gate_failed; // any gate so far; the running gate
    // The packages run on the job's engine, a device, for every gate, and results are kept apart
    // from the proof (verify/device.h).
    bool is_on_device;
} Proof;

// Reports and records one result. `figures` is taken over (a new reference) and may be NULL;
// `detail` is the line's text.
void proof_result(Proof *p, const char *gate, bool has_passed, json_t *figures, const char *scope,
                  const char *fmt, ...) __attribute__((format(printf, 6, 7)));
// The same with any verdict.
void proof_verdict(Proof *p, const char *gate, ProofVerdict verdict, json_t *figures,
                   const char *scope, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
// Reports and records as unproved what `fmt` says in words ("rope_dim: the weights fit another
// reading as well"). No gate fails; the report, the seal and chat's first line repeat it.
void proof_unproved(Proof *p, const char *gate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// Reports and records a remark. Nothing was compared, so it has no verdict.
void proof_note(Proof *p, const char *gate, const char *scope, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// Reports and records how much of what it could check a gate has checked: "585 of 4096 positions".
// The seal contains it, and the page shows it under "where it is weak".
void proof_coverage(Proof *p, const char *gate, size_t n, size_t of, const char *what);
// All that proof_unproved() recorded in `results` (gates by name): [{gate, scope, text}], by gate;
// a new reference.
json_t *proof_list_unproved(const json_t *results);
// Adds `value` (taken over) as a section of verify/report.json, for the page (report/): plots,
// tables and maps that are too large for a gate's figures. A section belongs to one gate: if two
// gates wrote to it, a resumed run that keeps only one of them would lose half.
void proof_section(Proof *p, const char *name, json_t *value);
// The number of weights of the source, which determines what a token costs the reference.
double proof_n_weights(const Proof *p);
// Drops results and sections recorded for `gate`, because it runs again.
void proof_forget(Proof *p, const char *gate);
// Whether one of a gate's results failed.
bool proof_any_failed(const json_t *results);
// Digest of the source file; computed once.
Sha256 proof_source_sha256(Proof *p);
// A bound on cosines: the least for all rows together, and the least for any single row.
typedef struct {
    double cos, worst;
} Bound;
void proof_compare(Proof *p, const char *gate, const char *scope, const Metrics *m, Bound least);

// Writes the sections that say what was judged and how: bundle, contract, run, conditioning
// (report_context.c).
void proof_facts(Proof *p, bool is_sealed);

#endif
