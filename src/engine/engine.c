// Opens an engine, and runs its ops in order.
#include <stdlib.h>
#include <string.h>

#include "engine/pass.h"
#include "engine/prepare.h"

static bool tensor_init(EngineTensor *t, const MilFunction *f, uint32_t v, Err *err) {
    const MilValue *value = &f->values[v];
    *t = (EngineTensor){.name = value->name, .type = value->type};
    t->type.is_state = false;
    if (value->type.dtype == MIL_STRING || mil_type_count(&value->type, &t->count)) {
        size_t bytes;
        if (mul_size(t->count, sizeof(float), &bytes) && bytes < SIZE_MAX / 4) return true;
        return err_set(err, ERR_FORMAT, "function '%.*s': '%.*s' is too large", STR_ARG(f->name),
                       STR_ARG(value->name));
    }
    StrBuf type = {0};
    mil_type_print(&value->type, &type);
    err_set(err, ERR_FORMAT,
            "function '%.*s': '%.*s' is %s, a shape not known before the run; the engine runs "
            "fixed shapes only",
            STR_ARG(f->name), STR_ARG(value->name), type.at);
    strbuf_free(&type);
    return false;
}

static bool init_values(Engine *e, EngineHolds *holds, Err *err) {
    const MilFunction *f = e->f;
    e->tensors = arena_array(&e->arena, f->n_values + 1, EngineTensor);
    e->storages = arena_array(&e->arena, f->n_values + 1, ValueStorage);
    for (uint32_t v = 0; v < f->n_values; v++) {
        if (!tensor_init(&e->tensors[v], f, v, err)) return false;
        e->storages[v] = (ValueStorage){.root = v};
    }
    e->states = arena_array(&e->arena, f->n_inputs + 1, StateRef);
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        uint32_t v = f->inputs[i].at;
        bool is_kept = f->values[v].type.is_state || (holds && holds(f->values[v].name));
        e->storages[v].kind = is_kept ? STORED_IN_STATE : STORED_AS_INPUT;
        if (!is_kept) continue;
        e->storages[v].slot = e->n_states;
        e->states[e->n_states++].value = v;
    }
    return true;
}

// Every op must be in the table before any work is done.
static bool check_ops(const Engine *e, Err *err) {
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        const MilOp *op = &e->f->ops[i];
        if (!op_row(op->info))
            return err_set(
                err, ERR_FORMAT,
                "function '%.*s', op '%.*s': the engine has no %s (`lathe run --ops` lists what "
                "it has)",
                STR_ARG(e->f->name), STR_ARG(op->name), op->info->name);
    }
    return true;
}

static bool prepare_ops(Engine *e, Err *err) {
    e->nodes = arena_array(&e->arena, e->f->n_ops + 1, Node);
    for (uint32_t i = 0; i < e->f->n_ops; i++) {
        const MilOp *op = &e->f->ops[i];
        Node *n = &e->nodes[i];
        *n = (Node){
            .op = op,
            .row = op_row(op->info),
            .output = &e->tensors[op->first_output],
        };
        bool is_half = op->n_outputs && n->output->type.dtype == MIL_F16;
        n->rules = is_half ? e->rules : arithmetic_rules(ARITHMETIC_FP32);
        Prepare p = {e, e->f, op, n, i, err};
        if (!n->row->prepare(&p)) return false;
    }
    return true;
}

static void list_state_values(Engine *e) {
    e->in_states = arena_array(&e->arena, e->f->n_values + 1, uint32_t);
    for (uint32_t v = 0; v < e->f->n_values; v++)
        if (e->storages[e->storages[v].root].kind == STORED_IN_STATE)
            e->in_states[e->n_in_states++] = v;
}

static void no_function(const MilProgram *program, Str function, Err *err) {
    StrBuf names = {0};
    for (uint32_t i = 0; i < program->n_functions; i++)
        strbuf_printf(&names, "%s%.*s", i ? ", " : "", STR_ARG(program->functions[i]->name));
    err_set(err, ERR_FORMAT, "the package has no function '%.*s', expected one of: %s",
            STR_ARG(function), names.at ? names.at : "");
    strbuf_free(&names);
}

static Engine *open_engine(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                           unsigned plan, EngineHolds *holds, Err *err) {
    const MilFunction *f = mil_find_function(package->program, function);
    if (!f) {
        no_function(package->program, function, err);
        return NULL;
    }
    Engine *e = calloc(1, sizeof *e);
    if (!e) die_out_of_memory(sizeof *e);
    *e = (Engine){.package = package, .f = f, .rules = arithmetic_rules(arithmetic), .pool = pool};
    e->k = kernels_choose(err);
    if (!e->k) goto fail;
    e->outputs = arena_array(&e->arena, f->n_outputs + 1, EngineTensor);
    e->copies_output = arena_array(&e->arena, f->n_outputs + 1, bool);
    if (!check_ops(e, err)) goto fail;
    if (!init_values(e, holds, err)) goto fail;
    if (!prepare_ops(e, err)) goto fail;
    if (plan & PLAN_RUNS_PASSES && !passes_run(e, err)) goto fail;
    if (!plan_buffers(e, plan & PLAN_REUSES_BUFFERS, err)) goto fail;
    list_state_values(e);
    return e;

fail:
    engine_close(e);
    return NULL;
}

