#include "settle/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/size.h"
#include "coreml/log.h"
#include "settle/conditions.h"
#include "settle/log.h"

enum { MOST_RUNS = 9 };

// ---- where it lies, and whether it counts

static void name_of(char name[256], const Setting *s, QuestionId question, StageId stage,
                    uint32_t n_run) {
    const StageRow *row = &settle_stages[stage];
    if (row->n_runs == 1)
        snprintf(name, 256, "%.180s-%s", s->slug, row->name);
    else
        snprintf(name, 256, "%.180s-%s-%s-%u", s->slug, settle_questions[question].name, row->name,
                 n_run + 1);
}

const char *record_name(Run *run, const Setting *s, QuestionId question, StageId stage,
                        uint32_t n_run) {
    char name[256];
    name_of(name, s, question, stage, n_run);
    return arena_cstr(&run->arena, str_of(name));
}

static json_t *read_record(const Run *run, const Setting *s, const char *name) {
    char path[4400];
    snprintf(path, sizeof path, "%s/%s.json", run->records, name);
    if (!path_exists(path)) return NULL;
    json_t *record = json_read_file(path, NULL), *key = settle_key(run, s->chain.hex);
    bool counts = record && json_equal(json_object_get(record, "key"), key);
    json_decref(key);
    if (counts) return record;
    json_decref(record);
    return NULL;
}

json_t *record_read(const Run *run, const Setting *s, QuestionId question, StageId stage,
                    uint32_t n_run) {
    char name[256];
    name_of(name, s, question, stage, n_run);
    return read_record(run, s, name);
}

// ---- doing it

static const char *say_end(Run *run, const ChildEnd *end, const char *log) {
    if (end->is_late) return "the process did not end in time and was ended";
    if (end->signal)
        return arena_printf(&run->arena, "the process ended by signal %d", end->signal).at;
    return end->code == 0 ? "" : log_reason(log, &run->arena);
}

// What Core ML's compiler wrote lies beside its results (coreml/cache.h): it is moved to the logs.
static const char *move_compiler_log(Run *run, const char *name) {
    const char *dir = path_join(&run->arena, run->cache, "compiled");
    const char *to = arena_printf(&run->arena, "%s/%s-compiler.log", run->logs, name).at;
    DirList list;
    StrBuf all = {0};
    if (!path_is_dir(dir) || !dir_list(&list, &run->arena, dir, NULL)) return to;
    for (size_t i = 0; i < list.count; i++) {
        const char *log = path_join(&run->arena, dir, list.names[i]);
        FileMap map = {0};
        if (!str_ends(str_of(log), STR(".log")) || !map_file(&map, log, NULL)) continue;
        strbuf_add(&all, (Str){(const char *)map.at, map.len});
        unmap_file(&map);
        unlink(log);
    }
    if (all.len) file_replace(to, all.at, all.len, NULL);
    strbuf_free(&all);
    return to;
}

static json_t *make_record(Run *run, const Setting *s, StageId stage, const ChildEnd *end,
                           const char *log, const char *compiler_log, json_t *found) {
    json_t *figures = json_object_get(found, "figures");
    const char *doing = json_string_value(json_object_get(found, "doing"));
    bool has_ended = end->code == 0;
    // A stage that ended early did so while it was finding out a yes or no: that is a no.
    if (!has_ended && doing && *doing) json_object_set_new(figures, doing, json_real(0));
    const char *ended = end->is_late  ? "late"
                        : end->signal ? "died"
                        : has_ended   ? "done"
                                      : "failed";
    json_t *details = json_object_get(found, "details");
    json_t *rows = log_explained(log), *more = log_explained(compiler_log);
    json_array_extend(rows, more);
    json_decref(more);
    json_t *record = json_pack(
        "{s:i, s:o, s:s, s:s, s:i, s:f, s:s, s:O, s:O, s:o, s:o}", "schema", SETTLE_SCHEMA, "key",
        settle_key(run, s->chain.hex), "stage", settle_stages[stage].name, "ended", ended, "signal",
        end->signal, "seconds", end->seconds, "log", path_file_name(log), "figures", figures,
        "details", details, "explained", rows, "why", json_of_str(str_of(say_end(run, end, log))));
    if (!record) die_out_of_memory(0);
    return record;
}

typedef struct {
    const char *name, *out, *log;
    Child child;
    const char *arguments[12];
    const char *environment[2];
} Doing;

