#include "settle/work.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

bool work_begin(Work *w, FigureId figure, Err *err) {
    json_object_set_new(w->found, "doing", json_string(settle_figures[figure].name));
    return json_write_file(w->found, w->path, err);
}

bool work_figure(Work *w, FigureId figure, double value, Err *err) {
    const char *name = settle_figures[figure].name;
    if (isfinite(value))
        json_object_set_new(json_object_get(w->found, "figures"), name, json_real(value));
    if (strcmp(json_string_value(json_object_get(w->found, "doing")), name) == 0)
        json_object_set_new(w->found, "doing", json_string(""));
    return json_write_file(w->found, w->path, err);
}

void work_detail(Work *w, const char *name, json_t *value) {
    json_object_set_new(json_object_get(w->found, "details"), name, value);
}
