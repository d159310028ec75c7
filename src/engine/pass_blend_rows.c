// Writes rows in place that the program blends into a state by a one-hot mask before it stores the
// whole. Before:
//
//     before = read_state(input = s)                  # [.., slots, width]
//     kept = mul(x = before, y = keep)                # keep [.., slots, 1]
//     placed = matmul(x = mask, y = rows)             # mask [.., slots, T], rows [.., T, width]
//     after = add(x = kept, y = placed)               # of one row: placed = mul(x = mask, y = rows)
//     write_state(input = s, data = after)
//     now = read_state(input = s)
//
// and after:
//
//     now = blend_rows(before, kept, placed, after, write)
//
// The conditions: each column t of the mask is 1 in one slot of its own and 0 in all others; keep
// is 0 in those slots and 1 elsewhere; rows are finite. Then the named slots become before · 0 +
// row, and the others keep their numbers, because x · 1 + 0 is x. Each run checks the conditions on
// its actual numbers. If one fails, the ops run whole.
//
// The case that breaks the obvious rule ("x · 1 + 0 is x"): -0 + 0 is 0. So this is valid only for
// states without a -0. A state begins with +0 everywhere. Once the ops would leave a -0, or
// something else has written to the state, it counts as one that may hold a -0 (StateBuffer).
#include <math.h>
#include <string.h>

#include "engine/pass.h"
#include "engine/product.h"

typedef struct {
    uint32_t first, last; // ops, from before to now
    uint32_t state;       // slot among the engine's states
    const EngineTensor *keep, *mask, *rows, *now;
    size_t slots, width, n_rows, n_matrices;
    bool is_product; // a matmul, whose sums begin with +0
} BlendPlan;

// ---- finding it

static uint32_t operand(const Engine *e, uint32_t op, const char *param) {
    const MilOp *o = &e->f->ops[op];
    return mil_operand(e->f, o, mil_param(o->info, param)).at;
}

static bool is_op(const Engine *e, uint32_t i, uint32_t opcode) {
    return i < e->f->n_ops && e->f->ops[i].info->opcode == opcode;
}

// The state that op `i` reads or writes.
static uint32_t state_of(const Engine *e, uint32_t i) {
    return e->storages[operand(e, i, "input")].slot;
}

// Whether op `i` is the only reader of value `v`, as one operand; `other` takes the other one.
static bool takes(const Engine *e, const ValueUse *uses, uint32_t i, uint32_t v, uint32_t *other) {
    uint32_t a = operand(e, i, "x"), b = operand(e, i, "y");
    *other = a == v ? b : a;
    return (a == v) != (b == v) && uses[v].n == 1;
}

static bool has_dims(const EngineTensor *t, size_t rows, size_t columns) {
    int rank = t->type.rank;
    return rank >= 2 && is_float(t->type.dtype) && t->count == rows * columns &&
           t->type.dims[rank - 2] == (int64_t)rows && t->type.dims[rank - 1] == (int64_t)columns;
}

// Whether op `i` makes the rows' places: a product of mask and rows.
static bool is_placing(const Engine *e, uint32_t i, BlendPlan *plan) {
    plan->mask = &e->tensors[operand(e, i, "x")];
    plan->rows = &e->tensors[operand(e, i, "y")];
    int rank = plan->rows->type.rank;
    if (rank < 2 || !is_float(plan->rows->type.dtype)) return false;
    plan->n_rows = (size_t)plan->rows->type.dims[rank - 2];
    plan->n_matrices = plan->rows->count / (plan->n_rows * plan->width);
    const Product *product = e->nodes[i].plan;
    plan->is_product = is_op(e, i, MIL_OP_matmul) && !product->transpose_x && !product->transpose_y;
    if (!plan->is_product && !(is_op(e, i, MIL_OP_mul) && plan->n_rows == 1)) return false;
    return plan->rows->type.dims[rank - 1] == (int64_t)plan->width &&
           plan->rows->type.dtype == e->nodes[plan->first].output->type.dtype &&
           has_dims(plan->mask, plan->slots, plan->n_rows);
}

