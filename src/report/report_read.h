// report_read.h — report.json as types: the names of its members occur only here and in
// report_read.c. Its form is docs/report.schema.json; a report of an older or newer lathe, or a
// damaged one, is read as far as possible: text that is absent or of another type is "", a number
// NaN, a list empty.
#ifndef LATHE_REPORT_REPORT_READ_H
#define LATHE_REPORT_REPORT_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "bundle/device_gates.h"
#include "bundle/gates.h"
#include "bundle/verdict.h"

// ---- results of gates

typedef enum {
#define FIGURE(name) FIGURE_##name,
#include "report/report_figures.def"
#undef FIGURE
    FIGURE_COUNT
} FigureId;
enum { LAYER_FIGURE_COUNT = FIGURE_group_off + 1 };

typedef struct {
    const char *scope, *text;
    ProofVerdict verdict;
    bool passed;
    double figures[FIGURE_COUNT];
    const char *question, *source_answer, *bundle_answer;          // of both models
    bool is_perplexity, is_setting, is_coverage, is_contradiction; // what it is about
} ReportResult;

typedef struct {
    const ReportResult *list;
    size_t n;
} ReportResults;

// ---- what was judged

typedef struct {
    const char *path;
    double n_bytes;
} ReportPackage;

typedef struct {
    const char *name, *architecture, *source_name, *target, *weights;
    double n_layers, d_model, source_bytes, context, package_limit, host_bytes, state_bytes;
    const ReportPackage *packages;
    size_t n_packages;
} ReportBundle;

typedef struct {
    const char *started, *machine, *asked;
    double seconds, n_threads, peak_bytes, gate_seconds[GATE_COUNT];
} ReportRun;

// ---- the contract, its witnesses, and the use

typedef struct {
    const char *field, *value, *unit, *kind, *from, *meaning;
} ReportField;

typedef enum {
    AGREEMENT_OTHER,
    AGREEMENT_AGREES,
    AGREEMENT_CONTRADICTS,
    AGREEMENT_FILE_ALONE
} AgreementKind;

typedef struct {
    const char *field, *verdict, *gguf, *gguf_from, *config, *config_from, *note;
    AgreementKind kind; // the verdict's
} ReportAgreement;

typedef struct {
    const char *name; // of a second source
    const ReportAgreement *rows;
    size_t n_rows;
} ReportSource;

typedef struct {
    const char *name, *value, *source, *publisher;
} ReportChoice;

typedef enum { VOTE_OTHER, VOTE_WORSE, VOTE_EVEN, VOTE_BETTER } VoteKind;

typedef struct {
    const char *reading, *field, *meaning, *verdict;
    VoteKind kind;       // the verdict's
    double delta, error; // nats a token
} ReportReading;

typedef struct {
    const char *kind;
    double n_scored, nats;
    bool is_known;
} ReportText;

typedef struct {
    double margin, errors;
    const ReportReading *rows;
    size_t n_rows;
    const ReportText *texts;
    size_t n_texts;
} ReportVote;

// ---- figures of layers and ops

// A list for each figure, one number per layer; empty: none.
typedef struct {
    bool is_given;
    const double *values[LAYER_FIGURE_COUNT];
    size_t n_values[LAYER_FIGURE_COUNT];
} ReportErrors;

typedef enum {
    ERRORS_GRAPH_FP32,
    ERRORS_GRAPH,
    ERRORS_WEIGHTS,
    ERRORS_TOTAL,
    ERRORS_COUNT
} ErrorsId;

enum { RANGE_STREAM, RANGE_ATTN_SUM, RANGE_FFN_SUM, RANGE_GATED, RANGE_COUNT };
enum { MEASURED, CARRIED };

typedef struct {
    double layer;
    double largest[RANGE_COUNT][2]; // MEASURED and CARRIED
} ReportLayerRange;

typedef struct {
    const char *op, *kind, *role;
    double room_bits, largest, limit;
} ReportOp;

typedef struct {
    const ReportOp *list;
    size_t n;
} ReportOps;

// ---- placement

typedef struct {
    const char *rule, *first, *detail;                      // of the finding
    const char *effect, *text, *seen, *confidence, *source; // of the rule
    double count;
} ReportFinding;

typedef struct {
    const char *op, *kind, *marks; // a mark a layer, and one for ops of no layer
} ReportMapRow;

typedef struct {
    const char *name, *evicted_by;
    double conv_ane, conv_total, compute_ane, compute_total, index_ops;
    const char *estimate; // "ane", "cpu" or neither
    double ane_ms, cpu_ms;
    double conv_bytes, slow_bytes; // weights of convolutions, and those of rule X01
    double first_layer, n_layers;  // of the map
    const ReportMapRow *rows;
    size_t n_rows;
    const ReportFinding *findings;
    size_t n_findings;
} ReportFunction;

typedef struct {
    const char *package;
    double n_bytes;
    const ReportFunction *functions;
    size_t n_functions;
} ReportShard;

// ---- mutants, devices

typedef enum { REPORT_NOT_RUN, REPORT_PASSED, REPORT_FAILED } ReportCell;

typedef struct {
    const char *name, *kind, *doc, *why; // `why`: it does not apply
    bool is_killed;
    const ReportCell *cells; // [n_gates]
} ReportMutant;

typedef struct {
    const char *const *gates; // columns of the matrix
    size_t n_gates;
    const ReportMutant *list, *left_out;
    size_t n, n_left_out;
} ReportMutants;

typedef struct {
    const char *chip, *model, *system, *build, *framework, *ended;
    bool is_device, is_virtual, passed;
    double n_ane_cores;
    ReportResults gates[DEVICE_GATE_COUNT];
} ReportDeviceRun;

// ---- the whole

typedef struct {
    const char *tool, *source_sha256, *contract_sha256;
    bool passed;
    bool has_gates, has_bundle, has_run;
    ReportResults gates[GATE_COUNT];
    ReportBundle bundle;
    ReportRun run;
    const char *bundle_word, *source_word, *convert_word; // of commands (bundle/advice.h)
    const ReportField *fields;
    size_t n_fields;
    const ReportSource *sources;
    size_t n_sources;
    const ReportChoice *use;
    size_t n_use;
    ReportVote vote, vote_long;
    bool has_errors; // graph_errors or golden_errors is there
    ReportErrors errors[ERRORS_COUNT];
    double n_range_tokens; // of the text that ranges were measured over
    const ReportLayerRange *ranges;
    size_t n_ranges;
    ReportOps named, tightest;
    const char *placement_target;
    const ReportShard *shards;
    size_t n_shards;
    ReportMutants mutants;
    const ReportDeviceRun *device_runs;
    size_t n_device_runs;
} Report;

// Reads `json`, which must outlive the report: texts are views into it. The rest lives in the arena.
void report_read(Report *report, const json_t *json, Arena *arena);
// The results of one gate.
ReportResults report_read_results(const json_t *list, Arena *arena);

#endif
