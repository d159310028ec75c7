// run.c — runs one mutant after the other: converts, judges and removes it.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "bundle/gates.h"
#include "contract/mutants.h"
#include "huggingface/folder.h"
#include "mutants/conversion.h"
#include "mutants/mutants.h"
#include "verify/verify.h"

// The context of a mutant's bundle: a few chunks, all under one factor set; for errors beyond the
// original context some positions beyond it; for errors at far positions also beyond the window and
// beyond 2048, the last integer up to which fp16 is exact.
enum { SHORT_CONTEXT = 256, LONG_ROWS = 64, FAR_CONTEXT = 2048 + LONG_ROWS };
typedef enum { CONTEXT_SHORT, CONTEXT_LONG, CONTEXT_FAR, CONTEXT_COUNT } ContextKind;

// The i-th of the gates that judge mutants (bundle/gates.def); NULL past the last.
static const GateInfo *judge_at(size_t i) {
    for (int g = 0; g < GATE_COUNT; g++)
        if (gates[g].mutants != MUTANTS_NOT_JUDGED && i-- == 0) return &gates[g];
    return NULL;
}

const char *mutants_gate(size_t i) {
    const GateInfo *gate = judge_at(i);
    return gate ? gate->name : NULL;
}

// A row of one of the two tables.
typedef struct {
    const char *name, *kind, *doc;
    const ContractMutant *contract;
    const BundleMutant *bundle;
} Mutant;

typedef struct {
    const MutantsJob *job;
    MutantsSum *sum;
    Arena *arena;
    Chain chain; // of the bundle whose options are taken
    const char *model_path;
    Gguf gguf;
    Model model;
    const char *dir; // where mutants live and die
    json_t *rows, *left_out;
    bool is_judged[CONTEXT_COUNT]; // the true conversion at each context
    Chain truth[CONTEXT_COUNT];
} Run;

// ---- converting

static ContextKind context_kind(const Mutant *m) {
    if (m->bundle && m->bundle->is_far) return CONTEXT_FAR;
    return m->contract && m->contract->sight == SEEN_LONG ? CONTEXT_LONG : CONTEXT_SHORT;
}

static uint32_t context_of(const Run *run, ContextKind kind) {
    const Contract *c = &run->model.contract;
    size_t beyond = (size_t)c->original_context + LONG_ROWS;
    size_t window = 0; // the longest
    for (uint32_t i = 0; i < contract_n_kinds(c); i++)
        if (c->kinds[i].attn_window)
            window = max_size(window, (size_t)c->kinds[i].attn_window + LONG_ROWS);
    switch (kind) {
    case CONTEXT_LONG: return (uint32_t)min_size(c->context, beyond);
    case CONTEXT_FAR:
        beyond = c->original_context < c->context ? beyond : 0;
        return (uint32_t)min_size(c->context, max_size(max_size(beyond, window), FAR_CONTEXT));
    default:
        beyond = contract_has_two_factor_sets(c) ? c->original_context : SHORT_CONTEXT;
        return (uint32_t)min_size(min_size(run->chain.context, SHORT_CONTEXT), beyond);
    }
}

// The bundle's own use, at another context.
static void take_use(ConvertJob *job, const Use *use, uint32_t context, Arena *arena) {
    for (int i = 0; i < USE_COUNT; i++) {
        StrBuf value = {0};
        use_print(use, (UseId)i, &value);
        if (use->from[i].publisher.len) job->chosen[i] = arena_cstr(arena, strbuf_str(&value));
        strbuf_free(&value);
    }
    job->chosen[USE_context] = arena_printf(arena, "%u", context).at;
}

static bool convert(Run *run, const char *out, uint32_t context, const ConvertSteps *steps,
                    Chain *chain, Arena *arena, Err *err) {
    const Chain *like = &run->chain;
    ConvertJob job = {
        .model_path = run->model_path,
        .out_path = out,
        .options = {.prefill_rows = (uint32_t)min_size(like->prefill_rows, context),
                    .is_one_function = chain_decode_rows(like) > 1,
                    .keeps_windows_whole = str_is(like->windows, "whole"),
                    .head_slice_rows = like->head_slice_rows,
                    .weight_files = like->weight_files,
                    .layers_per_shard = like->shards[0].end_layer - like->shards[0].first_layer,
                    .ranges = like->ranges},
        .settings = like->settings,
        .replaces = true,
        .tool_version = run->job->tool_version,
        .pool = run->job->pool,
        .steps = steps,
    };
    take_use(&job, &like->use, context, arena);
    if (!kv_form_named(like->kv, &job.options.kv, NULL) ||
        !weight_form_named(arena_cstr(arena, like->weights), &job.options.weights) ||
        !norm_form_named(like->norm, &job.options.norm, NULL) ||
        !size_count_named(like->sizes, &job.options.sizes, NULL) ||
        !target_read(like->target, &job.options.target, &job.options.chip, NULL))
        return err_set(
            err, ERR_FORMAT,
            "%s: chain.json has options that this version of lathe does not know; convert again",
            run->job->bundle_dir);
    return bundle_convert(chain, arena, &job, err);
}

