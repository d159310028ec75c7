// settle.h — `lathe settle`: measures on a Mac what only a Mac can tell about a model, and collects
// it in a folder to send back.
//
//     FOLDER/settle.json       the machine, predictions, figures, answers (docs/settle.schema.json)
//            settle.html       the same for people
//            predictions.json  written before anything is measured, and never changed after
//            records/          the measurements, one file each: an interrupted run continues from them
//            logs/             what each process wrote
//            NAME.json         with --tune: the best combination, for lathe convert --settings
//            bundles/, cache/  while it runs
//
// Questions, variants and predictions are tables (questions.def, predictions.def). Each variant is
// a bundle, converted by a child process; each stage of measuring is a child process of its own,
// because Core ML may crash or hang (stages.def). A record counts only for the bundle, program and
// machine with which it was made. Every file is written whole or not at all.
#ifndef LATHE_SETTLE_SETTLE_H
#define LATHE_SETTLE_SETTLE_H

#include <stddef.h>

#include "base/err.h"
#include "base/progress.h"

enum { SETTLE_SCHEMA = 1 };

// A line for people: "states  slice  keeps_states  yes (predicted yes)".
typedef void SettleLine(void *context, const char *text);

typedef struct {
    const char *subject; // a bundle or a GGUF file
    const char *model;   // a bundle's source; NULL: found beside it
    const char *folder;  // made where it is not there
    const char *program; // lathe itself, which children are
    const char *only;    // questions, separated by commas; NULL: all
    const char *convert; // options given to every conversion, separated by spaces; NULL: none
    const char *tune;    // name of the setting to write; NULL: none
    bool predicts_only;  // writes predictions and stops
    bool measures_power; // runs powermetrics through sudo
    bool keeps_bundles;  // leaves FOLDER/bundles
    const char *version; // "lathe 0.1.0"
    // Whether lathe convert has the option "--NAME".
    bool (*takes_option)(const char *option);
    const Progress *progress; // may be NULL
    SettleLine *line;         // may be NULL
    void *line_context;
} SettleJob;

// What a run comes to.
typedef struct {
    size_t n_right, n_wrong, n_open; // predictions
    size_t n_unasked;                // variants that could not be asked
    bool is_stand_in;
} SettleSum;

// Converts, measures and writes the results. False when the job is wrong or the caller cancelled
// (ERR_STOPPED); the same call then continues. If a device refuses something, that is a result, not
// a failure.
bool settle_run(const SettleJob *job, SettleSum *sum, Err *err);

// In the child: does one stage with a bundle and writes what it finds to `out` as it finds it. False:
// the stage ended early, and `out` names the figure that was being found.
bool settle_work(const char *stage, const char *bundle, const char *out, Err *err);

#endif
