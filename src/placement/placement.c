// placement.c — judges a program: applies every rule to each function, counts its ops, estimates
// its segments.
#include "placement/placement.h"

#include "base/size.h"
#include "placement/judge.h"

static const PlacementTarget targets[] = {
    {"macos27", 27, CHIP_ANY, SIZES_CAUTIOUS},
    {"macos26", 26, CHIP_ANY, SIZES_CAUTIOUS},
    {"macos15", 15, CHIP_ANY, SIZES_CAUTIOUS},
    {"any", 0, CHIP_ANY, SIZES_CAUTIOUS},
};

const PlacementTarget *placement_target_at(size_t i) {
    return i < COUNT_OF(targets) ? &targets[i] : NULL;
}

bool placement_target_read(Str name, PlacementTarget *target) {
    Str system;
    ChipId chip;
    if (!target_split(name, &system, &chip)) return false;
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (str_is(system, targets[i].name)) {
            *target = targets[i];
            target->chip = chip;
            return true;
        }
    return false;
}

// Whether nothing but A03 keeps the op off.
static bool is_index_op(const FunctionPlacement *p, uint32_t op) {
    bool is_index = false;
    for (size_t i = 0; i < p->n_findings; i++) {
        const PlacementFinding *found = &p->findings[i];
        if (found->op != op || found->rule->effect == RULE_NOTE) continue;
        if (found->rule != &placement_rules[RULE_A03]) return false;
        is_index = true;
    }
    return is_index;
}

static void count(FunctionPlacement *p) {
    const MilFunction *f = p->function;
    bool is_before = true;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        if (!placement_counts(f, &f->ops[i])) continue;
        if (p->evicted_by) p->verdicts[i] = PLACE_NOT;
        bool is_conv = f->ops[i].info->opcode == MIL_OP_conv;
        bool is_ane = p->verdicts[i] == PLACE_ANE;
        p->compute_total++;
        p->compute_ane += is_ane;
        p->conv_total += is_conv;
        p->conv_ane += is_conv && is_ane;
        p->n_unknown += p->verdicts[i] == PLACE_UNKNOWN;
        if (is_ane) is_before = false;
        p->is_index[i] = is_before && !is_ane && !p->evicted_by && is_index_op(p, i);
        p->n_index += p->is_index[i];
    }
}

static void judge_one(Placement *placement, Arena *arena, const MilProgram *program, size_t i,
                      uint64_t reach_bytes) {
    const MilFunction *f = program->functions[i];
    FunctionPlacement *p = &placement->functions[i];
    *p = (FunctionPlacement){.function = f,
                             .verdicts = arena_array(arena, f->n_ops, PlacementVerdict),
                             .is_index = arena_array(arena, f->n_ops, bool)};
    Judge j = {.arena = arena, .f = f, .target = &placement->target, .out = p};
    p->reach_bytes = reach_bytes;
    judge_sizes(&j, placement);
    for (uint32_t op = 0; op < f->n_ops; op++) {
        if (!placement_counts(f, &f->ops[op])) continue;
        judge_types(&j, op);
        judge_operator(&j, op);
        judge_weights(&j, op);
    }
    judge_function(&j);
    if (i > 0)
        judge_find(&j, PLACEMENT_NO_OP, RULE_G05, "up to %.1f MiB more while both are loaded",
                   (double)reach_bytes / (1 << 20));
    count(p);
    p->estimate = judge_cost(&j);
    if (p->estimate.verdict == PLACE_NOT && !p->evicted_by)
        judge_find(&j, PLACEMENT_NO_OP, RULE_C01, "saves %.3f ms, costs %.3f",
                   p->estimate.cpu_ms - (p->estimate.ane_ms - p->estimate.notch_ms) +
                       p->estimate.price_ms,
                   p->estimate.price_ms);
}

void placement_judge(Placement *placement, Arena *arena, const MilProgram *program,
                     uint64_t n_bytes, const PlacementTarget *target) {
    *placement = (Placement){
        .target = *target,
        .n_bytes = n_bytes,
        .functions = arena_array(arena, program->n_functions, FunctionPlacement),
        .n_functions = program->n_functions,
        .n_files = sizes_files(program, arena),
    };
    uint64_t *reach = arena_array(arena, program->n_functions, uint64_t);
    for (size_t i = 0; i < program->n_functions; i++)
        reach[i] = sizes_reached(program->functions[i], &placement->file_bytes, arena);
    for (size_t i = 0; i < program->n_functions; i++)
        judge_one(placement, arena, program, i, reach[i]);
}

bool placement_is_resident(const Placement *placement) {
    for (size_t i = 0; i < placement->n_functions; i++) {
        const FunctionPlacement *p = &placement->functions[i];
        if (p->evicted_by || p->n_unknown || p->n_faults || p->conv_ane < p->conv_total ||
            p->compute_ane + p->n_index < p->compute_total)
            return false;
    }
    return true;
}
