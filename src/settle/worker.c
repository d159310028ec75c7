// worker.c — the stages of work.h, by name.
#include <string.h>

#include "base/json.h"
#include "base/size.h"
#include "settle/settle.h"
#include "settle/work.h"

// The stage gates is a child of its own: lathe verify.
static WorkStage *const stages[STAGE_COUNT] = {
    [STAGE_open] = work_open,   [STAGE_plan] = work_plan,     [STAGE_right] = work_right,
    [STAGE_again] = work_again, [STAGE_decode] = work_decode, [STAGE_prefill] = work_prefill,
    [STAGE_power] = work_power,
};

static WorkStage *stage_named(const char *name) {
    for (size_t i = 0; i < STAGE_COUNT; i++)
        if (strcmp(settle_stages[i].name, name) == 0) return stages[i];
    return NULL;
}

bool settle_work(const char *stage, const char *bundle, const char *out, Err *err) {
    WorkStage *run = stage_named(stage);
    if (!run) return err_set(err, ERR_USAGE, "no stage '%s' of lathe settle", stage);
    Work w = {.path = out};
    w.found = json_pack("{s:s, s:{}, s:{}}", "doing", "", "figures", "details");
    if (!w.found) die_out_of_memory(0);
    bool ok = engine_choose(&w.how.engine, "coreml", ENGINE_RUNS_BUNDLES, err) &&
              bundle_open(&w.bundle, &w.arena, bundle, err) && run(&w, err) &&
              json_write_file(w.found, out, err);
    bundle_close(&w.bundle);
    json_decref(w.found);
    arena_free(&w.arena);
    return ok;
}
