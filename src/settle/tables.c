#include "settle/tables.h"

#include <string.h>

#include "base/size.h"

const StageRow settle_stages[STAGE_COUNT] = {
#define STAGE(id, minutes, runs, doc) [STAGE_##id] = {#id, minutes, runs, doc},
#include "settle/stages.def"
#undef STAGE
};

const FigureRow settle_figures[FIGURE_COUNT] = {
#define FIGURE(id, stage, unit, better, doc)                                                       \
    [FIGURE_##id] = {#id, STAGE_##stage, unit, BETTER_##better, doc},
#include "settle/figures.def"
#undef FIGURE
};

const QuestionRow settle_questions[QUESTION_COUNT] = {
#define QUESTION(id, title, asks, stages, decides)                                                 \
    [QUESTION_##id] = {#id, title, asks, stages, FIGURE_##decides},
#define VARIANT(...)
#include "settle/questions.def"
#undef VARIANT
#undef QUESTION
};

const VariantRow settle_variants[] = {
#define QUESTION(...)
#define VARIANT(question, name, options, doc) {QUESTION_##question, #name, options, doc},
#include "settle/questions.def"
#undef VARIANT
#undef QUESTION
};
const size_t settle_n_variants = COUNT_OF(settle_variants);

const PredictionRow settle_predictions[] = {
#define PREDICTION(question_, variant_, figure_, kind_, low_, high_, first_, last_, chips_,        \
                   because_, source_)                                                              \
    {.question = QUESTION_##question_,                                                             \
     .variant = variant_,                                                                          \
     .figure = FIGURE_##figure_,                                                                   \
     .kind = PREDICT_##kind_,                                                                      \
     .low = low_,                                                                                  \
     .high = high_,                                                                                \
     .first_os = first_,                                                                           \
     .last_os = last_,                                                                             \
     .chips = CHIPS_##chips_,                                                                      \
     .because = because_,                                                                          \
     .source = source_},
#include "settle/predictions.def"
#undef PREDICTION
};
const size_t settle_n_predictions = COUNT_OF(settle_predictions);

bool figure_is_yes_or_no(FigureId figure) {
    return strcmp(settle_figures[figure].unit, "yes") == 0;
}

static bool is_listed(const char *list, Str name) {
    while (*list)
        if (str_eq(str_next_item(&list), name)) return true;
    return false;
}

bool question_has_stage(const QuestionRow *q, StageId stage) {
    return is_listed(q->stages, str_of(settle_stages[stage].name));
}

static bool is_for_chip(PredictionChips wanted, ChipId chip) {
    if (wanted == CHIPS_ALL) return true;
    ChipNotch notch = wanted == CHIPS_HIT ? NOTCH_HIT : NOTCH_CLEAR;
    return chip != CHIP_ANY && chips[chip].notch == notch;
}

const PredictionRow *prediction_find(QuestionId question, const char *variant, FigureId figure,
                                     int os, ChipId chip) {
    for (size_t i = 0; i < settle_n_predictions; i++) {
        const PredictionRow *p = &settle_predictions[i];
        bool is_for_os = p->first_os == 0 && p->last_os == 99;
        if (p->question == question && p->figure == figure &&
            (strcmp(p->variant, "*") == 0 || strcmp(p->variant, variant) == 0) &&
            (is_for_os || (p->first_os <= os && os <= p->last_os)) && is_for_chip(p->chips, chip))
            return p;
    }
    return NULL;
}
