// proof.h — one run of the gates over one bundle: what they share, and what they say. Internal to
// verify/.
//
// Truth is the reference on the source's GGUF file. The bundle is what stands on disk: packages are
// read back, weights are taken from weight.bin by the table in chain.json. Nothing here knows the
// compiler.
#ifndef LATHE_VERIFY_PROOF_H
#define LATHE_VERIFY_PROOF_H

#include <jansson.h>

#include "bundle/gates.h"
#include "reference/reference.h"
#include "runtime/shards.h"
#include "text/tokenizer.h"
#include "verify/metrics.h"
#include "verify/template_check.h"
#include "verify/verify.h"

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

// The sections that say what was judged and how: bundle, contract, run, conditioning (facts.c).
void proof_facts(Proof *p, bool is_sealed);

// A gate returns false only when it could not run; failures are results.
typedef bool Gate(Proof *p, Err *err);
#define GATE(id, schema, needs, name, doc) Gate gate_##id;
#include "bundle/gates.def"
#undef GATE

// The built-in text: a few hundred tokens of several kinds.
Str proof_text(void);
// Token ids of the built-in text, as many as asked and the context allows. In the arena.
bool proof_tokens(Proof *p, size_t n, uint32_t **ids, size_t *count, Err *err);

// The stream of a reference run where shards meet.
typedef struct {
    size_t n_tokens;
    float **rows; // [n_shards + 1]: entering shard i, and after the last; each [n_tokens, d_model]
} Trace;
// Feeds `ids` to a fresh reference. With `packed` it computes with the package's own weights.
bool trace_run(Proof *p, Trace *trace, const uint32_t *ids, size_t n, bool packed, Err *err);

// The package's weights as the reference asks for them; the context is a PackedWeights.
typedef struct PackedWeights PackedWeights;
PackedWeights *packed_weights_open(Proof *p, Err *err); // in the arena
WeightRow packed_weight_row;
// How far a source's weight may be from the packed `value` in `row` (of a vector: the weight's
// number): half the distance to the next value that its form has.
double packed_weight_slack(const PackedWeights *w, WeightRole role, uint32_t layer, size_t row,
                           float value);
// Where a row (or vector) of the source lies.
typedef struct {
    const ChainTensor *tensor;
    const ChainPart *part;
} PackedPlace;
PackedPlace packed_weight_place(const PackedWeights *w, WeightRole role, uint32_t layer,
                                size_t row);

// The weight that is furthest from the source's.
typedef struct {
    WeightRole role;
    uint32_t layer;    // n_layers for the head's
    const char *name;  // of the role
    Rows rows;         // of the source
    size_t row;        // of these; of a vector the weight's number
    size_t n_bad_rows; // of the tensor
    bool is_found;     // it is further than rounding takes it
} WeightFault;
// weight_form.c: every weight of the packages against the source's; a result of gate layer golden.
bool compare_weights(Proof *p, WeightFault *worst, Err *err);
// vocabulary.c: the source's vocabulary and chat template against what such a thing must be;
// results of gate contract.
bool check_vocabulary(Proof *p, const TemplateWaivers *waivers, Err *err);
// vocabulary_reach.c: its tokens against merges, scores and pre-tokenizer; likewise.
bool check_token_reach(Proof *p, const Tokenizer *t, Err *err);
// gate_graph_eps.c: every norm in fp32 on rows as small as the root of eps; a result of gate graph.
bool check_norm_eps(Proof *p, Err *err);
// gate_graph_head.c: every slice of the head in fp32, on rows that leave the last layer and on rows
// as small as the root of eps; a result of gate graph.
bool check_head_graph(Proof *p, const Trace *trace, Err *err);

// Runs shard `i` over the rows that enter it, [n_tokens, d_model], in chunks of prefill while they
// are full and single steps for the rest, and gives what leaves it.
bool proof_run_shard(Proof *p, Shards *shards, size_t i, const float *rows, size_t n_tokens,
                     float *out, Err *err);

#endif
