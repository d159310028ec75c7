#include "range/ranges.h"

#include "base/size.h"

static const RangeFigure figures[] = {
#define FIGURE(name, doc) {#name, doc, offsetof(LayerRange, name)},
#include "range/ranges.def"
#undef FIGURE
};

const RangeFigure *range_figure_at(size_t i) {
    return i < COUNT_OF(figures) ? &figures[i] : NULL;
}
