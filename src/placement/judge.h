// judge.h — judges one function by the rules of placement.def. Internal to placement/.
#ifndef LATHE_PLACEMENT_JUDGE_H
#define LATHE_PLACEMENT_JUDGE_H

#include "placement/placement.h"

typedef struct {
    Arena *arena;
    const MilFunction *f;
    const PlacementTarget *target;
    FunctionPlacement *out;
    size_t cap_findings;
} Judge;

// Records that `rule` applies to `op` (or PLACEMENT_NO_OP), if the rule is for this system. Notes of
// one rule become one finding with a count.
void judge_find(Judge *j, uint32_t op, RuleId rule, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// Whether the rule applies to that system and chip.
bool rule_is_for(const PlacementRule *rule, const PlacementTarget *target);

// The operand given for `param`; NULL when absent.
const MilValue *judge_operand(const Judge *j, const MilOp *op, const char *param);
static inline uint64_t rule_limit(RuleId rule) {
    return placement_rules[rule].limit;
}

// Stored bytes of a constant; of a compressed one the bytes of its codes.
double judge_packed_bytes(const Judge *j, const MilValue *v);
// Whether the convolution streams its weights, `n_bytes` packed ones, at half speed on the target.
bool judge_is_slow(const Judge *j, const MilOp *conv, double n_bytes);

// sizes.c: bytes of the distinct blob records that a function's constants use; raises *file_bytes
// to the end of the last record.
uint64_t sizes_reached(const MilFunction *f, uint64_t *file_bytes, Arena *arena);
// Weight files that constants of the program are in.
uint32_t sizes_files(const MilProgram *program, Arena *arena);
void judge_sizes(Judge *j, const Placement *placement);
void judge_types(Judge *j, uint32_t op);      // types.c: rank, dtype, axes
void judge_operator(Judge *j, uint32_t op);   // ops.c
void judge_weights(Judge *j, uint32_t op);    // weights.c: compressed operands
void judge_function(Judge *j);                // ops.c: states, counts, open shapes
PlacementEstimate judge_cost(const Judge *j); // cost.c

#endif
