#include "gates/range_watch.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"

const char *range_role_name(RangeRole role) {
    static const char *const names[] = {
        [RANGE_OTHER] = "other",           [RANGE_PRODUCT] = "product",
        [RANGE_NORM_INPUT] = "norm input", [RANGE_NORM_SUM] = "norm sum",
        [RANGE_NORM_SCALE] = "norm scale",
    };
    return names[role];
}

float range_limit(RangeRole role) {
    return role == RANGE_PRODUCT ? 32752 : 65504;
}

float range_size(const OpRange *r) {
    return r->role == RANGE_NORM_INPUT ? fmaxf(r->in, r->out) : r->out;
}

// ---- roles, from the graph

static bool is_one_of(const MilOp *op, const MilOpcode *opcodes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (op->info->opcode == (uint32_t)opcodes[i]) return true;
    return false;
}

static bool is_sum(const MilOp *op) {
    static const MilOpcode opcodes[] = {MIL_OP_reduce_sum, MIL_OP_reduce_mean,
                                        MIL_OP_reduce_sum_square, MIL_OP_reduce_l2_norm};
    return is_one_of(op, opcodes, COUNT_OF(opcodes));
}

static bool is_root(const MilOp *op) {
    static const MilOpcode opcodes[] = {MIL_OP_rsqrt, MIL_OP_sqrt, MIL_OP_pow};
    return is_one_of(op, opcodes, COUNT_OF(opcodes));
}

static bool is_elementwise(const MilOp *op) {
    static const MilOpcode opcodes[] = {MIL_OP_add, MIL_OP_mul,     MIL_OP_real_div,
                                        MIL_OP_sub, MIL_OP_maximum, MIL_OP_identity};
    return is_one_of(op, opcodes, COUNT_OF(opcodes));
}

static bool is_whole_norm(const MilOp *op) {
    static const MilOpcode opcodes[] = {MIL_OP_layer_norm, MIL_OP_l2_norm, MIL_OP_instance_norm};
    return is_one_of(op, opcodes, COUNT_OF(opcodes));
}

static uint32_t operand(const MilFunction *f, const MilOp *op, const char *param) {
    int i = mil_param(op->info, param);
    return i < 0 ? UINT32_MAX : mil_operand(f, op, i).at; // MIL_NO_VALUE is UINT32_MAX
}

// The op that makes the value, or NULL.
static const MilOp *maker(const MilFunction *f, uint32_t v) {
    return v == UINT32_MAX || f->values[v].op == MIL_NO_OP ? NULL : &f->ops[f->values[v].op];
}

// The ops before sum `op` that see the rows as they enter: what squares them, and what scales them
// before that.
static void mark_input(RangeWatch *w, const MilOp *op) {
    const MilFunction *f = w->f;
    const MilOp *squares = maker(f, operand(f, op, "x"));
    if (!squares) return;
    uint32_t x = operand(f, squares, "x");
    bool is_square = squares->info->opcode == MIL_OP_square ||
                     (squares->info->opcode == MIL_OP_mul && x == operand(f, squares, "y"));
    if (is_square) w->ops[squares - f->ops].role = RANGE_NORM_INPUT;
    const MilOp *scale = is_square ? maker(f, x) : squares;
    if (scale && is_elementwise(scale) && scale->info->opcode != MIL_OP_add)
        w->ops[scale - f->ops].role = RANGE_NORM_INPUT;
}

