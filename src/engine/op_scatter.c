// scatter, scatter_along_axis, scatter_nd. Updates are applied in order; an update of a repeated
// index acts on the result of the one before.
#include <string.h>

#include "engine/strided_copy.h"

typedef enum {
    SCATTER_UPDATE,
    SCATTER_ADD,
    SCATTER_SUB,
    SCATTER_MUL,
    SCATTER_DIV,
    SCATTER_MAX,
    SCATTER_MIN,
} ScatterMode;

static const char *const mode_names[] = {"update", "add", "sub", "mul", "div", "max", "min"};

typedef struct {
    const EngineTensor *data, *indices, *updates;
    EngineTensor *out;
    ScatterMode mode;
    size_t outer, size, inner, n_indices; // data as [outer, size, inner]
    int index_dims;                       // of scatter_nd
} ScatterPlan;

static ScatterPlan *scatter_plan(Prepare *p) {
    ScatterPlan *plan = prep_new(p, ScatterPlan);
    plan->data = prep_in(p, "data");
    plan->indices = prep_in(p, "indices");
    plan->updates = prep_in(p, "updates");
    plan->out = prep_out(p, 0);
    prep_in_place(p, plan->data);
    Str mode;
    if (!prep_str(p, "mode", "add", &mode)) return NULL;
    for (size_t i = 0; i < COUNT_OF(mode_names); i++)
        if (str_is(mode, mode_names[i])) {
            plan->mode = (ScatterMode)i;
            return plan;
        }
    prep_fail(p, "mode '%.*s': expected update, add, sub, mul, div, max or min", STR_ARG(mode));
    return NULL;
}

static float merge_floats(ScatterMode mode, float old, float new) {
    switch (mode) {
    case SCATTER_UPDATE: return new;
    case SCATTER_ADD: return old + new;
    case SCATTER_SUB: return old - new;
    case SCATTER_MUL: return old * new;
    case SCATTER_DIV: return old / new;
    case SCATTER_MAX: return old > new ? old : new;
    case SCATTER_MIN: return old < new ? old : new;
    }
    return new;
}

static int32_t merge_ints(ScatterMode mode, int32_t old, int32_t new) {
    switch (mode) {
    case SCATTER_UPDATE: return new;
    case SCATTER_ADD: return (int32_t)((uint32_t)old + (uint32_t) new);
    case SCATTER_SUB: return (int32_t)((uint32_t)old - (uint32_t) new);
    case SCATTER_MUL: return (int32_t)((uint32_t)old * (uint32_t) new);
    case SCATTER_DIV: return new ? (int32_t)((int64_t)old / new) : 0;
    case SCATTER_MAX: return old > new ? old : new;
    case SCATTER_MIN: return old < new ? old : new;
    }
    return new;
}

static void merge(const ScatterPlan *p, size_t to, size_t from, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (p->out->f32)
            p->out->f32[to + i] =
                merge_floats(p->mode, p->out->f32[to + i], p->updates->f32[from + i]);
        else
            p->out->i32[to + i] =
                merge_ints(p->mode, p->out->i32[to + i], p->updates->i32[from + i]);
    }
}

static bool check_index(const Node *n, const ScatterPlan *p, size_t at, size_t size, size_t *index,
                        Err *err) {
    int32_t i = p->indices->i32[at];
    *index = 0;
    if (i < 0 || (size_t)i >= size)
        return run_fail(n, err, "indices[%zu] is %d, outside of an axis of %zu", at, i, size);
    *index = (size_t)i;
    return true;
}

static void start_from_data(const ScatterPlan *p) {
    if (tensor_data(p->out) != tensor_data(p->data))
        memcpy(tensor_data(p->out), tensor_data(p->data), p->data->count * sizeof(float));
}

static void round_result(const Engine *e, const Node *n, const ScatterPlan *p) {
    if (p->out->f32) node_round(e, n, p->out->f32, p->out->count);
}

bool prepare_scatter(Prepare *p) {
    ScatterPlan *plan = scatter_plan(p);
    int axis;
    if (!plan || !prep_axis(p, "axis", 0, plan->data->type.rank, &axis)) return false;
    AxisSplit split = axis_split(&plan->data->type, axis);
    plan->outer = split.outer;
    plan->size = split.size;
    plan->inner = split.inner;
    plan->n_indices = plan->indices->count;
    return true;
}

bool run_scatter(const Engine *e, const Node *n, Err *err) {
    const ScatterPlan *p = n->plan;
    start_from_data(p);
    for (size_t o = 0; o < p->outer; o++)
        for (size_t i = 0; i < p->n_indices; i++) {
            size_t index;
            if (!check_index(n, p, i, p->size, &index, err)) return false;
            merge(p, (o * p->size + index) * p->inner, (o * p->n_indices + i) * p->inner, p->inner);
        }
    round_result(e, n, p);
    return true;
}

bool prepare_scatter_along_axis(Prepare *p) {
    ScatterPlan *plan = scatter_plan(p);
    int axis;
    if (!plan || !prep_axis(p, "axis", 0, plan->data->type.rank, &axis)) return false;
    AxisSplit split = axis_split(&plan->data->type, axis);
    plan->size = split.size;
    plan->inner = split.inner;
    plan->n_indices = (size_t)plan->indices->type.dims[axis];
    return true;
}

bool run_scatter_along_axis(const Engine *e, const Node *n, Err *err) {
    const ScatterPlan *p = n->plan;
    start_from_data(p);
    for (size_t i = 0; i < p->indices->count; i++) {
        size_t inner = i % p->inner, outer = i / p->inner / p->n_indices, index;
        if (!check_index(n, p, i, p->size, &index, err)) return false;
        merge(p, (outer * p->size + index) * p->inner + inner, i, 1);
    }
    round_result(e, n, p);
    return true;
}

bool prepare_scatter_nd(Prepare *p) {
    ScatterPlan *plan = scatter_plan(p);
    if (!plan) return false;
    const MilType *data = &plan->data->type, *indices = &plan->indices->type;
    plan->index_dims = (int)indices->dims[indices->rank - 1];
    if (plan->index_dims > data->rank)
        return prep_fail(p, "an index has %d numbers, but data has %d axes", plan->index_dims,
                         data->rank);
    plan->n_indices = plan->inner = 1;
    for (int i = 0; i + 1 < indices->rank; i++) plan->n_indices *= (size_t)indices->dims[i];
    for (int i = plan->index_dims; i < data->rank; i++) plan->inner *= (size_t)data->dims[i];
    return true;
}

bool run_scatter_nd(const Engine *e, const Node *n, Err *err) {
    const ScatterPlan *p = n->plan;
    start_from_data(p);
    size_t dims = (size_t)p->index_dims;
    for (size_t i = 0; i < p->n_indices; i++) {
        size_t at = 0;
        for (size_t d = 0; d < dims; d++) {
            size_t size = (size_t)p->data->type.dims[d], index;
            if (!check_index(n, p, i * dims + d, size, &index, err)) return false;
            at = at * size + index;
        }
        merge(p, at * p->inner, i * p->inner, p->inner);
    }
    round_result(e, n, p);
    return true;
}
