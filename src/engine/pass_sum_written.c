// A product with a cache that the caller keeps (an input held like a state) goes over the rows that
// were written. Before and after look alike:
//
//     scores = matmul(x = q, y = keys, transpose_y = true)      # a column for each row of the cache
//     mixed = matmul(x = probs, y = values)                     # a sum over them
//
// A cache knows how far it was written since it was last zeroed (StateBuffer). Rows from there on
// are zeros, so where x is finite their scores are +0, and where x is finite and has no sign they add
// +0 to every sum. Each run checks it, on the numbers at hand; where it fails, the op runs whole.
//
// Attention over states is pass_attend_written.c's, which leaves the ops between out, too. Here the
// scores of new rows stand beside those of the cache, so that columns in the middle are the ones to
// leave out.
#include <math.h>
#include <string.h>

#include "engine/columns.h"
#include "engine/pass.h"
#include "engine/product.h"

typedef struct {
    const Node *node;
    uint32_t cache; // value index
} SumPlan;

static bool match(const Engine *e, uint32_t i, SumPlan *plan) {
    const MilOp *op = &e->f->ops[i];
    if (op->info->opcode != MIL_OP_matmul) return false;
    const Product *p = e->nodes[i].plan;
    *plan = (SumPlan){&e->nodes[i], mil_operand(e->f, op, mil_param(op->info, "y")).at};
    const MilValue *cache = &e->f->values[plan->cache];
    return e->storages[plan->cache].kind == STORED_IN_STATE && cache->op == MIL_NO_OP &&
           !cache->data && !cache->type.is_state && is_float(p->out->type.dtype) &&
           !p->transpose_x && p->x->storage == WEIGHT_TENSOR && p->y->storage == WEIGHT_TENSOR &&
           p->x->tensor->type.rank > 1 && p->y->tensor->type.rank > 1;
}

// Whether products of x with zeros are +0 in every sum over rows [from, k).
static bool adds_nothing(const Product *p, size_t from) {
    const EngineTensor *x = p->x->tensor;
    bool is_plain = true;
    for (size_t at = 0; at < x->count; at += p->k)
        for (size_t i = at + from; i < at + p->k; i++)
            is_plain = is_plain && isfinite(x->f32[i]) && !signbit(x->f32[i]);
    return is_plain;
}

static void zero_columns(const Product *p, size_t from) {
    for (size_t at = 0; at < p->out->count; at += p->n)
        memset(p->out->f32 + at + from, 0, (p->n - from) * sizeof(float));
}

static bool run_sum_written(const Engine *e, const Span *s, Err *err) {
    (void)err;
    const SumPlan *plan = s->plan;
    const Product *p = plan->node->plan;
    size_t slots = p->transpose_y ? p->n : p->k;
    size_t n = max_size(pass_written_rows(e, plan->cache, slots), 1);
    n = min_size((size_t)round_up(n, SOFTMAX_COLUMNS), slots);
    if (p->transpose_y && n < slots && pass_all_finite(p->x->tensor)) {
        product_run_part(e, plan->node, p, n, p->k);
        zero_columns(p, n);
    } else if (!p->transpose_y && n < slots && adds_nothing(p, n)) {
        product_run_part(e, plan->node, p, p->n, n);
    } else {
        product_run_part(e, plan->node, p, p->n, p->k);
    }
    return true;
}

void pass_sum_written(Engine *e) {
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        SumPlan plan;
        if (e->nodes[i].span) { // another pass has it
            i += e->nodes[i].span->n_ops - 1;
            continue;
        }
        if (!match(e, i, &plan)) continue;
        Span *s = pass_new_span(e, "sum_written", i, 1);
        s->plan = arena_new(&e->arena, SumPlan);
        memcpy(s->plan, &plan, sizeof plan);
        s->run = run_sum_written;
    }
}
