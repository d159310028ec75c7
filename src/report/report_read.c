#include "report/report_read.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "report/members.h"

static bool has(const json_t *object, const char *key) {
    return json_object_get(object, key) != NULL;
}

static const char *item_text(const json_t *list, size_t i) {
    const char *text = json_string_value(json_array_get(list, i));
    return text ? text : "";
}

static double item_number(const json_t *list, size_t i) {
    const json_t *value = json_array_get(list, i);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

// ---- results of gates

static const char *const figure_names[FIGURE_COUNT] = {
#define FIGURE(name) [FIGURE_##name] = #name,
#include "report/report_figures.def"
#undef FIGURE
};

static ReportResult read_result(const json_t *json) {
    const json_t *figures = json_object_get(json, "figures");
    ReportResult r = {
        .scope = member_text(json, "scope"),
        .text = member_text(json, "text"),
        .verdict = proof_verdict_of(json),
        .passed = member_is_yes(json, "passed"),
        .question = member_text(figures, "question"),
        .source_answer = member_text(figures, "source_answer"),
        .bundle_answer = member_text(figures, "bundle_answer"),
        .is_perplexity = has(figures, "packed"),
        .is_setting = has(figures, "setting"),
        .is_coverage = has(figures, "coverage"),
        .is_contradiction = has(figures, "contradict"),
    };
    for (int i = 0; i < FIGURE_COUNT; i++) r.figures[i] = member_number(figures, figure_names[i]);
    return r;
}

ReportResults report_read_results(const json_t *list, Arena *arena) {
    ReportResult *results = arena_array(arena, json_array_size(list), ReportResult);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) results[i] = read_result(json);
    return (ReportResults){results, json_array_size(list)};
}

// ---- what was judged

static void read_bundle(ReportBundle *b, const json_t *json, Arena *arena) {
    const json_t *source = json_object_get(json, "source");
    const json_t *options = json_object_get(json, "options");
    const json_t *packages = json_object_get(json, "packages"), *package;
    ReportPackage *list = arena_array(arena, json_array_size(packages), ReportPackage);
    size_t i;
    json_array_foreach(packages, i, package) list[i] =
        (ReportPackage){member_text(package, "package"), member_number(package, "bytes")};
    *b = (ReportBundle){
        .name = member_text(json, "name"),
        .architecture = member_text(json, "architecture"),
        .source_name = member_text(source, "name"),
        .target = member_text(options, "target"),
        .weights = member_text(options, "weights"),
        .n_layers = member_number(json, "layers"),
        .d_model = member_number(json, "d_model"),
        .source_bytes = member_number(source, "bytes"),
        .context = member_number(options, "context"),
        .package_limit = member_number(json, "package_limit"),
        .host_bytes = member_number(json, "host_bytes"),
        .state_bytes = member_number(json, "state_bytes"),
        .packages = list,
        .n_packages = json_array_size(packages),
    };
}

static void read_run(ReportRun *r, const json_t *json) {
    const json_t *seconds = json_object_get(json, "gates");
    *r = (ReportRun){
        .started = member_text(json, "started"),
        .machine = member_text(json, "machine"),
        .asked = member_text(json, "asked"),
        .seconds = member_number(json, "seconds"),
        .n_threads = member_number(json, "threads"),
        .peak_bytes = member_number(json, "peak_bytes"),
    };
    for (int i = 0; i < GATE_COUNT; i++) r->gate_seconds[i] = member_number(seconds, gates[i].name);
}

// ---- the contract, its witnesses, and the use

static void read_fields(Report *r, const json_t *list, Arena *arena) {
    ReportField *fields = arena_array(arena, json_array_size(list), ReportField);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) fields[i] = (ReportField){
        member_text(json, "field"), member_text(json, "value"), member_text(json, "unit"),
        member_text(json, "kind"),  member_text(json, "from"),  member_text(json, "meaning")};
    r->fields = fields;
    r->n_fields = json_array_size(list);
}

static AgreementKind agreement_kind(const char *verdict) {
    return strcmp(verdict, "agree") == 0                ? AGREEMENT_AGREES
           : strcmp(verdict, "contradict") == 0         ? AGREEMENT_CONTRADICTS
           : strcmp(verdict, "only the GGUF says") == 0 ? AGREEMENT_FILE_ALONE
                                                        : AGREEMENT_OTHER;
}

