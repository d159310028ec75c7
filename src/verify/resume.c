#include "verify/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

static void add_text(Hasher *h, Str text) {
    hasher_add(h, text.at, text.len);
    hasher_add(h, "\n", 1);
}

static void add_number(Hasher *h, uint64_t n) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, n);
    add_text(h, str_of(text));
}

static void add_packages(Hasher *h, const Chain *c) {
    for (size_t s = 0; s < c->n_shards; s++)
        for (size_t f = 0; f < c->shards[s].n_files; f++) {
            add_text(h, c->shards[s].files[f].path);
            add_text(h, c->shards[s].files[f].sha256);
        }
}

// Everything chain.json says belongs to how packages are read, so its digest stands for it.
static Sha256 gate_inputs(const Proof *p, GateId id, Str source, Str vote_text, Str chain) {
    const GateInfo *gate = &gates[id];
    Hasher *h = hasher_new();
    add_text(h, str_of(p->job->tool_version));
    add_text(h, str_of(gate->name));
    add_number(h, gate->schema);
    add_text(h, str_of(contract_digest(&p->model.contract).hex));
    if (gate->needs & GATE_NEEDS_SOURCE) add_text(h, source);
    if (gate->needs & GATE_NEEDS_HOST) add_text(h, p->bundle.chain.host.sha256);
    if (gate->needs & GATE_NEEDS_PACKAGES) {
        add_packages(h, &p->bundle.chain);
        add_text(h, chain);
    }
    if (id == GATE_vote) {
        add_text(h, vote_text);
        add_number(h, p->job->is_vote_long);
    }
    return hasher_end(h);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// The earlier report, when it is as it was written and speaks of the files that are here.
static json_t *read_report(Proof *p, Err *err) {
    const char *path = path_join(p->arena, p->bundle.dir, "verify/report.json");
    if (!path_exists(path)) {
        err_set(err, ERR_FORMAT, "%s is not there; a run writes it", path);
        return NULL;
    }
    json_t *report = json_read_file(path, err);
    if (!report) return NULL;
    const char *stated = text_of(report, "sha256");
    bool is_whole = strcmp(stated, json_own_sha256(report).hex) == 0 ||
                    err_set(err, ERR_FORMAT, "%s %s", path,
                            *stated ? "was edited since it was written (its sha256 is another)"
                                    : "has no sha256: an older lathe wrote it");
    if (is_whole &&
        bundle_check_files(p->bundle.dir, &p->bundle.chain, false, p->job->progress, err))
        return report;
    json_decref(report);
    return NULL;
}

bool resume_open(Resume *r, Proof *p, Err *err) {
    *r = (Resume){.inputs = json_object()};
    Sha256 source = proof_source_sha256(p), text = {{0}}, chain;
    if (p->job->vote_text && !sha256_file(&text, p->job->vote_text, err)) return false;
    if (!sha256_file(&chain, path_join(p->arena, p->bundle.dir, "chain.json"), err)) return false;
    for (int i = 0; i < GATE_COUNT; i++) {
        Sha256 digest =
            gate_inputs(p, (GateId)i, str_of(source.hex), str_of(text.hex), str_of(chain.hex));
        json_object_set_new(r->inputs, gates[i].name, json_string(digest.hex));
    }
    if (!p->job->resumes) return true;
    Err why = {0};
    r->report = read_report(p, &why);
    if (!r->report && p->job->note)
        p->job->note(p->job->line_context,
                     arena_printf(p->arena, "nothing is kept, all gates run: %s", why.text).at);
    return true;
}

static bool has_passed(const json_t *results) {
    size_t i;
    const json_t *result;
    if (json_array_size(results) == 0) return false;
    json_array_foreach(results, i, result) {
        if (proof_verdict_of(result) == PROOF_FAILED) return false;
    }
    return true;
}

bool resume_keep(const Resume *r, Proof *p, GateId id) {
    const char *name = gates[id].name;
    // Cheap, and the sources it is given may be others.
    if (!r->report || id == GATE_contract) return false;
    json_t *results = json_object_get(json_object_get(r->report, "gates"), name);
    const json_t *then = json_object_get(json_object_get(r->report, "inputs"), name);
    if (!has_passed(results) || !json_equal(then, json_object_get(r->inputs, name))) return false;

    p->running = name;
    json_object_set(p->gates, name, results);
    json_object_set_new(p->seconds, name, json_real(0));
    const char *section;
    json_t *owner;
    json_object_foreach(json_object_get(r->report, "section_gates"), section, owner) {
        json_t *value = json_object_get(r->report, section);
        if (value && json_is_string(owner) && strcmp(json_string_value(owner), name) == 0)
            proof_section(p, section, json_incref(value));
    }
    size_t i;
    json_t *result;
    json_array_foreach(results, i, result) {
        Str text = arena_printf(p->arena, "%s (kept)", text_of(result, "text"));
        if (p->job->line)
            p->job->line(p->job->line_context, name, text_of(result, "scope"), text.at,
                         proof_verdict_of(result));
    }
    return true;
}

void resume_close(Resume *r) {
    json_decref(r->inputs);
    json_decref(r->report);
    *r = (Resume){0};
}
