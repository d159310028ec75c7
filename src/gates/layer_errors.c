#include "gates/layer_errors.h"

#include "base/json.h"
#include "base/size.h"

LayerError layer_error(const float *found, const float *expected, size_t n_rows, size_t width) {
    LayerError e = {.group = metrics_worst_group(found, expected, n_rows, width)};
    for (size_t t = 0; t < n_rows; t++)
        metrics_add(&e.m, found + t * width, expected + t * width, width);
    return e;
}

static json_t *arrays_of(Proof *p, const char *name, const char *key) {
    json_t *section = json_object_get(p->sections, name);
    if (!section) {
        section = json_pack("{s:i}", "group_channels", GROUP_CHANNELS);
        proof_section(p, name, section);
    }
    json_t *arrays = json_object_get(section, key);
    if (!arrays) {
        arrays = json_pack("{s:[], s:[], s:[], s:[], s:[], s:[]}", "cos", "worst_cos", "rmse",
                           "max_abs", "group_off", "group_first");
        json_object_set_new(section, key, arrays);
    }
    return arrays;
}

void layer_error_record(Proof *p, const char *section, const char *key, const LayerError *e) {
    const struct {
        const char *name;
        json_t *value;
    } items[] = {
        {"cos", json_of_real(metrics_cos(&e->m))},
        {"worst_cos", json_of_real(e->m.worst_cos)},
        {"rmse", json_of_real(metrics_rmse(&e->m))},
        {"max_abs", json_of_real(e->m.max_abs)},
        {"group_off", json_of_real(e->group.off)},
        {"group_first", json_integer((json_int_t)e->group.first)},
    };
    json_t *arrays = arrays_of(p, section, key);
    for (size_t i = 0; i < COUNT_OF(items); i++)
        json_array_append_new(json_object_get(arrays, items[i].name), items[i].value);
}

json_t *layer_error_figures(const LayerError *e, uint32_t layer) {
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:i, s:o, s:[i,i]}", "cos", json_of_real(metrics_cos(&e->m)),
        "worst_cos", json_of_real(e->m.worst_cos), "rmse", json_of_real(metrics_rmse(&e->m)),
        "max_abs", json_of_real(e->m.max_abs), "rows", (json_int_t)e->m.n_rows, "layer", (int)layer,
        "group_off", json_of_real(e->group.off), "group", (int)e->group.first, (int)e->group.end);
}
