#include "settle/result.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/size.h"

// ---- choosing

static bool is_met(const Run *run, const Setting *s, QuestionId q, FigureId figure,
                   bool is_strict) {
    Measured m = record_figure(run, s, q, figure);
    return m.n ? m.median == 1 : !is_strict;
}

bool result_is_usable(const Run *run, const Setting *s, QuestionId q, bool is_strict) {
    static const FigureId needed[] = {FIGURE_keeps_states, FIGURE_right, FIGURE_resident};
    for (size_t i = 0; i < COUNT_OF(needed); i++)
        if (!is_met(run, s, q, needed[i], is_strict)) return false;
    return true;
}

static bool is_better(FigureId figure, double a, double b) {
    return settle_figures[figure].better == BETTER_LOWER ? a < b : a > b;
}

bool result_best(const Run *run, QuestionId q, size_t *variant) {
    FigureId decides = settle_questions[q].decides;
    double best = 0;
    bool is_found = false;
    for (size_t i = 0; i < settle_n_variants; i++) {
        if (settle_variants[i].question != q || !run->of_variant[i]) continue;
        const Setting *s = setting_of(run->of_variant[i]);
        Measured m = record_figure(run, s, q, decides);
        if (!m.n || !result_is_usable(run, s, q, false)) continue;
        if (is_found && !is_better(decides, m.median, best)) continue;
        best = m.median;
        *variant = i;
        is_found = true;
    }
    return is_found;
}

// ---- words

void result_print_figure(StrBuf *out, FigureId figure, double value) {
    const char *unit = settle_figures[figure].unit;
    if (figure_is_yes_or_no(figure))
        strbuf_printf(out, "%s", value == 1 ? "yes" : "no");
    else if (strcmp(unit, "share") == 0)
        strbuf_printf(out, "%.1f %%", value * 100);
    else
        strbuf_printf(out, "%.4g %s", value, unit);
}

static void list_variants(const Run *run, QuestionId q, bool is_yes, StrBuf *out) {
    size_t n = 0;
    for (size_t i = 0; i < settle_n_variants; i++) {
        if (settle_variants[i].question != q || !run->of_variant[i]) continue;
        Measured m =
            record_figure(run, setting_of(run->of_variant[i]), q, settle_questions[q].decides);
        if (!m.n || (m.median == 1) != is_yes) continue;
        strbuf_printf(out, "%s%s", n++ ? ", " : "", settle_variants[i].name);
    }
}

// "yes: overwrite; no: slice; convert with --kv overwrite"
static void answer_yes_or_no(const Run *run, QuestionId q, StrBuf *out) {
    StrBuf yes = {0}, no = {0};
    size_t best;
    list_variants(run, q, true, &yes);
    list_variants(run, q, false, &no);
    if (yes.len) strbuf_printf(out, "yes: %s", yes.at);
    if (no.len) strbuf_printf(out, "%sno: %s", yes.len ? "; " : "", no.at);
    if (yes.len && no.len && result_best(run, q, &best) && *settle_variants[best].options)
        strbuf_printf(out, "; convert with %s", settle_variants[best].options);
    strbuf_free(&yes);
    strbuf_free(&no);
}

// "apart: 12.3 ms (12.1 to 12.9); fused 14.5 ms"
static void answer_best(const Run *run, QuestionId q, StrBuf *out) {
    FigureId decides = settle_questions[q].decides;
    size_t best;
    if (!result_best(run, q, &best)) return;
    Measured m = record_figure(run, setting_of(run->of_variant[best]), q, decides);
    strbuf_printf(out, "%s: ", settle_variants[best].name);
    result_print_figure(out, decides, m.median);
    if (m.n > 1) strbuf_printf(out, " (%.4g to %.4g)", m.least, m.most);
    for (size_t i = 0; i < settle_n_variants; i++) {
        if (settle_variants[i].question != q || !run->of_variant[i] || i == best) continue;
        Measured other = record_figure(run, setting_of(run->of_variant[i]), q, decides);
        if (!other.n) continue;
        strbuf_printf(out, "; %s ", settle_variants[i].name);
        result_print_figure(out, decides, other.median);
        if (other.least <= m.most && m.n > 1)
            strbuf_add(out, STR(", within the spread of the runs"));
    }
}

