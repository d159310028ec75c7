// settle.c — the run: converts every bundle, writes predictions, then measures question after
// question.
#include "settle/settle.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/size.h"
#include "convert/setting_file.h"
#include "settle/foresee.h"
#include "settle/measure.h"
#include "settle/page.h"
#include "settle/result.h"
#include "settle/tune.h"

// ---- the folder

static bool make_folder(Run *run, Err *err) {
    Arena *a = &run->arena;
    char full[PROGRAM_PATH_SIZE];
    // Children and the cache get absolute paths, whatever their working directory.
    if (!dir_make(run->job->folder, err)) return false;
    if (!realpath(run->job->folder, full)) return err_errno(err, "%s", run->job->folder);
    run->folder = arena_cstr(a, str_of(full));
    run->records = path_join(a, run->folder, "records");
    run->logs = path_join(a, run->folder, "logs");
    run->bundles = path_join(a, run->folder, "bundles");
    run->cache = path_join(a, run->folder, "cache");
    return dir_make(run->records, err) && dir_make(run->logs, err) && dir_make(run->bundles, err) &&
           dir_make(run->cache, err);
}

static void clean_folder(const Run *run) {
    dir_remove_tree(run->cache, NULL);
    if (!run->job->keeps_bundles) dir_remove_tree(run->bundles, NULL);
}

// Writes what is known now: settle.json and the page made of it.
static bool write_result(Run *run, const json_t *predictions, bool is_complete, SettleSum *sum,
                         Err *err) {
    json_t *result = result_make(run, predictions, is_complete, sum);
    StrBuf page = {0};
    settle_page(result, &page);
    bool ok =
        json_write_file(result, path_join(&run->arena, run->folder, "settle.json"), err) &&
        file_replace(path_join(&run->arena, run->folder, "settle.html"), page.at, page.len, err);
    strbuf_free(&page);
    json_decref(result);
    return ok;
}

// ---- the bundles

static uint64_t free_bytes(const char *path) {
    struct statvfs st;
    return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * (uint64_t)st.f_frsize : UINT64_MAX;
}

static uint64_t bundle_bytes(const Setting *s, Arena *arena) {
    Chain chain;
    uint64_t n = 0;
    if (!chain_read(&chain, arena, s->bundle, NULL)) return 0;
    for (size_t i = 0; i < chain.n_shards; i++) n += chain.shards[i].n_bytes;
    return n + chain.host.n_bytes;
}

// Bundles stay for their measurements where the disk has room for several more of them; else they go
// and are made again.
static bool has_room(Run *run, const Setting *s) {
    enum { BUNDLES_LEFT = 6 };
    return free_bytes(run->folder) / BUNDLES_LEFT > bundle_bytes(s, &run->arena);
}

// Where the disk runs full the system drops what it compiled for the Neural Engine, and figures are of
// the CPU then: what can be made again goes before.
static void make_room(Run *run) {
    bool is_short = false;
    for (size_t i = 0; i < run->n_settings; i++) {
        const Setting *s = &run->settings[i];
        is_short = is_short || (s->is_ready && path_is_dir(s->bundle) && !has_room(run, s));
    }
    if (!is_short) return;
    dir_remove_tree(path_join(&run->arena, run->cache, "compiled"), NULL);
    for (size_t i = 0; i < run->n_settings; i++) setting_drop(run, &run->settings[i]);
}

static bool convert_all(Run *run, Err *err) {
    bool has_one = false;
    for (size_t i = 0; i < run->n_settings; i++) {
        Setting *s = &run->settings[i];
        progress_report(run->job->progress, "settle: bundles", i, run->n_settings);
        if (!setting_convert(run, s, err)) return false;
        if (s->why.kind) settle_say(run, "%-32s not asked: %s", s->slug, s->why.text);
        if (s->same) settle_say(run, "%-32s the same bundle as %s", s->slug, s->same->slug);
        if (s->why.kind || s->same) continue;
        has_one = true;
        if (!predict_compute(&s->computed, s->bundle, &run->machine, err)) return false;
        if (run->job->predicts_only || !has_room(run, s)) setting_drop(run, s);
    }
    if (has_one) return true;
    *err = run->settings[0].why;
    return false;
}

// ---- the questions

static bool ask(Run *run, QuestionId q, Err *err) {
    Compared list[64];
    size_t n = 0;
    for (size_t i = 0; i < settle_n_variants && n < COUNT_OF(list); i++)
        if (settle_variants[i].question == q && run->of_variant[i])
            list[n++] = (Compared){run->of_variant[i], settle_variants[i].name};
    return n == 0 || measure(run, q, list, n, err);
}

static bool ask_all(Run *run, const json_t *predictions, SettleSum *sum, Err *err) {
    for (QuestionId q = 0; q < QUESTION_COUNT; q++) {
        if (!ask(run, q, err) || !write_result(run, predictions, false, sum, err)) return false;
        make_room(run);
    }
    return true;
}

static bool keep_best(Run *run, Err *err) {
    const char *kept;
    if (!run->job->tune) return true;
    if (!tune(run, run->job->tune, &kept, err)) return false;
    settle_say(run, "%s",
               kept ? kept
                    : "no setting was kept: no variant kept its states, gave right numbers and was "
                      "planned for the Neural Engine as a whole");
    return true;
}

static bool run_all(Run *run, SettleSum *sum, Err *err) {
    if (!convert_all(run, err)) return false;
    json_t *predictions = foresee(run, err);
    bool ok = predictions && write_result(run, predictions, false, sum, err);
    if (ok && !run->job->predicts_only)
        ok = ask_all(run, predictions, sum, err) && keep_best(run, err) &&
             write_result(run, predictions, true, sum, err);
    json_decref(predictions);
    if (ok) clean_folder(run);
    return ok;
}

static bool check_job(const SettleJob *job, const SettleMachine *machine, Err *err) {
    if (!job->folder || !*job->folder) return err_set(err, ERR_USAGE, "missing -o FOLDER");
    if (job->tune && !setting_name_check(job->tune, err)) return err_prefix(err, "--tune");
    if (job->tune && job->predicts_only)
        return err_set(
            err, ERR_USAGE,
            "--tune needs measurements, and --predict-only makes none; leave one of the two out");
    if (machine->has_core_ml || job->predicts_only) return true;
    return err_set(err, ERR_SYSTEM,
                   "Core ML is not on this system; with --predict-only lathe writes the "
                   "predictions for a Mac");
}

bool settle_run(const SettleJob *job, SettleSum *sum, Err *err) {
    Run run = {.job = job};
    DirLock lock = {0};
    *sum = (SettleSum){0};
    machine_read(&run.machine);
    bool ok = check_job(job, &run.machine, err) && make_folder(&run, err) &&
              dir_lock(&lock, run.folder, err) && settings_open(&run, err) &&
              run_all(&run, sum, err);
    dir_unlock(&lock);
    settings_close(&run);
    arena_free(&run.arena);
    return ok;
}
