#include "report/svg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html.h"

enum { WIDTH = 360 };

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

enum { LEFT = 46, RIGHT = 8, TOP = 34, BOTTOM = 22, PLOT_HEIGHT = 200 };

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
    Axis a = {floor(log10(least)), ceil(log10(most)), true};
    if (a.high <= a.low) a.high = a.low + 1;
    return a;
}

// Zero and less stand at the bottom of a logarithmic axis; what is no number, at the top.
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

static void draw_grid(StrBuf *out, const SvgPlot *p, const Axis *a) {
    enum { MOST_LINES = 6 };
    double span = a->high - a->low, step = a->is_log ? ceil(span / MOST_LINES) : span / 4;
    for (double v = a->low; v <= a->high + span * 1e-9; v += step) {
        double y = TOP + (a->high - v) / span * (PLOT_HEIGHT - TOP - BOTTOM);
        char text[32];
        if (a->is_log)
            snprintf(text, sizeof text, "1e%.0f", v);
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

static void draw_series(StrBuf *out, const SvgPlot *p, const Axis *a, const SvgSeries *s) {
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
        label(out, WIDTH - RIGHT, y - 3, "end", s->bound_name);
    }
    for (size_t i = 0; i < s->n_steps; i++) {
        const SvgStep *step = &s->steps[i];
        strbuf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>",
                      x_of(p, (step->first + step->end) / 2), y_of(a, step->value));
        html_words(out, s->name);
        if (step->end - step->first > 1)
            strbuf_printf(out, ", layers %.0f to %.0f: ", step->first, step->end - 1);
        else
            strbuf_printf(out, ", layer %.0f: ", step->first);
        html_number(out, step->value);
        strbuf_add(out, STR("</title></circle>"));
    }
    strbuf_add(out, STR("</g>"));
}

void svg_plot(StrBuf *out, const SvgPlot *p) {
    Axis axis = axis_of(p);
    open_svg(out, PLOT_HEIGHT, p->title);
    label(out, 0, 11, "title", p->title);
    double x = 0;
    for (size_t i = 0; i < p->n_series; i++) {
        const SvgSeries *s = &p->series[i];
        strbuf_printf(out, "<rect x=\"%.0f\" y=\"18\" width=\"10\" height=\"4\" class=\"%s\"/>", x,
                      s->class_name);
        label(out, x + 14, 24, "key", s->name);
        x += 26 + 5.4 * (double)strlen(s->name);
    }
    draw_grid(out, p, &axis);
    for (size_t i = 0; i < p->n_series; i++) draw_series(out, p, &axis, &p->series[i]);
    strbuf_add(out, STR("</svg>"));
}

// ---- bars

void svg_bars(StrBuf *out, const char *title, const SvgBar *bars, size_t n, double most,
              double limit) {
    enum { NAMES = 120, TEXTS = 76, ROW = 18, HEAD = 18 };
    double width = WIDTH - NAMES - TEXTS, scale = most > 0 ? width / most : 0;
    open_svg(out, HEAD + ROW * (double)n + 4, title);
    label(out, 0, 11, "title", title);
    for (size_t i = 0; i < n; i++) {
        double y = HEAD + ROW * (double)i, w = fmax(0, bars[i].value * scale);
        label(out, NAMES - 6, y + 12, "end", bars[i].name);
        strbuf_printf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"/>",
                      NAMES, y + 3, fmin(fmax(w, 1), width), ROW - 6, bars[i].class_name);
        label(out, WIDTH - TEXTS + 6, y + 12, "", bars[i].text);
    }
    if (isfinite(limit) && limit <= most) {
        double x = NAMES + limit * scale;
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

void svg_map(StrBuf *out, const char *title, const SvgMapRow *rows, size_t n_rows, size_t n_columns,
             double first_layer, const SvgMark *marks, size_t n_marks) {
    enum { NAMES = 104, ROW = 11, HEAD = 14 };
    double cell = fmin(22, (double)(WIDTH - NAMES) / (double)(n_columns ? n_columns : 1));
    open_svg(out, HEAD + ROW * (double)n_rows + 2, title);
    label(out, NAMES - 4, HEAD - 4, "end small faint", "layer");
    size_t every = (size_t)ceil(20 / cell);
    for (size_t c = 0; c < n_columns; c += every) {
        char text[32];
        snprintf(text, sizeof text, "%.0f", first_layer + (double)c);
        label(out, NAMES + cell * ((double)c + 0.5), HEAD - 4, "mid small",
              c + 1 < n_columns ? text : "–");
    }
    for (size_t r = 0; r < n_rows; r++) {
        double y = HEAD + ROW * (double)r;
        label(out, NAMES - 4, y + 8.5, "end small", rows[r].name);
        for (size_t c = 0, end; c < n_columns; c = end) {
            for (end = c + 1; end < n_columns && rows[r].marks[end] == rows[r].marks[c];) end++;
            const SvgMark *m = mark_named(marks, n_marks, rows[r].marks[c]);
            if (!m) continue;
            strbuf_printf(out,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
                          "class=\"%s\"><title>",
                          NAMES + cell * (double)c, y + 1, cell * (double)(end - c) - 0.6, ROW - 2,
                          m->class_name);
            html_words(out, rows[r].name);
            if (c + 1 == n_columns)
                strbuf_add(out, STR(", of no layer: "));
            else
                strbuf_printf(out, ", layers %.0f to %.0f%s: ", first_layer + (double)c,
                              first_layer + (double)(end < n_columns ? end : end - 1) - 1,
                              end < n_columns ? "" : " and of none");
            strbuf_printf(out, "%s</title></rect>", m->meaning);
        }
    }
    strbuf_add(out, STR("</svg>"));
}
