// types.c — rules about rank, element type and axes of operands and results (A01 to A15, G01).
#include <inttypes.h>

#include "base/size.h"
#include "placement/judge.h"

static bool is_float(MilDtype t) {
    return t == MIL_F16 || t == MIL_F32 || t == MIL_F64 || t == MIL_BF16;
}

static bool is_integer(MilDtype t) {
    return !is_float(t) && t != MIL_BOOL && t != MIL_STRING;
}

static bool has_unit_axis(const MilType *t) {
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] == 1) return true;
    return false;
}

// In a valid program no rank is above 5.
static void judge_rank(Judge *j, uint32_t at, const MilType *t) {
    const MilOp *op = &j->f->ops[at];
    if (t->rank <= (int)rule_limit(RULE_A01)) return;
    switch (op->info->opcode) {
    case MIL_OP_tile: judge_find(j, at, RULE_A01b, "rank %d", t->rank); return;
    case MIL_OP_split:
        if (t->dims[0] != 1)
            judge_find(j, at, RULE_A01b, "rank %d, batch %" PRId64, t->rank, t->dims[0]);
        return;
    case MIL_OP_reshape:
    case MIL_OP_transpose:
    case MIL_OP_expand_dims:
    case MIL_OP_squeeze:
        if (has_unit_axis(t)) return;
        break;
    default: break;
    }
    judge_find(j, at, RULE_A01, "rank %d", t->rank);
}

// A08 does not apply to the output channels of a convolution (A11: 262,144 were seen).
static bool is_channel_of_conv(const MilOp *op, bool is_output, int axis) {
    return op->info->opcode == MIL_OP_conv && is_output && axis == 1;
}

static void judge_axes(Judge *j, uint32_t at, const MilType *t, bool is_output) {
    const MilOp *op = &j->f->ops[at];
    for (int i = 0; i < t->rank; i++) {
        int64_t n = t->dims[i];
        if (n == MIL_UNKNOWN_DIM) {
            bool has_states = false;
            for (uint32_t k = 0; k < j->f->n_inputs; k++)
                has_states = has_states || mil_value(j->f, j->f->inputs[k])->type.is_state;
            judge_find(j, at, has_states ? RULE_G02 : RULE_G01, "axis %d is open", i);
            if (has_states) judge_find(j, at, RULE_G02b, "axis %d is open", i);
        } else if (is_channel_of_conv(op, is_output, i)) {
            if (n > (int64_t)rule_limit(RULE_A12))
                judge_find(j, at, RULE_A12, "%" PRId64 " channels", n);
        } else if (n > (int64_t)rule_limit(RULE_A08)) {
            judge_find(j, at, RULE_A08, "axis %d of %" PRId64, i, n);
        } else if (i >= 2 && n > (int64_t)rule_limit(RULE_A09)) {
            judge_find(j, at, RULE_A09, "axis %d of %" PRId64, i, n);
            judge_find(j, at, RULE_A09b, "axis %d of %" PRId64, i, n);
        }
    }
}

static void judge_dtype(Judge *j, uint32_t at, const MilType *t, bool is_output) {
    MilOpcode opcode = (MilOpcode)j->f->ops[at].info->opcode;
    bool is_cast = opcode == MIL_OP_cast;
    if (is_float(t->dtype) && t->dtype != MIL_F16 && !(is_cast && t->dtype == MIL_F32))
        judge_find(j, at, RULE_A02, "%s", mil_dtypes[t->dtype].name);
    if (!is_integer(t->dtype)) return;
    // Values in eight bits between quantize and dequantize are a form of fp16 (B01), and topk has
    // rules of its own.
    if (opcode == MIL_OP_quantize || opcode == MIL_OP_dequantize || opcode == MIL_OP_topk) return;
    judge_find(j, at, RULE_A03, "%s %s", is_output ? "gives" : "reads", mil_dtypes[t->dtype].name);
}

static void judge_type(Judge *j, uint32_t at, const MilType *t, bool is_output) {
    judge_rank(j, at, t);
    judge_axes(j, at, t, is_output);
    judge_dtype(j, at, t, is_output);
}

// Index operands steer an op rather than pass through it; ops.c has rules for them.
static bool is_index_param(const char *name) {
    static const char *const names[] = {"indices", "begin", "end", "stride",
                                        "size",    "shape", "reps"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_is(str_of(names[i]), name)) return true;
    return false;
}

void judge_types(Judge *j, uint32_t at) {
    const MilFunction *f = j->f;
    const MilOp *op = &f->ops[at];
    for (uint32_t i = 0; i < op->n_outputs; i++) {
        const MilType *t = &f->values[op->first_output + i].type;
        size_t n_bytes;
        judge_type(j, at, t, true);
        bool is_state =
            op->info->opcode == MIL_OP_read_state || op->info->opcode == MIL_OP_slice_update;
        if (!is_state && mil_type_bytes(t, &n_bytes) && n_bytes > rule_limit(RULE_A15))
            judge_find(j, at, RULE_A15, "%.1f MiB", (double)n_bytes / (1 << 20));
    }
    // An op of integers in and booleans out is as much an integer op as one that gives them. One
    // verdict an op is enough: what it gives was judged above.
    if (j->out->verdicts[at] == PLACE_NOT) return;
    for (uint32_t p = 0; p < op->info->n_params; p++) {
        if (is_index_param(op->info->params[p].name)) continue;
        for (uint32_t k = 0; k < op->args[p].count; k++) {
            const MilValue *v = mil_value(f, f->operands[op->args[p].first + k]);
            if (!v->is_constant && !v->type.is_state) judge_type(j, at, &v->type, false);
        }
    }
}
