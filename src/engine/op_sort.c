// topk, argsort, cumsum: work along one axis. Equal values keep their order.
#include <stdlib.h>
#include <string.h>

#include "engine/prepare.h"

typedef struct {
    const EngineTensor *x;
    EngineTensor *values, *indices; // of argsort only indices; indices may be NULL for topk
    AxisSplit split;
    size_t k;                    // how many are wanted
    bool ascending, keeps_order; // topk with sort = false: in the order of x
} SortPlan;

// One element of a line being sorted.
typedef struct {
    double value;
    uint32_t index, descending;
} SortEntry;

static bool sort_geometry(Prepare *p, SortPlan *plan) {
    plan->x = prep_in(p, "x");
    int axis;
    if (!prep_axis(p, "axis", -1, plan->x->type.rank, &axis)) return false;
    if (!prep_bool(p, "ascending", false, &plan->ascending)) return false;
    plan->split = axis_split(&plan->x->type, axis);
    plan->k = (size_t)prep_out(p, 0)->type.dims[axis];
    prep_scratch(p, plan->split.size * sizeof(SortEntry) / sizeof(float));
    return true;
}

bool prepare_topk(Prepare *p) {
    SortPlan *plan = prep_new(p, SortPlan);
    bool sorts;
    if (!sort_geometry(p, plan)) return false;
    if (!prep_bool(p, "sort", true, &sorts)) return false;
    plan->keeps_order = !sorts;
    plan->values = prep_out(p, 0);
    if (p->op->n_outputs > 1) plan->indices = prep_out(p, 1);
    return plan->k <= plan->split.size ||
           prep_fail(p, "k is %zu, but the axis has %zu elements", plan->k, plan->split.size);
}

bool prepare_argsort(Prepare *p) {
    SortPlan *plan = prep_new(p, SortPlan);
    plan->indices = prep_out(p, 0);
    return sort_geometry(p, plan);
}

static int by_value(const void *left, const void *right) {
    const SortEntry *a = left, *b = right;
    if (a->value != b->value) return (a->value < b->value) != (a->descending != 0) ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int by_index(const void *left, const void *right) {
    const SortEntry *a = left, *b = right;
    return a->index < b->index ? -1 : a->index > b->index;
}

bool run_sort(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const SortPlan *p = n->plan;
    size_t inner = p->split.inner, size = p->split.size;
    SortEntry *line = (SortEntry *)(void *)engine_scratch(e, 0);
    for (size_t i = 0; i < p->split.outer * inner; i++) {
        size_t from = i / inner * size * inner + i % inner;
        size_t to = i / inner * p->k * inner + i % inner;
        for (size_t a = 0; a < size; a++) {
            size_t at = from + a * inner;
            double value = p->x->f32 ? (double)p->x->f32[at] : (double)p->x->i32[at];
            line[a] = (SortEntry){value, (uint32_t)a, !p->ascending};
        }
        qsort(line, size, sizeof *line, by_value);
        if (p->keeps_order) qsort(line, p->k, sizeof *line, by_index);
        for (size_t a = 0; a < p->k; a++, to += inner) {
            if (p->indices) p->indices->i32[to] = (int32_t)line[a].index;
            if (p->values && p->values->f32) p->values->f32[to] = (float)line[a].value;
            if (p->values && p->values->i32) p->values->i32[to] = (int32_t)line[a].value;
        }
    }
    return true;
}

// ---- cumsum; sums of floats are kept in double

typedef struct {
    const EngineTensor *x;
    EngineTensor *out;
    AxisSplit split;
    bool excludes_itself, from_end;
} CumsumPlan;

bool prepare_cumsum(Prepare *p) {
    CumsumPlan *plan = prep_new(p, CumsumPlan);
    plan->x = prep_in(p, "x");
    plan->out = prep_out(p, 0);
    int axis;
    if (!prep_axis(p, "axis", 0, plan->x->type.rank, &axis)) return false;
    if (!prep_bool(p, "exclusive", false, &plan->excludes_itself)) return false;
    if (!prep_bool(p, "reverse", false, &plan->from_end)) return false;
    plan->split = axis_split(&plan->x->type, axis);
    return true;
}

bool run_cumsum(const Engine *e, const Node *n, Err *err) {
    (void)err;
    const CumsumPlan *p = n->plan;
    size_t inner = p->split.inner, size = p->split.size;
    for (size_t i = 0; i < p->split.outer * inner; i++) {
        size_t base = i / inner * size * inner + i % inner;
        double sum = 0;
        uint32_t int_sum = 0;
        for (size_t a = 0; a < size; a++) {
            size_t at = base + (p->from_end ? size - 1 - a : a) * inner;
            if (p->out->f32) {
                double before = sum;
                sum += (double)p->x->f32[at];
                p->out->f32[at] = (float)(p->excludes_itself ? before : sum);
            } else {
                uint32_t before = int_sum;
                int_sum += (uint32_t)p->x->i32[at];
                p->out->i32[at] = (int32_t)(p->excludes_itself ? before : int_sum);
            }
        }
    }
    if (p->out->f32) node_round(e, n, p->out->f32, p->out->count);
    return true;
}
