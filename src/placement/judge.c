// judge.c — the table of rules, and the findings on one function.
#include "placement/judge.h"

#include <stdarg.h>
#include <string.h>

// Chips by the column's names.
#define BIT(chip) (UINT32_C(1) << CHIP_##chip)
enum {
    BEFORE_M4_CHIPS = BIT(m1) | BIT(m2) | BIT(m3),
    M5_CHIPS = BIT(m5) | BIT(m5pro) | BIT(m5max)
};
#define ALL_CHIPS   RULE_ALL_CHIPS
#define NOTCH_CHIPS CHIPS_WITH_NOTCH

const PlacementRule placement_rules[RULE_COUNT] = {
#define RULE(id, effect, confidence, first_os, last_os, chips, limit, text, seen, source)          \
    [RULE_##id] = {#id,      RULE_##effect, CONFIDENCE_##confidence,                               \
                   first_os, last_os,       chips##_CHIPS,                                         \
                   limit,    text,          seen,                                                  \
                   source},
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

// On an unknown system every rule holds; of an unknown chip those of single chips only say what to
// mind there.
bool rule_is_for(const PlacementRule *r, const PlacementTarget *target) {
    bool is_os = target->os == 0 || (target->os >= r->first_os && target->os <= r->last_os);
    bool is_chip =
        r->chips == RULE_ALL_CHIPS ||
        (target->chip == CHIP_ANY ? r->effect == RULE_NOTE : (r->chips >> target->chip & 1) != 0);
    return is_os && is_chip;
}

// The finding that this one would repeat: notes are kept once a function, others once an op.
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
    if (!rule_is_for(rule, j->target)) return;
    PlacementFinding *same = find_same(p, rule, op);
    if (same) {
        same->count++;
        return;
    }
    p->findings =
        arena_grow(j->arena, p->findings, p->n_findings, &j->cap_findings, sizeof *p->findings);
    va_list args;
    va_start(args, fmt);
    Str detail = arena_vprintf(j->arena, fmt, args);
    va_end(args);
    p->findings[p->n_findings++] =
        (PlacementFinding){.op = op, .rule = rule, .count = 1, .detail = detail};

    if (rule->effect == RULE_WHOLE && !p->evicted_by) p->evicted_by = rule;
    if (rule->effect == RULE_FAULT) p->n_faults++;
    if (op == PLACEMENT_NO_OP) return;
    PlacementVerdict found = rule->effect == RULE_ISLAND || rule->effect == RULE_WHOLE ? PLACE_NOT
                             : rule->effect == RULE_DOUBT ? PLACE_UNKNOWN
                                                          : PLACE_ANE;
    if (found > p->verdicts[op]) p->verdicts[op] = found;
}