static bool is_same(const Chain *a, const Chain *b) {
    if (a->n_shards != b->n_shards || !str_eq(a->host.sha256, b->host.sha256)) return false;
    for (size_t s = 0; s < a->n_shards; s++) {
        if (a->shards[s].n_files != b->shards[s].n_files) return false;
        for (size_t f = 0; f < a->shards[s].n_files; f++)
            if (!str_eq(a->shards[s].files[f].sha256, b->shards[s].files[f].sha256)) return false;
    }
    return true;
}

// ---- judging

typedef struct {
    MutantCell cells[GATE_COUNT]; // by number of judge_at()
    bool has_failed;
    char killer[1200];
} MutantVerdict;

static void hear(void *context, const char *gate, const char *scope, const char *figures,
                 ProofVerdict verdict) {
    MutantVerdict *v = context;
    if (verdict != PROOF_FAILED) return;
    for (size_t i = 0; judge_at(i); i++)
        if (strcmp(mutants_gate(i), gate) == 0) v->cells[i] = CELL_FAILED;
    if (!v->has_failed) snprintf(v->killer, sizeof v->killer, "%s %s: %s", gate, scope, figures);
    v->has_failed = true;
}

// Runs those gates of the kind that are asked for. A bundle that they refuse to read is
// noticed, too: by the gate that reads the packages. Where gates cannot run for another reason,
// nothing is known about the mutant, and the run fails.
static bool judge(const Run *run, const char *bundle, const HostOps *host, GateMutants kind,
                  MutantVerdict *v, Err *err) {
    StrBuf list = {0};
    for (size_t i = 0; judge_at(i); i++)
        if (v->cells[i] != CELL_NOT_RUN && judge_at(i)->mutants == kind)
            strbuf_printf(&list, list.len ? ",%s" : "%s", mutants_gate(i));
    if (list.len == 0) return true;
    Err why = {0};
    VerifyJob job = {
        .bundle_dir = bundle,
        .model_path = run->model_path,
        .gates = list.at,
        .host = host,
        .tool_version = run->job->tool_version,
        .pool = run->job->pool,
        .line = hear,
        .line_context = v,
    };
    bool has_run = verify_bundle(&job, &why) || why.kind == ERR_GATE;
    strbuf_free(&list);
    if (has_run) return true;
    if (why.kind != ERR_FORMAT) return err_set(err, why.kind, "%s", why.text);
    hear(v, gates[GATE_structure].name, "-", why.text, PROOF_FAILED);
    return true;
}

static bool judge_all(const Run *run, const char *bundle, const HostOps *host, MutantVerdict *v,
                      Err *err) {
    *v = (MutantVerdict){0};
    for (size_t i = 0; judge_at(i); i++)
        if (!gate_is_listed(run->job->gates, mutants_gate(i))) v->cells[i] = CELL_NOT_RUN;
    if (!judge(run, bundle, host, MUTANTS_JUDGED, v, err)) return false;
    if (!v->has_failed) return judge(run, bundle, host, MUTANTS_JUDGED_LAST, v, err);
    for (size_t i = 0; judge_at(i); i++) // the mutant is killed: skip the costliest gate
        if (judge_at(i)->mutants == MUTANTS_JUDGED_LAST) v->cells[i] = CELL_NOT_RUN;
    return true;
}

// ---- one mutant

static void leave_out(Run *run, const Mutant *m, const char *why) {
    run->sum->n_not_applicable++;
    json_array_append_new(run->left_out, json_pack("{s:s, s:s, s:o}", "name", m->name, "kind",
                                                   m->kind, "why", json_of_str(str_of(why))));
}

static void record(Run *run, const Mutant *m, const MutantVerdict *v) {
    static const char *const cells[] = {
        [CELL_PASSED] = "passed", [CELL_FAILED] = "failed", [CELL_NOT_RUN] = "not run"};
    json_t *by_gate = json_object();
    for (size_t i = 0; judge_at(i); i++)
        json_object_set_new(by_gate, mutants_gate(i), json_string(cells[v->cells[i]]));
    json_array_append_new(run->rows,
                          json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "name", m->name, "kind",
                                    m->kind, "doc", m->doc, "killed", (int)v->has_failed, "killer",
                                    json_of_str(str_of(v->killer)), "gates", by_gate));
    run->sum->n_run++;
    run->sum->n_survived += !v->has_failed;
    MutantRow row = {m->name, m->kind, m->doc, v->cells, v->has_failed, v->killer};
    if (run->job->line) run->job->line(run->job->line_context, &row);
}

