// work_plan.c — where Core ML plans to run each operation, beside where the placement rules say.
#include "base/size.h"
#include "placement/placement.h"
#include "runtime/device_plan.h"
#include "settle/machine.h"
#include "settle/predict.h"
#include "settle/work.h"

// An operation whose plan is not what the rules say.
typedef struct {
    json_t *list;
    const DevicePlan *plan;
    size_t n;
} Surprises;

static bool is_off(const DevicePlan *plan, Str function, Str output) {
    for (size_t i = 0; i < plan->n_off; i++)
        if (str_eq(plan->off[i].function, function) && str_eq(plan->off[i].output, output))
            return true;
    return false;
}

// The first rule that speaks of the operation, or of its function.
static const char *rule_of(const FunctionPlacement *f, uint32_t op) {
    if (f->evicted_by) return f->evicted_by->id;
    for (size_t i = 0; i < f->n_findings; i++)
        if (f->findings[i].op == op && f->findings[i].rule->effect != RULE_NOTE)
            return f->findings[i].rule->id;
    return "";
}

static void compare_function(Surprises *s, const char *role, const FunctionPlacement *f) {
    enum { MOST_LISTED = 200 };
    for (uint32_t i = 0; i < f->function->n_ops; i++) {
        const MilOp *op = &f->function->ops[i];
        if (!placement_counts(f->function, op)) continue;
        Str output = f->function->values[op->first_output].name;
        bool off = is_off(s->plan, str_of(role), output);
        if (off == (f->verdicts[i] != PLACE_ANE)) continue;
        if (s->n++ < MOST_LISTED)
            json_array_append_new(s->list,
                                  json_pack("{s:s, s:s%, s:s, s:s, s:s, s:s}", "function", role,
                                            "value", output.at, output.len, "op", op->info->name,
                                            "planned", off ? "off" : "ane", "predicted",
                                            off ? "ane" : "off", "rule", rule_of(f, i)));
    }
}

static bool compare_all(Work *w, const DevicePlan *plan, Err *err) {
    SettleMachine machine;
    machine_read(&machine);
    Surprises s = {.list = json_array(), .plan = plan};
    for (size_t i = 0; i < w->bundle.chain.n_shards; i++) {
        const ChainShard *shard = &w->bundle.chain.shards[i];
        const Package *p = &w->bundle.packages[i];
        Placement placement;
        PlacementTarget target;
        predict_target(&target, &w->bundle.chain, &machine);
        placement_judge(&placement, &w->arena, p->program, package_bytes(p), &target);
        for (size_t k = 0; k < placement.n_functions; k++)
            for (size_t r = 0; r < shard->n_functions; r++)
                if (str_eq(shard->functions[r].name, placement.functions[k].function->name))
                    compare_function(&s, arena_cstr(&w->arena, shard->functions[r].role),
                                     &placement.functions[k]);
    }
    work_detail(w, "surprises", s.list);
    return work_figure(w, FIGURE_surprises, (double)s.n, err);
}

static void list_off(Work *w, const DevicePlan *plan) {
    enum { MOST_LISTED = 200 };
    static const char *const devices[] = {
        [RUNNER_ON_CPU] = "cpu", [RUNNER_ON_GPU] = "gpu", [RUNNER_ON_ANE] = "ane"};
    json_t *list = json_array();
    for (size_t i = 0; i < plan->n_off && i < MOST_LISTED; i++) {
        const PlannedOff *o = &plan->off[i];
        json_array_append_new(list,
                              json_pack("{s:s%, s:s%, s:s%, s:s}", "function", o->function.at,
                                        o->function.len, "value", o->output.at, o->output.len, "op",
                                        o->op.at, o->op.len, "device", devices[o->device]));
    }
    work_detail(w, "off", list);
}

static bool take_plan(Work *w, const Shards *shards, Err *err) {
    DevicePlan plan = {.arena = &w->arena};
    device_plan_make(&plan, shards);
    if (plan.why.kind) {
        *err = plan.why;
        return false;
    }
    bool is_whole = plan.has_ane && plan.compute_total && !plan.n_off;
    list_off(w, &plan);
    return work_figure(w, FIGURE_conv_ane, plan.conv_ane, err) &&
           work_figure(w, FIGURE_conv_all, plan.conv_total, err) &&
           work_figure(w, FIGURE_compute_ane, plan.compute_ane, err) &&
           work_figure(w, FIGURE_compute_all, plan.compute_total, err) &&
           work_figure(w, FIGURE_resident, is_whole, err) && compare_all(w, &plan, err);
}

bool work_plan(Work *w, Err *err) {
    Shards shards = {0};
    bool ok = work_begin(w, FIGURE_resident, err) &&
              shards_open(&shards, &w->bundle, &w->how, err) && take_plan(w, &shards, err);
    if (shards.bundle) shards_close(&shards);
    return ok;
}
