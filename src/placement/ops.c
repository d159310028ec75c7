// ops.c — rules about an op and its operands (rows B, F, N), and about a function as a whole.
#include <inttypes.h>

#include "base/size.h"
#include "placement/judge.h"

// Ops that others tried one by one and that ran on the ANE (B01), and ops that never do (B02). Ops
// in neither list are unknown.
typedef enum { OP_UNTRIED, OP_RUNS, OP_NEVER } OpClass;

static const uint8_t classes[MIL_OP_COUNT] = {
#define RUNS(op)  [MIL_OP_##op] = OP_RUNS,
#define NEVER(op) [MIL_OP_##op] = OP_NEVER,
#include "placement/ops.def"
#undef RUNS
#undef NEVER
};

static bool is_computed(const MilValue *v) {
    return v && !v->is_constant;
}

static const MilType *output_type(const Judge *j, const MilOp *op) {
    return &j->f->values[op->first_output].type;
}

static void judge_kernel(Judge *j, uint32_t at, const MilOp *op) {
    const MilValue *weight = judge_operand(j, op, "weight");
    int rank = weight->type.rank;
    if (!weight->is_constant) judge_find(j, at, RULE_B22, "weight '%.*s'", STR_ARG(weight->name));
    int64_t width = rank > 2 ? weight->type.dims[rank - 1] : 1;
    int64_t height = rank > 3 ? weight->type.dims[rank - 2] : 1;
    int64_t most = (int64_t)rule_limit(RULE_B21);
    bool is_well = width == height ? width <= most + 1 : width <= most && height <= 2 * most + 1;
    if (!is_well) judge_find(j, at, RULE_B21, "kernel %" PRId64 " x %" PRId64, height, width);
}

static void judge_pool(Judge *j, uint32_t at, const MilOp *op) {
    int64_t sizes[MIL_MAX_RANK];
    size_t n = 0;
    ValueId v = mil_operand(j->f, op, mil_param(op->info, "kernel_sizes"));
    if (mil_const_ints(j->f, v, sizes, MIL_MAX_RANK, &n) && n &&
        sizes[n - 1] > (int64_t)rule_limit(RULE_B21b))
        judge_find(j, at, RULE_B21b, "width %" PRId64, sizes[n - 1]);
}

static bool is_wrong_axis(int64_t n) {
    enum { LAST = 512 };
    return n >= (int64_t)rule_limit(RULE_N2) && n <= LAST;
}

// Scores of one head: [rows, keys].
static void judge_scores(Judge *j, uint32_t at, int64_t rows, int64_t keys) {
    if (rows < 1 || keys < 1) return;
    if ((uint64_t)rows * (uint64_t)keys >= rule_limit(RULE_N1))
        judge_find(j, at, RULE_N1, "%" PRId64 " x %" PRId64, rows, keys);
    if (is_wrong_axis(rows) || is_wrong_axis(keys))
        judge_find(j, at, RULE_N2, "%" PRId64 " x %" PRId64, rows, keys);
}

static void judge_matmul(Judge *j, uint32_t at, const MilOp *op) {
    const MilValue *x = judge_operand(j, op, "x"), *y = judge_operand(j, op, "y");
    const MilType *out = output_type(j, op);
    bool transpose_x = false;
    mil_arg_bool(j->f, op, "transpose_x", &transpose_x);
    if (x->type.rank > 1) {
        int64_t inner = x->type.dims[x->type.rank - (transpose_x ? 2 : 1)];
        if (inner > (int64_t)rule_limit(RULE_A10)) judge_find(j, at, RULE_A10, "%" PRId64, inner);
    }
    if (!is_computed(x) || !is_computed(y))
        judge_find(j, at, RULE_B03, "%s", op->info->name);
    else if (out->rank > 1)
        judge_scores(j, at, out->dims[out->rank - 2], out->dims[out->rank - 1]);
}

