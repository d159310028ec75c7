#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"
#include "base/file.h"
#include "base/json.h"
#include "base/size.h"
#include "base/usage.h"
#include "bundle/advice.h"
#include "bundle/seal.h"
#include "bundle/source.h"
#include "gates/gates.h"
#include "huggingface/folder.h"
#include "proof/proof.h"
#include "proof/resume.h"
#include "verify/open.h"

static Gate *const runs[GATE_COUNT] = {
#define GATE(id, ...) [GATE_##id] = gate_##id,
#include "bundle/gates.def"
#undef GATE
};

static bool asks_all(const char *list) {
    for (int i = 0; i < GATE_COUNT; i++)
        if (!gate_is_listed(list, gates[i].name)) return false;
    return true;
}

// Results count only while the files are those that the gates read.
static bool check_holds(const Proof *p, Err *err) {
    Err why = {0};
    if (bundle_holds(&p->bundle, &why) && source_holds(&p->source, &why)) return true;
    return err_set(err, ERR_GATE,
                   "%s while %s was being verified: this run's results do not count, and nothing "
                   "is sealed; verify again",
                   why.text, p->bundle.dir);
}

static void end_gate(const Proof *p, GateId id, bool is_kept) {
    if (p->job->gate_ended)
        p->job->gate_ended(p->job->line_context, gates[id].name,
                           json_object_get(p->gates, gates[id].name), is_kept);
}

// `resume` NULL: every gate runs, and nothing is written.
static bool run_gates(Proof *p, Resume *resume, Err *err) {
    for (int i = 0; i < GATE_COUNT; i++) {
        if (!p->has_bundle && !gates[i].takes_model) continue;
        if (!gate_is_listed(p->job->gates, gates[i].name)) continue;
        p->gate_failed = false;
        if (resume_keep(resume, p, (GateId)i)) {
            end_gate(p, (GateId)i, true);
            continue;
        }
        p->running = gates[i].name;
        if (resume && !progress_write(resume, p, err)) return false;
        if (resume) resume_forget(resume, p, (GateId)i);
        if (!progress_step(p->job->progress, gates[i].name, 0, 0, err)) return false;
        Err why = {0};
        double started = now_seconds();
        bool has_run = runs[i](p, &why);
        json_object_set_new(p->seconds, gates[i].name, json_real(now_seconds() - started));
        if (resume && !check_holds(p, err)) return false;
        if (!has_run && why.kind != ERR_GATE) {
            if (err) *err = why;
            return err_prefix(err, "gate '%s' could not run", gates[i].name);
        }
        if (!has_run) proof_result(p, gates[i].name, false, NULL, "-", "%s", why.text);
        end_gate(p, (GateId)i, false);
    }
    return true;
}

static bool any_gate_failed(const Proof *p) {
    const char *name;
    json_t *results;
    json_object_foreach(p->gates, name, results) {
        if (proof_any_failed(results)) return true;
    }
    return false;
}

