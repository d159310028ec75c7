// Attention reads only the rows of a cache that were written. Before:
//
//     scores = matmul(x = q, y = keys, transpose_y = true)
//     capped = tanh(x = scores)                  # tanh and products with numbers, or none
//     masked = add(x = capped, y = mask)
//     probs = softmax(x = masked, axis = -1)
//     raised = mul(x = probs, y = 16)            # products with positive numbers, or none
//     mixed = matmul(x = raised, y = values)
//
// and after:
//
//     mixed = attend_written(scores, capped, masked, probs, raised)
//
// A state knows how far it was written since it was last zeroed (StateBuffer). The rows of keys and
// values after that are zeros, so their scores are 0, and their masked scores are the mask. If the
// mask is so far below the largest score of each row that e^x gives 0, these probabilities are +0
// and add nothing, so none of these columns is computed. Each run checks the conditions on its
// actual numbers: how far the states are written, that q is finite, that no number of mask or
// masked scores is NaN, and that the largest score of each row is far enough above the mask. If a
// condition fails, the ops run whole.
//
// The case that breaks the obvious rule ("the mask is -10000 there"): a row that sees no slot has
// -10000 everywhere, and then each of its columns, hidden or not, has the same probability.
#include <math.h>
#include <string.h>

#include "engine/columns.h"
#include "engine/constants.h"
#include "engine/pass.h"
#include "engine/product.h"

// exp_f32 of every kernel set gives 0 at this and below: e^-104 is less than half of the smallest
// float.
#define EXP_IS_ZERO (-105.0f)

enum { MOST_STEPS = 8 };

typedef struct {
    const Node *scores, *softmax, *mixed;
    const Node *before[MOST_STEPS], *after[MOST_STEPS]; // elementwise: between them, add last
    size_t n_before, n_after;
    const EngineTensor *unmasked, *mask; // operands of the add
    uint32_t keys, values;               // value indices
    size_t slots;                        // rows of keys and values
} AttendPlan;

// ---- finding it

static uint32_t operand(const Engine *e, uint32_t op, const char *param) {
    const MilOp *o = &e->f->ops[op];
    return mil_operand(e->f, o, mil_param(o->info, param)).at;
}

// A constant of one number.
static bool number_of(Engine *e, uint32_t v, float *number) {
    const MilValue *value = &e->f->values[v];
    if (!value->data || e->tensors[v].count != 1 || !is_float(value->type.dtype)) return false;
    decode_floats(e->k, value->type.dtype, constant_bytes(e, v), 0, 1, number);
    return isfinite(*number);
}

// `x` times a number above `least`.
static bool is_scaling(Engine *e, uint32_t op, uint32_t x, float least) {
    float factor;
    if (e->f->ops[op].info->opcode != MIL_OP_mul) return false;
    uint32_t a = operand(e, op, "x"), b = operand(e, op, "y");
    return number_of(e, a == x ? b : a, &factor) && factor > least;
}

static bool is_matmul(const Engine *e, uint32_t op, bool transpose_y) {
    if (e->f->ops[op].info->opcode != MIL_OP_matmul) return false;
    const Product *p = e->nodes[op].plan;
    return is_float(p->out->type.dtype) && !p->transpose_x && p->transpose_y == transpose_y &&
           p->y->storage == WEIGHT_TENSOR && p->x->storage == WEIGHT_TENSOR &&
           p->x->tensor->type.rank > 1 && p->y->tensor->type.rank > 1;
}