static ReportSource read_source(const char *name, const json_t *list, Arena *arena) {
    ReportAgreement *rows = arena_array(arena, json_array_size(list), ReportAgreement);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) rows[i] = (ReportAgreement){
        .field = member_text(json, "field"),
        .verdict = member_text(json, "verdict"),
        .gguf = member_text(json, "gguf"),
        .gguf_from = member_text(json, "gguf_from"),
        .config = member_text(json, "config"),
        .config_from = member_text(json, "config_from"),
        .note = member_text(json, "note"),
        .kind = agreement_kind(member_text(json, "verdict")),
    };
    return (ReportSource){name, rows, json_array_size(list)};
}

static void read_sources(Report *r, const json_t *object, Arena *arena) {
    ReportSource *sources = arena_array(arena, json_object_size(object), ReportSource);
    const char *name;
    json_t *list;
    size_t n = 0;
    json_object_foreach((json_t *)object, name, list) sources[n++] = read_source(name, list, arena);
    r->sources = sources;
    r->n_sources = n;
}

static void read_use(Report *r, const json_t *object, Arena *arena) {
    ReportChoice *use = arena_array(arena, json_object_size(object), ReportChoice);
    const char *name;
    json_t *json;
    size_t n = 0;
    json_object_foreach((json_t *)object, name, json) use[n++] =
        (ReportChoice){name, member_text(json, "value"), member_text(json, "source"),
                       member_text(json, "publisher")};
    r->use = use;
    r->n_use = n;
}

static VoteKind vote_kind(const char *verdict) {
    return strcmp(verdict, "worse") == 0            ? VOTE_WORSE
           : strcmp(verdict, "not told apart") == 0 ? VOTE_EVEN
           : strcmp(verdict, "better") == 0         ? VOTE_BETTER
                                                    : VOTE_OTHER;
}

static void read_vote(ReportVote *v, const json_t *json, Arena *arena) {
    const json_t *rows = json_object_get(json, "rows"), *texts = json_object_get(json, "texts");
    const json_t *item;
    ReportReading *readings = arena_array(arena, json_array_size(rows), ReportReading);
    ReportText *read = arena_array(arena, json_array_size(texts), ReportText);
    size_t i;
    json_array_foreach(rows, i, item) readings[i] = (ReportReading){
        .reading = member_text(item, "reading"),
        .field = member_text(item, "field"),
        .meaning = member_text(item, "meaning"),
        .verdict = member_text(item, "verdict"),
        .kind = vote_kind(member_text(item, "verdict")),
        .delta = member_number(item, "delta"),
        .error = member_number(item, "error"),
    };
    json_array_foreach(texts, i, item) read[i] =
        (ReportText){member_text(item, "kind"), member_number(item, "scored"),
                     member_number(item, "nats"), member_is_yes(item, "known")};
    *v = (ReportVote){
        .margin = member_number(json, "margin"),
        .errors = member_number(json, "errors"),
        .rows = readings,
        .n_rows = json_array_size(rows),
        .texts = read,
        .n_texts = json_array_size(texts),
    };
}

// ---- figures of layers and ops

static ReportErrors read_errors(const json_t *json, Arena *arena) {
    ReportErrors e = {.is_given = json != NULL};
    for (int f = 0; f < LAYER_FIGURE_COUNT; f++) {
        const json_t *list = json_object_get(json, figure_names[f]);
        double *values = arena_array(arena, json_array_size(list), double);
        for (size_t i = 0; i < json_array_size(list); i++) values[i] = item_number(list, i);
        e.values[f] = values;
        e.n_values[f] = json_array_size(list);
    }
    return e;
}

static void read_all_errors(Report *r, const json_t *json, Arena *arena) {
    static const struct {
        const char *section, *member;
    } places[ERRORS_COUNT] = {
        [ERRORS_GRAPH_FP32] = {"graph_errors", "graph_fp32"},
        [ERRORS_GRAPH] = {"golden_errors", "graph"},
        [ERRORS_WEIGHTS] = {"golden_errors", "weights"},
        [ERRORS_TOTAL] = {"golden_errors", "total"},
    };
    for (int i = 0; i < ERRORS_COUNT; i++) {
        const json_t *section = json_object_get(json, places[i].section);
        r->has_errors = r->has_errors || section;
        r->errors[i] = read_errors(json_object_get(section, places[i].member), arena);
    }
}