// "; no answer for slice: the process ended by signal 9"
static void answer_rest(Run *run, QuestionId q, StrBuf *out) {
    enum { MOST_BYTES = 200 };
    for (size_t i = 0; i < settle_n_variants; i++) {
        if (settle_variants[i].question != q || !run->of_variant[i]) continue;
        const Setting *s = setting_of(run->of_variant[i]);
        if (record_figure(run, s, q, settle_questions[q].decides).n) continue;
        const char *why = run->of_variant[i]->why.kind ? run->of_variant[i]->why.text : "";
        for (StageId stage = 0; stage < STAGE_COUNT && !*why; stage++)
            if (question_has_stage(&settle_questions[q], stage)) why = record_why(run, s, q, stage);
        if (!*why) continue;
        Str cut = str_cut(str_of(why), MOST_BYTES);
        strbuf_printf(out, "%sno answer for %s: %.*s%s", out->len ? "; " : "",
                      settle_variants[i].name, STR_ARG(cut), why[cut.len] ? "…" : "");
    }
}

// ---- JSON

static json_t *measured_json(const Measured *m) {
    if (!m->n) return json_null();
    return json_pack("{s:f, s:f, s:f, s:I}", "median", m->median, "least", m->least, "most",
                     m->most, "runs", (json_int_t)m->n);
}

// Every figure of the question's stages that was measured.
static json_t *figures_json(const Run *run, const Setting *s, QuestionId q) {
    json_t *figures = json_object();
    for (FigureId f = 0; f < FIGURE_COUNT; f++) {
        if (!question_has_stage(&settle_questions[q], settle_figures[f].stage)) continue;
        Measured m = record_figure(run, s, q, f);
        if (m.n) json_object_set_new(figures, settle_figures[f].name, measured_json(&m));
    }
    return figures;
}

// The stages of the question: how each ended, and what its process left.
static json_t *stages_json(const Run *run, const Setting *s, QuestionId q) {
    json_t *list = json_array();
    for (StageId stage = 0; stage < STAGE_COUNT; stage++)
        for (uint32_t i = 0; i < settle_stages[stage].n_runs; i++) {
            if (!question_has_stage(&settle_questions[q], stage)) continue;
            json_t *record = record_read(run, s, q, stage, i);
            if (!record) continue;
            json_t *copy = json_object();
            static const char *const kept[] = {"stage", "ended", "signal",    "seconds",
                                               "log",   "why",   "explained", "details"};
            for (size_t k = 0; k < COUNT_OF(kept); k++)
                json_object_set(copy, kept[k], json_object_get(record, kept[k]));
            json_array_append_new(list, copy);
            json_decref(record);
        }
    return list;
}

// What a relative prediction is relative to: the figure of the question's variant `to`.
static double unit_of(const Run *run, QuestionId q, const json_t *p, FigureId figure) {
    const char *to = json_string_value(json_object_get(p, "to"));
    if (!to) return 1;
    for (size_t i = 0; i < settle_n_variants; i++)
        if (settle_variants[i].question == q && strcmp(settle_variants[i].name, to) == 0)
            return run->of_variant[i]
                       ? record_figure(run, setting_of(run->of_variant[i]), q, figure).median
                       : (double)NAN;
    return (double)NAN;
}

static FigureId figure_named(const char *name) {
    FigureId f = 0;
    while (f < FIGURE_COUNT && strcmp(settle_figures[f].name, name) != 0) f++;
    return f;
}

static bool is_for(const json_t *p, const VariantRow *v) {
    const char *question = json_string_value(json_object_get(p, "question"));
    const char *variant = json_string_value(json_object_get(p, "variant"));
    return question && variant && strcmp(question, settle_questions[v->question].name) == 0 &&
           strcmp(variant, v->name) == 0;
}

static json_t *judged(const Run *run, const VariantRow *v, const Setting *s, const json_t *p,
                      SettleSum *sum) {
    const char *name = json_string_value(json_object_get(p, "figure"));
    FigureId figure = figure_named(name ? name : "");
    if (figure == FIGURE_COUNT) return NULL;
    Measured m = record_figure(run, s, v->question, figure);
    double unit = unit_of(run, v->question, p, figure);
    PredictionVerdict verdict =
        prediction_judge(&m, json_number_value(json_object_get(p, "low")),
                         json_number_value(json_object_get(p, "high")), unit);
    sum->n_right += verdict == PREDICTION_RIGHT;
    sum->n_wrong += verdict == PREDICTION_WRONG;
    sum->n_open += verdict == PREDICTION_OPEN;
    json_t *copy = json_copy((json_t *)(uintptr_t)p);
    json_object_set_new(copy, "measured", measured_json(&m));
    json_object_set_new(copy, "verdict", json_string(prediction_verdict_name(verdict)));
    return copy;
}

