// runner_coreml.c — functions of packages by Core ML (coreml/device.h). The package is compiled once
// a machine and kept (coreml/cache.h); each function is a model of its own, and all of a package
// share one MLState.
//
// The framework has a limited number of IOSurface objects for a process; public projects ran out of
// them after some hundred calls, and cured it by loading the model again. That fails before the
// program starts, so that the states are still those of the last run: they are carried over to a
// state of the new instance, and the run is repeated once.
#include "runtime/runner_coreml.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/half.h"
#include "base/memory.h"
#include "coreml/cache.h"
#include "coreml/device.h"
#include "coreml/machine.h"

typedef struct {
    Runner runner;
    Arena arena;
    const char *compiled, *function;
    CoremlModel *model;
    RunnerPort *ports;          // inputs, then outputs, in the function's order
    const CoremlPort **devices; // the same ports as the device has them
} CoremlRunner;

typedef struct {
    RunnerState state;
    CoremlRunner *maker;
    CoremlState *tensors;
} DeviceState;

// Never the GPU (coreml/device.h); the plan is asked for with the same.
static const CoremlUnits units = COREML_CPU_AND_ANE;

// ---- opening

static bool list_ports(CoremlRunner *c, const MilFunction *f, Err *err) {
    size_t n = (size_t)f->n_inputs + f->n_outputs;
    c->ports = arena_array(&c->arena, n, RunnerPort);
    c->devices = arena_array(&c->arena, n, const CoremlPort *);
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool is_input = i < f->n_inputs;
        const MilValue *v = mil_value(f, is_input ? f->inputs[i] : f->outputs[i - f->n_inputs]);
        if (v->type.is_state) continue;
        const CoremlPort *p =
            is_input ? coreml_input(c->model, v->name) : coreml_output(c->model, v->name);
        size_t count;
        if (!p || !mil_type_count(&v->type, &count) || count != p->count)
            return err_set(err, ERR_FORMAT,
                           "%s '%.*s': Core ML describes %zu elements, the program another number",
                           is_input ? "input" : "output", STR_ARG(v->name), p ? p->count : 0);
        c->ports[k] = (RunnerPort){v->name, p->count, p->type != COREML_INT32};
        c->devices[k++] = p;
        if (is_input)
            c->runner.n_inputs++;
        else
            c->runner.n_outputs++;
    }
    c->runner.inputs = c->ports;
    c->runner.outputs = c->ports + c->runner.n_inputs;
    return true;
}

static bool open_all(CoremlRunner *c, const Package *package, Str function, Err *err) {
    CoremlSource source = {.package = package->path,
                           .program = package->model.at,
                           .n_program = package->model.len,
                           .weights = package->weights.at,
                           .n_weights = package->weights.len};
    const MilFunction *f = mil_find_function(package->program, function);
    if (!f)
        return err_set(err, ERR_FORMAT, "%s: no function '%.*s'", package->path, STR_ARG(function));
    c->compiled = coreml_compiled(&source, NULL, &c->arena, err);
    if (!c->compiled) return false;
    c->function = package->program->n_functions > 1 ? arena_cstr(&c->arena, function) : NULL;
    c->model = coreml_open(c->compiled, c->function, units, err);
    return c->model && list_ports(c, f, err);
}

static void close_coreml(Runner *r) {
    CoremlRunner *c = (CoremlRunner *)r;
    coreml_close(c->model);
    arena_free(&c->arena);
    free(c);
}