// Products with the same keys are one attention's scores, cut by rows (N1) or not.
static void judge_scores_bytes(Judge *j) {
    const MilFunction *f = j->f;
    uint64_t *bytes = arena_array(j->arena, f->n_values, uint64_t); // by the value of the keys
    uint32_t *first = arena_array(j->arena, f->n_values, uint32_t); // op
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        size_t n_bytes;
        if (op->info->opcode != MIL_OP_matmul || !mil_type_bytes(output_type(j, op), &n_bytes))
            continue;
        uint32_t keys = mil_operand(f, op, mil_param(op->info, "y")).at;
        if (!bytes[keys]) first[keys] = i;
        bytes[keys] += n_bytes;
    }
    for (uint32_t v = 0; v < f->n_values; v++)
        if (bytes[v] > rule_limit(RULE_G07))
            judge_find(j, first[v], RULE_G07, "%.2f GB", (double)bytes[v] / 1e9);
}

static void judge_attention(Judge *j, uint32_t at, const MilOp *op) {
    const MilType *q = &judge_operand(j, op, "query")->type;
    const MilType *k = &judge_operand(j, op, "key")->type;
    bool has_mask = judge_operand(j, op, "attn_mask") != NULL;
    judge_find(j, at, has_mask ? RULE_B09 : RULE_B09b, "%s", op->info->name);
    judge_scores(j, at, q->dims[q->rank - 2], k->dims[k->rank - 2]);
}

static void judge_gather(Judge *j, uint32_t at, const MilOp *op) {
    const MilValue *indices = judge_operand(j, op, "indices");
    if (!is_computed(indices)) return;
    bool is_short = mil_dtypes[indices->type.dtype].bits == 16;
    judge_find(j, at, is_short ? RULE_A03b : RULE_B02, "%s indices",
               mil_dtypes[indices->type.dtype].name);
}

static void judge_slice(Judge *j, uint32_t at, const MilOp *op) {
    const MilValue *begin = judge_operand(j, op, "begin");
    if (is_computed(begin)) {
        judge_find(j, at, RULE_B02b, "begin '%.*s'", STR_ARG(begin->name));
        return;
    }
    const MilType *x = &judge_operand(j, op, "x")->type, *out = output_type(j, op);
    if (x->rank == 3 && x->dims[0] == 1 && x->dims[1] == 1 && out->rank == 3 &&
        out->dims[2] != x->dims[2])
        judge_find(j, at, RULE_B24, "%" PRId64 " to %" PRId64, x->dims[2], out->dims[2]);
    int64_t begins[MIL_MAX_RANK];
    size_t n = 0;
    ValueId v = mil_operand(j->f, op, mil_param(op->info, "begin"));
    if (mil_const_ints(j->f, v, begins, MIL_MAX_RANK, &n) && n && begins[n - 1] != 0)
        judge_find(j, at, RULE_B20, "from %" PRId64, begins[n - 1]);
}

static void judge_move(Judge *j, uint32_t at, const MilOp *op) {
    const MilType *x = &judge_operand(j, op, "x")->type, *out = output_type(j, op);
    bool is_moved = x->rank && out->rank && x->dims[x->rank - 1] != out->dims[out->rank - 1];
    if (op->info->opcode == MIL_OP_transpose) {
        int64_t perm[MIL_MAX_RANK];
        size_t n = 0;
        ValueId v = mil_operand(j->f, op, mil_param(op->info, "perm"));
        is_moved = mil_const_ints(j->f, v, perm, MIL_MAX_RANK, &n) && n &&
                   perm[n - 1] != (int64_t)n - 1 && perm[n - 1] != -1;
    }
    if (is_moved) judge_find(j, at, RULE_A14, "%s", op->info->name);
}

// ---- states

static const MilOp *op_of(const Judge *j, ValueId v) {
    const MilValue *value = mil_value(j->f, v);
    return value->op == MIL_NO_OP ? NULL : &j->f->ops[value->op];
}

static ValueId operand_id(const Judge *j, const MilOp *op, const char *param) {
    return mil_operand(j->f, op, mil_param(op->info, param));
}

