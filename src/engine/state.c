// The states of a package: one buffer a name, whatever functions use it.
#include <stdlib.h>
#include <string.h>

#include "engine/prepare.h"

struct EngineState {
    Arena arena;
    EngineTensor *tensors;
    uint32_t n_tensors;
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
        return err_set(err, ERR_FORMAT, "function '%.*s': state '%.*s' has another type elsewhere",
                       STR_ARG(f->name), STR_ARG(value->name));
    EngineTensor *t = &s->tensors[s->n_tensors];
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
    s->n_tensors++;
    return true;
}

EngineState *engine_state_open(const Package *package, Err *err) {
    EngineState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    const MilProgram *p = package->program;
    size_t most = 0;
    for (uint32_t i = 0; i < p->n_functions; i++) most += p->functions[i]->n_inputs;
    s->tensors = arena_array(&s->arena, most + 1, EngineTensor);
    for (uint32_t i = 0; i < p->n_functions; i++) {
        const MilFunction *f = p->functions[i];
        for (uint32_t j = 0; j < f->n_inputs; j++) {
            const MilValue *value = &f->values[f->inputs[j].at];
            if (!value->type.is_state) continue;
            if (!add_state(s, f, value, err)) {
                engine_state_close(s);
                return NULL;
            }
        }
    }
    return s;
}

void engine_state_reset(EngineState *s) {
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        EngineTensor *t = &s->tensors[i];
        memset(t->f32 ? (void *)t->f32 : (void *)t->i32, 0, tensor_bytes(t));
    }
}

EngineTensor *engine_state_find(EngineState *s, Str name) {
    for (uint32_t i = 0; i < s->n_tensors; i++)
        if (str_eq(s->tensors[i].name, name)) return &s->tensors[i];
    return NULL;
}

EngineTensor *engine_state_at(EngineState *s, uint32_t i) {
    return i < s->n_tensors ? &s->tensors[i] : NULL;
}

void engine_state_close(EngineState *s) {
    if (!s) return;
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        free(s->tensors[i].f32);
        free(s->tensors[i].i32);
    }
    arena_free(&s->arena);
    free(s);
}
