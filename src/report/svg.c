#include "report/svg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html.h"

enum { WIDTH = 360 };

// A <desc> has to follow.
static void open_svg(StrBuf *out, double height, const char *title) {
    strbuf_printf(out, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", WIDTH, height);
    html_words(out, title);
    strbuf_add(out, STR("\">"));
}

static void label(StrBuf *out, double x, double y, const char *class_name, const char *text) {
    strbuf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class_name);
    html_words(out, text);
    strbuf_add(out, STR("</text>"));
}

// ---- plots

enum { LEFT = 46, RIGHT = 8, TOP = 40, BOTTOM = 24, PLOT_HEIGHT = 206 };

// What the vertical axis spans: whole decades when it is logarithmic.
typedef struct {
    double low, high;
    bool is_log;
} Axis;

static Axis axis_of(const SvgPlot *p) {
    double least = DBL_MAX, most = 0;
    for (size_t s = 0; s < p->n_series; s++)
        for (size_t i = 0; i <= p->series[s].n_steps; i++) {
            const SvgSeries *series = &p->series[s];
            double v = i < series->n_steps ? series->steps[i].value : series->bound;
            if (!isfinite(v)) continue;
            if (v > 0) least = fmin(least, v);
            most = fmax(most, v);
        }
    if (!p->is_log) return (Axis){0, most > 0 ? most * 1.05 : 1, false};
    if (least > most) return (Axis){-7, 0, true};
    enum { MOST_DECADES = 12 }; // more would press all of them flat
    Axis a = {floor(log10(least)), ceil(log10(most)), true};
    if (a.high <= a.low) a.high = a.low + 1;
    a.low = fmax(a.low, a.high - MOST_DECADES);
    return a;
}

// Zero and less, and what is below the axis, stand at the bottom of a logarithmic one; what is no
// number, at the top.
static double y_of(const Axis *a, double value) {
    double v = value;
    if (isnan(value))
        v = a->high;
    else if (a->is_log)
        v = value > 0 ? log10(value) : a->low;
    v = fmin(fmax(v, a->low), a->high);
    return TOP + (a->high - v) / (a->high - a->low) * (PLOT_HEIGHT - TOP - BOTTOM);
}

static double x_of(const SvgPlot *p, double layer) {
    double end = p->x_end > 0 ? p->x_end : 1;
    return LEFT + layer / end * (WIDTH - LEFT - RIGHT);
}

// 10⁻⁶, as people write it.
static void power_of_ten(char *text, size_t size, double exponent) {
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char plain[16];
    size_t at = (size_t)snprintf(text, size, "10");
    snprintf(plain, sizeof plain, "%.0f", exponent);
    for (const char *c = plain; *c && at < size; c++)
        at += (size_t)snprintf(text + at, size - at, "%s", *c == '-' ? "⁻" : digits[*c - '0']);
}

static void draw_grid(StrBuf *out, const SvgPlot *p, const Axis *a) {
    enum { MOST_LINES = 6 };
    double span = a->high - a->low, step = a->is_log ? ceil(span / MOST_LINES) : span / 4;
    for (double v = a->low; v <= a->high + span * 1e-9; v += step) {
        double y = TOP + (a->high - v) / span * (PLOT_HEIGHT - TOP - BOTTOM);
        char text[32];
        if (a->is_log)
            power_of_ten(text, sizeof text, v);
        else
            snprintf(text, sizeof text, "%.3g", v);
        strbuf_printf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"grid\"/>",
                      LEFT, y, WIDTH - RIGHT, y);
        label(out, LEFT - 4, y + 3, "end", text);
    }
    double every = fmax(1, ceil(p->x_end / 8));
    for (double layer = 0; layer < p->x_end; layer += every) {
        char text[32];
        snprintf(text, sizeof text, "%.0f", layer);
        label(out, x_of(p, layer + 0.5), PLOT_HEIGHT - 8, "mid", text);
    }
    label(out, LEFT - 4, PLOT_HEIGHT - 8, "end faint", "layer");
}

// Circle, square, triangle, diamond: series are told apart without colours, too. `x`, `y`: its
// middle.
static void open_point(StrBuf *out, size_t form, double x, double y) {
    switch (form % 4) {
    case 0: strbuf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\">", x, y); break;
    case 1:
        strbuf_printf(out, "<path class=\"p\" d=\"M%.1f %.1fh5v5h-5z\">", x - 2.5, y - 2.5);
        break;
    case 2:
        strbuf_printf(out, "<path class=\"p\" d=\"M%.1f %.1fl3.2 5.6h-6.4z\">", x, y - 3.2);
        break;
    default:
        strbuf_printf(out, "<path class=\"p\" d=\"M%.1f %.1fl3.4 3.4l-3.4 3.4l-3.4 -3.4z\">", x,
                      y - 3.4);
        break;
    }
}

static void close_point(StrBuf *out, size_t form) {
    strbuf_add(out, form % 4 == 0 ? STR("</circle>") : STR("</path>"));
}