static void read_ranges(Report *r, const json_t *json, Arena *arena) {
    static const char *const names[RANGE_COUNT] = {
        [RANGE_STREAM] = "stream",
        [RANGE_ATTN_SUM] = "attn_sum",
        [RANGE_FFN_SUM] = "ffn_sum",
        [RANGE_GATED] = "gated",
    };
    const json_t *list = json_object_get(json, "layers"), *layer;
    ReportLayerRange *ranges = arena_array(arena, json_array_size(list), ReportLayerRange);
    size_t i;
    json_array_foreach(list, i, layer) {
        ranges[i].layer = member_number(layer, "layer");
        for (size_t k = 0; k < RANGE_COUNT; k++)
            for (size_t which = MEASURED; which <= CARRIED; which++)
                ranges[i].largest[k][which] = item_number(json_object_get(layer, names[k]), which);
    }
    r->n_range_tokens = member_number(json, "tokens");
    r->ranges = ranges;
    r->n_ranges = json_array_size(list);
}

static ReportOps read_ops(const json_t *list, Arena *arena) {
    ReportOp *ops = arena_array(arena, json_array_size(list), ReportOp);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) ops[i] = (ReportOp){
        .op = member_text(json, "op"),
        .kind = member_text(json, "kind"),
        .role = member_text(json, "role"),
        .room_bits = member_number(json, "room_bits"),
        .largest = member_number(json, "largest_out"),
        .limit = member_number(json, "limit"),
    };
    return (ReportOps){ops, json_array_size(list)};
}

// ---- placement

static const ReportFinding *read_findings(const json_t *list, const json_t *rules, Arena *arena) {
    ReportFinding *findings = arena_array(arena, json_array_size(list), ReportFinding);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) {
        const json_t *rule = json_object_get(rules, member_text(json, "rule"));
        findings[i] = (ReportFinding){
            .rule = member_text(json, "rule"),
            .first = member_text(json, "first"),
            .detail = member_text(json, "detail"),
            .effect = member_text(rule, "effect"),
            .text = member_text(rule, "text"),
            .seen = member_text(rule, "seen"),
            .confidence = member_text(rule, "confidence"),
            .source = member_text(rule, "source"),
            .count = member_number(json, "count"),
        };
    }
    return findings;
}

static ReportFunction read_function(const json_t *json, const json_t *rules, Arena *arena) {
    const json_t *estimate = json_object_get(json, "estimate");
    const json_t *map = json_object_get(json, "map"), *list = json_object_get(map, "rows"), *row;
    const json_t *findings = json_object_get(json, "findings");
    ReportMapRow *rows = arena_array(arena, json_array_size(list), ReportMapRow);
    size_t i;
    json_array_foreach(list, i, row) rows[i] =
        (ReportMapRow){item_text(row, 0), item_text(row, 1), item_text(row, 2)};
    return (ReportFunction){
        .name = member_text(json, "name"),
        .evicted_by = member_text(json, "evicted_by"),
        .conv_ane = member_number(json, "conv_ane"),
        .conv_total = member_number(json, "conv_total"),
        .compute_ane = member_number(json, "compute_ane"),
        .compute_total = member_number(json, "compute_total"),
        .index_ops = member_number(json, "index_ops"),
        .estimate = member_text(estimate, "verdict"),
        .ane_ms = member_number(estimate, "ane_ms"),
        .cpu_ms = member_number(estimate, "cpu_ms"),
        .conv_bytes = member_number(json, "conv_bytes"),
        .slow_bytes = member_number(json, "slow_bytes"),
        .first_layer = member_number(map, "first_layer"),
        .n_layers = member_number(map, "layers"),
        .rows = rows,
        .n_rows = json_array_size(list),
        .findings = read_findings(findings, rules, arena),
        .n_findings = json_array_size(findings),
    };
}

static void read_placement(Report *r, const json_t *json, Arena *arena) {
    const json_t *rules = json_object_get(json, "rules"), *list = json_object_get(json, "shards");
    const json_t *shard, *function;
    ReportShard *shards = arena_array(arena, json_array_size(list), ReportShard);
    size_t i, k;
    json_array_foreach(list, i, shard) {
        const json_t *all = json_object_get(shard, "functions");
        ReportFunction *functions = arena_array(arena, json_array_size(all), ReportFunction);
        json_array_foreach(all, k, function) functions[k] = read_function(function, rules, arena);
        shards[i] = (ReportShard){member_text(shard, "package"), member_number(shard, "bytes"),
                                  functions, json_array_size(all)};
    }
    r->placement_target = member_text(json, "target");
    r->shards = shards;
    r->n_shards = json_array_size(list);
}

// ---- mutants, devices

static const ReportCell *read_cells(const json_t *cells, const ReportMutants *m, Arena *arena) {
    ReportCell *list = arena_array(arena, m->n_gates, ReportCell);
    for (size_t i = 0; i < m->n_gates; i++)
        list[i] = member_is(cells, m->gates[i], "failed")   ? REPORT_FAILED
                  : member_is(cells, m->gates[i], "passed") ? REPORT_PASSED
                                                            : REPORT_NOT_RUN;
    return list;
}

