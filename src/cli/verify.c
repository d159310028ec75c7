// verify.c — `lathe verify OUT.lathe`, and `lathe verify MODEL.gguf` before there is a bundle.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "bundle/gates.h"
#include "cli/commands.h"
#include "cli/meter.h"
#include "cli/options.h"
#include "mutants/mutants.h"
#include "report/journal.h"
#include "report/report.h"
#include "verify/verify.h"

typedef struct {
    Meter meter;
    bool has_colour;
    json_t *lines; // where lines go instead, for --json; NULL: to stdout
} Screen;

static void print_line(void *context, const char *gate, const char *scope, const char *figures,
                       bool has_passed) {
    Screen *s = context;
    if (s->lines) {
        json_array_append_new(s->lines, json_pack("{s:s, s:s, s:b, s:o}", "gate", gate, "scope",
                                                  scope, "passed", (int)has_passed, "text",
                                                  json_of_str(str_of(figures))));
        return;
    }
    meter_clear(&s->meter);
    const char *on = !s->has_colour ? "" : has_passed ? "\x1b[32m" : "\x1b[31m";
    printf("%-13s %-22s %s  %s%s%s\n", gate, scope, figures, on, has_passed ? "ok" : "FAILED",
           s->has_colour ? "\x1b[0m" : "");
    fflush(stdout);
}

static const char *list_gates(char *text, size_t n) {
    size_t at =
        (size_t)snprintf(text, n,
                         "Compares a bundle on disk with the model it was made of, gate by "
                         "gate, and seals it when\nall pass; chat uses sealed bundles only. "
                         "Figures land in verify/report.json and, for reading, "
                         "in\nverify/report.html; verify/journal.md gets an entry. Of a model "
                         "file alone it asks\nwhat it means: gates contract and vote.\n\ngates:\n");
    for (int i = 0; i < GATE_COUNT && at < n; i++)
        at += (size_t)snprintf(text + at, n - at, "  %-13s %s\n", gates[i].name, gates[i].doc);
    return text;
}

// The page and the entry of a run that failed are wanted most; what goes wrong with them is told
// only when nothing else did.
static bool write_down(const char *bundle, const char *copy, const JournalNotes *notes, Err *err) {
    Err why = {0};
    if (report_write(bundle, copy, &why) && journal_append(bundle, notes, &why)) return true;
    if (err->kind == ERR_NONE) *err = why;
    return false;
}

// ---- mutants

static void print_mutant(void *context, const MutantRow *row) {
    static const char cells[] = {[CELL_PASSED] = '.', [CELL_FAILED] = 'X', [CELL_NOT_RUN] = '-'};
    Screen *s = context;
    meter_clear(&s->meter);
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
    printf("%-40s %-9s", "mutant", "of");
    for (size_t i = 0; mutants_gate(i); i++) printf(" %s", mutants_gate(i));
    printf("\n");
    bool ok = mutants_run(&job, &sum, err);
    meter_clear(&screen->meter);
    printf("%zu mutants, %zu killed, %zu survived; %zu do not apply (verify/mutants.json)\n",
           sum.n_run, sum.n_run - sum.n_survived, sum.n_survived, sum.n_not_applicable);
    return ok;
}

static bool show_matrix(const char *bundle, const char *copy, Err *err) {
    Arena arena = {0};
    bool has_report = path_exists(path_join(&arena, bundle, "verify/report.json"));
    arena_free(&arena);
    Err why = {0};
    if (!has_report || report_write(bundle, copy, &why)) return true;
    if (err->kind == ERR_NONE) *err = why;
    return false;
}

// The gates' lines and the report that the run wrote, of a bundle, in one object.
static bool print_json(const Screen *screen, const char *bundle, bool is_sealed, bool has_passed,
                       Err *err) {
    json_t *all = json_pack("{s:b, s:b, s:O}", "passed", (int)has_passed, "sealed", (int)is_sealed,
                            "lines", screen->lines);
    if (!all) memory_is_out(0);
    bool ok = true;
    if (bundle) {
        Arena arena = {0};
        json_t *report = json_read_file(path_join(&arena, bundle, "verify/report.json"), err);
        ok = report != NULL;
        if (ok) json_object_set_new(all, "report", report);
        arena_free(&arena);
    }
    if (ok) {
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
        putchar('\n');
    }
    json_decref(all);
    return ok;
}