static json_t *variant_json(Run *run, size_t i, const json_t *predictions, json_t *wrong,
                            SettleSum *sum) {
    const VariantRow *v = &settle_variants[i];
    const Setting *own = run->of_variant[i], *s = setting_of(run->of_variant[i]);
    json_t *list = json_array(), *p;
    size_t k;
    json_array_foreach(json_object_get(predictions, "predictions"), k, p) {
        if (!is_for(p, v)) continue;
        json_t *copy = judged(run, v, s, p, sum);
        if (!copy) continue;
        if (strcmp(json_string_value(json_object_get(copy, "verdict")), "wrong") == 0)
            json_array_append(wrong, copy);
        json_array_append_new(list, copy);
    }
    sum->n_unasked += own->why.kind != ERR_NONE;
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:o, s:o, s:o}", "name", v->name, "options",
                     v->options, "means", v->doc, "setting", own->slug, "same_as",
                     own->same ? own->same->slug : NULL, "unasked",
                     own->why.kind ? own->why.text : NULL, "figures",
                     figures_json(run, s, v->question), "predictions", list, "stages",
                     stages_json(run, s, v->question));
}

static json_t *question_json(Run *run, QuestionId q, const json_t *predictions, json_t *wrong,
                             SettleSum *sum) {
    json_t *variants = json_array();
    for (size_t i = 0; i < settle_n_variants; i++)
        if (settle_variants[i].question == q && run->of_variant[i])
            json_array_append_new(variants, variant_json(run, i, predictions, wrong, sum));
    if (!json_array_size(variants)) {
        json_decref(variants);
        return NULL;
    }
    StrBuf answer = {0};
    FigureId decides = settle_questions[q].decides;
    if (figure_is_yes_or_no(decides))
        answer_yes_or_no(run, q, &answer);
    else
        answer_best(run, q, &answer);
    answer_rest(run, q, &answer);
    json_t *made = json_pack("{s:s, s:s, s:s, s:s, s:s%, s:o}", "id", settle_questions[q].name,
                             "title", settle_questions[q].title, "asks", settle_questions[q].asks,
                             "decides", settle_figures[decides].name, "answer",
                             answer.len ? answer.at : "", answer.len, "variants", variants);
    strbuf_free(&answer);
    return made;
}

static json_t *machine_json(const SettleMachine *m) {
    const CoremlMachine *c = &m->machine;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:b, s:b}", "system", c->system,
                     "build", c->build, "framework", c->framework, "chip", c->chip, "model",
                     c->model, "virtual", (int)c->is_virtual, "memory_bytes",
                     (json_int_t)m->memory_bytes, "ane_cores", (json_int_t)c->n_ane_cores,
                     "core_ml", (int)m->has_core_ml, "stand_in", (int)m->is_stand_in);
}

// The units and words of every figure, so that the file explains itself.
static json_t *words_json(void) {
    json_t *words = json_object();
    for (FigureId f = 0; f < FIGURE_COUNT; f++)
        json_object_set_new(words, settle_figures[f].name,
                            json_pack("{s:s, s:s, s:s}", "stage",
                                      settle_stages[settle_figures[f].stage].name, "unit",
                                      settle_figures[f].unit, "means", settle_figures[f].doc));
    return words;
}

json_t *result_make(Run *run, const json_t *predictions, bool is_complete, SettleSum *sum) {
    json_t *questions = json_array(), *wrong = json_array();
    *sum = (SettleSum){.is_stand_in = run->machine.is_stand_in};
    for (QuestionId q = 0; q < QUESTION_COUNT; q++) {
        json_t *made = question_json(run, q, predictions, wrong, sum);
        if (made) json_array_append_new(questions, made);
    }
    json_t *all = json_pack(
        "{s:i, s:s, s:o, s:s, s:s, s:b, s:b, s:{s:I, s:I, s:I}, s:o, s:o, s:o}", "schema",
        SETTLE_SCHEMA, "tool", run->job->version, "machine", machine_json(&run->machine), "subject",
        run->job->subject, "source_sha256", run->source_sha256, "complete", (int)is_complete,
        "predicted_only", (int)run->job->predicts_only, "predictions", "right",
        (json_int_t)sum->n_right, "wrong", (json_int_t)sum->n_wrong, "open",
        (json_int_t)sum->n_open, "wrong", wrong, "questions", questions, "figures", words_json());
    if (!all) die_out_of_memory(0);
    return all;
}
