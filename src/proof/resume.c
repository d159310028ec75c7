#include "proof/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"
#include "base/file.h"
#include "base/json.h"
#include "base/size.h"

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

static void add_use(Hasher *h, const Use *use) {
    for (int i = 0; i < USE_COUNT; i++) {
        StrBuf value = {0};
        use_print(use, (UseId)i, &value);
        add_text(h, strbuf_str(&value));
        strbuf_free(&value);
    }
}

static void add_settings(Hasher *h, const GgufSettings *s) {
    for (size_t i = 0; i < s->n_set; i++) add_text(h, str_of(s->set[i]));
    for (size_t i = 0; i < s->n_ignored; i++) add_text(h, str_of(s->ignored[i]));
}

static void add_config(Hasher *h, const ConfigFiles *files) {
    const char *const paths[] = {files->config, files->generation, files->tokenizer,
                                 files->chat_template};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        Sha256 digest;
        if (paths[i] && sha256_file(&digest, paths[i], NULL)) add_text(h, str_of(digest.hex));
    }
}

// Everything chain.json says belongs to how packages are read, so its digest stands for it.
static Sha256 gate_inputs(const Proof *p, GateId id, Str source, Str vote_text, Str chain) {
    const GateInfo *gate = &gates[id];
    Hasher *h = hasher_new();
    add_text(h, str_of(build_id));
    add_text(h, str_of(p->kernels));
    add_text(h, str_of(gate->name));
    add_number(h, gate->schema);
    add_text(h, str_of(contract_digest(&p->model.contract).hex));
    if (gate->needs & GATE_NEEDS_SOURCE) {
        add_text(h, source);
        add_settings(h, &p->bundle.chain.settings);
    }
    if (gate->needs & GATE_NEEDS_HOST) add_text(h, p->bundle.chain.host.sha256);
    if (gate->needs & GATE_NEEDS_PACKAGES) {
        add_packages(h, &p->bundle.chain);
        add_text(h, chain);
    }
    if (gate->needs & GATE_NEEDS_USE) add_use(h, &p->use);
    if (gate->needs & GATE_NEEDS_PUBLISHER) add_config(h, &p->job->second);
    if (gate->needs & GATE_NEEDS_VOTE_TEXT) add_text(h, vote_text);
    if (gate->needs & GATE_NEEDS_VOTE_LONG) add_number(h, p->job->is_vote_long);
    return hasher_end(h);
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// What an earlier run wrote into `name`, when it is as it was written.
static json_t *read_record(Proof *p, const char *name, Err *err) {
    const char *path = path_join(p->arena, path_join(p->arena, p->bundle.dir, "verify"), name);
    if (!path_exists(path)) {
        err_set(err, ERR_FORMAT, "%s is missing; a run of verify writes it", path);
        return NULL;
    }
    json_t *record = json_read_file(path, err);
    if (!record) return NULL;
    const char *stated = text_of(record, "sha256");
    if (strcmp(stated, json_own_sha256(record).hex) == 0) return record;
    err_set(err, ERR_FORMAT, "%s %s", path,
            *stated ? "was edited after it was written (its sha256 differs)"
                    : "has no sha256: an older version of lathe wrote it");
    json_decref(record);
    return NULL;
}

static void read_records(Resume *r, Proof *p, Err *why) {
    static const char *const names[MAX_RECORDS] = {"progress.json", "report.json"};
    for (size_t i = 0; i < MAX_RECORDS; i++) {
        json_t *record = read_record(p, names[i], why);
        if (record) r->records[r->n_records++] = record;
    }
}

// Whether what `record` says is of this bundle and this program, under whatever options.
static bool is_of_bundle(const Proof *p, const json_t *record) {
    return strcmp(text_of(record, "chain_sha256"), p->bundle.chain.sha256.hex) == 0 &&
           strcmp(text_of(record, "build"), build_id) == 0;
}

static void take_from(Resume *r, Proof *p, const char *name, const json_t *record) {
    p->running = name;
    json_object_set(p->gates, name, json_object_get(json_object_get(record, "gates"), name));
    json_object_set(r->stated, name, json_object_get(json_object_get(record, "inputs"), name));
    const char *section;
    json_t *owner;
    json_object_foreach(json_object_get(record, "section_gates"), section, owner) {
        json_t *value = json_object_get(record, section);
        if (value && json_is_string(owner) && strcmp(json_string_value(owner), name) == 0)
            proof_section(p, section, json_incref(value));
    }
    p->running = NULL;
}

// The newest results of gate `name` over this run's inputs; else those over others, such as another
// text for the vote or other kernels, with these inputs: for the report, no run keeps them.
static void take_over(Resume *r, Proof *p, const char *name) {
    for (int is_strict = 1; is_strict >= 0; is_strict--)
        for (size_t i = 0; i < r->n_records; i++) {
            const json_t *record = r->records[i];
            const json_t *results = json_object_get(json_object_get(record, "gates"), name);
            const json_t *then = json_object_get(json_object_get(record, "inputs"), name);
            bool is_same = json_equal(then, json_object_get(r->inputs, name));
            if (json_array_size(results) == 0 || !json_is_string(then) ||
                (is_strict ? !is_same : !is_of_bundle(p, record)))
                continue;
            take_from(r, p, name, record);
            return;
        }
}

// A gate that failed over altered bytes has failed until it runs again, or the files are as stated.
static void take_failures(Resume *r, Proof *p, const char *name) {
    for (size_t i = 0; i < r->n_records; i++) {
        const json_t *results = json_object_get(json_object_get(r->records[i], "gates"), name);
        if (!is_of_bundle(p, r->records[i]) || !proof_any_failed(results)) continue;
        take_from(r, p, name, r->records[i]);
        return;
    }
}

bool resume_open(Resume *r, Proof *p, Err *err) {
    *r = (Resume){.inputs = json_object(), .stated = json_object()};
    Sha256 source = proof_source_sha256(p), text = {{0}};
    if (p->job->vote_text && !sha256_file(&text, p->job->vote_text, err)) return false;
    Err why = {0};
    // Inputs name files by the digests that chain.json states. Where the files are others, results
    // have no name: none that passed is taken over, and none of this run will be.
    bool is_as_stated =
        bundle_check_files(p->bundle.dir, &p->bundle.chain, false, p->job->progress, &why);
    for (int i = 0; is_as_stated && i < GATE_COUNT; i++) {
        Sha256 digest = gate_inputs(p, (GateId)i, str_of(source.hex), str_of(text.hex),
                                    str_of(p->bundle.chain.sha256.hex));
        json_object_set_new(r->inputs, gates[i].name, json_string(digest.hex));
    }
    read_records(r, p, is_as_stated ? &why : NULL);
    for (int i = 0; i < GATE_COUNT; i++)
        (is_as_stated ? take_over : take_failures)(r, p, gates[i].name);
    if (p->job->resumes && (!is_as_stated || !r->n_records) && p->job->note)
        p->job->note(
            p->job->line_context,
            arena_printf(p->arena, "no earlier result is kept, all gates run: %s", why.text).at);
    return true;
}

bool resume_keep(const Resume *r, Proof *p, GateId id) {
    const char *name = gates[id].name;
    const json_t *results = json_object_get(p->gates, name);
    if (!r || !p->job->resumes || gates[id].always_runs) return false;
    if (!results || proof_any_failed(results) ||
        !json_equal(json_object_get(r->stated, name), json_object_get(r->inputs, name)))
        return false;
    json_object_set_new(p->seconds, name, json_real(0));
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

void resume_forget(Resume *r, Proof *p, GateId id) {
    const char *name = gates[id].name;
    json_t *inputs = json_object_get(r->inputs, name);
    proof_forget(p, name);
    json_object_del(r->stated, name);
    if (inputs) json_object_set(r->stated, name, inputs);
}

void resume_close(Resume *r) {
    json_decref(r->inputs);
    json_decref(r->stated);
    for (size_t i = 0; i < r->n_records; i++) json_decref(r->records[i]);
    *r = (Resume){0};
}

// ---- of this run

static const char *progress_path(const Proof *p) {
    return path_join(p->arena, p->bundle.dir, "verify/progress.json");
}

bool progress_write(const Resume *r, const Proof *p, Err *err) {
    json_t *progress =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:O}", "tool", p->job->tool_version, "build",
                  build_id, "kernels", p->kernels, "chain_sha256", p->bundle.chain.sha256.hex,
                  "running", p->running ? p->running : "", "gates", p->gates, "inputs", r->stated,
                  "section_gates", p->section_gates);
    if (!progress) die_out_of_memory(0);
    json_object_update(progress, p->sections);
    json_object_set_new(progress, "sha256", json_string(json_own_sha256(progress).hex));
    bool ok = json_write_file(progress, progress_path(p), err);
    json_decref(progress);
    return ok;
}

void progress_remove(const Proof *p) {
    unlink(progress_path(p));
}