// The state that the slice_update reads, if all that becomes of its result is to be written back
// there: read_state, slice_update, write_state. MIL_NO_VALUE when it is not.
static ValueId updated_state(const Judge *j, const MilOp *update) {
    const MilFunction *f = j->f;
    const MilOp *read = op_of(j, operand_id(j, update, "x"));
    if (!read || read->info->opcode != MIL_OP_read_state) return MIL_NO_VALUE;
    ValueId state = operand_id(j, read, "input");
    bool is_written = false;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *user = &f->ops[i];
        for (uint32_t p = 0; p < user->info->n_params; p++)
            for (uint32_t k = 0; k < user->args[p].count; k++) {
                if (f->operands[user->args[p].first + k].at != update->first_output) continue;
                if (user->info->opcode != MIL_OP_write_state ||
                    operand_id(j, user, "input").at != state.at)
                    return MIL_NO_VALUE;
                is_written = true;
            }
    }
    for (uint32_t i = 0; i < f->n_outputs; i++)
        if (f->outputs[i].at == update->first_output) return MIL_NO_VALUE;
    return is_written ? state : MIL_NO_VALUE;
}

static void judge_update(Judge *j, uint32_t at, const MilOp *op) {
    bool is_of_state = !value_is_none(updated_state(j, op));
    if (is_of_state && is_computed(judge_operand(j, op, "begin")))
        judge_find(j, at, RULE_F12, "at a position known at run time");
    if (!is_of_state)
        judge_find(j, at, RULE_F06, "not between read_state and write_state of one state");
}

// States that are written in place at a position known only at run time.
static uint32_t count_sliced_states(const Judge *j) {
    const MilFunction *f = j->f;
    bool *is_sliced = arena_array(j->arena, f->n_values, bool);
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (op->info->opcode != MIL_OP_slice_update || !is_computed(judge_operand(j, op, "begin")))
            continue;
        ValueId state = updated_state(j, op);
        if (value_is_none(state) || is_sliced[state.at]) continue;
        is_sliced[state.at] = true;
        n++;
    }
    return n;
}

static bool is_use(const Judge *j, const MilOp *op, ValueId state) {
    return (op->info->opcode == MIL_OP_write_state || op->info->opcode == MIL_OP_read_state) &&
           operand_id(j, op, "input").at == state.at;
}

// What is in doubt of a state is in doubt of the op that uses it first.
static uint32_t first_use(const Judge *j, ValueId state) {
    uint32_t i = 0;
    while (i < j->f->n_ops && !is_use(j, &j->f->ops[i], state)) i++;
    return i < j->f->n_ops ? i : PLACEMENT_NO_OP;
}

// The last write of the state must be followed by a read.
static void judge_unread(Judge *j, ValueId state) {
    const MilFunction *f = j->f;
    const MilOp *written = NULL;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (is_use(j, op, state)) written = op->info->opcode == MIL_OP_write_state ? op : NULL;
    }
    if (!written) return;
    Str name = mil_value(f, state)->name;
    judge_find(j, PLACEMENT_NO_OP, RULE_F11, "'%.*s'", STR_ARG(name));
}

static void judge_states(Judge *j) {
    const MilFunction *f = j->f;
    uint64_t total = 0;
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilValue *v = mil_value(f, f->inputs[i]);
        if (!v->type.is_state || v->type.rank == 0) continue;
        MilType plain = v->type;
        plain.is_state = false;
        size_t n_bytes;
        if (mil_type_bytes(&plain, &n_bytes)) total += n_bytes;
        judge_unread(j, f->inputs[i]);
        uint32_t used = first_use(j, f->inputs[i]);
        judge_find(j, used, RULE_F13, "'%.*s'", STR_ARG(v->name));
        for (int k = 0; k + 1 < v->type.rank; k++)
            if (v->type.dims[k] > (int64_t)rule_limit(RULE_G06))
                judge_find(j, used, RULE_G06, "'%.*s' has %" PRId64, STR_ARG(v->name),
                           v->type.dims[k]);
        int64_t last = v->type.dims[v->type.rank - 1];
        if (last % (int64_t)rule_limit(RULE_A07) != 0)
            judge_find(j, PLACEMENT_NO_OP, RULE_A07, "state '%.*s' ends in an axis of %" PRId64,
                       STR_ARG(v->name), last);
    }
    if (total) judge_find(j, PLACEMENT_NO_OP, RULE_F08, "%.1f MiB", (double)total / (1 << 20));
    uint32_t n = count_sliced_states(j);
    if (n > rule_limit(RULE_F04)) judge_find(j, PLACEMENT_NO_OP, RULE_F04, "%u states", n);
}