// lathe settle-worker STAGE BUNDLE OUT, or for the gates lathe verify.
static void prepare(Doing *d, Run *run, const Setting *s, StageId stage) {
    d->out = arena_printf(&run->arena, "%s/%s.partial", run->records, d->name).at;
    d->log = arena_printf(&run->arena, "%s/%s.log", run->logs, d->name).at;
    const char *const work[] = {run->job->program, "settle-worker", settle_stages[stage].name,
                                s->bundle,         d->out,          NULL};
    const char *const gates[] = {run->job->program, "verify",   s->bundle, "--model",
                                 run->model,        "--engine", "coreml",  NULL};
    if (stage == STAGE_gates)
        memcpy(d->arguments, gates, sizeof gates);
    else
        memcpy(d->arguments, work, sizeof work);
    d->environment[0] = arena_printf(&run->arena, "LATHE_CACHE_DIR=%s", run->cache).at;
    d->environment[1] = NULL;
    d->child =
        (Child){.arguments = d->arguments,
                .environment = d->environment,
                .log = d->log,
                .most_seconds = settle_stages[stage].most_minutes * 60.0,
                .progress = run->job->progress,
                .stage = arena_printf(&run->arena, "%s: seconds", settle_stages[stage].name).at};
}

// What the gates say is the exit code: 0 passed, 1 failed; anything else asked nothing. Their
// results are what lathe verify left in the bundle.
static json_t *found_by_gates(Run *run, const Setting *s, const ChildEnd *end) {
    json_t *found = json_pack("{s:s, s:{}, s:{}}", "doing", "", "figures", "details");
    if (end->code != 0 && end->code != 1) return found;
    const char *path = path_join(&run->arena, s->bundle, "verify/device.json");
    json_t *results = path_exists(path) ? json_read_file(path, NULL) : NULL;
    if (results) json_object_set_new(json_object_get(found, "details"), "device", results);
    json_object_set_new(json_object_get(found, "figures"), "gates_passed",
                        json_real(end->code == 0));
    return found;
}

static json_t *do_stage(Run *run, Setting *s, StageId stage, const char *name, Err *err) {
    Doing d = {.name = name};
    ChildEnd end;
    prepare(&d, run, s, stage);
    unlink(d.out);
    bool is_timed = settle_stages[stage].n_runs > 1 || stage == STAGE_power;
    json_t *before = is_timed ? conditions_now(run) : NULL;
    if (!child_run(&d.child, &end, err)) {
        json_decref(before);
        unlink(d.out);
        return NULL;
    }
    json_t *found = stage == STAGE_gates ? found_by_gates(run, s, &end)
                    : path_exists(d.out) ? json_read_file(d.out, NULL)
                                         : NULL;
    if (!found) found = json_pack("{s:s, s:{}, s:{}}", "doing", "", "figures", "details");
    // Behind what the compiler wrote goes what the system's log has of the time.
    const char *more = move_compiler_log(run, name);
    log_add_unified(more, end.seconds);
    if (before) {
        json_object_set_new(json_object_get(found, "details"), "before", before);
        json_object_set_new(json_object_get(found, "details"), "after", conditions_now(run));
    }
    json_t *record = make_record(run, s, stage, &end, d.log, more, found);
    json_decref(found);
    unlink(d.out);
    const char *path = arena_printf(&run->arena, "%s/%s.json", run->records, name).at;
    if (json_write_file(record, path, err)) return record;
    json_decref(record);
    return NULL;
}

json_t *record_take(Run *run, Setting *s, QuestionId question, StageId stage, uint32_t n_run,
                    bool *is_kept, Err *err) {
    const char *name = record_name(run, s, question, stage, n_run);
    json_t *record = read_record(run, s, name);
    *is_kept = record != NULL;
    if (record || (stage == STAGE_power && !run->job->measures_power)) return record;
    if (stage == STAGE_gates && !run->model) return NULL;
    if (!setting_convert(run, s, err) || s->why.kind) return NULL;
    return do_stage(run, s, stage, name, err);
}

// ---- what it says

Measured record_figure(const Run *run, const Setting *s, QuestionId question, FigureId figure) {
    StageId stage = settle_figures[figure].stage;
    double values[MOST_RUNS];
    size_t n = 0;
    for (uint32_t i = 0; i < settle_stages[stage].n_runs && i < MOST_RUNS; i++) {
        json_t *record = record_read(run, s, question, stage, i);
        const json_t *value =
            json_object_get(json_object_get(record, "figures"), settle_figures[figure].name);
        if (json_is_number(value)) values[n++] = json_number_value(value);
        json_decref(record);
    }
    return measured_of(values, n);
}

const char *record_why(Run *run, const Setting *s, QuestionId question, StageId stage) {
    const char *why = "";
    for (uint32_t i = 0; i < settle_stages[stage].n_runs && !*why; i++) {
        json_t *record = record_read(run, s, question, stage, i);
        const char *text = json_string_value(json_object_get(record, "why"));
        if (text) why = arena_cstr(&run->arena, str_of(text));
        json_decref(record);
    }
    return why;
}