static Runner *open_coreml(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                           Err *err) {
    (void)arithmetic, (void)pool;
    CoremlRunner *c = calloc(1, sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    c->runner.ops = &runner_coreml;
    if (open_all(c, package, function, err)) return &c->runner;
    close_coreml(&c->runner);
    return NULL;
}

// ---- ports

static void write_input(Runner *r, uint32_t input, const void *values) {
    const CoremlPort *p = ((CoremlRunner *)r)->devices[input];
    const float *numbers = values;
    if (p->type != COREML_FP16) {
        memcpy(p->at, values, p->count * sizeof(float)); // an int32 is as long
        return;
    }
    for (size_t i = 0; i < p->count; i++) ((uint16_t *)p->at)[i] = half_from_f32(numbers[i]);
}

static void read_output(const Runner *r, uint32_t output, float *values) {
    const CoremlPort *p = ((const CoremlRunner *)r)->devices[r->n_inputs + output];
    if (p->type != COREML_FP16) {
        memcpy(values, p->at, p->count * sizeof *values);
        return;
    }
    for (size_t i = 0; i < p->count; i++) values[i] = f32_from_half(((const uint16_t *)p->at)[i]);
}

// ---- states

// The state `i` of the runner that made `s`, copied out; NULL and `err` when it cannot be read.
static uint16_t *read_state(const DeviceState *s, size_t i, Err *err) {
    const CoremlPort *p = coreml_state_at(s->maker->model, i);
    uint16_t *numbers = big_alloc(p->count * sizeof *numbers, "a copy of a state", err);
    if (numbers && coreml_state_read(s->tensors, p->name, numbers, p->count, err)) return numbers;
    free(numbers);
    return NULL;
}

static bool write_state(DeviceState *s, size_t i, const uint16_t *numbers, Err *err) {
    const CoremlPort *p = coreml_state_at(s->maker->model, i);
    return coreml_state_write(s->tensors, p->name, numbers, p->count, err);
}

static bool refuse_lost_state(Err *err) {
    return err_set(err, ERR_SYSTEM, "the framework made no new state after a reset");
}

static RunnerState *open_state(Runner *r, Err *err) {
    CoremlRunner *c = (CoremlRunner *)r;
    CoremlState *tensors = coreml_state_open(c->model, err);
    if (!tensors) return NULL;
    DeviceState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (DeviceState){.state.ops = &runner_coreml, .maker = c, .tensors = tensors};
    return &s->state;
}

static void close_state(RunnerState *state) {
    coreml_state_close(((DeviceState *)state)->tensors);
    free(state);
}

// A new state holds zeros; after an error the old one's contents are unknown anyway.
static void reset_state(RunnerState *state) {
    DeviceState *s = (DeviceState *)state;
    coreml_state_close(s->tensors);
    s->tensors = coreml_state_open(s->maker->model, NULL);
}

static void copy_state(RunnerState *to, const RunnerState *from) {
    const DeviceState *source = (const DeviceState *)from;
    for (size_t i = 0; i < coreml_n_states(source->maker->model); i++) {
        uint16_t *numbers = read_state(source, i, NULL);
        if (numbers) write_state((DeviceState *)to, i, numbers, NULL);
        free(numbers);
    }
}

// Slots are the dimension before the last. Numbers of one slot; 0 for a state without slots.
static size_t slot_count(const CoremlPort *p) {
    return p->n_dims >= 2 ? p->count / p->dims[p->n_dims - 2] : 0;
}

static void copy_slots(RunnerState *state, uint32_t to, uint32_t from, uint32_t n) {
    DeviceState *s = (DeviceState *)state;
    for (size_t i = 0; i < coreml_n_states(s->maker->model); i++) {
        const CoremlPort *p = coreml_state_at(s->maker->model, i);
        uint16_t *numbers = slot_count(p) ? read_state(s, i, NULL) : NULL;
        if (!numbers) continue;
        size_t width = p->dims[p->n_dims - 1], slots = p->dims[p->n_dims - 2];
        for (size_t at = 0; at < p->count; at += slots * width)
            memmove(numbers + at + to * width, numbers + at + from * width,
                    n * width * sizeof *numbers);
        write_state(s, i, numbers, NULL);
        free(numbers);
    }
}

static RunnerPort state_at(const RunnerState *state, uint32_t i) {
    const DeviceState *s = (const DeviceState *)state;
    if (i >= coreml_n_states(s->maker->model)) return (RunnerPort){.count = 0};
    const CoremlPort *p = coreml_state_at(s->maker->model, i);
    return (RunnerPort){str_of(p->name), slot_count(p), true};
}

// [n, matrices, width] of a state [matrices, slots, width].
static bool read_slots(const RunnerState *state, uint32_t i, uint32_t n, float *values, Err *err) {
    const DeviceState *s = (const DeviceState *)state;
    if (!s->tensors) return refuse_lost_state(err);
    const CoremlPort *p = coreml_state_at(s->maker->model, i);
    uint16_t *numbers = read_state(s, i, err);
    if (!numbers) return false;
    size_t width = p->dims[p->n_dims - 1], slots = p->dims[p->n_dims - 2];
    size_t n_matrices = p->count / slots / width;
    assert(n <= slots);
    for (size_t slot = 0; slot < n; slot++)
        for (size_t m = 0; m < n_matrices; m++)
            for (size_t k = 0; k < width; k++)
                *values++ = f32_from_half(numbers[(m * slots + slot) * width + k]);
    free(numbers);
    return true;
}

// ---- running

// The inputs of the new instance hold what those of the old one held.
static void take_model(CoremlRunner *c, CoremlModel *fresh) {
    for (uint32_t i = 0; i < c->runner.n_inputs + c->runner.n_outputs; i++) {
        bool is_input = i < c->runner.n_inputs;
        const CoremlPort *p = is_input ? coreml_input(fresh, c->ports[i].name)
                                       : coreml_output(fresh, c->ports[i].name);
        size_t element = p->type == COREML_FP16 ? sizeof(uint16_t) : sizeof(float);
        if (is_input) memcpy(p->at, c->devices[i]->at, p->count * element);
        c->devices[i] = p;
    }
    coreml_close(c->model);
    c->model = fresh;
}

// Loads the model again, and moves what `s` holds into a state of the new instance.
static bool reload(CoremlRunner *c, DeviceState *s, Err *err) {
    size_t n = s ? coreml_n_states(c->model) : 0;
    uint16_t **kept = calloc(n + 1, sizeof *kept);
    if (!kept) die_out_of_memory((n + 1) * sizeof *kept);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) ok = (kept[i] = read_state(s, i, err)) != NULL;
    CoremlModel *fresh = ok ? coreml_open(c->compiled, c->function, units, err) : NULL;
    ok = fresh != NULL;
    if (ok && s) {
        coreml_state_close(s->tensors);
        s->tensors = coreml_state_open(fresh, err);
        ok = s->tensors != NULL;
    }
    if (fresh) take_model(c, fresh);
    for (size_t i = 0; i < n; i++) {
        if (ok) ok = write_state(s, i, kept[i], err);
        free(kept[i]);
    }
    free(kept);
    return ok;
}

