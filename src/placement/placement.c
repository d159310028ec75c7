#include "placement/placement.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "placement/judge.h"

const PlacementRule placement_rules[RULE_COUNT] = {
#define RULE(id, effect, confidence, first_os, last_os, limit, text, seen, source)                 \
    [RULE_##id] = {#id,  RULE_##effect, CONFIDENCE_##confidence, first_os, last_os, limit, text,   \
                   seen, source},
#include "placement/placement.def"
#undef RULE
};

const char *rule_effect_name(RuleEffect effect) {
    static const char *const names[] = {
        [RULE_NOTE] = "note",   [RULE_DOUBT] = "unknown",           [RULE_ISLAND] = "off the ANE",
        [RULE_FAULT] = "fault", [RULE_WHOLE] = "whole program off",
    };
    return names[effect];
}

const char *confidence_name(Confidence confidence) {
    static const char *const names[] = {
        [CONFIDENCE_LOW] = "low", [CONFIDENCE_MEDIUM] = "medium", [CONFIDENCE_HIGH] = "high"};
    return names[confidence];
}

static const PlacementTarget targets[] = {
    {"macos27", 27},
    {"macos26", 26},
    {"macos15", 15},
    {"any", 0},
};

const PlacementTarget *placement_target_at(size_t i) {
    return i < COUNT_OF(targets) ? &targets[i] : NULL;
}

const PlacementTarget *placement_target_named(Str name) {
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        if (str_is(name, targets[i].name)) return &targets[i];
    return NULL;
}

bool placement_counts(const MilFunction *f, const MilOp *op) {
    for (uint32_t i = 0; i < op->n_outputs; i++)
        if (!f->values[op->first_output + i].is_constant) return true;
    return op->n_outputs == 0;
}

const MilValue *judge_operand(const Judge *j, const MilOp *op, const char *param) {
    int at = mil_param(op->info, param);
    if (at < 0 || op->args[at].count == 0) return NULL;
    return mil_value(j->f, mil_operand(j->f, op, at));
}

// On an unknown system every rule holds.
static bool is_for(const PlacementRule *r, const PlacementTarget *target) {
    return target->os == 0 || (target->os >= r->first_os && target->os <= r->last_os);
}

// What has been said already: a note once a function, anything else once an op.
static PlacementFinding *find_same(FunctionPlacement *p, const PlacementRule *rule, uint32_t op) {
    for (size_t i = p->n_findings; i-- > 0;) {
        PlacementFinding *found = &p->findings[i];
        if (found->rule == rule && (rule->effect == RULE_NOTE || found->op == op)) return found;
    }
    return NULL;
}

void judge_find(Judge *j, uint32_t op, RuleId id, const char *fmt, ...) {
    const PlacementRule *rule = &placement_rules[id];
    FunctionPlacement *p = j->out;
    if (!is_for(rule, j->target)) return;
    PlacementFinding *same = find_same(p, rule, op);
    if (same) {
        same->count++;
        return;
    }
    if (p->n_findings == j->cap_findings) {
        size_t cap = j->cap_findings ? 2 * j->cap_findings : 16;
        PlacementFinding *grown = arena_array(j->arena, cap, PlacementFinding);
        if (p->n_findings) memcpy(grown, p->findings, p->n_findings * sizeof *grown);
        p->findings = grown;
        j->cap_findings = cap;
    }
    char detail[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    p->findings[p->n_findings++] = (PlacementFinding){
        .op = op, .rule = rule, .count = 1, .detail = arena_str(j->arena, str_of(detail))};

    if (rule->effect == RULE_WHOLE && !p->evicted_by) p->evicted_by = rule;
    if (rule->effect == RULE_FAULT) p->n_faults++;
    if (op == PLACEMENT_NO_OP) return;
    PlacementVerdict found = rule->effect == RULE_ISLAND || rule->effect == RULE_WHOLE ? PLACE_NOT
                             : rule->effect == RULE_DOUBT ? PLACE_UNKNOWN
                                                          : PLACE_ANE;
    if (found > p->verdicts[op]) p->verdicts[op] = found;
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

static void judge_one(Placement *placement, Arena *arena, const MilProgram *program, size_t i) {
    const MilFunction *f = program->functions[i];
    FunctionPlacement *p = &placement->functions[i];
    *p = (FunctionPlacement){.function = f,
                             .verdicts = arena_array(arena, f->n_ops, PlacementVerdict),
                             .is_index = arena_array(arena, f->n_ops, bool)};
    Judge j = {.arena = arena, .f = f, .target = placement->target, .out = p};
    static const RuleId sizes[] = {RULE_D00, RULE_D26, RULE_D27};
    for (size_t r = 0; r < COUNT_OF(sizes); r++) {
        // A rule for the unknown system only is for no known one.
        bool is_asked = sizes[r] != RULE_D00 || placement->target->os == 0;
        if (is_asked && placement->n_bytes >= rule_limit(sizes[r]))
            judge_find(&j, PLACEMENT_NO_OP, sizes[r], "%.3f GiB, limit %.3f GiB",
                       (double)placement->n_bytes / (1 << 30),
                       (double)rule_limit(sizes[r]) / (1 << 30));
    }
    for (uint32_t op = 0; op < f->n_ops; op++) {
        if (!placement_counts(f, &f->ops[op])) continue;
        judge_types(&j, op);
        judge_operator(&j, op);
        judge_weights(&j, op);
    }
    judge_function(&j);
    if (i > 0)
        judge_find(&j, PLACEMENT_NO_OP, RULE_G05, "up to %.1f MiB more while both are loaded",
                   (double)placement->n_bytes / (1 << 20));
    count(p);
    p->estimate = judge_cost(&j);
    if (p->estimate.verdict == PLACE_NOT && !p->evicted_by)
        judge_find(&j, PLACEMENT_NO_OP, RULE_C01, "saves %.3f ms, costs %.3f",
                   p->estimate.cpu_ms - p->estimate.ane_ms + p->estimate.price_ms,
                   p->estimate.price_ms);
}

void placement_judge(Placement *placement, Arena *arena, const MilProgram *program,
                     uint64_t n_bytes, const PlacementTarget *target) {
    *placement = (Placement){
        .target = target,
        .n_bytes = n_bytes,
        .functions = arena_array(arena, program->n_functions, FunctionPlacement),
        .n_functions = program->n_functions,
    };
    for (size_t i = 0; i < program->n_functions; i++) judge_one(placement, arena, program, i);
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
