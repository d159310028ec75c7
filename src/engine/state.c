// The states of a package: one buffer per name, which all functions share.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "engine/strided_copy.h"

struct EngineState {
    Arena arena;
    StateBuffer *buffers;
    uint32_t n_buffers;
};

static size_t tensor_bytes(const EngineTensor *t) {
    return t->count * sizeof(float); // an int32 is as long
}

// Adds the state of function `f`, or checks that it is the one already there.
static bool add_state(EngineState *s, const MilFunction *f, const MilValue *value, Err *err) {
    MilType type = value->type;
    type.is_state = false;
    const EngineTensor *known = engine_state_find(s, value->name);
    if (known && mil_type_eq(&known->type, &type)) return true;
    if (known)
        return err_set(err, ERR_FORMAT,
                       "function '%.*s': state '%.*s' has another type than in another function of "
                       "the package",
                       STR_ARG(f->name), STR_ARG(value->name));
    EngineTensor *t = &s->buffers[s->n_buffers].tensor;
    *t = (EngineTensor){.name = value->name, .type = type};
    size_t bytes;
    if (!mil_type_count(&type, &t->count) || !mul_size(t->count, sizeof(float), &bytes))
        return err_set(err, ERR_FORMAT, "function '%.*s': state '%.*s' has no fixed size",
                       STR_ARG(f->name), STR_ARG(value->name));
    void *buffer = big_alloc(bytes, "state", err);
    if (!buffer) return err_prefix(err, "state '%.*s'", STR_ARG(value->name));
    if (is_float(type.dtype))
        t->f32 = buffer;
    else
        t->i32 = buffer;
    s->n_buffers++;
    return true;
}

EngineState *engine_state_open(const Package *package, Err *err) {
    return engine_state_open_holding(package, NULL, err);
}

EngineState *engine_state_open_holding(const Package *package, EngineHolds *holds, Err *err) {
    EngineState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    const MilProgram *p = package->program;
    size_t most = 0;
    for (uint32_t i = 0; i < p->n_functions; i++) most += p->functions[i]->n_inputs;
    s->buffers = arena_array(&s->arena, most + 1, StateBuffer);
    for (uint32_t i = 0; i < p->n_functions; i++) {
        const MilFunction *f = p->functions[i];
        for (uint32_t j = 0; j < f->n_inputs; j++) {
            const MilValue *value = &f->values[f->inputs[j].at];
            if (!value->type.is_state && !(holds && holds(value->name))) continue;
            if (!add_state(s, f, value, err)) {
                engine_state_close(s);
                return NULL;
            }
        }
    }
    return s;
}

void engine_state_reset(EngineState *s) {
    for (uint32_t i = 0; i < s->n_buffers; i++) {
        EngineTensor *t = &s->buffers[i].tensor;
        memset(t->f32 ? (void *)t->f32 : (void *)t->i32, 0, tensor_bytes(t));
        memset(s->buffers[i].written, 0, sizeof s->buffers[i].written);
        s->buffers[i].may_hold_negative_zero = false;
    }
}

StateBuffer *state_buffer_find(EngineState *s, Str name) {
    for (uint32_t i = 0; i < s->n_buffers; i++)
        if (str_eq(s->buffers[i].tensor.name, name)) return &s->buffers[i];
    return NULL;
}

void state_buffer_extend(StateBuffer *b, const size_t end[MIL_MAX_RANK]) {
    for (int i = 0; i < b->tensor.type.rank; i++) b->written[i] = max_size(b->written[i], end[i]);
}

void state_buffer_extend_to_all(StateBuffer *b) {
    for (int i = 0; i < b->tensor.type.rank; i++) b->written[i] = (size_t)b->tensor.type.dims[i];
}

const EngineTensor *engine_state_at(const EngineState *s, uint32_t i) {
    return i < s->n_buffers ? &s->buffers[i].tensor : NULL;
}

const EngineTensor *engine_state_find(const EngineState *s, Str name) {
    for (uint32_t i = 0; i < s->n_buffers; i++)
        if (str_eq(s->buffers[i].tensor.name, name)) return &s->buffers[i].tensor;
    return NULL;
}