static bool write_report(Proof *p, const Resume *resume, bool is_sealed, Err *err) {
    const Chain *c = &p->bundle.chain;
    const char *dir = path_join(p->arena, p->bundle.dir, "verify");
    json_t *report = json_pack(
        "{s:s, s:s, s:s, s:s, s:s%, s:s%, s:b, s:O, s:o, s:O, s:O}", "tool", p->job->tool_version,
        "build", build_id, "kernels", p->kernels, "chain_sha256", c->sha256.hex, "contract_sha256",
        c->contract_digest.at, c->contract_digest.len, "source_sha256", c->source_sha256.at,
        c->source_sha256.len, "passed", (int)!any_gate_failed(p), "gates", p->gates, "unproved",
        proof_list_unproved(p->gates), "inputs", resume->stated, "section_gates", p->section_gates);
    if (!report) die_out_of_memory(0);
    p->running = NULL;
    proof_facts(p, is_sealed);
    json_object_update(report, p->sections);
    json_object_set_new(report, "sha256", json_string(json_own_sha256(report).hex));
    bool ok = json_write_file(report, path_join(p->arena, dir, "report.json"), err);
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

// Before gates run for an hour: whether what they find can be written.
static bool check_room(const Proof *p, const Resume *resume, Err *err) {
    enum { ROOM = 1 << 20 }; // a report of a model of 60 layers takes half of it
    Err why = {0};
    const char *trial = path_join(p->arena, p->bundle.dir, "seal.json.new");
    void *room = big_alloc(ROOM, "a trial file", err);
    if (!room) return false;
    memset(room, ' ', ROOM);
    bool ok = file_write(trial, room, ROOM, &why);
    free(room);
    unlink(trial);
    ok = ok && dir_make(path_join(p->arena, p->bundle.dir, "verify"), &why) &&
         progress_write(resume, p, &why);
    return ok ||
           err_set(err, why.kind,
                   "%s; verify writes seal and report into the bundle, so it must be writable, "
                   "with some MiB of free space (no gate has run, the bundle did not change)",
                   why.text);
}

// Which side of a contradiction the weights take, where the vote asked: of each field that failed in gate
// contract, the vote's result of its name.
static void add_votes(const Proof *p, StrBuf *out) {
    const json_t *votes = json_object_get(p->gates, gates[GATE_vote].name), *result, *vote;
    size_t i, k;
    json_array_foreach(json_object_get(p->gates, gates[GATE_contract].name), i, result) {
        const char *field = json_string_value(json_object_get(result, "scope"));
        if (proof_verdict_of(result) != PROOF_FAILED || !field) continue;
        json_array_foreach(votes, k, vote) {
            const char *scope = json_string_value(json_object_get(vote, "scope"));
            ProofVerdict verdict = proof_verdict_of(vote);
            if (!scope || strcmp(scope, field) != 0 || verdict == PROOF_NOTE) continue;
            strbuf_printf(out, "The weights %s %s of the model file. ",
                          verdict == PROOF_FAILED     ? "fit another reading better than"
                          : verdict == PROOF_UNPROVED ? "cannot judge"
                                                      : "fit no other reading tried better than",
                          field);
        }
    }
}

// Their names in `names`; the first one.
static const GateInfo *list_failed(const Proof *p, StrBuf *names) {
    const GateInfo *first = NULL;
    for (int i = 0; i < GATE_COUNT; i++) {
        if (!proof_any_failed(json_object_get(p->gates, gates[i].name))) continue;
        strbuf_printf(names, first ? ", %s" : "%s", gates[i].name);
        if (!first) first = &gates[i];
    }
    return first;
}

// The gates that failed, the page, and the command of the first one's row.
static bool say_failure(const Proof *p, Err *err) {
    StrBuf names = {0}, votes = {0};
    const GateInfo *first = list_failed(p, &names);
    add_votes(p, &votes);
    const char *dir = p->bundle.dir;
    CommandWords words = command_words(p->arena, dir, &p->bundle.chain, p->source.path);
    err_set(err, ERR_GATE,
            "%s: a gate failed; the bundle is not sealed. Failed: %s; see %s/verify/report.html. "
            "%s%s %s",
            dir, names.at, dir, votes.len ? votes.at : "", first->hint,
            command_fill(p->arena, first->command, &words));
    strbuf_free(&names);
    strbuf_free(&votes);
    return false;
}

// The same of a model file alone, which has no page.
static bool say_model_failure(const Proof *p, Err *err) {
    StrBuf names = {0}, votes = {0};
    list_failed(p, &names);
    add_votes(p, &votes);
    const char *path = p->job->model_path;
    err_set(
        err, ERR_GATE,
        "%s: a gate failed: %s (above). %sWhere the model file is wrong, --set KEY=VALUE corrects "
        "it; where what it was compared with is wrong, leave that out; field by field: lathe "
        "inspect %s%s",
        path, names.at, votes.len ? votes.at : "", shell_word(p->arena, path),
        publisher_options(p->arena, &p->job->second));
    strbuf_free(&names);
    strbuf_free(&votes);
    return false;
}

// A gate failed: results of the others over the same bytes prove nothing any more.
static bool refuse(Proof *p, const Resume *resume, Err *err) {
    if (!unseal(p, err) || !write_report(p, resume, false, err)) return false;
    progress_remove(p);
    return say_failure(p, err);
}

static bool seal(Proof *p, Err *err) {
    json_t *unproved = proof_list_unproved(p->gates);
    SealWords words = {p->gates, unproved, p->job->tool_version, p->kernels};
    bool ok = seal_write(p->bundle.dir, &p->bundle.chain, &words, err);
    json_decref(unproved);
    return ok;
}

// A run of all gates ends with a new seal. A run of some leaves one that holds, unless one of them
// fails.
static bool judge(Proof *p, Resume *resume, Err *err) {
    bool is_complete = asks_all(p->job->gates);
    // A page that says "proved" is there only beside a seal that holds.
    if (!seal_check(p->bundle.dir, NULL, p->job->progress, NULL) &&
        !remove_file(path_join(p->arena, p->bundle.dir, "verify/report.html"), err))
        return false;
    if (!run_gates(p, resume, err)) return false;
    if (p->has_failed) return refuse(p, resume, err);
    Err why = {0};
    if (is_complete && !bundle_check_mapped(&p->bundle, p->job->progress, &why)) {
        progress_remove(p); // its results may be of other bytes than it says
        return err_set(err, ERR_GATE, "%s; nothing is sealed; verify again", why.text);
    }
    bool is_sealed = is_complete || seal_check(p->bundle.dir, NULL, p->job->progress, NULL);
    if (!check_holds(p, err) || (is_complete && !seal(p, err)) ||
        !write_report(p, resume, is_sealed, err))
        return false;
    if (p->job->is_sealed) *p->job->is_sealed = is_sealed;
    progress_remove(p);
    source_remember(p->bundle.dir, &p->bundle.chain, &p->source, NULL);
    return true;
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
    DirLock lock = {0};
    bool ok = gate_check_list(job->gates, err) && proof_lock_bundle(&lock, job, err) &&
              proof_open(&p, err) && resume_open(&resume, &p, err) &&
              check_room(&p, &resume, err) && judge(&p, &resume, err);
    resume_close(&resume);
    proof_close(&p);
    dir_unlock(&lock);
    arena_free(&arena);
    return ok;
}

// Refuses names of gates that need a bundle.
static bool check_model_list(const char *list, const char *path, Arena *arena, Err *err) {
    if (!gate_check_list(list, err)) return false;
    for (int i = 0; list && i < GATE_COUNT; i++)
        if (gate_is_listed(list, gates[i].name) && !gates[i].takes_model)
            return err_set(err, ERR_USAGE,
                           "gate '%s' compares a bundle with its model; %s is a model file; "
                           "convert it first: %s",
                           gates[i].name, path, first_convert_command(arena, path));
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
    bool ok = check_model_list(job->gates, job->model_path, &arena, err) &&
              model_open(&p.source, &arena, job->model_path, err) &&
              ((gguf_apply_settings(&p.source, &arena, &job->settings, err) &&
                model_read(&p.model, &p.source, &arena, err)) ||
               err_prefix(err, "%s", job->model_path)) &&
              use_of_model(&p.use, &p.model, &p.source, job->second.generation, &arena, err) &&
              use_choose_all(&p.use, job->chosen, &p.model.contract, &arena, err) &&
              run_gates(&p, NULL, err);
    if (ok && p.has_failed) ok = say_model_failure(&p, err);
    proof_close(&p);
    arena_free(&arena);
    return ok;
}
