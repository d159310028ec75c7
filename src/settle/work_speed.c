// work_speed.c — times of decode and prefill at several depths. The first call of the process is
// apart: Core ML specialises in it.
#include <stdlib.h>

#include "base/size.h"
#include "base/usage.h"
#include "settle/work.h"

// Calls are timed until there are enough of both.
#define LEAST_SECONDS 1.0
enum { LEAST_CALLS = 8, MOST_CALLS = 400, N_DEPTHS = 4 };

typedef struct {
    double *times; // [MOST_CALLS], ms a token, sorted in the end
    size_t n;
} Timed;

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool time_call(Steps *s, uint32_t position, uint32_t n_rows, double *ms, Err *err) {
    double started = now_seconds();
    bool ok = n_rows == 1 ? steps_decode(s, position, err) : steps_layers(s, position, n_rows, err);
    *ms = (now_seconds() - started) * 1e3 / n_rows;
    return ok;
}

static bool time_depth(Steps *s, uint32_t position, uint32_t n_rows, Timed *t, Err *err) {
    double until = now_seconds() + LEAST_SECONDS;
    t->n = 0;
    while (t->n < LEAST_CALLS || (t->n < MOST_CALLS && now_seconds() < until))
        if (!time_call(s, position, n_rows, &t->times[t->n++], err)) return false;
    qsort(t->times, t->n, sizeof *t->times, by_size);
    return true;
}

// Depths 0, 1/3, 2/3 and the end of the context.
static bool time_depths(Steps *s, uint32_t n_rows, double medians[N_DEPTHS], Err *err) {
    Work *w = s->work;
    uint32_t last = w->bundle.chain.context - n_rows;
    Timed t = {.times = arena_array(&w->arena, MOST_CALLS, double)};
    json_t *depths = json_array();
    bool ok = true;
    for (uint32_t i = 0; ok && i < N_DEPTHS; i++) {
        uint32_t position = (uint32_t)((uint64_t)last * i / (N_DEPTHS - 1));
        ok = time_depth(s, position, n_rows, &t, err);
        medians[i] = t.times[t.n / 2];
        if (ok)
            json_array_append_new(depths, json_pack("{s:I, s:I, s:f, s:f, s:f}", "position",
                                                    (json_int_t)position, "calls", (json_int_t)t.n,
                                                    "ms", medians[i], "least", t.times[0], "most",
                                                    t.times[t.n - 1]));
    }
    work_detail(w, "rows", json_integer(n_rows));
    work_detail(w, "depths", depths);
    return ok;
}

static bool time_all(Work *w, uint32_t n_rows, FigureId first, FigureId shallow, FigureId deep,
                     Err *err) {
    Steps s = {0};
    double ms = 0, medians[N_DEPTHS] = {0};
    bool ok = steps_open(&s, w, err) && time_call(&s, 0, n_rows, &ms, err) &&
              work_figure(w, first, ms, err) && time_depths(&s, n_rows, medians, err) &&
              work_figure(w, shallow, medians[0], err) &&
              work_figure(w, deep, medians[N_DEPTHS - 1], err);
    steps_close(&s);
    return ok;
}

bool work_decode(Work *w, Err *err) {
    return time_all(w, 1, FIGURE_decode_first_ms, FIGURE_decode_ms, FIGURE_decode_deep_ms, err);
}

bool work_prefill(Work *w, Err *err) {
    uint32_t n_rows = w->bundle.chain.prefill_rows;
    if (!n_rows) return true; // nothing to time: the figures stay open
    return time_all(w, n_rows, FIGURE_prefill_first_ms, FIGURE_prefill_ms, FIGURE_prefill_deep_ms,
                    err);
}