bool command_verify(int argc, char **argv, Err *err) {
    const char *bundle = NULL, *model = NULL, *only = NULL, *page = NULL, *vote_text = NULL,
               *mutants = NULL;
    JournalNotes notes = {0};
    ConfigFiles second = {0};
    uint32_t threads = 0;
    bool is_done, as_json = false, has_report = false, is_vote_long = false, is_verbose = false,
                  resumes = false;
    bool blames = false;
    char doc[3000];
    const Option options[] = {
        {"--model", OPTION_TEXT, &model, "MODEL.gguf",
         "the source (default: the file of its name beside the bundle or here)"},
        {"--config", OPTION_TEXT, &second.config, "config.json",
         "what the model's publisher says, for gate contract"},
        {"--generation-config", OPTION_TEXT, &second.generation, "FILE",
         "likewise, generation_config.json"},
        {"--tokenizer-config", OPTION_TEXT, &second.tokenizer, "FILE",
         "likewise, tokenizer_config.json"},
        {"--gates", OPTION_TEXT, &only, "LIST", "only these, separated by commas; does not seal"},
        {"--resume", OPTION_FLAG, &resumes, NULL,
         "keep what passed the last time over the same files; run the rest"},
        {"--report", OPTION_TEXT, &page, "FILE.html",
         "also copy the page verify/report.html to FILE.html"},
        {"--mutants", OPTION_TEXT, &mutants, "NAMES",
         "not the bundle, but whether the gates (--gates) notice errors: 'all', or names"},
        {"--vote-text", OPTION_TEXT, &vote_text, "FILE",
         "text for the vote to read (default: a built-in one)"},
        {"--vote-long", OPTION_FLAG, &is_vote_long, NULL,
         "the vote also reads behind the original context"},
        {"--blame", OPTION_FLAG, &blames, NULL,
         "where gates graph or layer golden fail: name the first op that diverges"},
        {"--verbose", OPTION_FLAG, &is_verbose, NULL, "a line for every reading of the vote"},
        {"--intent", OPTION_TEXT, &notes.intent, "TEXT",
         "for verify/journal.md: what this run should show"},
        {"--surprise", OPTION_TEXT, &notes.surprise, "TEXT", "the same: what was not as expected"},
        {"--lesson", OPTION_TEXT, &notes.lesson, "TEXT", "the same: what the next one should know"},
        {"--next", OPTION_TEXT, &notes.next, "TEXT", "the same: what follows from it"},
        {"--refs", OPTION_TEXT, &notes.refs, "TEXT", "the same: where more is"},
        {"--json", OPTION_FLAG, &as_json, NULL,
         "lines and verify/report.json as one object, in the end"},
        {"--threads", OPTION_COUNT, &threads, "N", "threads (default: one a processor)"},
    };
    CommandLine line = {
        .usage = "lathe verify OUT.lathe|MODEL.gguf [--model MODEL.gguf] [OPTIONS]",
        .doc = list_gates(doc, sizeof doc),
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .positional = {&bundle},
        .n_positional = 1,
        .n_required = 1,
    };
    if (!options_read(&line, argc, argv, &is_done, err) || is_done) return is_done;

    if (as_json && mutants)
        return err_set(err, ERR_USAGE, "--json: the matrix of --mutants is in verify/mutants.json");
    Pool *pool = pool_open(threads, err);
    if (!pool) return false;
    Screen screen = {.has_colour = isatty(STDOUT_FILENO), .lines = as_json ? json_array() : NULL};
    meter_start(&screen.meter);
    Progress progress = meter_progress(&screen.meter);
    char *name = bundle ? strdup(bundle) : NULL;
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--) name[n - 1] = 0;
    bool is_model = !path_is_dir(name);
    VerifyJob job = {
        .bundle_dir = name,
        .model_path = is_model ? name : model,
        .second = second,
        .gates = only,
        .vote_text = vote_text,
        .is_vote_long = is_vote_long,
        .is_verbose = is_verbose,
        .blames = blames,
        .tool_version = "lathe " LATHE_VERSION,
        .pool = pool,
        .progress = &progress,
        .resumes = resumes,
        .line = print_line,
        .line_context = &screen,
        .has_report = &has_report,
    };
    bool ok = mutants    ? run_mutants(&job, mutants, &screen, err)
              : is_model ? verify_model(&job, err)
                         : verify_bundle(&job, err);
    ok = (!has_report || write_down(name, page, &notes, err)) && ok;
    // The page of an earlier run gets the matrix.
    if (mutants && (ok || err->kind == ERR_GATE)) ok = show_matrix(name, page, err) && ok;
    meter_stop(&screen.meter);
    bool has_passed = ok;
    if (as_json && (ok || (err->kind == ERR_GATE && (is_model || has_report))))
        ok = print_json(&screen, is_model ? NULL : name, ok && !is_model && !only, has_passed,
                        err) &&
             ok;
    if (ok && !mutants && !as_json) {
        printf(is_model ? "%s: the gates for a model alone passed; a bundle has more\n"
               : only   ? "%s: the gates asked for passed; a seal takes all of them\n"
                        : "%s: all gates passed, sealed\n",
               name);
        fflush(stdout);
    }
    if (ok || err->kind == ERR_GATE) meter_finish(&screen.meter, "verified");
    json_decref(screen.lines);
    free(name);
    pool_close(pool);
    return ok;
}
