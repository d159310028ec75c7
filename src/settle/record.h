// record.h — the results of one stage for one bundle, in a file of their own. Internal to settle/.
//
//     records/SLUG-STAGE.json             of a stage of one run
//     records/SLUG-QUESTION-STAGE-N.json  of the Nth run of a stage of several
//
// A record counts while its key is that of the run: program, machine, bundle.
#ifndef LATHE_SETTLE_RECORD_H
#define LATHE_SETTLE_RECORD_H

#include <jansson.h>

#include "settle/judge.h"
#include "settle/settings.h"

// The record, from its file or made now by a child process, which may take long. A new reference.
// NULL and `err` only when the caller cancelled or a file cannot be written; failures of the child
// are part of the record. NULL without an error when the stage is skipped (no permission to measure
// power).
json_t *record_take(Run *run, Setting *s, QuestionId question, StageId stage, uint32_t n_run,
                    bool *is_kept, Err *err);

// The stored record; NULL when there is none that counts. A new reference.
json_t *record_read(const Run *run, const Setting *s, QuestionId question, StageId stage,
                    uint32_t n_run);

// A figure of a setting over the runs of its stage.
Measured record_figure(const Run *run, const Setting *s, QuestionId question, FigureId figure);
// Why the stage failed, in words; "" when it did not. In the run's arena.
const char *record_why(Run *run, const Setting *s, QuestionId question, StageId stage);

// Paths within the folder, of what a record and its process leave.
const char *record_name(Run *run, const Setting *s, QuestionId question, StageId stage,
                        uint32_t n_run);

#endif
