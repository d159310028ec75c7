// gather, gather_along_axis, gather_nd. From specification 8 on a negative index is out of range;
// before, it counts from the end. Indices out of range are errors whether or not the program asks
// for validation.
#include <string.h>

#include "engine/strided_copy.h"

enum { SPEC_WITHOUT_NEGATIVE_INDICES = 8 };

typedef struct {
    const Weight *table; // x; may be a packed constant
    const EngineTensor *indices;
    EngineTensor *out;
    bool counts_from_end; // negative indices do
    int batch_dims, index_dims;
    size_t batch, outer, size, inner, n_indices; // x as [batch, outer, size, inner]
    const MilType *x_type;
} GatherPlan;

static GatherPlan *gather_plan(Prepare *p) {
    GatherPlan *plan = prep_new(p, GatherPlan);
    plan->x_type = &mil_value(p->f, mil_operand(p->f, p->op, mil_param(p->op->info, "x")))->type;
    plan->out = prep_out(p, 0);
    plan->indices = prep_in(p, "indices");
    plan->counts_from_end = p->e->package->program->spec_version < SPEC_WITHOUT_NEGATIVE_INDICES;
    if (is_float(plan->out->type.dtype)) {
        plan->table = prep_weight(p, "x");
        return plan->table ? plan : NULL;
    }
    Weight *w = arena_new(&p->e->arena, Weight);
    *w = (Weight){.storage = WEIGHT_TENSOR, .k = p->e->k, .tensor = prep_in(p, "x")};
    plan->table = w;
    return plan;
}

static bool check_index(const Node *n, const GatherPlan *p, size_t at, size_t size, size_t *index,
                        Err *err) {
    int64_t i = p->indices->i32[at];
    *index = 0;
    if (i < 0 && p->counts_from_end) i += (int64_t)size;
    if (i < 0 || i >= (int64_t)size)
        return run_fail(n, err, "indices[%zu] is %d, outside of an axis of %zu", at,
                        p->indices->i32[at], size);
    *index = (size_t)i;
    return true;
}

static void copy_elements(const GatherPlan *p, size_t to, size_t from, size_t count) {
    if (p->out->f32)
        weight_decode(p->table, from, count, p->out->f32 + to);
    else
        memcpy(p->out->i32 + to, p->table->tensor->i32 + from, count * sizeof(int32_t));
}

bool prepare_gather(Prepare *p) {
    GatherPlan *plan = gather_plan(p);
    if (!plan) return false;
    const MilType *x = plan->x_type;
    int axis;
    int64_t batch_dims;
    if (!prep_axis(p, "axis", 0, x->rank, &axis)) return false;
    if (!prep_int(p, "batch_dims", 0, &batch_dims)) return false;
    if (batch_dims < 0) batch_dims += plan->indices->type.rank;
    if (batch_dims < 0 || batch_dims > axis || batch_dims > plan->indices->type.rank)
        return prep_fail(p, "batch_dims is %lld, expected 0 to axis %d at most",
                         (long long)batch_dims, axis);
    AxisSplit split = axis_split(x, axis);
    plan->batch = plan->n_indices = 1;
    for (int i = 0; i < (int)batch_dims; i++) plan->batch *= (size_t)x->dims[i];
    for (int i = (int)batch_dims; i < plan->indices->type.rank; i++)
        plan->n_indices *= (size_t)plan->indices->type.dims[i];
    plan->outer = plan->batch ? split.outer / plan->batch : 0;
    plan->size = split.size;
    plan->inner = split.inner;
    return true;
}

bool run_gather(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const GatherPlan *p = n->plan;
    size_t to = 0;
    for (size_t b = 0; b < p->batch; b++)
        for (size_t o = 0; o < p->outer; o++)
            for (size_t i = 0; i < p->n_indices; i++, to += p->inner) {
                size_t index;
                if (!check_index(n, p, b * p->n_indices + i, p->size, &index, err)) return false;
                copy_elements(p, to, ((b * p->outer + o) * p->size + index) * p->inner, p->inner);
            }
    return true;
}

bool prepare_gather_along_axis(Prepare *p) {
    GatherPlan *plan = gather_plan(p);
    if (!plan) return false;
    int axis;
    if (!prep_axis(p, "axis", 0, plan->x_type->rank, &axis)) return false;
    AxisSplit split = axis_split(plan->x_type, axis);
    plan->outer = split.outer;
    plan->size = split.size;
    plan->inner = split.inner;
    plan->n_indices = (size_t)plan->indices->type.dims[axis];
    return true;
}

bool run_gather_along_axis(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const GatherPlan *p = n->plan;
    for (size_t i = 0; i < p->out->count; i++) {
        size_t inner = i % p->inner, outer = i / p->inner / p->n_indices, index;
        if (!check_index(n, p, i, p->size, &index, err)) return false;
        copy_elements(p, i, (outer * p->size + index) * p->inner + inner, 1);
    }
    return true;
}

bool prepare_gather_nd(Prepare *p) {
    GatherPlan *plan = gather_plan(p);
    if (!plan) return false;
    const MilType *x = plan->x_type, *indices = &plan->indices->type;
    int64_t batch_dims;
    if (!prep_int(p, "batch_dims", 0, &batch_dims)) return false;
    plan->batch_dims = (int)batch_dims;
    plan->index_dims = (int)indices->dims[indices->rank - 1];
    if (batch_dims < 0 || plan->batch_dims + plan->index_dims > x->rank)
        return prep_fail(p, "an index has %d numbers after %lld batch axes, but x has %d axes",
                         plan->index_dims, (long long)batch_dims, x->rank);
    plan->batch = plan->inner = plan->n_indices = 1;
    for (int i = 0; i < plan->batch_dims; i++) plan->batch *= (size_t)x->dims[i];
    for (int i = plan->batch_dims; i + 1 < indices->rank; i++)
        plan->n_indices *= (size_t)indices->dims[i];
    for (int i = plan->batch_dims + plan->index_dims; i < x->rank; i++)
        plan->inner *= (size_t)x->dims[i];
    return true;
}

bool run_gather_nd(const Engine *e, const Node *n, Err *err) {
    (void)e;
    const GatherPlan *p = n->plan;
    size_t dims = (size_t)p->index_dims;
    for (size_t i = 0; i < p->batch * p->n_indices; i++) {
        size_t at = i / p->n_indices;
        for (size_t d = 0; d < dims; d++) {
            size_t size = (size_t)p->x_type->dims[(size_t)p->batch_dims + d], index;
            if (!check_index(n, p, i * dims + d, size, &index, err)) return false;
            at = at * size + index;
        }
        copy_elements(p, i * p->inner, at * p->inner, p->inner);
    }
    return true;
}
