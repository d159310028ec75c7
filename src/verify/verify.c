#include "verify/verify.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "base/usage.h"
#include "bundle/seal.h"
#include "verify/proof.h"
#include "verify/resume.h"

static Gate *const runs[GATE_COUNT] = {
#define GATE(id, schema, needs, name, doc) [GATE_##id] = gate_##id,
#include "bundle/gates.def"
#undef GATE
};

// What can be asked of a model file alone.
static const bool needs_no_bundle[GATE_COUNT] = {[GATE_contract] = true, [GATE_vote] = true};

const char *verify_find_source(const char *dir, const Chain *chain, const char *given, Arena *arena,
                               Err *err) {
    if (given) return given;
    const char *name = arena_cstr(arena, chain->source_name);
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--; // "OUT.lathe/", as shells complete it
    while (end > 0 && dir[end - 1] != '/') end--;
    const char *parent = end ? arena_printf(arena, "%.*s", (int)end - 1, dir).at : ".";
    const char *beside = path_join(arena, parent, name);
    if (path_exists(beside)) return beside;
    if (path_exists(name)) return name;
    err_set(err, ERR_USAGE,
            "the source model %s is neither beside the bundle nor here; name it with --model",
            name);
    return NULL;
}

static bool open_all(Proof *p, Err *err) {
    if (!bundle_open(&p->bundle, p->arena, p->job->bundle_dir, err)) return false;
    p->bundle.faults = p->job->faults;
    const char *model =
        verify_find_source(p->bundle.dir, &p->bundle.chain, p->job->model_path, p->arena, err);
    if (!model || !gguf_open(&p->source, p->arena, model, err)) return false;
    if (!model_read(&p->model, &p->source, p->arena, err)) return err_prefix(err, "%s", model);
    p->use = p->bundle.chain.use;
    p->tokenizer = tokenizer_open(&p->bundle.host, err);
    return p->tokenizer != NULL;
}

static void close_all(Proof *p) {
    tokenizer_close(p->tokenizer);
    gguf_close(&p->source);
    bundle_close(&p->bundle);
    json_decref(p->gates);
    json_decref(p->sections);
    json_decref(p->section_gates);
    json_decref(p->seconds);
}

// A model of another shape than the bundle's would be compared out of bounds; with another contract
// of the same shape the gates themselves speak.
static bool same_shapes(const Proof *p, Err *err) {
    const Contract *a = &p->bundle.chain.contract, *b = &p->model.contract;
    if (a->n_layers == b->n_layers && a->d_model == b->d_model && a->n_heads == b->n_heads &&
        a->n_kv_heads == b->n_kv_heads && a->head_dim == b->head_dim &&
        a->head_dim_v == b->head_dim_v && a->d_ff == b->d_ff && a->n_vocab == b->n_vocab &&
        a->rope_style == b->rope_style)
        return true;
    return err_set(err, ERR_GATE,
                   "the source model has another shape than the bundle's: not the model it was "
                   "converted from");
}

static bool asks_all(const char *list) {
    for (int i = 0; i < GATE_COUNT; i++)
        if (!gate_is_listed(list, gates[i].name)) return false;
    return true;
}

// `resume` NULL: every gate runs.
static bool run_gates(Proof *p, const Resume *resume, Err *err) {
    for (int i = 0; i < GATE_COUNT; i++) {
        if (!p->has_bundle && !needs_no_bundle[i]) continue;
        if (!gate_is_listed(p->job->gates, gates[i].name)) continue;
        p->gate_failed = false;
        if (resume && resume_keep(resume, p, (GateId)i)) continue;
        p->running = gates[i].name;
        progress_report(p->job->progress, gates[i].name, 0, 0);
        Err why = {0};
        double started = now_seconds();
        bool has_run = runs[i](p, &why);
        json_object_set_new(p->seconds, gates[i].name, json_real(now_seconds() - started));
        if (has_run) continue;
        if (why.kind != ERR_GATE) {
            if (err) *err = why;
            return err_prefix(err, "gate '%s' could not run", gates[i].name);
        }
        proof_result(p, gates[i].name, false, NULL, "-", "%s", why.text);
    }
    return true;
}