static void find_roles(RangeWatch *w, Arena *arena) {
    enum { MOST_STEPS = 4, NONE = UINT32_MAX };
    const MilFunction *f = w->f;
    uint32_t *sum_of = arena_array(arena, f->n_values + 1, uint32_t); // the sum a value comes from
    uint8_t *steps = arena_array(arena, f->n_values + 1, uint8_t);
    for (uint32_t v = 0; v < f->n_values; v++) sum_of[v] = NONE;
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (engine_sums_products(op)) w->ops[i].role = RANGE_PRODUCT;
        if (is_whole_norm(op)) w->ops[i].role = RANGE_NORM_INPUT;
        if (is_sum(op)) {
            sum_of[op->first_output] = i;
            continue;
        }
        if (!is_root(op) && !is_elementwise(op)) continue;
        for (uint32_t a = 0; a < op->info->n_params; a++) {
            if (!op->args[a].count) continue;
            uint32_t v = f->operands[op->args[a].first].at;
            if (v == NONE || sum_of[v] == NONE || steps[v] == MOST_STEPS) continue;
            if (is_root(op)) {
                w->ops[i].role = RANGE_NORM_SCALE;
                w->ops[sum_of[v]].role = RANGE_NORM_SUM;
                mark_input(w, &f->ops[sum_of[v]]);
            } else {
                sum_of[op->first_output] = sum_of[v];
                steps[op->first_output] = (uint8_t)(steps[v] + 1);
            }
        }
    }
}

static bool is_only_added(const RangeWatch *w, const uint32_t *n_readers, uint32_t v) {
    if (v == UINT32_MAX || w->f->values[v].op == MIL_NO_OP) return false;
    const MilOp *op = &w->f->ops[w->f->values[v].op];
    return n_readers[v] == 1 && op->info->opcode == MIL_OP_matmul;
}

static void choose_judged_rows(RangeWatch *w, Arena *arena) {
    const MilFunction *f = w->f;
    uint32_t *n_readers = arena_array(arena, f->n_values + 1, uint32_t);
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        w->ops[i].judges_rows = w->ops[i].role != RANGE_OTHER;
        for (uint32_t a = 0; a < op->info->n_params; a++)
            for (uint32_t k = 0; k < op->args[a].count; k++) {
                uint32_t v = f->operands[op->args[a].first + k].at;
                if (v != UINT32_MAX) n_readers[v]++;
            }
    }
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const MilOp *op = &f->ops[i];
        if (op->info->opcode != MIL_OP_add) continue;
        uint32_t x = mil_operand(f, op, mil_param(op->info, "x")).at;
        uint32_t y = mil_operand(f, op, mil_param(op->info, "y")).at;
        if (!is_only_added(w, n_readers, x) || !is_only_added(w, n_readers, y)) continue;
        w->ops[i].judges_rows = true;
        w->ops[f->values[x].op].judges_rows = w->ops[f->values[y].op].judges_rows = false;
    }
}

// ---- looking

// Infinite for NaN, whose bits are above those of all numbers.
static float largest(const float *x, size_t n) {
    int32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t size = (int32_t)(f32_bits(x[i]) & INT32_MAX);
        most = size > most ? size : most;
    }
    float size = f32_from_bits((uint32_t)most);
    return size < INFINITY ? size : INFINITY;
}

// Rows of zeros alone. A row is what one position holds: a column of [1, channels, 1, positions], what
// enters a norm of heads [1, heads, dims, positions] of one head, the last axis of anything else.
static uint64_t rows_of_zeros(const EngineTensor *t, RangeRole role) {
    const MilType *type = &t->type;
    if (type->rank == 0 || t->count == 0) return 0;
    int axis = type->rank - 1;
    if (type->rank == 4 && type->dims[0] == 1 && (type->dims[2] == 1 || role == RANGE_NORM_INPUT))
        axis = type->dims[2] == 1 ? 1 : 2;
    size_t width = (size_t)type->dims[axis], step = 1;
    for (int i = axis + 1; i < type->rank; i++) step *= (size_t)type->dims[i];
    uint64_t n = 0;
    for (size_t row = 0; row < t->count / width; row++) {
        const float *at = t->f32 + row / step * step * width + row % step;
        bool is_zero = true;
        for (size_t i = 0; i < width && is_zero; i++) is_zero = at[i * step] == 0;
        n += is_zero;
    }
    return n;
}

static void look_at_inputs(RangeWatch *w) {
    for (uint32_t i = 0; i < w->f->n_inputs; i++) {
        uint32_t v = w->f->inputs[i].at;
        const EngineTensor *t = engine_input(w->engine, w->f->values[v].name);
        if (t && t->f32) w->peaks[v] = fmaxf(w->peaks[v], largest(t->f32, t->count));
    }
}

