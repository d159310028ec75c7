// settle.c — `lathe settle BUNDLE|MODEL.gguf -o FOLDER`, and the worker that it starts.
#include "settle/settle.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/meter.h"

typedef struct {
    SettleJob job;
} Arguments;

static const Option option_rows[] = {
    {"-o", OPTION_TEXT, offsetof(Arguments, job.folder), "FOLDER",
     "the folder for all results; the same command continues an interrupted run from it"},
    {"--model", OPTION_TEXT, offsetof(Arguments, job.model), "MODEL.gguf",
     "the GGUF file that the bundle was made of (default: the file of that name in the bundle's "
     "folder)"},
    {"--only", OPTION_TEXT, offsetof(Arguments, job.only), "QUESTIONS",
     "only these questions, separated by commas"},
    {"--convert", OPTION_TEXT, offsetof(Arguments, job.convert), "OPTIONS",
     "options of lathe convert that every variant gets, for example \"--context 2048\""},
    {"--predict-only", OPTION_FLAG, offsetof(Arguments, job.predicts_only), NULL,
     "write the predictions and measure nothing; needs no Mac"},
    {"--power", OPTION_FLAG, offsetof(Arguments, job.measures_power), NULL,
     "measure power with sudo -n powermetrics; run sudo -v first"},
    {"--tune", OPTION_TEXT, offsetof(Arguments, job.tune), "NAME",
     "keep, for lathe convert --settings NAME, the fastest options whose ops are all planned for "
     "the Neural Engine and whose numbers are right"},
    {"--keep-bundles", OPTION_FLAG, offsetof(Arguments, job.keeps_bundles), NULL,
     "leave the converted bundles in FOLDER/bundles"},
};

static void list_questions(StrBuf *out) {
    static const char *const rows[][2] = {
#define QUESTION(id, title, asks, stages, decides) {#id, asks},
#define VARIANT(...)
#include "settle/questions.def"
#undef VARIANT
#undef QUESTION
    };
    strbuf_add(out, STR("\nquestions, in order:\n"));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        strbuf_printf(out, "  %-10s %s\n", rows[i][0], rows[i][1]);
}

const CommandLine settle_line = {
    .usage = "lathe settle BUNDLE|MODEL.gguf -o FOLDER [OPTIONS]",
    .doc = "Measures on a Mac what cannot be known without one, compares each answer with a "
           "prediction made\nbefore, and writes one folder to send back: settle.json, a page, "
           "logs. Each variant is converted and\nmeasured in processes of its own. The same "
           "command continues an interrupted run.\n",
    .more = list_questions,
    .options = option_rows,
    .n_options = COUNT_OF(option_rows),
    .positional = {{"BUNDLE|MODEL.gguf", offsetof(Arguments, job.subject)}},
    .n_positional = 1,
    .n_required = 1,
};

static bool takes_option(const char *option) {
    for (size_t i = 0; i < convert_line.n_options; i++)
        if (strcmp(convert_line.options[i].name, option) == 0) return true;
    return false;
}

static void print_line(void *context, const char *text) {
    meter_clear(context);
    printf("%s\n", text);
    fflush(stdout);
}

static bool is_wanted(void *context) {
    (void)context;
    return !interrupt_is_noted();
}

static void print_sum(const SettleJob *job, const SettleSum *sum) {
    if (job->predicts_only)
        printf("%zu predictions in %s/predictions.json; nothing was measured\n", sum->n_open,
               job->folder);
    else
        printf("predictions: %zu right, %zu wrong, %zu open; variants not measured: %zu\n",
               sum->n_right, sum->n_wrong, sum->n_open, sum->n_unasked);
    if (sum->is_stand_in && !job->predicts_only)
        printf("this run used a stand-in for Core ML: none of its figures is a device's\n");
    printf("read %s/settle.html%s\n", job->folder,
           job->predicts_only ? "" : "; send back the whole folder");
}

bool command_settle(int argc, char **argv, Err *err) {
    static char program[PROGRAM_PATH_SIZE];
    Arguments a = {0};
    bool is_done;
    if (!options_read(&settle_line, &a, argc, argv, &is_done, err) || is_done) return is_done;
    if (!program_path(program))
        return err_set(err, ERR_SYSTEM,
                       "cannot find lathe's own program file; the system does not say where it is");
    Meter meter;
    meter_start(&meter);
    Progress progress = meter_progress(&meter);
    progress.goes_on = is_wanted;
    interrupt_catch();
    a.job.program = program;
    a.job.version = "lathe " LATHE_VERSION;
    a.job.takes_option = takes_option;
    a.job.progress = &progress;
    a.job.line = print_line;
    a.job.line_context = &meter;
    SettleSum sum;
    bool ok = settle_run(&a.job, &sum, err);
    meter_stop(&meter);
    if (ok) {
        print_sum(&a.job, &sum);
        fflush(stdout);
        meter_finish(&meter, "settled");
    }
    return ok;
}