Engine *engine_open_planned(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                            unsigned plan, Err *err) {
    return open_engine(package, function, arithmetic, pool, plan, NULL, err);
}

Engine *engine_open_holding(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                            EngineHolds *holds, Err *err) {
    return open_engine(package, function, arithmetic, pool, PLAN_WHOLE, holds, err);
}

Engine *engine_open(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                    Err *err) {
    return engine_open_planned(package, function, arithmetic, pool, PLAN_WHOLE, err);
}

EngineTensor *engine_input(Engine *e, Str name) {
    for (uint32_t i = 0; i < e->f->n_inputs; i++) {
        uint32_t v = e->f->inputs[i].at;
        if (e->storages[v].kind == STORED_AS_INPUT && str_eq(e->tensors[v].name, name))
            return &e->tensors[v];
    }
    return NULL;
}

EngineTensor *engine_input_at(Engine *e, uint32_t i) {
    for (uint32_t k = 0; k < e->f->n_inputs; k++) {
        uint32_t v = e->f->inputs[k].at;
        if (e->storages[v].kind == STORED_AS_INPUT && i-- == 0) return &e->tensors[v];
    }
    return NULL;
}

const EngineTensor *engine_output(const Engine *e, Str name) {
    for (uint32_t i = 0; i < e->f->n_outputs; i++)
        if (str_eq(e->outputs[i].name, name)) return &e->outputs[i];
    return NULL;
}

const EngineTensor *engine_output_at(const Engine *e, uint32_t i) {
    return i < e->f->n_outputs ? &e->outputs[i] : NULL;
}

size_t engine_workspace_bytes(const Engine *e) {
    return e->workspace_bytes;
}

void engine_set_tap(Engine *e, EngineTap *tap, void *context) {
    e->tap = tap;
    e->tap_context = context;
}

static bool bind_states(Engine *e, EngineState *state, Err *err) {
    for (uint32_t i = 0; i < e->n_states; i++) {
        const EngineTensor *wanted = &e->tensors[e->states[i].value];
        StateBuffer *found = state ? state_buffer_find(state, wanted->name) : NULL;
        if (!found || !mil_type_eq(&found->tensor.type, &wanted->type))
            return err_set(err, ERR_FORMAT, "function '%.*s': state '%.*s' is %s",
                           STR_ARG(e->f->name), STR_ARG(wanted->name),
                           found ? "given with another type" : "not given");
        e->states[i].bound = found;
    }
    for (uint32_t i = 0; i < e->n_in_states; i++) {
        uint32_t v = e->in_states[i];
        const ValueStorage *stored = &e->storages[v];
        const EngineTensor *bound = &e->states[e->storages[stored->root].slot].bound->tensor;
        if (bound->f32) e->tensors[v].f32 = bound->f32 + stored->at;
        if (bound->i32) e->tensors[v].i32 = bound->i32 + stored->at;
    }
    return true;
}

static void copy_tensor(EngineTensor *to, const EngineTensor *from) {
    if (to->f32) memcpy(to->f32, from->f32, to->count * sizeof *to->f32);
    if (to->i32) memcpy(to->i32, from->i32, to->count * sizeof *to->i32);
}

bool engine_run(Engine *e, EngineState *state, Err *err) {
    const MilFunction *f = e->f;
    if (!bind_states(e, state, err)) return false;
    for (uint32_t i = 0; e->rules->round && i < f->n_inputs; i++) {
        EngineTensor *t = &e->tensors[f->inputs[i].at];
        if (e->storages[f->inputs[i].at].kind == STORED_AS_INPUT && t->type.dtype == MIL_F16)
            e->k->round_half(t->f32, t->count);
    }
    for (uint32_t i = 0; i < f->n_ops; i++) {
        const Node *n = &e->nodes[i];
        if (n->span && !e->tap) { // a tap sees every value
            if (!n->span->run(e, n->span, err)) return false;
            i += n->span->n_ops - 1;
            continue;
        }
        if (!n->row->run && !n->is_view) continue; // constants
        if (!n->is_view && !n->row->run(e, n, err)) return false;
        for (uint32_t o = 0; e->tap && o < n->op->n_outputs; o++)
            e->tap(e->tap_context, n->op, &n->output[o]);
    }
    for (uint32_t i = 0; i < f->n_outputs; i++)
        if (e->copies_output[i]) copy_tensor(&e->outputs[i], &e->tensors[f->outputs[i].at]);
    return true;
}

void engine_close(Engine *e) {
    if (!e) return;
    free(e->workspace);
    free(e->constants);
    free(e->inputs);
    free(e->scratch);
    free(e->copies);
    arena_free(&e->arena);
    free(e);
}
