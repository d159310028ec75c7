// verify.c — `lathe verify OUT.lathe`, and `lathe verify MODEL.gguf` before there is a bundle.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/advice.h"
#include "bundle/device_gates.h"
#include "bundle/gates.h"
#include "bundle/seal.h"
#include "bundle/source.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/interrupt.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/verify_screen.h"
#include "huggingface/folder.h"
#include "mutants/mutants.h"
#include "report/journal.h"
#include "report/report.h"
#include "runtime/engines.h"
#include "verify/device.h"
#include "verify/verify.h"

static void list_gates(StrBuf *out) {
    strbuf_add(out, STR("\ngates:\n"));
    for (int i = 0; i < GATE_COUNT; i++)
        strbuf_printf(out, "  %-13s %s\n", gates[i].name, gates[i].doc);
    strbuf_add(out, STR("\ngates on a device (--engine coreml):\n"));
    for (int i = 0; i < DEVICE_GATE_COUNT; i++)
        strbuf_printf(out, "  %-13s %s\n", device_gates[i].name, device_gates[i].doc);
}

// The page and the entry matter most when a gate failed; an error in writing them is reported only
// when there is no other.
static bool has_written(bool ok, const Err *why, Err *err) {
    if (!ok && err->kind == ERR_NONE) *err = *why;
    return ok;
}

static bool write_down(const char *bundle, const char *copy, const JournalNotes *notes, Err *err) {
    Err why = {0};
    return has_written(report_write(bundle, copy, &why) && journal_append(bundle, notes, &why),
                       &why, err);
}

// ---- mutants

static void print_head(Screen *s) {
    if (s->has_head) return;
    s->has_head = true;
    printf("%-40s %-9s", "mutant", "of");
    for (size_t i = 0; mutants_gate(i); i++) printf(" %s", mutants_gate(i));
    printf("\n");
}

static void print_mutant(void *context, const MutantRow *row) {
    static const char cells[] = {[CELL_PASSED] = '.', [CELL_FAILED] = 'X', [CELL_NOT_RUN] = '-'};
    Screen *s = context;
    meter_clear(&s->meter);
    print_head(s);
    printf("%-40s %-9s", row->name, row->kind);
    for (size_t i = 0; mutants_gate(i); i++)
        printf(" %*c", (int)strlen(mutants_gate(i)), cells[row->cells[i]]);
    const char *on = !s->has_colour || row->is_killed ? "" : "\x1b[31m";
    printf("%s%s%s\n", on, row->is_killed ? "" : "  SURVIVED", *on ? "\x1b[0m" : "");
    fflush(stdout);
}

static bool run_mutants(const VerifyJob *verify, const char *names, Screen *screen, Err *err) {
    MutantsJob job = {
        .bundle_dir = verify->bundle_dir,
        .model_path = verify->model_path,
        .names = names,
        .gates = verify->gates,
        .tool_version = verify->tool_version,
        .pool = verify->pool,
        .progress = verify->progress,
        .line = print_mutant,
        .line_context = screen,
    };
    MutantsSum sum;
    bool ok = mutants_run(&job, &sum, err);
    meter_clear(&screen->meter);
    if (ok || err->kind == ERR_GATE)
        printf("%zu mutants, %zu killed, %zu survived; %zu do not apply (verify/mutants.json)\n",
               sum.n_run, sum.n_run - sum.n_survived, sum.n_survived, sum.n_not_applicable);
    return ok;
}

// The page of an earlier run, if there was one, gets what is no part of its proof: the matrix, devices.
static bool show_apart(const char *bundle, const char *copy, Err *err) {
    Arena arena = {0};
    bool has_report = path_exists(path_join(&arena, bundle, "verify/report.html"));
    arena_free(&arena);
    Err why = {0};
    return has_written(!has_report || report_write(bundle, copy, &why), &why, err);
}

