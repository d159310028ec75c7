#include "runtime/device_plan.h"

#include <string.h>

#include "base/size.h"
#include "decoder/ports.h"

static const char *const device_names[] = {
    [RUNNER_ON_CPU] = "CPU", [RUNNER_ON_GPU] = "GPU", [RUNNER_ON_ANE] = "Neural Engine"};

typedef struct {
    DevicePlan *plan;
    const char *function;
    size_t cap_off;
} Taking;

static void add_off(Taking *t, const RunnerPlannedOp *op) {
    DevicePlan *p = t->plan;
    p->off = arena_grow(p->arena, p->off, p->n_off, &t->cap_off, sizeof *p->off);
    p->off[p->n_off++] = (PlannedOff){.function = str_of(t->function),
                                      .op = str_of(arena_cstr(p->arena, str_of(op->op))),
                                      .output = str_of(arena_cstr(p->arena, str_of(op->output))),
                                      .device = op->device};
}

static void take(void *context, const RunnerPlannedOp *op) {
    Taking *t = context;
    bool is_ane = op->device == RUNNER_ON_ANE, is_conv = str_ends(str_of(op->op), STR(".conv"));
    t->plan->compute_total++;
    t->plan->compute_ane += is_ane;
    t->plan->conv_total += is_conv;
    t->plan->conv_ane += is_conv && is_ane;
    if (!is_ane) add_off(t, op);
}

void device_plan_make(DevicePlan *plan, const Shards *s) {
    const RunnerOps *ops = s->how.engine->runner;
    *plan = (DevicePlan){.arena = plan->arena, .is_made = ops->plan != NULL};
    if (!plan->is_made) return;
    RunnerMachine machine;
    ops->machine(&machine);
    plan->has_ane = machine.has_ane;
    Taking t = {.plan = plan};
    for (size_t i = 0; i < s->bundle->chain.n_shards && !plan->why.kind; i++) {
        const Shard *shard = &s->shards[i];
        ShardRole functions[SHARD_MAX_ROLES];
        size_t n = shard_roles(shard, functions);
        for (size_t k = 0; k < n && !plan->why.kind; k++) {
            t.function = functions[k].role;
            if (!ops->plan(functions[k].runner, take, &t, &plan->why))
                err_prefix(&plan->why, "%.*s", STR_ARG(shard->chain->package));
        }
    }
}

static void print_off(const DevicePlan *p, StrBuf *out) {
    enum { MOST = 3 };
    for (size_t i = 0; i < p->n_off && i < MOST; i++) {
        const PlannedOff *o = &p->off[i];
        strbuf_printf(out, "%s%.*s %.*s %.*s on the %s",
                      i ? ", " : "; off it: ", STR_ARG(o->function), STR_ARG(o->output),
                      STR_ARG(o->op), device_names[o->device]);
    }
    if (p->n_off > MOST) strbuf_printf(out, ", and %zu more", p->n_off - MOST);
}

void device_plan_print(const DevicePlan *p, StrBuf *out) {
    if (p->why.kind) {
        strbuf_printf(out, "it is not known where the operations will run: %s", p->why.text);
    } else if (!p->has_ane) {
        strbuf_printf(out,
                      "this machine has no Neural Engine: all %u operations are planned for "
                      "other devices",
                      p->compute_total);
    } else {
        strbuf_printf(out, "planned for the Neural Engine: conv %u/%u, compute %u/%u", p->conv_ane,
                      p->conv_total, p->compute_ane, p->compute_total);
        print_off(p, out);
        if (p->compute_total && !p->compute_ane)
            strbuf_add(out, STR("; nothing runs there: Core ML plans this for models too small to "
                                "make up for the cost of a call, and when its compiler has refused "
                                "a model without an error"));
        strbuf_printf(out, " (planned, not measured)");
    }
}

bool device_plan_is_whole(const DevicePlan *p, Err *err) {
    if (!p->is_made)
        return err_set(
            err, ERR_USAGE,
            "--strict applies to --engine coreml: this engine does not plan where operations run");
    if (!p->why.kind && p->has_ane && p->compute_total && !p->n_off) return true;
    StrBuf text = {0};
    device_plan_print(p, &text);
    err_set(err, ERR_SYSTEM,
            "--strict: not every operation is planned for the Neural Engine: %.*s; leave --strict "
            "out to run the bundle as planned",
            (int)text.len, text.at);
    strbuf_free(&text);
    return false;
}
