// work.h — a stage of measuring, run in a process of its own. Internal to settle/.
//
// Each result is written to a file at once, so that a crash loses nothing; its member `doing` names
// the figure that is being measured.
#ifndef LATHE_SETTLE_WORK_H
#define LATHE_SETTLE_WORK_H

#include <jansson.h>

#include "bundle/bundle.h"
#include "runtime/shards.h"
#include "settle/tables.h"

typedef struct {
    Arena arena;
    Bundle bundle;
    Execution how; // by Core ML
    json_t *found; // {"doing", "figures", "details"}
    const char *path;
} Work;

typedef bool WorkStage(Work *w, Err *err);
WorkStage work_open, work_again;     // work_open.c
WorkStage work_plan;                 // work_plan.c
WorkStage work_right;                // work_right.c
WorkStage work_decode, work_prefill; // work_speed.c
WorkStage work_power;                // work_power.c

// From now on a failure counts as that of `figure`, a yes or no.
bool work_begin(Work *w, FigureId figure, Err *err);
// Records a figure. NaN means that there is none.
bool work_figure(Work *w, FigureId figure, double value, Err *err);
// Records something else, as a member of "details". Takes `value` over.
void work_detail(Work *w, const char *name, json_t *value);

// Ids of a text that the bundle's tokenizer gives, at least `n`: the calibration text, again and
// again.
const uint32_t *work_tokens(Work *w, size_t n, Err *err);

// A step of `n_rows` rows (1 or prefill's) of real embedding rows at `position`, without the head.
typedef struct {
    Work *work;
    Shards shards;
    const uint32_t *tokens; // [most rows]
    float *x, *logits;
} Steps;
bool steps_open(Steps *s, Work *w, Err *err);
void steps_close(Steps *s); // safe on a zeroed Steps
bool steps_layers(Steps *s, uint32_t position, uint32_t n_rows, Err *err);
// decode of one token: layers and head.
bool steps_decode(Steps *s, uint32_t position, Err *err);

#endif
