#include "runtime/coreml_prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coreml/errors.h"
#include "coreml/log.h"
#include "coreml/worker.h"

CoremlSource coreml_source(const Package *package, Arena *arena) {
    Str *weights = arena_array(arena, package->n_weights, Str);
    for (size_t i = 0; i < package->n_weights; i++) {
        const FileMap *map = &package->weights[i].map;
        weights[i] = (Str){(const char *)map->at, map->len};
    }
    return (CoremlSource){.package = package->path,
                          .program = package->model.at,
                          .n_program = package->model.len,
                          .weights = weights,
                          .n_weights = package->n_weights};
}

static void say_first_time(const Bundle *b, uint64_t seconds, const char *log,
                           const Progress *progress, Arena *arena) {
    Str text = arena_printf(
        arena,
        "%s has not run on this machine yet: a process of its own compiles it with Core ML and "
        "runs it once. That takes about %" PRIu64
        " s according to others who ran models of this size, at most half an hour; log: %s",
        b->dir, seconds, log);
    progress_note(progress, text.at);
}

// The lines about `c` in what the process wrote.
static void find_lines(StrBuf *out, Str wrote, const CoremlCompiled *c) {
    for (const char *at = wrote.at; at && *at;) {
        const char *end = strchr(at, '\n');
        size_t n = end ? (size_t)(end - at) + 1 : strlen(at), path = strlen(c->log);
        if (n > path + 5 && strncmp(at, "ran ", 4) == 0 && strncmp(at + 4, c->log, path) == 0)
            strbuf_add(out, (Str){at, n});
        at = end ? end + 1 : NULL;
    }
}

static bool note_all(const CoremlCompiled *all, size_t n, Str wrote, Err *err) {
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        StrBuf lines = {0};
        find_lines(&lines, wrote, &all[i]);
        ok = coreml_note_run(&all[i], strbuf_str(&lines), err);
        strbuf_free(&lines);
    }
    return ok;
}

static bool try_bundle(const Bundle *b, const CoremlCompiled *all, size_t n, uint64_t expected,
                       const Progress *progress, Arena *arena, Err *err) {
    const char *const arguments[] = {"--try", b->dir, NULL};
    WorkerJob job = {.arguments = arguments,
                     .log = all[0].log,
                     .does = "its first prediction",
                     .stage = "first prediction: s",
                     .expected_seconds = expected};
    double seconds;
    long from = log_size(job.log);
    if (!worker_run(&job, progress, &seconds, err)) return err_prefix(err, "%s", b->dir);
    Str wrote = log_read_from(job.log, from, arena);
    if (coreml_error_find_silent(wrote.at))
        return coreml_error_set_silent(err, b->dir, wrote.at, job.log);
    return note_all(all, n, wrote, err);
}

static bool prepare(const Bundle *b, const Progress *progress, Arena *arena, Err *err) {
    size_t n = b->chain.n_shards;
    CoremlCompiled *all = arena_array(arena, n, CoremlCompiled);
    uint64_t expected = 0;
    bool have_run = true;
    for (size_t i = 0; i < n; i++) {
        CoremlSource source = coreml_source(&b->packages[i], arena);
        if (!coreml_compiled(&all[i], &source, progress, arena, err))
            return err_prefix(err, "%s", source.package);
        expected += coreml_expected_seconds(&source);
        have_run = have_run && coreml_has_run(&all[i], arena, NULL);
    }
    if (have_run || !worker_tries_first()) return true;
    say_first_time(b, expected, all[0].log, progress, arena);
    return try_bundle(b, all, n, expected, progress, arena, err);
}

bool coreml_prepare(const Bundle *b, const Progress *progress, Err *err) {
    Arena arena = {0};
    bool ok = prepare(b, progress, &arena, err);
    arena_free(&arena);
    return ok;
}

void coreml_first_times(const CoremlCompiled *c, const char *function, RunnerTimes *times) {
    Arena scratch = {0};
    Str note;
    char name[64];
    double load, run;
    if (coreml_has_run(c, &scratch, &note))
        for (const char *at = note.at; at && *at; at = strchr(at, '\n')) {
            at += *at == '\n';
            if (sscanf(at, "ran %*s %63s %lf %lf", name, &load, &run) != 3 ||
                strcmp(name, function) != 0)
                continue;
            times->first_load = load;
            times->first_run = run;
        }
    arena_free(&scratch);
}
