// tables.h — the tables of settle: stages, figures, questions, variants and predictions, from the
// .def files beside it. Internal to settle/.
#ifndef LATHE_SETTLE_TABLES_H
#define LATHE_SETTLE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "chips/chips.h"

typedef enum {
#define STAGE(id, minutes, runs, doc) STAGE_##id,
#include "settle/stages.def"
#undef STAGE
    STAGE_COUNT
} StageId;

typedef struct {
    const char *name;
    uint32_t most_minutes, n_runs;
    const char *doc;
} StageRow;
extern const StageRow settle_stages[STAGE_COUNT];

typedef enum { BETTER_NEITHER, BETTER_LOWER, BETTER_HIGHER } Better;

typedef enum {
#define FIGURE(id, stage, unit, better, doc) FIGURE_##id,
#include "settle/figures.def"
#undef FIGURE
    FIGURE_COUNT
} FigureId;

typedef struct {
    const char *name;
    StageId stage;
    const char *unit;
    Better better;
    const char *doc;
} FigureRow;
extern const FigureRow settle_figures[FIGURE_COUNT];
bool figure_is_yes_or_no(FigureId figure);

typedef enum {
#define QUESTION(id, title, asks, stages, decides) QUESTION_##id,
#define VARIANT(...)
#include "settle/questions.def"
#undef VARIANT
#undef QUESTION
    QUESTION_COUNT
} QuestionId;

typedef struct {
    const char *name, *title, *asks;
    const char *stages; // names separated by commas, in order
    FigureId decides;
} QuestionRow;
extern const QuestionRow settle_questions[QUESTION_COUNT];
bool question_has_stage(const QuestionRow *q, StageId stage);

typedef struct {
    QuestionId question;
    const char *name;
    const char *options; // of lathe convert, separated by spaces; "": none
    const char *doc;
} VariantRow;
extern const VariantRow settle_variants[];
extern const size_t settle_n_variants;

typedef enum { PREDICT_ABSOLUTE, PREDICT_RATIO, PREDICT_COMPUTED } PredictionKind;

// By what chips.def says of their notch.
typedef enum { CHIPS_ALL, CHIPS_HIT, CHIPS_CLEAR } PredictionChips;

typedef struct {
    QuestionId question;
    const char *variant; // "*": every one
    FigureId figure;
    PredictionKind kind;
    double low, high;
    int first_os, last_os;
    PredictionChips chips;
    const char *because, *source;
} PredictionRow;
extern const PredictionRow settle_predictions[];
extern const size_t settle_n_predictions;

// The row of a figure for a variant on a system (0: not known, which only rows for all systems fit) and a chip
// (CHIP_ANY: not known, which only rows for all chips fit). NULL: nothing is predicted.
const PredictionRow *prediction_find(QuestionId question, const char *variant, FigureId figure,
                                     int os, ChipId chip);

#endif
