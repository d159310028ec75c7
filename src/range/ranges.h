// ranges.h — how large a model's activations were measured to be.
//
// Facts about the weights, like the contract, but found by running them over a text (range/
// measures, compile/ conditions by them) and so no part of the contract's digest.
#ifndef LATHE_RANGE_RANGES_H
#define LATHE_RANGE_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

typedef struct {
#define FIGURE(name, doc) float name;
#include "range/ranges.def"
#undef FIGURE
} LayerRange;

typedef struct {
    const char *name, *doc;
    size_t at; // in LayerRange
} RangeFigure;

// The figures in the table's order; NULL after the last.
const RangeFigure *range_figure_at(size_t i);

typedef struct {
    Str text_sha256;            // of the calibration text
    uint32_t n_texts, n_tokens; // pieces of it that were fed, each from position 0; tokens in all
    LayerRange *layers;         // [n_layers]
    size_t n_layers;
    float out_peak, out_longest, out_shortest; // rows entering the final norm
    float logit_peak;                          // largest |logit|, of each piece's last token
} Ranges;

#endif
