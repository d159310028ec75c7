// work_open.c — whether the packages compile, load, run and keep their states; how long that takes
// the first time and later, and how much memory it wires.
#include <math.h>

#include "base/file.h"
#include "base/usage.h"
#include "runtime/coreml_prepare.h"
#include "runtime/state_test.h"
#include "settle/machine.h"
#include "settle/work.h"

static bool compile_all(Work *w, Err *err) {
    for (size_t i = 0; i < w->bundle.chain.n_shards; i++) {
        CoremlSource source = coreml_source(&w->bundle.packages[i], &w->arena);
        CoremlCompiled compiled;
        if (!coreml_compiled(&compiled, &source, NULL, &w->arena, err)) return false;
    }
    return true;
}

static bool is_finite(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

static bool run_each(Steps *s, Err *err) {
    const Chain *c = &s->work->bundle.chain;
    size_t d_model = c->contract.d_model, n_rows = c->prefill_rows;
    if (!steps_decode(s, 0, err)) return false;
    if (!is_finite(s->x, d_model) || !is_finite(s->logits, c->contract.n_vocab))
        return err_set(err, ERR_SYSTEM, "decode: the first prediction is not finite");
    if (n_rows && !steps_layers(s, 0, (uint32_t)n_rows, err)) return false;
    if (n_rows && !is_finite(s->x, d_model * n_rows))
        return err_set(err, ERR_SYSTEM, "prefill: the first prediction is not finite");
    shards_reset(&s->shards);
    return true;
}

static bool open_and_run(Steps *s, Work *w, Err *err) {
    double started = now_seconds();
    if (!work_begin(w, FIGURE_loads, err) || !steps_open(s, w, err) ||
        !work_figure(w, FIGURE_loads, 1, err) ||
        !work_figure(w, FIGURE_cold_load_s, now_seconds() - started, err))
        return false;
    started = now_seconds();
    if (!work_begin(w, FIGURE_runs, err) || !run_each(s, err) ||
        !work_figure(w, FIGURE_runs, 1, err) ||
        !work_figure(w, FIGURE_first_run_s, now_seconds() - started, err))
        return false;
    return work_begin(w, FIGURE_keeps_states, err) && states_are_kept(&s->shards, err) &&
           work_figure(w, FIGURE_keeps_states, 1, err);
}

bool work_open(Work *w, Err *err) {
    double started = now_seconds();
    if (!work_begin(w, FIGURE_compiles, err) || !compile_all(w, err) ||
        !work_figure(w, FIGURE_compiles, 1, err) ||
        !work_figure(w, FIGURE_compile_s, now_seconds() - started, err))
        return false;
    Steps s = {0};
    bool ok = open_and_run(&s, w, err);
    steps_close(&s);
    return ok;
}

bool work_again(Work *w, Err *err) {
    double wired = machine_wired_bytes(), started = now_seconds();
    Steps s = {0};
    bool ok = steps_open(&s, w, err) &&
              work_figure(w, FIGURE_warm_load_s, now_seconds() - started, err) &&
              run_each(&s, err) &&
              work_figure(w, FIGURE_wired_mib, (machine_wired_bytes() - wired) / (1 << 20), err);
    steps_close(&s);
    return ok;
}