static float largest_operand(const RangeWatch *w, const MilOp *op) {
    float most = 0;
    for (uint32_t a = 0; a < op->info->n_params; a++)
        for (uint32_t i = 0; i < op->args[a].count; i++) {
            uint32_t v = w->f->operands[op->args[a].first + i].at;
            if (v != UINT32_MAX) most = fmaxf(most, w->peaks[v]); // 0 for constants
        }
    return most;
}

// Whole caches are not looked at again and again: what enters them was, and so is what is read out.
static bool is_whole_state(const MilOp *op) {
    static const MilOpcode opcodes[] = {MIL_OP_read_state, MIL_OP_slice_update};
    return is_one_of(op, opcodes, COUNT_OF(opcodes));
}

static void measure_sums(RangeWatch *w, OpRange *r) {
    EngineSums sums;
    if (!w->measures_sums || w->failed) return;
    w->failed = !engine_measure_sums(w->engine, r->op, &sums, &w->err);
    if (!w->failed) r->run_sums = sums;
}

static void look(void *context, const MilOp *op, const EngineTensor *output) {
    enum { NEAR = 8 }; // three bits
    RangeWatch *w = context;
    uint32_t index = (uint32_t)(op - w->f->ops);
    OpRange *r = &w->ops[index];
    if (w->last_op == UINT32_MAX) look_at_inputs(w);
    if (index != w->last_op) {
        r->in = fmaxf(r->in, largest_operand(w, op));
        measure_sums(w, r);
    }
    w->last_op = index;
    if (!output->f32 || is_whole_state(op)) return;
    float most = largest(output->f32, output->count), before = range_size(r);
    r->out = fmaxf(r->out, most);
    w->grew = w->grew || (range_size(r) > 1.02f * before &&
                          range_size(r) > range_limit(r->role) / NEAR && r->role != RANGE_OTHER);
    for (uint32_t o = 0; o < op->n_outputs; o++)
        if (str_eq(w->f->values[op->first_output + o].name, output->name)) {
            float *peak = &w->peaks[op->first_output + o];
            *peak = fmaxf(*peak, most);
        }
    if (!(most < INFINITY))
        for (size_t i = 0; i < output->count; i++)
            r->run_broken += !(fabsf(output->f32[i]) < INFINITY);
    r->run_zero += rows_of_zeros(output, r->role);
}

void range_watch(RangeWatch *w, Engine *engine, const MilFunction *f, bool measures_sums,
                 Arena *arena) {
    *w = (RangeWatch){
        .f = f,
        .engine = engine,
        .ops = arena_array(arena, f->n_ops + 1, OpRange),
        .peaks = arena_array(arena, f->n_values + 1, float),
        .last_op = UINT32_MAX,
        .measures_sums = measures_sums,
    };
    for (uint32_t i = 0; i < f->n_ops; i++) w->ops[i].op = &f->ops[i];
    find_roles(w, arena);
    choose_judged_rows(w, arena);
    engine_set_tap(engine, look, w);
}

void range_watch_start(RangeWatch *w) {
    w->last_op = UINT32_MAX;
    w->grew = false;
    for (uint32_t i = 0; i < w->f->n_ops; i++) {
        OpRange *r = &w->ops[i];
        r->run_broken = r->run_zero = 0;
        r->run_sums = (EngineSums){0};
    }
}

bool range_watch_keep(RangeWatch *w, Err *err) {
    for (uint32_t i = 0; i < w->f->n_ops; i++) {
        OpRange *r = &w->ops[i];
        r->n_broken += r->run_broken;
        r->n_zero += r->run_zero;
        r->sums.bound = fmaxf(r->sums.bound, r->run_sums.bound);
        r->sums.all += r->run_sums.all;
        r->sums.lost += r->run_sums.lost;
    }
    if (w->failed && err) *err = w->err;
    return !w->failed;
}
