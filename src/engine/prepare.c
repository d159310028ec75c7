// What prepare functions call: operands, constants, geometry.
#include "engine/prepare.h"

#include <stdarg.h>
#include <string.h>

#include "engine/constants.h"

static bool fail_va(const MilOp *op, Err *err, const char *fmt, va_list args) {
    err_vset(err, ERR_FORMAT, fmt, args);
    return err_prefix(err, "op '%.*s' (%s)", STR_ARG(op->name), op->info->name);
}

bool prep_fail(Prepare *p, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fail_va(p->op, p->err, fmt, args);
    va_end(args);
    return false;
}

bool run_fail(const Node *n, Err *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fail_va(n->op, err, fmt, args);
    va_end(args);
    return false;
}

// Operand `i` of the parameter, as value index; NO_INDEX when not given.
static uint32_t operand_at(const Prepare *p, const char *param, uint32_t i) {
    int index = mil_param(p->op->info, param);
    if (index < 0 || i >= p->op->args[index].count) return NO_INDEX;
    return p->f->operands[p->op->args[index].first + i].at;
}

bool prep_given(const Prepare *p, const char *param) {
    return operand_at(p, param, 0) != NO_INDEX;
}

const EngineTensor *prep_in_at(Prepare *p, const char *param, uint32_t i) {
    uint32_t v = operand_at(p, param, i);
    if (v == NO_INDEX) return NULL;
    p->e->storages[v].wants_dense = true;
    return &p->e->tensors[v];
}

const EngineTensor *prep_in(Prepare *p, const char *param) {
    return prep_in_at(p, param, 0);
}

uint32_t prep_count(const Prepare *p, const char *param) {
    int index = mil_param(p->op->info, param);
    return index < 0 ? 0 : p->op->args[index].count;
}

EngineTensor *prep_out(Prepare *p, uint32_t i) {
    return &p->node->output[i];
}

const Weight *prep_weight(Prepare *p, const char *param) {
    uint32_t v = operand_at(p, param, 0);
    if (v == NO_INDEX) return NULL;
    if (value_is_constant(p->f, v)) return weight_of_constant(p->e, v, p->err);
    p->e->storages[v].wants_dense = true;
    Weight *w = arena_new(&p->e->arena, Weight);
    *w = (Weight){
        .storage = WEIGHT_TENSOR,
        .count = p->e->tensors[v].count,
        .k = p->e->k,
        .tensor = &p->e->tensors[v],
    };
    return w;
}

// The constant given for `param`: false when there is none, with *ok telling absence from a value
// that is not a constant.
static bool constant_operand(Prepare *p, const char *param, uint32_t *v, bool *ok) {
    *v = operand_at(p, param, 0);
    *ok = true;
    if (*v == NO_INDEX) return false;
    if (p->f->values[*v].data) return true;
    *ok = prep_fail(p, "%s must be a constant, but is computed by '%.*s'", param,
                    STR_ARG(p->f->values[*v].name));
    return false;
}

bool prep_ints(Prepare *p, const char *param, int64_t *out, size_t *count) {
    uint32_t v;
    bool ok;
    *count = 0;
    if (!constant_operand(p, param, &v, &ok)) return ok;
    const MilValue *value = &p->f->values[v];
    size_t n = p->e->tensors[v].count;
    if (n > MOST_INTS || is_float(value->type.dtype) || value->type.dtype == MIL_STRING)
        return prep_fail(p, "%s: expected at most %d integers", param, MOST_INTS);
    int32_t numbers[MOST_INTS];
    decode_ints(value->type.dtype, constant_bytes(p->e, v), 0, n, numbers);
    for (size_t i = 0; i < n; i++) out[i] = numbers[i];
    *count = n;
    return true;
}

bool prep_int(Prepare *p, const char *param, int64_t fallback, int64_t *out) {
    int64_t numbers[MOST_INTS];
    size_t count;
    *out = fallback;
    if (!prep_ints(p, param, numbers, &count)) return false;
    if (count == 1) *out = numbers[0];
    return count <= 1 || prep_fail(p, "%s: %zu numbers, expected one", param, count);
}

bool prep_bool(Prepare *p, const char *param, bool fallback, bool *out) {
    int64_t number;
    if (!prep_int(p, param, fallback, &number)) return false;
    *out = number != 0;
    return true;
}

bool prep_float(Prepare *p, const char *param, double fallback, double *out) {
    uint32_t v;
    bool ok;
    *out = fallback;
    if (!constant_operand(p, param, &v, &ok)) return ok;
    const MilValue *value = &p->f->values[v];
    if (value->type.dtype == MIL_STRING || p->e->tensors[v].count != 1)
        return prep_fail(p, "%s: expected one number", param);
    float number;
    decode_floats(p->e->k, value->type.dtype, constant_bytes(p->e, v), 0, 1, &number);
    *out = (double)number;
    return true;
}

bool prep_str(Prepare *p, const char *param, const char *fallback, Str *out) {
    uint32_t v;
    bool ok;
    *out = fallback ? str_of(fallback) : (Str){0};
    if (!constant_operand(p, param, &v, &ok)) return ok;
    if (!mil_const_str(p->f, (ValueId){v}, out))
        return prep_fail(p, "%s: expected a string", param);
    return true;
}

bool prep_axis(Prepare *p, const char *param, int64_t fallback, int rank, int *out) {
    int64_t axis;
    if (!prep_int(p, param, fallback, &axis)) return false;
    if (axis < -rank || axis >= rank)
        return prep_fail(p, "%s is %lld, outside of a tensor of rank %d", param, (long long)axis,
                         rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

bool prep_axes(Prepare *p, const char *param, int rank, bool in_set[MIL_MAX_RANK]) {
    int64_t axes[MOST_INTS];
    size_t count;
    if (!prep_ints(p, param, axes, &count)) return false;
    for (int i = 0; i < MIL_MAX_RANK; i++) in_set[i] = !prep_given(p, param) && i < rank;
    for (size_t i = 0; i < count; i++) {
        if (axes[i] < -rank || axes[i] >= rank)
            return prep_fail(p, "%s: %lld is outside of a tensor of rank %d", param,
                             (long long)axes[i], rank);
        in_set[axes[i] < 0 ? axes[i] + rank : axes[i]] = true;
    }
    return true;
}

void *prep_plan(Prepare *p, size_t size) {
    return p->node->plan = arena_alloc(&p->e->arena, 1, size);
}

static uint32_t value_index(const Engine *e, const EngineTensor *t) {
    return (uint32_t)(t - e->tensors);
}

void prep_view(Prepare *p, uint32_t i, const EngineTensor *of, size_t at) {
    const ValueStorage *source = &p->e->storages[value_index(p->e, of)];
    ValueStorage *view = &p->e->storages[p->op->first_output + i];
    view->root = source->root;
    view->at = source->at + at;
    bool all = true;
    for (uint32_t o = 0; o < p->op->n_outputs; o++)
        all = all && p->e->storages[p->op->first_output + o].root != p->op->first_output + o;
    p->node->is_view = all;
}

void prep_in_place(Prepare *p, const EngineTensor *x) {
    ValueStorage *stored = &p->e->storages[p->op->first_output];
    if (x && stored->n_in_place < MAX_IN_PLACE)
        stored->in_place[stored->n_in_place++] = value_index(p->e, x);
}

void prep_scratch(Prepare *p, size_t n_floats) {
    size_t bytes = (size_t)round_up(n_floats * sizeof(float), 64);
    p->e->scratch_bytes = max_size(p->e->scratch_bytes, bytes);
}