static bool same_dims(const MilType *a, const MilType *b) {
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

// The one op that reads the first output of op `i`, if it is the next that does work.
static uint32_t only_reader(const Engine *e, const ValueUse *uses, uint32_t i) {
    const ValueUse *use = &uses[e->f->ops[i].first_output];
    return use->n == 1 && use->only == pass_next_op(e, i) ? use->only : NO_INDEX;
}

// Whether op `i` adds a mask with a column for each slot to value `x`.
static bool is_masking(const Engine *e, uint32_t i, uint32_t x, AttendPlan *plan) {
    if (e->f->ops[i].info->opcode != MIL_OP_add) return false;
    uint32_t a = operand(e, i, "x"), b = operand(e, i, "y");
    plan->unmasked = &e->tensors[x];
    plan->mask = &e->tensors[a == x ? b : a];
    const MilType *mask = &plan->mask->type;
    return mask->rank > 0 && mask->dims[mask->rank - 1] == (int64_t)plan->slots &&
           same_dims(&e->nodes[i].output->type, &plan->unmasked->type);
}

// Fills the plan of an attention that begins with op `first`, and gives its last op, or NO_INDEX.
static uint32_t match(Engine *e, const ValueUse *uses, uint32_t first, AttendPlan *plan) {
    if (!is_matmul(e, first, true)) return NO_INDEX;
    *plan = (AttendPlan){.scores = &e->nodes[first],
                         .keys = operand(e, first, "y"),
                         .slots = ((const Product *)e->nodes[first].plan)->n};
    uint32_t x = e->f->ops[first].first_output, i = only_reader(e, uses, first);
    for (bool is_masked = false; !is_masked;
         x = e->f->ops[i].first_output, i = only_reader(e, uses, i)) {
        if (i == NO_INDEX || plan->n_before == MOST_STEPS) return NO_INDEX;
        plan->before[plan->n_before++] = &e->nodes[i];
        is_masked = is_masking(e, i, x, plan);
        bool keeps_zero =
            e->f->ops[i].info->opcode == MIL_OP_tanh || is_scaling(e, i, x, -INFINITY);
        if (!is_masked && !keeps_zero) return NO_INDEX;
    }
    if (i == NO_INDEX || e->f->ops[i].info->opcode != MIL_OP_softmax ||
        !softmax_is_over_last_axis(&e->nodes[i]))
        return NO_INDEX;
    plan->softmax = &e->nodes[i];
    x = e->f->ops[i].first_output, i = only_reader(e, uses, i);
    for (; i != NO_INDEX && is_scaling(e, i, x, 0);
         x = e->f->ops[i].first_output, i = only_reader(e, uses, i)) {
        if (plan->n_after == MOST_STEPS) return NO_INDEX;
        plan->after[plan->n_after++] = &e->nodes[i];
    }
    if (i == NO_INDEX || !is_matmul(e, i, false) || operand(e, i, "x") != x) return NO_INDEX;
    plan->mixed = &e->nodes[i];
    plan->values = operand(e, i, "y");
    return i;
}

// ---- how much of it a run needs

// The largest number of x[0, n); NaN where there is one. Several at a time, so that none waits.
static float largest_or_nan(const float *x, size_t n) {
    enum { PARTS = 16 };
    float most[PARTS];
    int n_nan[PARTS] = {0};
    for (size_t c = 0; c < PARTS; c++) most[c] = -INFINITY;
    for (size_t i = 0; i < n; i += PARTS)
        for (size_t c = 0; c < min_size(PARTS, n - i); c++) {
            most[c] = x[i + c] > most[c] ? x[i + c] : most[c];
            n_nan[c] += x[i + c] != x[i + c];
        }
    for (size_t c = 0; c < PARTS; c++) {
        most[0] = most[c] > most[0] ? most[c] : most[0];
        if (n_nan[c]) return NAN;
    }
    return most[0];
}

// The largest mask of columns from `n` on, as the add would round it; NaN where there is one.
static float largest_mask(const Engine *e, const AttendPlan *p, size_t n) {
    float most = -INFINITY;
    for (size_t at = n; at < p->mask->count; at += p->slots) {
        float of_row = largest_or_nan(p->mask->f32 + at, p->slots - n);
        most = of_row <= most ? most : of_row;
        if (most != most) break;
    }
    node_round(e, p->before[p->n_before - 1], &most, 1);
    return most;
}

// The columns that may have to be computed; the others have scores of 0.
static size_t n_live_columns(const Engine *e, const AttendPlan *p) {
    size_t keys = pass_written_rows(e, p->keys, p->slots),
           values = pass_written_rows(e, p->values, p->slots);
    size_t n = (size_t)round_up(max_size(max_size(keys, values), 1), SOFTMAX_COLUMNS);
    const Product *scores = p->scores->plan;
    return n < p->slots && pass_all_finite(scores->x->tensor) ? n : p->slots;
}

// Whether all columns from `n` on have probability 0, whose largest mask is `hidden`.
static bool is_hidden(const AttendPlan *p, size_t n, float hidden) {
    const EngineTensor *masked = p->before[p->n_before - 1]->output;
    for (size_t at = 0; at < masked->count; at += p->slots) {
        float most = largest_or_nan(masked->f32 + at, n);
        if (!(hidden - most <= EXP_IS_ZERO)) return false; // NaN, too
    }
    return true;
}

// ---- running it

static void run_elements(const Engine *e, const Node *n, Columns c) {
    if (n->op->info->opcode == MIL_OP_tanh)
        unary_run_columns(e, n, c);
    else
        binary_run_columns(e, n, c);
}

// The masked scores that were taken for hidden.
static void run_rest(const Engine *e, const AttendPlan *p, size_t n) {
    for (size_t at = n; at < p->unmasked->count; at += p->slots)
        memset(p->unmasked->f32 + at, 0, (p->slots - n) * sizeof(float));
    run_elements(e, p->before[p->n_before - 1], (Columns){p->slots, n, p->slots});
}

static bool run_attend_written(const Engine *e, const Span *s, Err *err) {
    (void)err;
    const AttendPlan *p = s->plan;
    const Product *scores = p->scores->plan, *mixed = p->mixed->plan;
    size_t n = n_live_columns(e, p);
    float hidden = n < p->slots ? largest_mask(e, p, n) : 0;
    product_run_part(e, p->scores, scores, n, scores->k);
    for (size_t i = 0; i < p->n_before; i++)
        run_elements(e, p->before[i], (Columns){p->slots, 0, n});
    if (n < p->slots && !is_hidden(p, n, hidden)) {
        run_rest(e, p, n);
        n = p->slots;
    }
    softmax_run_columns(e, p->softmax, n);
    for (size_t i = 0; i < p->n_after; i++) run_elements(e, p->after[i], (Columns){p->slots, 0, n});
    product_run_part(e, p->mixed, mixed, mixed->n, n);
    return true;
}

void pass_attend_written(Engine *e) {
    Arena arena = {0};
    ValueUse *uses = pass_uses(e, &arena);
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        AttendPlan plan;
        uint32_t last = match(e, uses, i, &plan);
        if (last == NO_INDEX) continue;
        Span *s = pass_new_span(e, "attend_written", i, last - i + 1);
        s->plan = arena_new(&e->arena, AttendPlan);
        memcpy(s->plan, &plan, sizeof plan);
        s->run = run_attend_written;
        i = last;
    }
    arena_free(&arena);
}
