#include "bundle/chain_ranges.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_LAYERS = 1 << 16 };

// Figures have four digits (range/measure.h): the double nearest to those prints as short as it
// can be and reads back as the same float.
static json_t *figure(float x) {
    char text[32];
    snprintf(text, sizeof text, "%.4g", (double)x);
    return json_real(strtod(text, NULL));
}

static json_t *layer_json(const LayerRange *l) {
    json_t *object = json_object();
    const RangeFigure *f;
    for (size_t i = 0; (f = range_figure_at(i)); i++)
        json_object_set_new(object, f->name,
                            figure(*(const float *)(const void *)((const char *)l + f->at)));
    return object;
}

json_t *chain_ranges_json(const Ranges *r) {
    if (!r) return json_null();
    json_t *layers = json_array();
    for (size_t i = 0; i < r->n_layers; i++)
        json_array_append_new(layers, layer_json(&r->layers[i]));
    json_t *text =
        json_pack("{s:s#, s:I, s:I}", "sha256", r->text_sha256.at, (int)r->text_sha256.len,
                  "pieces", (json_int_t)r->n_texts, "tokens", (json_int_t)r->n_tokens);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "text", text, "layers", layers, "out_peak",
                     figure(r->out_peak), "out_longest", figure(r->out_longest), "out_shortest",
                     figure(r->out_shortest), "logit_peak", figure(r->logit_peak));
}

static float need_figure(JsonReader *n, const json_t *object, const char *key) {
    double x = need_number(n, object, key);
    if (x >= 0 && x <= 3.4e38) return (float)x;
    n->failed = true;
    err_set(n->err, ERR_FORMAT, "member \"%s\": %g, expected a magnitude", key, x);
    return 0;
}

static void need_layer(JsonReader *n, const json_t *object, LayerRange *l) {
    const RangeFigure *f;
    for (size_t i = 0; (f = range_figure_at(i)); i++)
        *(float *)(void *)((char *)l + f->at) = need_figure(n, object, f->name);
}

const Ranges *chain_need_ranges(JsonReader *n, const json_t *chain, uint32_t n_layers) {
    if (n->failed || json_is_null(json_object_get(chain, "ranges"))) return NULL;
    const json_t *object = need_object(n, chain, "ranges");
    const json_t *text = need_object(n, object, "text");
    Ranges *r = arena_new(n->arena, Ranges);
    *r = (Ranges){
        .text_sha256 = need_str(n, text, "sha256"),
        .n_texts = need_u32(n, text, "pieces"),
        .n_tokens = need_u32(n, text, "tokens"),
        .out_peak = need_figure(n, object, "out_peak"),
        .out_longest = need_figure(n, object, "out_longest"),
        .out_shortest = need_figure(n, object, "out_shortest"),
        .logit_peak = need_figure(n, object, "logit_peak"),
    };
    const json_t *layers = need_array(n, object, "layers", MAX_LAYERS, &r->n_layers);
    if (!n->failed && r->n_layers != n_layers) {
        n->failed = true;
        err_set(n->err, ERR_FORMAT, "member \"ranges\": %zu layers, expected %u", r->n_layers,
                n_layers);
    }
    r->layers = arena_array(n->arena, r->n_layers, LayerRange);
    for (size_t i = 0; i < r->n_layers; i++)
        need_layer(n, json_array_get(layers, i), &r->layers[i]);
    return n->failed ? NULL : r;
}

float chain_need_norm_factor(JsonReader *n, const json_t *object, const char *key) {
    double x = need_number(n, object, key);
    if (x >= 0x1p-63 && x <= 0x1p63) return (float)x;
    if (!n->failed)
        err_set(n->err, ERR_FORMAT, "member \"%s\": %g, expected a positive number", key, x);
    n->failed = true;
    return 1;
}

float chain_need_factor(JsonReader *n, const json_t *object, const char *key) {
    double x = need_number(n, object, key);
    int exponent;
    if (x > 0 && frexp(x, &exponent) == 0.5 && exponent >= -63 && exponent <= 65) return (float)x;
    if (!n->failed)
        err_set(n->err, ERR_FORMAT, "member \"%s\": %g, expected a power of two", key, x);
    n->failed = true;
    return 1;
}
