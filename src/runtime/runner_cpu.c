// runner_cpu.c — functions of packages on the CPU engine (engine/engine.h). Ports are the engine's
// own buffers of floats and int32, so writing and reading are copies.
#include "runtime/runner_cpu.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "decoder/ports.h"

typedef struct {
    Runner runner;
    const Package *package;
    Engine *engine;
    bool rounds;       // states to binary16, where the program declares them so
    RunnerPort *ports; // inputs, then outputs
} CpuRunner;

typedef struct {
    RunnerState state;
    EngineState *tensors;
    bool rounds;
} CpuState;

static RunnerPort port_of(const EngineTensor *t) {
    return (RunnerPort){.name = t->name, .count = t->count, .is_float = t->f32 != NULL};
}

static void list_ports(CpuRunner *c) {
    uint32_t n_inputs = 0, n_outputs = 0;
    while (engine_input_at(c->engine, n_inputs)) n_inputs++;
    while (engine_output_at(c->engine, n_outputs)) n_outputs++;
    size_t n = (size_t)n_inputs + n_outputs + 1;
    c->ports = calloc(n, sizeof *c->ports);
    if (!c->ports) die_out_of_memory(n * sizeof *c->ports);
    for (uint32_t i = 0; i < n_inputs; i++) c->ports[i] = port_of(engine_input_at(c->engine, i));
    for (uint32_t i = 0; i < n_outputs; i++)
        c->ports[n_inputs + i] = port_of(engine_output_at(c->engine, i));
    c->runner.inputs = c->ports;
    c->runner.outputs = c->ports + n_inputs;
    c->runner.n_inputs = n_inputs;
    c->runner.n_outputs = n_outputs;
}

static Runner *open_cpu(const Package *package, Str function, const RunnerOpening *how, Err *err) {
    Engine *engine =
        engine_open_holding(package, function, how->arithmetic, how->pool, port_is_cache, err);
    if (!engine) return NULL;
    CpuRunner *c = calloc(1, sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    *c = (CpuRunner){.runner.ops = &runner_cpu,
                     .package = package,
                     .engine = engine,
                     .rounds = arithmetic_rounds(how->arithmetic)};
    list_ports(c);
    return &c->runner;
}

static void close_cpu(Runner *r) {
    CpuRunner *c = (CpuRunner *)r;
    engine_close(c->engine);
    free(c->ports);
    free(c);
}

static void write_input(Runner *r, uint32_t input, const void *values) {
    EngineTensor *t = engine_input_at(((CpuRunner *)r)->engine, input);
    void *to = t->f32 ? (void *)t->f32 : (void *)t->i32;
    memcpy(to, values, t->count * sizeof(float)); // an int32 is as long
}

static void read_output(const Runner *r, uint32_t output, float *values) {
    const EngineTensor *t = engine_output_at(((const CpuRunner *)r)->engine, output);
    memcpy(values, t->f32, t->count * sizeof *values);
}

static bool run_cpu(Runner *r, RunnerState *state, Err *err) {
    return engine_run(((CpuRunner *)r)->engine, state ? ((CpuState *)state)->tensors : NULL, err);
}

static bool put_rows(Runner *r, RunnerState *state, Str cache, uint32_t output, uint32_t at,
                     Err *err) {
    const EngineTensor *rows = engine_output_at(((CpuRunner *)r)->engine, output);
    return engine_state_put_rows(((CpuState *)state)->tensors, cache, rows, at, err);
}

static RunnerState *open_state(Runner *r, Err *err) {
    EngineState *tensors = engine_state_open_holding(((CpuRunner *)r)->package, port_is_cache, err);
    if (!tensors) return NULL;
    CpuState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (CpuState){
        .state.ops = &runner_cpu, .tensors = tensors, .rounds = ((CpuRunner *)r)->rounds};
    return &s->state;
}

static void close_state(RunnerState *s) {
    engine_state_close(((CpuState *)s)->tensors);
    free(s);
}

static void reset_state(RunnerState *s) {
    engine_state_reset(((CpuState *)s)->tensors);
}

static void copy_state(RunnerState *to, const RunnerState *from) {
    const CpuState *state = (const CpuState *)to;
    engine_state_copy(state->tensors, ((const CpuState *)from)->tensors, state->rounds);
}

static void gather_slots(RunnerState *s, uint32_t n_slots, const uint32_t *from, uint32_t n) {
    engine_state_gather_rows(((CpuState *)s)->tensors, n_slots, from, n);
}

// Slots are the dimension before the last.
static RunnerPort state_at(const RunnerState *s, uint32_t i) {
    const EngineTensor *t = engine_state_at(((const CpuState *)s)->tensors, i);
    if (!t || t->type.rank < 2) return (RunnerPort){.count = 0};
    size_t slots = (size_t)t->type.dims[t->type.rank - 2];
    return (RunnerPort){t->name, slots ? t->count / slots : 0, t->f32 != NULL};
}

// [n, matrices, width] of a state [matrices, slots, width].
static bool read_slots(const RunnerState *s, uint32_t i, uint32_t n, float *values, Err *err) {
    const EngineTensor *t = engine_state_at(((const CpuState *)s)->tensors, i);
    (void)err;
    size_t width = (size_t)t->type.dims[t->type.rank - 1];
    size_t slots = (size_t)t->type.dims[t->type.rank - 2], n_matrices = t->count / slots / width;
    assert(n <= slots);
    for (size_t slot = 0; slot < n; slot++)
        for (size_t m = 0; m < n_matrices; m++, values += width)
            memcpy(values, t->f32 + (m * slots + slot) * width, width * sizeof *values);
    return true;
}

static Engine *tapped_engine(Runner *r) {
    return ((CpuRunner *)r)->engine;
}

const RunnerOps runner_cpu = {
    .open = open_cpu,
    .close = close_cpu,
    .write = write_input,
    .read = read_output,
    .run = run_cpu,
    .put_rows = put_rows,
    .state_open = open_state,
    .state_close = close_state,
    .state_reset = reset_state,
    .state_copy = copy_state,
    .state_gather = gather_slots,
    .state_at = state_at,
    .state_read = read_slots,
    .tapped = tapped_engine,
};