// The gates' lines and what the run wrote, of a bundle, in one object: `record` is "report" or "device".
static bool print_json(const Screen *screen, const char *bundle, const char *record, bool has_seal,
                       bool has_passed, Err *err) {
    json_t *all = json_pack("{s:b, s:b, s:O}", "passed", (int)has_passed, "sealed", (int)has_seal,
                            "lines", screen->lines);
    if (!all) die_out_of_memory(0);
    bool ok = true;
    if (bundle) {
        Arena arena = {0};
        json_t *report =
            json_read_file(arena_printf(&arena, "%s/verify/%s.json", bundle, record).at, err);
        ok = report != NULL;
        if (ok) json_object_set_new(all, record, report);
        arena_free(&arena);
    }
    if (ok) output_json(json_incref(all), JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(all);
    return ok;
}

// What was asked for; the job's other members are filled in where it runs.
typedef struct {
    const char *given; // bundle or model
    char *name;        // the same without a slash at its end
    const char *page, *mutants, *engine;
    JournalNotes notes;
    SettingOptions settings;
    uint32_t threads;
    bool is_offline, as_json;
    VerifyJob job;
} Arguments;

static const Option option_rows[] = {
    {"--model", OPTION_TEXT, offsetof(Arguments, job.model_path), "MODEL.gguf",
     "the GGUF file that the bundle was made of (default: the file of that name in the bundle's "
     "folder or the current one)"},
    {"--config", OPTION_TEXT, offsetof(Arguments, job.second.config), "config.json",
     "the publisher's file, which gate contract compares with the model file"},
    {"--generation-config", OPTION_TEXT, offsetof(Arguments, job.second.generation), "FILE",
     "likewise, generation_config.json"},
    {"--tokenizer-config", OPTION_TEXT, offsetof(Arguments, job.second.tokenizer), "FILE",
     "likewise, tokenizer_config.json"},
    {"--chat-template", OPTION_TEXT, offsetof(Arguments, job.second.chat_template), "FILE.jinja",
     "likewise, chat_template.jinja"},
    {"--accept-template", OPTION_FLAG, offsetof(Arguments, job.accepts_template), NULL,
     "accept a chat template that fails the checks of gate contract; the seal records it"},
#define USE(name, type, option, argument, doc)                                                     \
    {option, OPTION_TEXT, offsetof(Arguments, job.chosen[USE_##name]), argument,                   \
     "for a model file: " doc},
#include "contract/use.def"
#undef USE
#define SETTING(name, member, argument, doc)                                                       \
    {name, OPTION_TEXTS, offsetof(Arguments, settings.member), argument, doc},
#include "cli/settings.def"
#undef SETTING
    {"--gates", OPTION_TEXT, offsetof(Arguments, job.gates), "LIST",
     "run only these gates, separated by commas; does not seal, and keeps a seal that counts"},
    {"--engine", OPTION_TEXT, offsetof(Arguments, engine), "NAME",
     "coreml: run the gates of a device on this machine; verify/device.json gets the results, and "
     "the proof in the seal does not change"},
    {"--resume", OPTION_FLAG, offsetof(Arguments, job.resumes), NULL,
     "keep the results of gates that passed before with the same files; run the others"},
    {"--report", OPTION_TEXT, offsetof(Arguments, page), "FILE.html",
     "copy the page verify/report.html to FILE.html too"},
    {"--mutants", OPTION_TEXT, offsetof(Arguments, mutants), "NAMES",
     "test the gates instead of the bundle: convert with one error at a time ('all', or names of "
     "errors) and see which gate (--gates) fails it"},
    {"--vote-text", OPTION_TEXT, offsetof(Arguments, job.vote_text), "FILE",
     "text that gate vote scores (default: a built-in one)"},
    {"--vote-long", OPTION_FLAG, offsetof(Arguments, job.is_vote_long), NULL,
     "also score misreadings beyond the original context, and walk a conversation across it, "
     "however long that takes"},
    {"--blame", OPTION_FLAG, offsetof(Arguments, job.blames), NULL,
     "if gate graph or layer golden fails: name the first op that diverges, or the wrong row of a "
     "weight"},
    {"--verbose", OPTION_FLAG, offsetof(Arguments, job.is_verbose), NULL,
     "print every result with its figures and bounds, and every misreading of the vote"},
    {"--intent", OPTION_TEXT, offsetof(Arguments, notes.intent), "TEXT",
     "for verify/journal.md: what this run should show"},
    {"--surprise", OPTION_TEXT, offsetof(Arguments, notes.surprise), "TEXT",
     "likewise: what was not as expected"},
    {"--lesson", OPTION_TEXT, offsetof(Arguments, notes.lesson), "TEXT",
     "likewise: what the next person should know"},
    {"--next", OPTION_TEXT, offsetof(Arguments, notes.next), "TEXT", "likewise: what to do next"},
    {"--refs", OPTION_TEXT, offsetof(Arguments, notes.refs), "TEXT",
     "likewise: where to read more"},
    OFFLINE_OPTION(Arguments, is_offline),
    {"--json", OPTION_FLAG, offsetof(Arguments, as_json), NULL,
     "print the results and verify/report.json as one JSON object at the end"},
    THREADS_OPTION(Arguments, threads),
};

const CommandLine verify_line = {
    .usage = "lathe verify OUT.lathe|MODEL.gguf [--model MODEL.gguf] [OPTIONS]",
    .doc =
        "Compares a bundle on disk with the model it was made of, gate by gate, and seals it when "
        "all pass;\nchat uses sealed bundles only. Writes the figures to verify/report.json and, "
        "for people, to\nverify/report.html; adds an entry to verify/journal.md. For a model file "
        "it runs the gates contract\nand vote, which check what the file means.",
    .more = list_gates,
    .options = option_rows,
    .n_options = sizeof option_rows / sizeof option_rows[0],
    .positional = {{"OUT.lathe|MODEL.gguf", offsetof(Arguments, given)}},
    .n_positional = 1,
    .n_required = 1,
};

// The publisher's files that came with the source, which lies where a bundle remembers it.
static void find_files(Arguments *a, Arena *arena) {
    const char *source = path_is_bundle(a->given) ? a->job.model_path : a->given;
    Chain chain;
    if (path_is_bundle(a->given) && chain_read(&chain, arena, a->given, NULL))
        source = source_find(a->given, &chain, source, arena);
    if (source) hub_model_files(&a->job.second, source, arena);
}

static bool read_arguments(Arguments *a, int argc, char **argv, bool *is_done, Arena *arena,
                           Err *err) {
    if (!options_read(&verify_line, a, argc, argv, is_done, err) || *is_done) return *is_done;
    if (!hub_model_path(&a->given, a->is_offline, arena, err) ||
        !hub_model_path(&a->job.model_path, a->is_offline, arena, err))
        return false;
    if (!a->mutants) find_files(a, arena);
    a->job.settings = settings_given(&a->settings);
    a->name = strdup(a->given);
    if (!a->name) die_out_of_memory(strlen(a->given));
    return true;
}

static bool refuse_model(const char *option, const char *path, Err *err) {
    Arena scratch = {0};
    err_set(err, ERR_USAGE, "%s applies to bundles; %s is a model file; convert it first: %s",
            option, path, first_convert_command(&scratch, path));
    arena_free(&scratch);
    return false;
}

// Refuses options that exclude each other, and those that need a bundle.
static bool check_arguments(const Arguments *a, Err *err) {
    if (a->as_json && a->mutants)
        return err_set(err, ERR_USAGE,
                       "--json with --mutants: read the matrix from verify/mutants.json instead");
    bool is_bundle = path_is_bundle(a->name);
    for (int i = 0; is_bundle && i < USE_COUNT; i++)
        if (a->job.chosen[i])
            return err_set(err, ERR_USAGE,
                           "%s applies to model files: convert fixed this choice for the bundle; "
                           "convert again with this option",
                           use_rows[i].option);
    if (is_bundle && has_settings(&a->job.settings))
        return err_set(err, ERR_USAGE,
                       "--set and --ignore-key apply to a model file; %s keeps those that it was "
                       "converted with (chain.json, settings); to change them, convert again",
                       a->name);
    const struct {
        const char *option;
        bool is_given;
    } of_bundles[] = {{"--mutants", a->mutants != NULL},
                      {"--resume", a->job.resumes},
                      {"--report", a->page != NULL},
                      {"--blame", a->job.blames}};
    if (path_is_bundle(a->name) || !path_exists(a->name)) return true;
    for (size_t i = 0; i < sizeof of_bundles / sizeof of_bundles[0]; i++)
        if (of_bundles[i].is_given) return refuse_model(of_bundles[i].option, a->name, err);
    return true;
}

// `is_device`: gates run on a device. lathe's own engine, which the proof is made with, may be named.
static bool choose_engine(Arguments *a, bool *is_device, Err *err) {
    const EngineInfo *engine = NULL;
    *is_device = false;
    if (!a->engine) return true;
    if (!engine_choose(&engine, a->engine, ENGINE_RUNS_BUNDLES, err)) return false;
    if (!(engine->capabilities & ENGINE_IS_DEVICE))
        return engine == &engines[ENGINE_cpu] ||
               err_set(err, ERR_USAGE,
                       "--engine %s: verify compares every bundle with it; expected %s (the "
                       "default) or %s",
                       a->engine, engines[ENGINE_cpu].name, engines[ENGINE_coreml].name);
    const struct {
        const char *option;
        bool is_given;
    } of_proofs[] = {{"--mutants", a->mutants != NULL},
                     {"--resume", a->job.resumes},
                     {"--report", a->page != NULL},
                     {"--blame", a->job.blames}};
    for (size_t i = 0; i < sizeof of_proofs / sizeof of_proofs[0]; i++)
        if (of_proofs[i].is_given)
            return err_set(err, ERR_USAGE,
                           "%s does not apply to the gates of a device; leave --engine %s out",
                           of_proofs[i].option, a->engine);
    if (!path_is_bundle(a->name))
        return err_set(err, ERR_USAGE, "--engine %s runs bundles; %s is not a bundle", a->engine,
                       a->name);
    a->job.engine = engine;
    *is_device = true;
    return true;
}

// As the page is written, through a file of another name beside it. What access() says is not enough:
// root may write anywhere that can be written, and not in /proc.
static bool can_create(const char *path) {
    FILE *trial = fopen(path, "ab");
    if (!trial) return false;
    fclose(trial);
    unlink(path);
    return true;
}

// Checked before gates run for an hour.
static bool check_page(const char *page, Err *err) {
    if (!page) return true;
    Arena arena = {0};
    const char *slash = strrchr(page, '/');
    const char *folder = !slash ? "."
                         : slash == page
                             ? "/"
                             : arena_printf(&arena, "%.*s", (int)(slash - page), page).at;
    bool ok = true;
    if (!path_is_dir(folder))
        ok = err_set(err, ERR_SYSTEM, "--report %s: no folder %s", page, folder);
    else if (path_is_dir(page))
        ok = err_set(err, ERR_SYSTEM, "--report %s: a folder, expected a file", page);
    else if (!can_create(arena_printf(&arena, "%s.new", page).at))
        ok = err_errno(err, "--report %s", page);
    arena_free(&arena);
    return ok;
}

static bool run(Arguments *a, Screen *screen, Err *err) {
    bool is_model = !path_is_bundle(a->name), has_report = false, is_sealed = false;
    VerifyJob *job = &a->job;
    job->bundle_dir = a->name;
    if (is_model) job->model_path = a->name;
    job->has_report = &has_report;
    job->is_sealed = &is_sealed;
    bool ok = a->mutants ? run_mutants(job, a->mutants, screen, err)
              : is_model ? verify_model(job, err)
                         : verify_bundle(job, err);
    ok = (!has_report || write_down(a->name, a->page, &a->notes, err)) && ok;
    if (a->mutants && (ok || err->kind == ERR_GATE)) ok = show_apart(a->name, a->page, err) && ok;
    meter_stop(&screen->meter);
    bool has_passed = ok;
    if (a->as_json && (ok || (err->kind == ERR_GATE && (is_model || has_report))))
        ok = print_json(screen, is_model ? NULL : a->name, "report", is_sealed, has_passed, err) &&
             ok;
    if (ok && !a->mutants && !a->as_json)
        screen_print_end(screen, a->name,
                         is_model      ? END_MODEL
                         : !job->gates ? END_ALL
                         : is_sealed   ? END_STILL_SEALED
                                       : END_SOME);
    if (a->mutants && (ok || err->kind == ERR_GATE))
        meter_finish(&screen->meter, "judged mutants");
    else if (!a->mutants && screen->n_gates && (ok || err->kind == ERR_GATE))
        screen_print_cost(screen);
    return ok;
}

static bool run_on_device(Arguments *a, Screen *screen, Err *err) {
    StrBuf machine = {0};
    a->job.bundle_dir = a->name;
    a->job.machine = &machine;
    bool ok = verify_device(&a->job, err), has_passed = ok;
    if (ok || err->kind == ERR_GATE) ok = show_apart(a->name, NULL, err) && ok;
    meter_stop(&screen->meter);
    if (a->as_json && (ok || err->kind == ERR_GATE))
        ok = print_json(screen, a->name, "device", seal_check(a->name, NULL, NULL, NULL),
                        has_passed, err) &&
             ok;
    else if (ok)
        screen_print_end(screen, a->name, END_DEVICE);
    if (ok && !a->as_json)
        printf("Machine: %.*s\nThe results are in %s/verify/device.json; the proof in the seal did "
               "not change.\n",
               STR_ARG(strbuf_str(&machine)), a->name);
    strbuf_free(&machine);
    if (screen->n_gates && (ok || err->kind == ERR_GATE)) screen_print_cost(screen);
    return ok;
}

// What Ctrl-C says: the command again, and that it goes on where it was.
static char *last_words(const Arguments *a, int argc, char **argv) {
    bool is_kept = path_is_bundle(a->name) && !a->mutants && !a->engine;
    Arena arena = {0};
    StrBuf text = {0};
    strbuf_add(&text, STR("\nlathe verify: stopped. "));
    if (is_kept)
        strbuf_add(&text, STR("Results of finished gates are kept, and a valid seal stays. To "
                              "continue: lathe"));
    else
        strbuf_add(&text, STR("Nothing was recorded. To start again: lathe"));
    for (int i = 0; i < argc; i++) {
        bool is_option = argv[i][0] == '-';
        const char *word = shell_word(&arena, argv[i]);
        strbuf_printf(&text, " %s", is_option && strncmp(word, "./", 2) == 0 ? word + 2 : word);
        if (i == 0 && is_kept && !a->job.resumes) strbuf_add(&text, STR(" --resume"));
    }
    strbuf_add_char(&text, '\n');
    char *words = strdup(text.at);
    if (!words) die_out_of_memory(text.len);
    strbuf_free(&text);
    arena_free(&arena);
    return words;
}

bool command_verify(int argc, char **argv, Err *err) {
    Arguments a = {0};
    bool is_done;
    Arena arena = {0};
    if (!read_arguments(&a, argc, argv, &is_done, &arena, err) || is_done) {
        arena_free(&arena);
        return is_done;
    }
    for (size_t n = strlen(a.name); n > 1 && a.name[n - 1] == '/'; n--) a.name[n - 1] = 0;
    bool is_device = false;
    bool is_fit =
        check_arguments(&a, err) && choose_engine(&a, &is_device, err) && check_page(a.page, err);
    Pool *pool = is_fit ? pool_open(a.threads, err) : NULL;
    bool ok = pool != NULL;
    if (ok) {
        Screen screen;
        screen_start(&screen, a.job.is_verbose, a.as_json);
        Progress progress = meter_progress(&screen.meter);
        a.job.tool_version = "lathe " LATHE_VERSION;
        a.job.pool = pool;
        a.job.progress = &progress;
        a.job.line = screen_line;
        a.job.gate_ended = screen_gate;
        a.job.note = screen_note;
        a.job.line_context = &screen;
        char *words = last_words(&a, argc, argv); // kept: a signal may come until the program ends
        interrupt_say(words);
        ok = is_device ? run_on_device(&a, &screen, err) : run(&a, &screen, err);
        json_decref(screen.lines);
    }
    free(a.name);
    pool_close(pool);
    arena_free(&arena);
    return ok;
}
