// work_power.c — power while decode and prefill run, minus that of the idle machine before and
// after.
//
// Sampling begins when the load has run for a second and ends before the load does, so that every
// sample lies inside it. Energy is power times the time of a token in the same interval.
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/usage.h"
#include "settle/power.h"
#include "settle/work.h"

#define SETTLING_SECONDS 1.0

typedef struct {
    Steps *steps;
    uint32_t n_rows; // 0: idle
    size_t n_tokens;
    double seconds; // of the window
    Power power;
} Window;

static bool spend(Window *w, Err *err) {
    if (w->n_rows == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000L}, NULL);
        return true;
    }
    w->n_tokens += w->n_rows;
    return w->n_rows == 1 ? steps_decode(w->steps, 0, err)
                          : steps_layers(w->steps, 0, w->n_rows, err);
}

static bool sample(Window *w, const char *out, Err *err) {
    double started = now_seconds();
    while (now_seconds() - started < SETTLING_SECONDS)
        if (!spend(w, err)) return false;
    ChildProcess process;
    ChildEnd end;
    if (!power_start(&process, out, err)) return false;
    started = now_seconds();
    w->n_tokens = 0;
    while (!child_poll(&process, &end))
        if (!spend(w, err)) {
            child_kill(&process);
            return false;
        }
    w->seconds = now_seconds() - started;
    bool ok = power_end(&w->power, &end, out, err);
    unlink(out);
    return ok;
}

static double total(const Power *p) {
    return p->cpu + p->gpu + p->ane;
}

static void keep(Work *w, const char *name, const Window *window) {
    const Power *p = &window->power;
    work_detail(w, name,
                json_pack("{s:f, s:f, s:f, s:I, s:I, s:f, s:s}", "cpu_w", p->cpu, "gpu_w", p->gpu,
                          "ane_w", p->ane, "samples", (json_int_t)p->n_samples, "tokens",
                          (json_int_t)window->n_tokens, "seconds", window->seconds,
                          "thermal_pressure", p->pressure));
}

// Decode and prefill between two idle windows.
static bool sample_all(Work *w, Steps *s, Err *err) {
    enum { BEFORE, DECODE, PREFILL, AFTER, N };
    static const char *const names[N] = {"idle_before", "decode", "prefill", "idle_after"};
    Window windows[N] = {
        [DECODE] = {.n_rows = 1}, [PREFILL] = {.n_rows = w->bundle.chain.prefill_rows}};
    const char *out = arena_printf(&w->arena, "%s.power", w->path).at;
    bool ok = true;
    for (int i = 0; ok && i < N; i++) {
        if (i == PREFILL && !windows[i].n_rows) continue;
        windows[i].steps = s;
        ok = sample(&windows[i], out, err);
        if (ok) keep(w, names[i], &windows[i]);
    }
    if (!ok) return false;
    double idle = (total(&windows[BEFORE].power) + total(&windows[AFTER].power)) / 2;
    double decode = total(&windows[DECODE].power) - idle;
    const Window *d = &windows[DECODE], *p = &windows[PREFILL];
    double prefill = p->n_tokens ? total(&p->power) - idle : (double)NAN;
    return work_figure(w, FIGURE_decode_w, decode, err) &&
           work_figure(w, FIGURE_decode_ane_w, d->power.ane, err) &&
           work_figure(w, FIGURE_decode_mj, decode * 1e3 * d->seconds / (double)d->n_tokens, err) &&
           work_figure(w, FIGURE_prefill_w, prefill, err) &&
           work_figure(w, FIGURE_prefill_mj, prefill * 1e3 * p->seconds / (double)p->n_tokens, err);
}

bool work_power(Work *w, Err *err) {
    Steps s = {0};
    bool ok = steps_open(&s, w, err) && sample_all(w, &s, err);
    steps_close(&s);
    return ok;
}