static bool write_report(Proof *p, const Resume *resume, bool is_sealed, Err *err) {
    const Chain *c = &p->bundle.chain;
    const char *dir = path_join(p->arena, p->bundle.dir, "verify");
    json_t *report =
        json_pack("{s:s, s:s%, s:s%, s:b, s:O, s:o, s:O, s:O}", "tool", p->job->tool_version,
                  "contract_sha256", c->contract_digest.at, c->contract_digest.len, "source_sha256",
                  c->source_sha256.at, c->source_sha256.len, "passed", !p->has_failed, "gates",
                  p->gates, "unproved", proof_list_unproved(p->gates), "inputs", resume->inputs,
                  "section_gates", p->section_gates);
    if (!report) memory_is_out(0);
    p->running = NULL;
    proof_facts(p, is_sealed);
    json_object_update(report, p->sections);
    json_object_set_new(report, "sha256", json_string(json_own_sha256(report).hex));
    bool ok =
        dir_make(dir, err) && json_write_file(report, path_join(p->arena, dir, "report.json"), err);
    json_decref(report);
    if (ok && p->job->has_report) *p->job->has_report = true;
    return ok;
}

static bool remove_file(const char *path, Err *err) {
    return !path_exists(path) || unlink(path) == 0 || err_errno(err, "%s: cannot remove it", path);
}

// The seal, and the page that says so.
static bool unseal(const Proof *p, Err *err) {
    const char *dir = p->bundle.dir;
    return remove_file(path_join(p->arena, dir, "seal.json"), err) &&
           remove_file(path_join(p->arena, dir, "verify/report.html"), err);
}

// A run of all gates begins without a seal and ends with one. A run of some leaves a seal that
// holds alone, unless one of them fails.
static bool judge(Proof *p, const Resume *resume, Err *err) {
    const VerifyJob *job = p->job;
    bool is_complete = asks_all(job->gates);
    Err broken = {0};
    bool keeps_seal = !is_complete && seal_check(p->bundle.dir, NULL, job->progress, &broken);
    if ((!keeps_seal && !unseal(p, err)) || !run_gates(p, resume, err)) return false;
    if (p->has_failed && keeps_seal && !unseal(p, err)) return false;
    if (!write_report(p, resume, !p->has_failed && (is_complete || keeps_seal), err)) return false;
    if (p->has_failed)
        return err_set(err, ERR_GATE, "%s: a gate failed; the bundle is not sealed", p->bundle.dir);
    if (!is_complete) return true;
    json_t *unproved = proof_list_unproved(p->gates);
    bool ok =
        seal_write(p->bundle.dir, &p->bundle.chain, p->gates, unproved, job->tool_version, err);
    json_decref(unproved);
    return ok;
}

bool verify_bundle(const VerifyJob *job, Err *err) {
    Arena arena = {0};
    Proof p = {.job = job,
               .arena = &arena,
               .has_bundle = true,
               .gates = json_object(),
               .sections = json_object(),
               .section_gates = json_object(),
               .seconds = json_object(),
               .started = now_seconds()};
    Resume resume = {0};
    bool ok = gate_check_list(job->gates, err) && open_all(&p, err) && same_shapes(&p, err) &&
              resume_open(&resume, &p, err) && judge(&p, &resume, err);
    resume_close(&resume);
    close_all(&p);
    arena_free(&arena);
    return ok;
}

// A gate that was asked for by name and needs a bundle is a mistake of the asker.
static bool check_model_list(const char *list, Err *err) {
    if (!gate_check_list(list, err)) return false;
    for (int i = 0; list && i < GATE_COUNT; i++)
        if (gate_is_listed(list, gates[i].name) && !needs_no_bundle[i])
            return err_set(err, ERR_USAGE,
                           "gate '%s' compares a bundle with its model; convert the model first, "
                           "then: lathe verify OUT.lathe",
                           gates[i].name);
    return true;
}

bool verify_model(const VerifyJob *job, Err *err) {
    Arena arena = {0};
    Proof p = {.job = job,
               .arena = &arena,
               .gates = json_object(),
               .sections = json_object(),
               .section_gates = json_object(),
               .seconds = json_object()};
    bool ok =
        check_model_list(job->gates, err) && gguf_open(&p.source, &arena, job->model_path, err) &&
        (model_read(&p.model, &p.source, &arena, err) || err_prefix(err, "%s", job->model_path)) &&
        use_of_model(&p.use, &p.model, &p.source, job->second.generation, &arena, err) &&
        run_gates(&p, NULL, err);
    if (ok && p.has_failed) ok = err_set(err, ERR_GATE, "%s: a gate failed", job->model_path);
    close_all(&p);
    arena_free(&arena);
    return ok;
}