static void draw_series(StrBuf *out, const SvgPlot *p, const Axis *a, size_t form) {
    const SvgSeries *s = &p->series[form];
    strbuf_printf(out, "<g class=\"%s\"><path d=\"", s->class_name);
    for (size_t i = 0; i < s->n_steps; i++) {
        double y = y_of(a, s->steps[i].value);
        strbuf_printf(out, "%s%.1f %.1fH%.1f", i ? "L" : "M", x_of(p, s->steps[i].first), y,
                      x_of(p, s->steps[i].end));
    }
    strbuf_add(out, STR("\"/>"));
    if (isfinite(s->bound)) {
        double y = y_of(a, s->bound);
        strbuf_printf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, y,
                      WIDTH - RIGHT, y);
    }
    for (size_t i = 0; i < s->n_steps; i++) {
        const SvgStep *step = &s->steps[i];
        open_point(out, form, x_of(p, (step->first + step->end) / 2), y_of(a, step->value));
        strbuf_add(out, STR("<title>"));
        html_words(out, s->name);
        if (step->end - step->first > 1)
            strbuf_printf(out, ", layers %.0f to %.0f: ", step->first, step->end - 1);
        else
            strbuf_printf(out, ", layer %.0f: ", step->first);
        html_number(out, step->value);
        strbuf_add(out, STR("</title>"));
        close_point(out, form);
    }
    strbuf_add(out, STR("</g>"));
}

// After all series, so that no curve crosses a name. Bounds may lie close together: names take turns
// from right to left.
static void draw_bound_name(StrBuf *out, const SvgSeries *s, const Axis *a, size_t form) {
    double third = (WIDTH - LEFT - RIGHT) / 3.0;
    if (!isfinite(s->bound)) return;
    strbuf_printf(out, "<g class=\"%s\">", s->class_name);
    label(out, WIDTH - RIGHT - third * (double)(form % 3), y_of(a, s->bound) - 3, "end",
          s->bound_name);
    strbuf_add(out, STR("</g>"));
}

// "graph: 1.2e-08 to 3e-07, the most in layer 3; allowed 1e-06."
static void describe_series(StrBuf *out, const SvgSeries *s) {
    const SvgStep *least = NULL, *most = NULL;
    for (size_t i = 0; i < s->n_steps; i++) {
        const SvgStep *step = &s->steps[i];
        if (!isfinite(step->value)) continue;
        if (!least || step->value < least->value) least = step;
        if (!most || step->value > most->value) most = step;
    }
    html_words(out, s->name);
    strbuf_add(out, STR(": "));
    if (least) {
        html_number(out, least->value);
        strbuf_add(out, STR(" to "));
        html_number(out, most->value);
        strbuf_printf(out, ", the most in layer %.0f", most->first);
    }
    if (isfinite(s->bound)) {
        strbuf_add(out, STR("; "));
        html_words(out, s->bound_name);
        strbuf_add(out, STR(": "));
        html_number(out, s->bound);
    }
    strbuf_add(out, STR(". "));
}

void svg_plot(StrBuf *out, const SvgPlot *p) {
    Axis axis = axis_of(p);
    open_svg(out, PLOT_HEIGHT, p->title);
    strbuf_add(out, STR("<desc>"));
    for (size_t i = 0; i < p->n_series; i++) describe_series(out, &p->series[i]);
    strbuf_add(out, STR("</desc>"));
    label(out, 0, 12, "title", p->title);
    double x = 4;
    for (size_t i = 0; i < p->n_series; i++) {
        const SvgSeries *s = &p->series[i];
        strbuf_printf(out, "<g class=\"%s\"><path d=\"M%.0f 23h14\"/>", s->class_name, x - 4);
        open_point(out, i, x + 3, 23);
        close_point(out, i);
        strbuf_add(out, STR("</g>"));
        label(out, x + 14, 27, "key", s->name);
        x += 30 + 5.7 * (double)strlen(s->name);
    }
    draw_grid(out, p, &axis);
    for (size_t i = 0; i < p->n_series; i++) draw_series(out, p, &axis, i);
    for (size_t i = 0; i < p->n_series; i++) draw_bound_name(out, &p->series[i], &axis, i);
    strbuf_add(out, STR("</svg>"));
}

// ---- bars

