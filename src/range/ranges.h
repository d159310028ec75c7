// ranges.h — how large a model's activations were measured to be.
//
// They are facts about the weights, as the contract is, but found by running the model over a text
// (measured by range/, used by compile/ for the conditioning), so they are not part of the
// contract's digest.
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
    size_t at; // offset in LayerRange
} RangeFigure;

// The figures in the table's order; NULL after the last.
const RangeFigure *range_figure_at(size_t i);

typedef struct {
    Str text_sha256;            // of the calibration text
    uint32_t n_texts, n_tokens; // pieces fed, each from position 0; tokens of all pieces
    LayerRange *layers;         // [n_layers]
    size_t n_layers;
    float out_peak, out_longest, out_shortest; // of rows that enter the final norm
    float logit_peak;                          // largest |logit|, of each piece's last token
} Ranges;

#endif
