// device_residency.c — compares where a device plans to run each op of each function with what
// placement/ predicts for its system. Ops are matched by the name of their first result.
//
// An op planned off the Neural Engine is reported with its layer and the rule that predicted it, if
// there is one. Where plan and prediction differ, the prediction was wrong: that is reported and
// fails nothing. A plan is only what the framework intends to do; the other gates execute it.
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "chips/chips.h"
#include "decoder/ports.h"
#include "gates/device_gates.h"
#include "gates/layer_names.h"
#include "placement/placement.h"
#include "proof/execution.h"

static const char *const device_names[] = {
    [RUNNER_ON_CPU] = "cpu", [RUNNER_ON_GPU] = "gpu", [RUNNER_ON_ANE] = "ane"};

typedef struct {
    Str op, output;
    RunnerDevice device;
} Planned;

// What one function is planned and predicted to be.
typedef struct {
    Arena *arena;
    Planned *planned;
    size_t n, cap;
    uint32_t conv_ane, conv_total, compute_ane, compute_total; // planned
    uint32_t n_off;      // not on the Neural Engine, index ops before it left out
    uint32_t n_unnamed;  // planned ops that the program on disk does not have
    uint32_t n_wrong;    // predictions that the plan contradicts
    json_t *off, *wrong; // lists
    StrBuf text;         // the first few off it
} FunctionPlan;

static void take(void *context, const RunnerPlannedOp *op) {
    FunctionPlan *f = context;
    f->planned = arena_grow(f->arena, f->planned, f->n, &f->cap, sizeof *f->planned);
    f->planned[f->n++] = (Planned){str_of(arena_cstr(f->arena, str_of(op->op))),
                                   str_of(arena_cstr(f->arena, str_of(op->output))), op->device};
}

// ---- the prediction

// The rules of the machine's chip and of the newest system that is not newer than the machine's;
// those of the bundle's target where the machine's are not known.
static bool target_of(const Proof *p, const RunnerMachine *machine, PlacementTarget *best) {
    const PlacementTarget *t;
    bool is_found = placement_target_read(p->bundle.chain.target, best), is_known = false;
    for (size_t i = 0; machine->os && (t = placement_target_at(i)); i++) {
        if (t->os == 0 || t->os > (int)machine->os || (is_known && t->os <= best->os)) continue;
        ChipId chip = best->chip;
        *best = *t;
        best->chip = chip;
        is_found = is_known = true;
    }
    chip_labelled(str_of(machine->chip), &best->chip);
    if (str_is(p->bundle.chain.sizes, "newest")) best->size_rule = SIZES_NEWEST;
    return is_found;
}

static uint32_t find_op(const MilFunction *f, Str output) {
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (op->n_outputs && str_eq(f->values[op->first_output].name, output)) return i;
    }
    return PLACEMENT_NO_OP;
}

// The rule that keeps op `i` off the Neural Engine, or the whole function; NULL when none does.
static const char *rule_of(const FunctionPlacement *f, uint32_t i) {
    for (size_t k = 0; k < f->n_findings; k++)
        if (f->findings[k].op == i && f->findings[k].rule->effect != RULE_NOTE)
            return f->findings[k].rule->id;
    return f->evicted_by ? f->evicted_by->id : NULL;
}

// ---- one op

static json_t *op_json(const Planned *op, const char *rule) {
    uint32_t layer;
    Str stem;
    json_t *json = json_pack("{s:s%, s:s%, s:s}", "op", op->op.at, op->op.len, "output",
                             op->output.at, op->output.len, "device", device_names[op->device]);
    if (layer_of_name(op->output, &layer, &stem))
        json_object_set_new(json, "layer", json_integer(layer));
    if (rule) json_object_set_new(json, "rule", json_string(rule));
    return json;
}

static void add_off(FunctionPlan *f, const Planned *op, const char *rule, bool is_index) {
    enum { MOST_NAMED = 8 };
    json_array_append_new(f->off, op_json(op, rule));
    if (is_index) return;
    if (f->n_off++ < MOST_NAMED)
        strbuf_printf(&f->text, "%s %.*s %.*s on the %s (%s%s)", f->n_off == 1 ? "; off it:" : ",",
                      STR_ARG(op->output), STR_ARG(op->op), device_names[op->device],
                      rule ? "rule " : "no rule predicts that", rule ? rule : "");
}

static void add_wrong(FunctionPlan *f, const Planned *op, const char *rule, bool predicted_ane) {
    json_t *json = op_json(op, rule);
    json_object_set_new(json, "predicted", json_string(predicted_ane ? "ane" : "not"));
    json_array_append_new(f->wrong, json);
    f->n_wrong++;
}

static void judge_op(FunctionPlan *f, const FunctionPlacement *predicted, const Planned *op) {
    bool is_ane = op->device == RUNNER_ON_ANE, is_conv = str_ends(op->op, STR(".conv"));
    uint32_t i = find_op(predicted->function, op->output);
    f->compute_total++;
    f->compute_ane += is_ane;
    f->conv_total += is_conv;
    f->conv_ane += is_conv && is_ane;
    if (i == PLACEMENT_NO_OP) {
        f->n_unnamed++;
        if (!is_ane) add_off(f, op, NULL, false);
        return;
    }
    bool is_index = predicted->is_index[i];
    PlacementVerdict verdict =
        predicted->evicted_by || is_index ? PLACE_NOT : predicted->verdicts[i];
    const char *rule = rule_of(predicted, i);
    if (!is_ane) add_off(f, op, rule, is_index);
    if (verdict != PLACE_UNKNOWN && (verdict == PLACE_ANE) != is_ane)
        add_wrong(f, op, rule, verdict == PLACE_ANE);
}

