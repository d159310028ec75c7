#include "settle/measure.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "settle/result.h"

// "states  slice  open: compiles yes, …; why"
static void say(const Run *run, QuestionId q, const Compared *c, StageId stage,
                const json_t *record, bool is_kept) {
    StrBuf text = {0};
    const char *why = json_string_value(json_object_get(record, "why"));
    const json_t *row;
    size_t i, n = 0;
    for (FigureId f = 0; f < FIGURE_COUNT; f++) {
        const json_t *value =
            json_object_get(json_object_get(record, "figures"), settle_figures[f].name);
        if (!json_is_number(value)) continue;
        strbuf_printf(&text, "%s%s ", n++ ? ", " : "", settle_figures[f].name);
        result_print_figure(&text, f, json_number_value(value));
    }
    if (why && *why) strbuf_printf(&text, "%s%s", n ? "; " : "", why);
    json_array_foreach(json_object_get(record, "explained"), i, row)
        strbuf_printf(&text, "; %s (%s)", json_string_value(json_object_get(row, "means")),
                      json_string_value(json_object_get(row, "id")));
    settle_say(run, "%-10s %-10s %-8s %s%s", settle_questions[q].name, c->name,
               settle_stages[stage].name, text.len ? text.at : "nothing", is_kept ? " (kept)" : "");
    strbuf_free(&text);
}

static bool has_opened(const Run *run, const Setting *s, QuestionId q) {
    Measured m = record_figure(run, s, q, FIGURE_runs);
    return m.n && m.median == 1;
}

static bool do_run(Run *run, QuestionId q, StageId stage, uint32_t n_run, const Compared *c,
                   Err *err) {
    Setting *s = setting_of(c->setting);
    if (c->setting->why.kind || (stage != STAGE_open && !has_opened(run, s, q))) return true;
    Err why = {0};
    bool is_kept;
    json_t *record = record_take(run, s, q, stage, n_run, &is_kept, &why);
    const char *name = record_name(run, s, q, stage, n_run);
    // Records serve several questions; each is said once.
    if (record && !json_object_get(run->said, name)) say(run, q, c, stage, record, is_kept);
    json_object_set_new(run->said, name, json_true());
    json_decref(record);
    if (!record && why.kind) *err = why;
    return record || !why.kind;
}

bool measure(Run *run, QuestionId q, const Compared *compared, size_t n, Err *err) {
    for (StageId stage = 0; stage < STAGE_COUNT; stage++) {
        if (!question_has_stage(&settle_questions[q], stage)) continue;
        for (uint32_t r = 0; r < settle_stages[stage].n_runs; r++)
            for (size_t i = 0; i < n; i++)
                if (!do_run(run, q, stage, r, &compared[(i + r) % n], err)) return false;
    }
    return true;
}