void engine_state_copy(EngineState *to, const EngineState *from, bool rounds) {
    assert(to->n_buffers == from->n_buffers);
    for (uint32_t i = 0; i < to->n_buffers; i++) {
        EngineTensor *t = &to->buffers[i].tensor;
        const EngineTensor *source = &from->buffers[i].tensor;
        assert(mil_type_eq(&t->type, &source->type));
        memcpy(to->buffers[i].written, from->buffers[i].written, sizeof from->buffers[i].written);
        to->buffers[i].may_hold_negative_zero = from->buffers[i].may_hold_negative_zero || rounds;
        if (t->i32) memcpy(t->i32, source->i32, tensor_bytes(t));
        for (size_t k = 0; t->f32 && k < t->count; k++)
            t->f32[k] = rounds ? round_to_half(source->f32[k]) : source->f32[k];
    }
}

// Rows of one matrix [slots, width] at `at`; `old` has room for it.
static void gather(const EngineTensor *t, size_t at, size_t width, size_t slots,
                   const uint32_t *from, uint32_t n, char *old) {
    size_t row = width * sizeof(float);
    char *matrix = (char *)element_at(t, at);
    memcpy(old, matrix, slots * row);
    for (uint32_t i = 0; i < n; i++) memcpy(matrix + i * row, old + from[i] * row, row);
}

void engine_state_gather_rows(EngineState *s, size_t n_rows, const uint32_t *from, uint32_t n) {
    for (uint32_t i = 0; i < s->n_buffers; i++) {
        EngineTensor *t = &s->buffers[i].tensor;
        if (t->type.rank < 2) continue;
        int axis = t->type.rank - 2;
        size_t width = (size_t)t->type.dims[axis + 1], slots = (size_t)t->type.dims[axis];
        if (slots != n_rows) continue;
        size_t *written = &s->buffers[i].written[axis];
        for (uint32_t k = 0; k < n; k++) {
            assert(from[k] < slots && k < slots);
            if (from[k] < *written) *written = max_size(*written, (size_t)k + 1);
        }
        char *old = malloc(slots * width * sizeof(float));
        if (!old) die_out_of_memory(slots * width * sizeof(float));
        for (size_t at = 0; at < t->count; at += slots * width)
            gather(t, at, width, slots, from, n, old);
        free(old);
    }
}

bool engine_state_put_rows(EngineState *s, Str name, const EngineTensor *rows, uint32_t at,
                           Err *err) {
    StateBuffer *b = state_buffer_find(s, name);
    if (!b) return err_set(err, ERR_FORMAT, "the package has no cache '%.*s'", STR_ARG(name));
    const MilType *to = &b->tensor.type, *from = &rows->type;
    int axis = to->rank - 2;
    bool fits = axis >= 0 && from->rank == to->rank && b->tensor.f32 && rows->f32;
    for (int i = 0; fits && i < to->rank; i++)
        fits = from->dims[i] == to->dims[i] ||
               (i == axis && (int64_t)at + from->dims[i] <= to->dims[i]);
    if (!fits)
        return err_set(err, ERR_FORMAT, "cache '%.*s': '%.*s' does not fit into it at row %u",
                       STR_ARG(name), STR_ARG(rows->name), at);
    size_t width = (size_t)to->dims[axis + 1], n = (size_t)from->dims[axis] * width;
    size_t end[MIL_MAX_RANK];
    for (int i = 0; i < to->rank; i++) end[i] = (size_t)to->dims[i];
    end[axis] = at + (size_t)from->dims[axis];
    state_buffer_extend(b, end);
    for (size_t m = 0; m < rows->count / n; m++)
        memcpy(b->tensor.f32 + m * (size_t)to->dims[axis] * width + at * width, rows->f32 + m * n,
               n * sizeof(float));
    return true;
}

void engine_state_close(EngineState *s) {
    if (!s) return;
    for (uint32_t i = 0; i < s->n_buffers; i++) {
        free(s->buffers[i].tensor.f32);
        free(s->buffers[i].tensor.i32);
    }
    arena_free(&s->arena);
    free(s);
}