// Fills the plan of a blend that begins with op `first`; false when it is none.
static bool match(const Engine *e, const ValueUse *uses, uint32_t first, BlendPlan *plan) {
    if (!is_op(e, first, MIL_OP_read_state)) return false;
    const EngineTensor *before = e->nodes[first].output;
    int rank = before->type.rank;
    if (rank < 2 || !is_float(before->type.dtype)) return false;
    *plan = (BlendPlan){.first = first,
                        .state = state_of(e, first),
                        .slots = (size_t)before->type.dims[rank - 2],
                        .width = (size_t)before->type.dims[rank - 1]};
    uint32_t kept = pass_next_op(e, first), placed = pass_next_op(e, kept);
    uint32_t after = pass_next_op(e, placed), write = pass_next_op(e, after), keep, other;
    plan->last = pass_next_op(e, write);
    if (!is_op(e, kept, MIL_OP_mul) || !is_op(e, after, MIL_OP_add) ||
        !is_op(e, write, MIL_OP_write_state) || !is_op(e, plan->last, MIL_OP_read_state))
        return false;
    uint32_t x = e->f->ops[first].first_output, y = e->f->ops[kept].first_output;
    uint32_t z = e->f->ops[placed].first_output, sum = e->f->ops[after].first_output;
    if (!takes(e, uses, kept, x, &keep) || !is_placing(e, placed, plan) ||
        !takes(e, uses, after, y, &other) || other != z || uses[z].n != 1 || uses[sum].n != 1 ||
        operand(e, write, "data") != sum)
        return false;
    plan->keep = &e->tensors[keep];
    plan->now = e->nodes[plan->last].output;
    return has_dims(plan->keep, plan->slots, 1) && state_of(e, write) == plan->state &&
           state_of(e, plan->last) == plan->state &&
           before->count == plan->n_matrices * plan->slots * plan->width &&
           mil_type_eq(&before->type, &e->nodes[after].output->type);
}

// ---- running it

// The one slot that column `t` of the mask names, with keep 0 there; `slots` when there is none such.
static size_t slot_of(const BlendPlan *p, size_t t) {
    size_t slot = p->slots;
    for (size_t s = 0; s < p->slots; s++) {
        float at = p->mask->f32[s * p->n_rows + t];
        if (at == 0) continue;
        if (at != 1 || slot != p->slots || p->keep->f32[s] != 0) return p->slots;
        slot = s;
    }
    return slot;
}

// Whether keep is 1 in all but n_rows slots, so that columns name as many different ones.
static bool keeps_the_others(const BlendPlan *p) {
    size_t n_zero = 0;
    for (size_t s = 0; s < p->slots; s++) {
        if (p->keep->f32[s] != 0 && p->keep->f32[s] != 1) return false;
        n_zero += p->keep->f32[s] == 0;
    }
    return n_zero == p->n_rows;
}

// Row `t` into slot `slot`: before · 0 + row.
static void put_row(const BlendPlan *p, StateBuffer *state, size_t t, size_t slot) {
    for (size_t m = 0; m < p->n_matrices; m++) {
        const float *row = p->rows->f32 + (m * p->n_rows + t) * p->width;
        float *to = state->tensor.f32 + (m * p->slots + slot) * p->width;
        for (size_t i = 0; i < p->width; i++) {
            to[i] = to[i] * 0.0f + (p->is_product ? row[i] + 0.0f : row[i]);
            state->may_hold_negative_zero |= to[i] == 0 && signbit(to[i]);
        }
    }
}

static bool run_whole(const Engine *e, const BlendPlan *p, Err *err) {
    for (uint32_t i = p->first; i <= p->last; i++) {
        const Node *n = &e->nodes[i];
        if (n->row->run && !n->is_view && !n->row->run(e, n, err)) return false;
    }
    return true;
}

static bool run_blend_rows(const Engine *e, const Span *s, Err *err) {
    const BlendPlan *p = s->plan;
    StateBuffer *state = e->states[p->state].bound;
    bool is_plain =
        !state->may_hold_negative_zero && keeps_the_others(p) && pass_all_finite(p->rows);
    for (size_t t = 0; is_plain && t < p->n_rows; t++) is_plain = slot_of(p, t) < p->slots;
    if (!is_plain) return run_whole(e, p, err);
    int rank = state->tensor.type.rank;
    size_t end[MIL_MAX_RANK];
    for (int i = 0; i < rank; i++) end[i] = (size_t)state->tensor.type.dims[i];
    for (size_t t = 0; t < p->n_rows; t++) {
        size_t slot = slot_of(p, t);
        put_row(p, state, t, slot);
        end[rank - 2] = slot + 1;
        state_buffer_extend(state, end);
    }
    const Node *now = &e->nodes[p->last];
    return now->row->run(e, now, err);
}

void pass_blend_rows(Engine *e) {
    Arena arena = {0};
    ValueUse *uses = pass_uses(e, &arena);
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        BlendPlan plan;
        if (!match(e, uses, i, &plan)) continue;
        Span *s = pass_new_span(e, "blend_rows", i, plan.last - i + 1);
        s->plan = arena_new(&e->arena, BlendPlan);
        memcpy(s->plan, &plan, sizeof plan);
        s->run = run_blend_rows;
        i = plan.last;
    }
    arena_free(&arena);
}