static bool run_coreml(Runner *r, RunnerState *state, Err *err) {
    CoremlRunner *c = (CoremlRunner *)r;
    DeviceState *s = (DeviceState *)state;
    if (s && !s->tensors) return refuse_lost_state(err);
    bool is_exhausted = false;
    Err why = {0};
    if (coreml_run(c->model, s ? s->tensors : NULL, &is_exhausted, &why)) return true;
    if (is_exhausted && reload(c, s, &why) &&
        coreml_run(c->model, s ? s->tensors : NULL, NULL, &why))
        return true;
    if (err) *err = why;
    return false;
}

// ---- plans

typedef struct {
    RunnerPlanTaker *take;
    void *context;
} PlanTaking;

static void take_planned(void *context, const CoremlPlanOp *op) {
    static const RunnerDevice devices[] = {[COREML_ON_CPU] = RUNNER_ON_CPU,
                                           [COREML_ON_GPU] = RUNNER_ON_GPU,
                                           [COREML_ON_ANE] = RUNNER_ON_ANE};
    const PlanTaking *t = context;
    RunnerPlannedOp planned = {op->op, op->output, devices[op->preferred]};
    if (op->has_usage) t->take(t->context, &planned);
}

static bool plan_coreml(Runner *r, RunnerPlanTaker *take, void *context, Err *err) {
    const CoremlRunner *c = (const CoremlRunner *)r;
    PlanTaking t = {take, context};
    return coreml_plan(c->compiled, c->function, units, take_planned, &t, err);
}

static void describe_machine(RunnerMachine *m) {
    CoremlMachine found;
    coreml_machine(&found);
    *m = (RunnerMachine){.is_device = found.is_apple,
                         .has_ane = found.n_ane_cores > 0,
                         .is_virtual = found.is_virtual,
                         .n_ane_cores = (uint32_t)found.n_ane_cores,
                         .os = found.os};
    static_assert(sizeof m->chip == sizeof found.chip && sizeof m->build == sizeof found.build,
                  "words are as long");
    memcpy(m->chip, found.chip, sizeof m->chip);
    memcpy(m->model, found.model, sizeof m->model);
    memcpy(m->system, found.system, sizeof m->system);
    memcpy(m->build, found.build, sizeof m->build);
    memcpy(m->framework, found.framework, sizeof m->framework);
}

const RunnerOps runner_coreml = {
    .open = open_coreml,
    .close = close_coreml,
    .write = write_input,
    .read = read_output,
    .run = run_coreml,
    .state_open = open_state,
    .state_close = close_state,
    .state_reset = reset_state,
    .state_copy = copy_state,
    .state_copy_slots = copy_slots,
    .may_lose_states = true,
    .state_at = state_at,
    .state_read = read_slots,
    .plan = plan_coreml,
    .machine = describe_machine,
    .tapped = NULL,
};
