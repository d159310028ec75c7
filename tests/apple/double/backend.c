#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "engine/engine.h"

struct Backend {
    Arena arena;
    Package package;
    const MilFunction *function;
    Engine *engine;
};

struct BackendState {
    const Backend *backend; // of the model that made it
    EngineState *state;
};

static void copy_name(char *out, size_t n, Str name) {
    snprintf(out, n, "%.*s", STR_ARG(name));
}

Backend *backend_open(const char *package, const char *function, char *why, size_t n_why) {
    Backend *b = calloc(1, sizeof *b);
    Err err = {0};
    if (!b) abort();
    if (package_open(&b->package, &b->arena, package, &err)) {
        const MilProgram *p = b->package.program;
        b->function = function ? mil_find_function(p, str_of(function)) : p->functions[0];
        if (!b->function) err_set(&err, ERR_FORMAT, "function not found");
        if (b->function)
            b->engine = engine_open(&b->package, b->function->name, ARITHMETIC_FP16, NULL, &err);
        if (b->engine) return b;
    }
    snprintf(why, n_why, "%s", err.text);
    backend_close(b);
    return NULL;
}

void backend_close(Backend *b) {
    if (!b) return;
    if (b->engine) engine_close(b->engine);
    package_close(&b->package);
    arena_free(&b->arena);
    free(b);
}

static void fill_port(BackendPort *out, Str name, const MilType *type) {
    *out = (BackendPort){.n_dims = (size_t)type->rank, .count = 1};
    out->kind = type->dtype == MIL_F16 ? 0 : type->dtype == MIL_F32 ? 1 : 2;
    copy_name(out->name, sizeof out->name, name);
    for (size_t i = 0; i < out->n_dims; i++) {
        out->dims[i] = (size_t)type->dims[i];
        out->count *= out->dims[i];
    }
}

static const MilValue *value_at(const Backend *b, BackendRole role, size_t i) {
    const MilFunction *f = b->function;
    if (role == BACKEND_OUTPUT) return i < f->n_outputs ? mil_value(f, f->outputs[i]) : NULL;
    for (uint32_t k = 0; k < f->n_inputs; k++) {
        const MilValue *v = mil_value(f, f->inputs[k]);
        if (v->type.is_state == (role == BACKEND_STATE) && i-- == 0) return v;
    }
    return NULL;
}

size_t backend_n_ports(const Backend *b, BackendRole role) {
    size_t n = 0;
    while (value_at(b, role, n)) n++;
    return n;
}

void backend_port(const Backend *b, BackendRole role, size_t i, BackendPort *out) {
    const MilValue *v = value_at(b, role, i);
    fill_port(out, v->name, &v->type);
}

BackendState *backend_state_open(const Backend *b) {
    BackendState *s = calloc(1, sizeof *s);
    Err err = {0};
    if (!s) abort();
    s->backend = b;
    s->state = engine_state_open(&b->package, &err);
    if (!s->state) abort();
    return s;
}

void backend_state_close(BackendState *s) {
    engine_state_close(s->state);
    free(s);
}

void backend_state_zero(BackendState *s) {
    engine_state_reset(s->state);
}

void backend_state_scale(BackendState *s, float factor) {
    const EngineTensor *t;
    for (uint32_t i = 0; (t = engine_state_at(s->state, i)); i++)
        for (size_t k = 0; k < t->count; k++) t->f32[k] *= factor;
}

bool backend_state_port(const BackendState *s, const char *name, BackendPort *out) {
    const EngineTensor *t = engine_state_find(s->state, str_of(name));
    if (t) fill_port(out, t->name, &t->type);
    return t != NULL;
}

bool backend_state_get(BackendState *s, const char *name, uint16_t *out) {
    const EngineTensor *t = engine_state_find(s->state, str_of(name));
    for (size_t i = 0; t && i < t->count; i++) out[i] = half_from_f32(t->f32[i]);
    return t != NULL;
}

bool backend_state_put(BackendState *s, const char *name, const uint16_t *in) {
    EngineTensor *t = engine_state_find(s->state, str_of(name));
    for (size_t i = 0; t && i < t->count; i++) t->f32[i] = f32_from_half(in[i]);
    return t != NULL;
}

bool backend_writes_slices(const Backend *b) {
    for (uint32_t i = 0; i < b->function->n_ops; i++)
        if (b->function->ops[i].info->opcode == MIL_OP_slice_update) return true;
    return false;
}

void backend_put(Backend *b, size_t input, const void *packed) {
    const MilValue *v = value_at(b, BACKEND_INPUT, input);
    EngineTensor *t = engine_input(b->engine, v->name);
    for (size_t i = 0; t && i < t->count; i++) {
        if (v->type.dtype == MIL_F16)
            t->f32[i] = f32_from_half(((const uint16_t *)packed)[i]);
        else if (t->f32)
            t->f32[i] = ((const float *)packed)[i];
        else
            t->i32[i] = ((const int32_t *)packed)[i];
    }
}

void backend_output_scale(Backend *b, size_t output, float factor) {
    const EngineTensor *t = engine_output_at(b->engine, (uint32_t)output);
    for (size_t i = 0; t->f32 && i < t->count; i++) t->f32[i] *= factor;
}

void backend_get(const Backend *b, size_t output, void *packed) {
    const EngineTensor *t = engine_output_at(b->engine, (uint32_t)output);
    for (size_t i = 0; i < t->count; i++) {
        if (t->type.dtype == MIL_F16)
            ((uint16_t *)packed)[i] = half_from_f32(t->f32[i]);
        else if (t->f32)
            ((float *)packed)[i] = t->f32[i];
        else
            ((int32_t *)packed)[i] = t->i32[i];
    }
}

bool backend_run(Backend *b, BackendState *s, char *why, size_t n_why) {
    Err err = {0};
    if (engine_run(b->engine, s ? s->state : NULL, &err)) return true;
    snprintf(why, n_why, "%s", err.text);
    return false;
}

size_t backend_n_ops(const Backend *b) {
    return b->function->n_ops;
}

void backend_op(const Backend *b, size_t i, char op[64], char output[128], bool *is_constant) {
    const MilOp *o = &b->function->ops[i];
    const char *name = o->info->name;
    snprintf(op, 64, "ios18.%s", name);
    copy_name(output, 128, b->function->values[o->first_output].name);
    *is_constant = strncmp(name, "const", 5) == 0;
}

bool backend_function_name(const Backend *b, size_t i, char name[128]) {
    if (i >= b->package.program->n_functions) return false;
    copy_name(name, 128, b->package.program->functions[i]->name);
    return true;
}
