// svg.h — pictures in a page: plots over layers, bars against a limit, maps of marks.
//
// All are 360 units wide, the width of a phone, so letters have the same size there as on a
// desktop. Colours come from classes of the page's style, so that they follow light and dark mode;
// series also differ in the shape of their points. Each picture describes in words what it shows
// (<desc>).
#ifndef LATHE_REPORT_SVG_H
#define LATHE_REPORT_SVG_H

#include <stdbool.h>

#include "base/str.h"

// A value that holds for layers [first, end).
typedef struct {
    double first, end, value;
} SvgStep;

typedef struct {
    const char *name;
    const char *class_name; // "s1", "s2", "s3": colour
    const SvgStep *steps;
    size_t n_steps;
    double bound; // bound of the values, drawn as a dashed line; NAN: none
    const char *bound_name;
} SvgSeries;

typedef struct {
    const char *title;
    const SvgSeries *series;
    size_t n_series;
    double x_end; // layers are 0 … x_end
    bool is_log;  // at most twelve decades; smaller values are drawn at the bottom
} SvgPlot;
void svg_plot(StrBuf *out, const SvgPlot *plot);

typedef struct {
    const char *name;
    double value;
    const char *text;       // written after the bar
    const char *class_name; // colour
} SvgBar;
// Bars from 0 to `most`, with a line called "limit" at `limit` (NAN: none).
void svg_bars(StrBuf *out, const char *title, const SvgBar *bars, size_t n, double most,
              double limit);

// Rows of marks, one character per column; a run of equal marks is one rectangle. A space is left
// empty.
typedef struct {
    const char *name;
    const char *marks; // [n_columns]
} SvgMapRow;
typedef struct {
    char mark;
    const char *class_name, *meaning;
    const char *letter; // drawn on it where there is room; NULL: none
} SvgMark;
// Columns are layers from `first_layer` on, and a last one for ops of no layer.
void svg_map(StrBuf *out, const char *title, const SvgMapRow *rows, size_t n_rows, size_t n_columns,
             double first_layer, const SvgMark *marks, size_t n_marks);

#endif