// The true conversion at this context, judged once.
static bool judge_truth(Run *run, ContextKind kind, uint32_t context, Err *err) {
    if (run->is_judged[kind]) return true;
    const char *out = path_join(run->arena, run->dir, "true.lathe");
    MutantVerdict v;
    if (!convert(run, out, context, NULL, &run->truth[kind], run->arena, err)) return false;
    if (!judge_all(run, out, NULL, &v, err)) return false;
    run->is_judged[kind] = true;
    if (!v.has_failed) return true;
    return err_set(
        err, ERR_GATE,
        "the true conversion fails at a context of %u (%s): mutants are judged only when "
        "it passes",
        context, v.killer);
}

static bool run_converted(Run *run, const Mutant *m, const Reading *reading, Arena *scratch,
                          Err *err) {
    ContextKind kind = context_kind(m);
    uint32_t context = context_of(run, kind);
    if (!judge_truth(run, kind, context, err)) return false;
    if (m->bundle && is_mutant_of_rings(m->bundle) && run->truth[kind].ring_slots == 0) {
        leave_out(run, m, "no layer has a ring at this context");
        return true;
    }
    const char *out = path_join(scratch, run->dir, "mutant.lathe");
    bool is_put;
    MutantConversion conversion;
    mutant_conversion(&conversion, &run->model, m->bundle, m->contract ? reading : NULL, &is_put);
    Chain chain;
    Err why = {0};
    if (!convert(run, out, context, &conversion.steps, &chain, scratch, &why)) {
        if (why.kind == ERR_SYSTEM) return err_set(err, why.kind, "%s: %s", m->name, why.text);
        leave_out(run, m, why.text); // the bundle has no such line, or the compiler no such form
        return true;
    }
    if (!is_put) {
        leave_out(run, m, "this model, converted with these options, has no place for it");
        return true;
    }
    if (m->bundle && m->bundle->kind != MUTANT_HOST && is_same(&chain, &run->truth[kind]))
        return err_set(
            err, ERR_GATE,
            "mutant %s changed no byte of the bundle: its row in the table of mutants is wrong",
            m->name);
    MutantHost host;
    mutant_host(&host, m->bundle ? &m->bundle->host : &(HostChanges){0},
                m->contract ? &reading->model.contract : NULL);
    MutantVerdict v;
    if (!judge_all(run, out, &host.ops, &v, err)) return err_prefix(err, "%s", m->name);
    record(run, m, &v);
    return true;
}

// Why a mutant of the contract does not apply; NULL when `reading` is another reading of the model.
static const char *contract_idle_reason(const Run *run, const Mutant *m, Reading *reading,
                                        Arena *arena) {
    if (!contract_mutant_apply(m->contract, &run->model, reading, arena))
        return "this misreading does not apply to this model";
    if (reading->tiles_kv_heads)
        return "the contract has no field for it: see kv_heads_tiled_in_graph";
    if (m->contract->sight == SEEN_LONG &&
        context_of(run, CONTEXT_LONG) <= run->model.contract.original_context)
        return "no position lies beyond the original context";
    return NULL;
}

static bool run_mutant(Run *run, const Mutant *m, Err *err) {
    Arena scratch = {0};
    Reading reading;
    const char *why;
    if (m->contract) {
        why = contract_idle_reason(run, m, &reading, &scratch);
    } else {
        uint32_t context = context_of(run, context_kind(m));
        uint32_t prefill_rows = (uint32_t)min_size(run->chain.prefill_rows, context);
        why = bundle_mutant_idle_reason(m->bundle, &run->model.contract, context, prefill_rows);
        if (!why && !str_is(run->chain.norm, "max"))
            why = norm_mutant_idle_reason(m->bundle, prefill_rows);
    }
    if (why) leave_out(run, m, why);
    bool ok = why || run_converted(run, m, &reading, &scratch, err);
    arena_free(&scratch);
    return ok;
}

// ---- all of them

static const char *const kinds[] = {
    [MUTANT_GRAPH] = "graph", [MUTANT_ROWS] = "rows", [MUTANT_BYTES] = "bytes",
    [MUTANT_HOST] = "host",   [MUTANT_KEYS] = "keys",
};