// ---- one function

static void print_counts(StrBuf *out, const char *word, uint32_t conv_ane, uint32_t conv_total,
                         uint32_t compute_ane, uint32_t compute_total) {
    strbuf_printf(out, "%s conv_ane=%u/%u compute_ane=%u/%u", word, conv_ane, conv_total,
                  compute_ane, compute_total);
}

static void report(Proof *p, FunctionPlan *f, const FunctionPlacement *predicted, Str package,
                   size_t shard, bool has_ane) {
    StrBuf text = {0};
    char scope[48];
    print_counts(&text, "planned", f->conv_ane, f->conv_total, f->compute_ane, f->compute_total);
    print_counts(&text, "; predicted", predicted->conv_ane, predicted->conv_total,
                 predicted->compute_ane, predicted->compute_total);
    strbuf_printf(&text, "; %u predictions contradicted", f->n_wrong);
    if (f->n_unnamed)
        strbuf_printf(&text, "; %u ops have names that only the device uses", f->n_unnamed);
    if (f->n_off) strbuf_add(&text, strbuf_str(&f->text));
    if (f->n_off > 8) strbuf_printf(&text, ", and %u more (verify/device.json)", f->n_off - 8);
    snprintf(scope, sizeof scope, "shard %02zu %.*s", shard, STR_ARG(predicted->function->name));
    json_t *figures =
        json_pack("{s:s%, s:s%, s:{s:i, s:i, s:i, s:i}, s:{s:i, s:i, s:i, s:i}, s:O, s:O, s:i}",
                  "package", package.at, package.len, "function", predicted->function->name.at,
                  predicted->function->name.len, "planned", "conv_ane", (int)f->conv_ane,
                  "conv_total", (int)f->conv_total, "compute_ane", (int)f->compute_ane,
                  "compute_total", (int)f->compute_total, "predicted", "conv_ane",
                  (int)predicted->conv_ane, "conv_total", (int)predicted->conv_total, "compute_ane",
                  (int)predicted->compute_ane, "compute_total", (int)predicted->compute_total,
                  "off", f->off, "predictor_errors", f->wrong, "unnamed", (int)f->n_unnamed);
    ProofVerdict verdict = !has_ane                        ? PROOF_UNPROVED
                           : f->n_off || !f->compute_total ? PROOF_FAILED
                                                           : PROOF_PASSED;
    proof_verdict(p, "residency", verdict, figures, scope, "%s%.*s",
                  has_ane ? "" : "no Neural Engine on this machine: ", STR_ARG(strbuf_str(&text)));
    strbuf_free(&text);
}

static bool judge_function(Proof *p, const Shard *shard, size_t i, Runner *runner,
                           const FunctionPlacement *predicted, bool has_ane, Err *err) {
    FunctionPlan f = {.arena = p->arena, .off = json_array(), .wrong = json_array()};
    bool ok = runner->ops->plan(runner, take, &f, err) ||
              err_prefix(err, "%.*s", STR_ARG(shard->chain->package));
    for (size_t k = 0; ok && k < f.n; k++) judge_op(&f, predicted, &f.planned[k]);
    if (ok) report(p, &f, predicted, shard->chain->package, i, has_ane);
    strbuf_free(&f.text);
    json_decref(f.off);
    json_decref(f.wrong);
    return ok;
}

static const FunctionPlacement *find_function(const Placement *placement, const ChainShard *shard,
                                              const char *role) {
    for (size_t k = 0; k < shard->n_functions; k++)
        for (size_t i = 0; str_is(shard->functions[k].role, role) && i < placement->n_functions;
             i++)
            if (str_eq(placement->functions[i].function->name, shard->functions[k].name))
                return &placement->functions[i];
    return NULL;
}

static bool judge_shard(Proof *p, const Shard *shard, size_t i, const PlacementTarget *target,
                        bool has_ane, Err *err) {
    const Package *package = &p->bundle.packages[i];
    ShardRole functions[SHARD_MAX_ROLES];
    size_t n = shard_roles(shard, functions);
    Placement placement;
    placement_judge(&placement, p->arena, package->program, package_bytes(package), target);
    for (size_t k = 0; k < n; k++) {
        const FunctionPlacement *f = find_function(&placement, shard->chain, functions[k].role);
        if (f && !judge_function(p, shard, i, functions[k].runner, f, has_ane, err)) return false;
    }
    return true;
}

bool gate_device_residency(Proof *p, Err *err) {
    Shards shards;
    RunnerMachine machine;
    const RunnerOps *ops = proof_engine(p)->runner;
    ops->machine(&machine);
    PlacementTarget target;
    if (!target_of(p, &machine, &target)) return err_set(err, ERR_GATE, "no rules for this system");
    if (!proof_open_shards(p, &shards, ARITHMETIC_FP16, err)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < p->bundle.chain.n_shards; i++)
        ok = judge_shard(p, &shards.shards[i], i, &target, machine.has_ane, err);
    shards_close(&shards);
    if (ok)
        proof_note(p, "residency", "rules", "predicted for %s, %s", target.name,
                   chips[target.chip].label);
    return ok;
}