static void judge_ports(Judge *j, const ValueId *ports, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const MilValue *v = mil_value(j->f, ports[i]);
        if (v->type.dtype != MIL_F16 || v->type.rank == 0) continue;
        int64_t last = v->type.dims[v->type.rank - 1];
        if (last > 0 && last < (int64_t)rule_limit(RULE_A05))
            judge_find(j, PLACEMENT_NO_OP, RULE_A05, "'%.*s' ends in an axis of %" PRId64,
                       STR_ARG(v->name), last);
    }
}

static bool has_wide_heads(const Judge *j, const MilOp *op) {
    if (op->info->opcode != MIL_OP_scaled_dot_product_attention) return false;
    const MilType *q = &judge_operand(j, op, "query")->type;
    return q->dims[q->rank - 1] >= (int64_t)rule_limit(RULE_B09c);
}

void judge_function(Judge *j) {
    uint32_t n_convs = 0, n_wide = 0;
    for (uint32_t i = 0; i < j->f->n_ops; i++) {
        n_convs += j->f->ops[i].info->opcode == MIL_OP_conv;
        n_wide += has_wide_heads(j, &j->f->ops[i]);
    }
    if (n_wide > 1) judge_find(j, PLACEMENT_NO_OP, RULE_B09c, "%u of them", n_wide);
    if (n_convs > rule_limit(RULE_B23))
        judge_find(j, PLACEMENT_NO_OP, RULE_B23, "%u convolutions", n_convs);
    judge_scores_bytes(j);
    judge_states(j);
    judge_ports(j, j->f->inputs, j->f->n_inputs);
    judge_ports(j, j->f->outputs, j->f->n_outputs);
}

static bool is_number(const MilValue *v) {
    size_t count;
    return v && v->is_constant && mil_type_count(&v->type, &count) && count == 1;
}

// One row of many channels through a curve or a scale, as the cap of a head has them.
static void judge_width(Judge *j, uint32_t at, const MilOp *op) {
    bool is_scale = op->info->opcode == MIL_OP_mul || op->info->opcode == MIL_OP_real_div;
    if (op->info->opcode != MIL_OP_tanh && !(is_scale && (is_number(judge_operand(j, op, "x")) ||
                                                          is_number(judge_operand(j, op, "y")))))
        return;
    const MilType *out = output_type(j, op);
    if (out->rank == 4 && out->dims[0] == 1 && out->dims[2] == 1 &&
        out->dims[1] > (int64_t)rule_limit(RULE_H07))
        judge_find(j, at, RULE_H07, "%" PRId64 " channels", out->dims[1]);
}

void judge_operator(Judge *j, uint32_t at) {
    const MilOp *op = &j->f->ops[at];
    switch (classes[op->info->opcode]) {
    case OP_NEVER: judge_find(j, at, RULE_B02, "%s", op->info->name); return;
    case OP_UNTRIED: judge_find(j, at, RULE_B01, "%s", op->info->name); return;
    default: break;
    }
    judge_width(j, at, op);
    switch (op->info->opcode) {
    case MIL_OP_conv: judge_kernel(j, at, op); return;
    case MIL_OP_max_pool: judge_pool(j, at, op); return;
    case MIL_OP_matmul: judge_matmul(j, at, op); return;
    case MIL_OP_linear: judge_find(j, at, RULE_B03, "%s", op->info->name); return;
    case MIL_OP_scaled_dot_product_attention: judge_attention(j, at, op); return;
    case MIL_OP_topk:
        judge_find(j, at, RULE_B11, "%s", op->info->name);
        judge_find(j, at, RULE_B12, "%s", op->info->name);
        return;
    case MIL_OP_tile: judge_find(j, at, RULE_B15, "%s", op->info->name); return;
    case MIL_OP_gather: judge_gather(j, at, op); return;
    case MIL_OP_slice_by_index: judge_slice(j, at, op); return;
    case MIL_OP_slice_by_size:
        if (is_computed(judge_operand(j, op, "begin"))) judge_find(j, at, RULE_B02, "begin");
        return;
    case MIL_OP_reshape:
    case MIL_OP_transpose: judge_move(j, at, op); return;
    case MIL_OP_slice_update: judge_update(j, at, op); return;
    default: return;
    }
}