// Mutants of the contract first, then those of the bundle; false past the last.
static bool mutant_at(size_t i, Mutant *m) {
    size_t n = 0;
    while (contract_mutant_at(n)) n++;
    if (i < n) {
        const ContractMutant *c = contract_mutant_at(i);
        *m = (Mutant){c->name, "contract", c->doc, c, NULL};
        return true;
    }
    const BundleMutant *f = bundle_mutant_at(i - n);
    if (f) *m = (Mutant){f->name, kinds[f->kind], f->doc, NULL, f};
    return f != NULL;
}

static bool is_named(const char *names, const char *name) {
    if (strcmp(names, "all") == 0) return true;
    while (*names)
        if (str_is(str_next_item(&names), name)) return true;
    return false;
}

static bool check_names(const char *names, Err *err) {
    if (!*names)
        return err_set(err, ERR_USAGE,
                       "--mutants is an empty list, expected names separated by commas, or 'all'");
    if (strcmp(names, "all") == 0) return true;
    Mutant m;
    while (*names) {
        Str name = str_next_item(&names);
        bool is_known = false;
        for (size_t i = 0; mutant_at(i, &m); i++) is_known = is_known || str_is(name, m.name);
        if (!is_known)
            return err_set(err, ERR_USAGE,
                           "--mutants: no mutant '%.*s'; --mutants all writes all names to "
                           "verify/mutants.json",
                           STR_ARG(name));
    }
    return true;
}

static bool check_gates(const char *list, Err *err) {
    if (!gate_check_list(list, err)) return false;
    StrBuf known = {0};
    bool is_judge = false;
    for (size_t i = 0; judge_at(i); i++) {
        is_judge = is_judge || gate_is_listed(list, mutants_gate(i));
        strbuf_printf(&known, i ? ", %s" : "%s", mutants_gate(i));
    }
    if (!is_judge)
        err_set(err, ERR_USAGE, "--gates %s: none of these judges mutants; expected some of: %s",
                list, known.at);
    strbuf_free(&known);
    return is_judge;
}

static bool open_run(Run *run, Err *err) {
    const MutantsJob *job = run->job;
    if (!chain_read(&run->chain, run->arena, job->bundle_dir, err)) return false;
    run->model_path =
        verify_find_source(job->bundle_dir, &run->chain, job->model_path, run->arena, err);
    run->dir = arena_printf(run->arena, "%s.mutants", job->bundle_dir).at;
    return run->model_path && model_open(&run->gguf, run->arena, run->model_path, err) &&
           ((gguf_apply_settings(&run->gguf, run->arena, &run->chain.settings, err) &&
             model_read(&run->model, &run->gguf, run->arena, err)) ||
            err_prefix(err, "%s", run->model_path)) &&
           dir_remove_tree(run->dir, err) && dir_make(run->dir, err);
}

static bool write_matrix(const Run *run, Err *err) {
    json_t *names = json_array();
    for (size_t i = 0; judge_at(i); i++) json_array_append_new(names, json_string(mutants_gate(i)));
    json_t *all = json_pack("{s:s, s:o, s:O, s:O}", "tool", run->job->tool_version, "gates", names,
                            "mutants", run->rows, "not_applicable", run->left_out);
    const char *dir = path_join(run->arena, run->job->bundle_dir, "verify");
    bool ok =
        dir_make(dir, err) && json_write_file(all, path_join(run->arena, dir, "mutants.json"), err);
    json_decref(all);
    return ok;
}

bool mutants_run(const MutantsJob *job, MutantsSum *sum, Err *err) {
    Arena arena = {0};
    Run run = {
        .job = job, .sum = sum, .arena = &arena, .rows = json_array(), .left_out = json_array()};
    *sum = (MutantsSum){0};
    size_t n = 0;
    Mutant m = {0};
    while (mutant_at(n, &m)) n++;
    bool ok = check_names(job->names, err) && check_gates(job->gates, err) && open_run(&run, err);
    for (size_t i = 0; ok && i < n; i++) {
        mutant_at(i, &m);
        if (is_named(job->names, m.name)) ok = run_mutant(&run, &m, err);
        progress_report(job->progress, "kill matrix: mutants", i + 1, n);
    }
    ok = ok && write_matrix(&run, err);
    if (run.dir) dir_remove_tree(run.dir, NULL);
    gguf_close(&run.gguf);
    json_decref(run.rows);
    json_decref(run.left_out);
    arena_free(&arena);
    if (ok && sum->n_survived)
        return err_set(err, ERR_GATE,
                       "%zu of %zu mutants survived: no gate%s would notice such an error",
                       sum->n_survived, sum->n_run, job->gates ? " that ran" : "");
    if (ok && sum->n_run == 0)
        return err_set(err, ERR_GATE,
                       "no mutant was judged: none of these applies to this bundle "
                       "(reasons: verify/mutants.json)");
    return ok;
}