void svg_bars(StrBuf *out, const char *title, const SvgBar *bars, size_t n, double most,
              double limit) {
    enum { NAMES = 132, TEXTS = 70, ROW = 20, HEAD = 20, FOOT = 14 };
    double width = WIDTH - NAMES - TEXTS, scale = most > 0 ? width / most : 0;
    bool has_limit = isfinite(limit) && limit <= most;
    open_svg(out, HEAD + ROW * (double)n + (has_limit ? FOOT : 4), title);
    strbuf_add(out, STR("<desc>"));
    for (size_t i = 0; i < n; i++) {
        html_words(out, bars[i].name);
        strbuf_add(out, STR(": "));
        html_words(out, bars[i].text);
        strbuf_add(out, STR(". "));
    }
    strbuf_add(out, STR("</desc>"));
    label(out, 0, 12, "title", title);
    for (size_t i = 0; i < n; i++) {
        double y = HEAD + ROW * (double)i, w = fmax(0, bars[i].value * scale);
        label(out, NAMES - 6, y + 14, "end", bars[i].name);
        strbuf_printf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"/>",
                      NAMES, y + 3, fmin(fmax(w, 1), width), ROW - 6, bars[i].class_name);
        label(out, WIDTH - TEXTS + 6, y + 14, "", bars[i].text);
    }
    if (has_limit) {
        double x = NAMES + limit * scale;
        label(out, x, HEAD + ROW * (double)n + 12, "mid", "limit");
        strbuf_printf(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" class=\"bound\"/>",
                      x, HEAD, x, HEAD + ROW * (double)n + 2);
    }
    strbuf_add(out, STR("</svg>"));
}

// ---- maps

static const SvgMark *mark_named(const SvgMark *marks, size_t n, char mark) {
    for (size_t i = 0; i < n; i++)
        if (marks[i].mark == mark) return &marks[i];
    return NULL;
}

// Where a map stands in its picture.
typedef struct {
    size_t n_columns;
    double first_layer, left, cell;
    const SvgMark *marks;
    size_t n_marks;
} Map;

// "Neural Engine: 12 places. CPU: 2 places."
static void describe_map(StrBuf *out, const Map *map, const SvgMapRow *rows, size_t n_rows) {
    strbuf_add(out, STR("<desc>"));
    for (size_t m = 0; m < map->n_marks; m++) {
        size_t n = 0;
        for (size_t r = 0; r < n_rows; r++)
            for (size_t c = 0; c < map->n_columns; c++) n += rows[r].marks[c] == map->marks[m].mark;
        if (n) strbuf_printf(out, "%s: %zu places. ", map->marks[m].meaning, n);
    }
    strbuf_add(out, STR("</desc>"));
}

static void draw_map_row(StrBuf *out, const Map *map, const SvgMapRow *row, double y,
                         double height) {
    for (size_t c = 0, end; c < map->n_columns; c = end) {
        for (end = c + 1; end < map->n_columns && row->marks[end] == row->marks[c];) end++;
        const SvgMark *m = mark_named(map->marks, map->n_marks, row->marks[c]);
        if (!m) continue;
        double x = map->left + map->cell * (double)c, width = map->cell * (double)(end - c) - 0.6;
        strbuf_printf(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" "
                      "class=\"%s\"><title>",
                      x, y, width, height, m->class_name);
        html_words(out, row->name);
        if (c + 1 == map->n_columns)
            strbuf_add(out, STR(", of no layer: "));
        else
            strbuf_printf(out, ", layers %.0f to %.0f%s: ", map->first_layer + (double)c,
                          map->first_layer + (double)(end < map->n_columns ? end : end - 1) - 1,
                          end < map->n_columns ? "" : " and of none");
        strbuf_printf(out, "%s</title></rect>", m->meaning);
        enum { LETTER = 8 };
        if (m->letter && width >= LETTER)
            label(out, x + width / 2, y + height - 2.5, "mid on", m->letter);
    }
}

void svg_map(StrBuf *out, const char *title, const SvgMapRow *rows, size_t n_rows, size_t n_columns,
             double first_layer, const SvgMark *marks, size_t n_marks) {
    enum { LEAST_NAMES = 90, MOST_NAMES = 190, ROW = 14, HEAD = 16, LETTER = 6, MOST_CELL = 28 };
    double names = LEAST_NAMES;
    for (size_t r = 0; r < n_rows; r++)
        names = fmax(names, fmin(MOST_NAMES, LETTER * (double)strlen(rows[r].name) + 8));
    double cell = fmin(MOST_CELL, (WIDTH - names) / (double)(n_columns ? n_columns : 1));
    Map map = {n_columns, first_layer, names, cell, marks, n_marks};
    open_svg(out, HEAD + ROW * (double)n_rows + 2, title);
    describe_map(out, &map, rows, n_rows);
    label(out, names - 4, HEAD - 5, "end faint", "layer");
    size_t every = (size_t)ceil(20 / cell);
    for (size_t c = 0; c + 1 < n_columns; c += every) {
        char text[32];
        snprintf(text, sizeof text, "%.0f", first_layer + (double)c);
        label(out, names + cell * ((double)c + 0.5), HEAD - 5, "mid", text);
    }
    // What belongs to no layer has the last column, named where that does not crowd.
    if (n_columns && (n_columns - 1) % every == 0)
        label(out, names + cell * ((double)n_columns - 0.5), HEAD - 5, "mid", "–");
    for (size_t r = 0; r < n_rows; r++) {
        double y = HEAD + ROW * (double)r;
        label(out, names - 4, y + 10.5, "end", rows[r].name);
        draw_map_row(out, &map, &rows[r], y + 1, ROW - 2);
    }
    strbuf_add(out, STR("</svg>"));
}