static const ReportMutant *read_mutant_list(const json_t *list, const ReportMutants *m,
                                            Arena *arena) {
    ReportMutant *mutants = arena_array(arena, json_array_size(list), ReportMutant);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) mutants[i] = (ReportMutant){
        .name = member_text(json, "name"),
        .kind = member_text(json, "kind"),
        .doc = member_text(json, "doc"),
        .why = member_text(json, "why"),
        .is_killed = member_is_yes(json, "killed"),
        .cells = read_cells(json_object_get(json, "gates"), m, arena),
    };
    return mutants;
}

static void read_mutants(ReportMutants *m, const json_t *json, Arena *arena) {
    const json_t *columns = json_object_get(json, "gates");
    const json_t *list = json_object_get(json, "mutants");
    const json_t *left_out = json_object_get(json, "not_applicable");
    const char **names = arena_array(arena, json_array_size(columns), const char *);
    for (size_t i = 0; i < json_array_size(columns); i++) names[i] = item_text(columns, i);
    *m = (ReportMutants){.gates = names,
                         .n_gates = json_array_size(columns),
                         .n = json_array_size(list),
                         .n_left_out = json_array_size(left_out)};
    m->list = read_mutant_list(list, m, arena);
    m->left_out = read_mutant_list(left_out, m, arena);
}

static ReportDeviceRun read_device_run(const json_t *json, Arena *arena) {
    const json_t *machine = json_object_get(json, "machine"), *all = json_object_get(json, "gates");
    ReportDeviceRun run = {
        .chip = member_text(machine, "chip"),
        .model = member_text(machine, "model"),
        .system = member_text(machine, "system"),
        .build = member_text(machine, "build"),
        .framework = member_text(machine, "framework"),
        .ended = member_text(json, "ended"),
        .is_device = member_is_yes(machine, "is_device"),
        .is_virtual = member_is_yes(machine, "is_virtual"),
        .passed = member_is_yes(json, "passed"),
        .n_ane_cores = member_number(machine, "ane_cores"),
    };
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        run.gates[i] = report_read_results(json_object_get(all, device_gates[i].name), arena);
    return run;
}

static void read_devices(Report *r, const json_t *list, Arena *arena) {
    ReportDeviceRun *runs = arena_array(arena, json_array_size(list), ReportDeviceRun);
    const json_t *json;
    size_t i;
    json_array_foreach(list, i, json) runs[i] = read_device_run(json, arena);
    r->device_runs = runs;
    r->n_device_runs = json_array_size(list);
}

// ---- the whole

void report_read(Report *r, const json_t *json, Arena *arena) {
    const json_t *all = json_object_get(json, "gates"), *bundle = json_object_get(json, "bundle");
    const json_t *run = json_object_get(json, "run"), *words = json_object_get(json, "commands");
    const json_t *range = json_object_get(json, "range");
    *r = (Report){
        .tool = member_text(json, "tool"),
        .source_sha256 = member_text(json, "source_sha256"),
        .contract_sha256 = member_text(json, "contract_sha256"),
        .passed = member_is_yes(json, "passed"),
        .has_gates = json_object_size(all) > 0,
        .has_bundle = bundle != NULL,
        .has_run = run != NULL,
        .bundle_word = member_text(words, "bundle"),
        .source_word = member_text(words, "source"),
        .convert_word = member_text(words, "convert"),
        .named = read_ops(json_object_get(range, "named"), arena),
        .tightest = read_ops(json_object_get(range, "tightest"), arena),
    };
    for (int i = 0; i < GATE_COUNT; i++)
        r->gates[i] = report_read_results(json_object_get(all, gates[i].name), arena);
    read_bundle(&r->bundle, bundle, arena);
    read_run(&r->run, run);
    read_fields(r, json_object_get(json, "contract"), arena);
    read_sources(r, json_object_get(json, "agreement"), arena);
    read_use(r, json_object_get(json, "use"), arena);
    read_vote(&r->vote, json_object_get(json, "vote"), arena);
    read_vote(&r->vote_long, json_object_get(json, "vote_long"), arena);
    read_all_errors(r, json, arena);
    read_ranges(r, json_object_get(json, "conditioning"), arena);
    read_placement(r, json_object_get(json, "placement"), arena);
    read_mutants(&r->mutants, json_object_get(json, "mutants"), arena);
    read_devices(r, json_object_get(json_object_get(json, "device"), "runs"), arena);
}
