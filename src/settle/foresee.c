#include "settle/foresee.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"

static json_t *now_json(void) {
    char text[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_string(text);
}

static const char *const kind_names[] = {
    [PREDICT_ABSOLUTE] = "absolute", [PREDICT_RATIO] = "ratio", [PREDICT_COMPUTED] = "computed"};

static const char *first_variant(QuestionId question) {
    for (size_t i = 0; i < settle_n_variants; i++)
        if (settle_variants[i].question == question) return settle_variants[i].name;
    return "";
}

static bool is_there(const json_t *list, QuestionId question, const char *variant,
                     FigureId figure) {
    const json_t *p;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, p) {
        if (strcmp(json_string_value(json_object_get(p, "question")),
                   settle_questions[question].name) == 0 &&
            strcmp(json_string_value(json_object_get(p, "variant")), variant) == 0 &&
            strcmp(json_string_value(json_object_get(p, "figure")), settle_figures[figure].name) ==
                0)
            return true;
    }
    return false;
}

static json_t *prediction_of(const VariantRow *v, const Setting *s, const PredictionRow *p) {
    const FigureRow *figure = &settle_figures[p->figure];
    double computed = s->computed.figures[p->figure], unit = 1;
    bool is_computed = p->kind == PREDICT_COMPUTED;
    if (is_computed && !isfinite(computed)) return NULL;
    if (is_computed) unit = computed;
    json_t *made = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:s, s:s, s:o}", "question",
                             settle_questions[v->question].name, "variant", v->name, "setting",
                             s->slug, "figure", figure->name, "unit", figure->unit, "kind",
                             kind_names[p->kind], "low", p->low * unit, "high", p->high * unit,
                             "because", p->because, "source", p->source, "written", now_json());
    if (!made) die_out_of_memory(0);
    if (is_computed) json_object_set_new(made, "computed", json_real(computed));
    if (p->kind == PREDICT_RATIO)
        json_object_set_new(made, "to", json_string(first_variant(v->question)));
    return made;
}

// Adds what is not there yet; whether it added anything.
static bool add_variant(Run *run, json_t *list, size_t variant) {
    const VariantRow *v = &settle_variants[variant];
    Setting *s = run->of_variant[variant];
    ChipId chip = CHIP_ANY;
    chip_labelled(str_of(run->machine.machine.chip), &chip);
    int os = (int)run->machine.machine.os;
    bool has_added = false;
    if (!s || s->why.kind) return false;
    for (FigureId f = 0; f < FIGURE_COUNT; f++) {
        const PredictionRow *p = prediction_find(v->question, v->name, f, os, chip);
        bool is_itself =
            p && p->kind == PREDICT_RATIO && strcmp(first_variant(v->question), v->name) == 0;
        if (!p || is_itself || is_there(list, v->question, v->name, f)) continue;
        json_t *made = prediction_of(v, setting_of(s), p);
        if (made) json_array_append_new(list, made);
        has_added = has_added || made;
    }
    return has_added;
}

static json_t *read_file(const Run *run, const char *path, json_t *key, Err *err) {
    if (!path_exists(path)) {
        json_t *fresh = json_pack("{s:i, s:s, s:O, s:[]}", "schema", SETTLE_SCHEMA, "tool",
                                  run->job->version, "key", key, "predictions");
        if (!fresh) die_out_of_memory(0);
        return fresh;
    }
    json_t *file = json_read_file(path, err);
    if (!file || json_equal(json_object_get(file, "key"), key)) return file;
    json_decref(file);
    err_set(
        err, ERR_USAGE,
        "%s holds predictions of another model, machine or version of lathe; name another folder",
        path);
    return NULL;
}

json_t *foresee(Run *run, Err *err) {
    const char *path = path_join(&run->arena, run->folder, "predictions.json");
    json_t *key = settle_key(run, run->source_sha256), *file = read_file(run, path, key, err);
    json_t *list = json_object_get(file, "predictions");
    bool has_added = false;
    for (size_t i = 0; file && i < settle_n_variants; i++)
        has_added = add_variant(run, list, i) || has_added;
    if (file && has_added && !json_write_file(file, path, err)) {
        json_decref(file);
        file = NULL;
    }
    json_decref(key);
    return file;
}
