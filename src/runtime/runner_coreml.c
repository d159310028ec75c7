// runner_coreml.c — functions of packages by Core ML (coreml/device.h). The package is compiled once
// a machine and kept (coreml/cache.h); each function is a model of its own, and all of a package
// share one MLState.
//
// The framework has a limited number of IOSurface objects for a process; public projects ran out of
// them after some hundred calls, and cured it by loading the model again. That fails before the
// program starts, so that the states are still those of the last run: they are carried over to a
// state of the new instance, and the run is repeated once. The old instance is closed first.
#include "runtime/runner_coreml.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/usage.h"
#include "coreml/device.h"
#include "coreml/errors.h"
#include "coreml/log.h"
#include "coreml/machine.h"
#include "decoder/ports.h"
#include "runtime/coreml_prepare.h"

// An input that belongs to states. The framework may hold its array after a run: then another one, whose
// numbers are unknown, has taken its place.
typedef struct DeviceCache {
    CoremlPort shape;         // with a name of its own, whatever becomes of the model
    const CoremlPort *device; // the input as it is now
    const void *given;        // its array when it was last written
} DeviceCache;

typedef struct {
    Runner runner;
    Arena arena;
    CoremlCompiled compiled;
    const char *function; // NULL: the only one
    CoremlModel *model;
    RunnerTimes times;
    uint64_t reloaded_at;       // n_runs then
    CoremlCounts before;        // of instances before this one
    RunnerPort *ports;          // inputs, then outputs, in the function's order
    const CoremlPort **devices; // the same ports as the device has them
    struct DeviceCache *caches; // inputs that belong to states (runner.h), in the function's order
    size_t n_caches;
    const void *holds;      // the DeviceState whose caches lie in those inputs…
    uint64_t holds_version; // …as they were then
} CoremlRunner;

// What a package keeps: states of the framework or, where its functions have none, caches.
typedef struct {
    RunnerState state;
    CoremlRunner *maker;
    CoremlState *tensors; // NULL where the package has no states
    uint16_t **caches;    // [maker->n_caches]
    uint64_t version;     // of the caches: another one after each change
} DeviceState;

// Never the GPU (coreml/device.h); the plan is asked for with the same.
static const CoremlUnits units = COREML_CPU_AND_ANE;

// ---- opening

static bool list_ports(CoremlRunner *c, const MilFunction *f, Err *err) {
    size_t n = (size_t)f->n_inputs + f->n_outputs;
    c->ports = arena_array(&c->arena, n, RunnerPort);
    c->devices = arena_array(&c->arena, n, const CoremlPort *);
    c->caches = arena_array(&c->arena, n, DeviceCache);
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
        if (is_input && p->type == COREML_FP16 && p->n_dims >= 2 && port_is_cache(v->name)) {
            DeviceCache *cache = &c->caches[c->n_caches++];
            *cache = (DeviceCache){.shape = *p, .device = p};
            cache->shape.name = arena_cstr(&c->arena, v->name);
            continue;
        }
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

// Loads it in this process, where the process of its own has shown that it runs. What the framework
// writes on stderr meanwhile is kept, and a text by which it says that it goes on elsewhere counts.
static bool load(CoremlRunner *c, CoremlModel **model, Err *err) {
    Arena scratch = {0};
    double started = now_seconds();
    LogCatch caught = log_catch_begin(c->compiled.log);
    *model = coreml_open(c->compiled.path, c->function, units, err);
    log_catch_end(&caught);
    c->times.load = now_seconds() - started;
    Str wrote = log_read_from(c->compiled.log, caught.from, &scratch);
    bool ok = *model != NULL;
    if (ok && coreml_error_find_silent(wrote.at)) {
        ok = coreml_error_set_silent(err, c->compiled.path, wrote.at, c->compiled.log);
        coreml_close(*model);
        *model = NULL;
    }
    arena_free(&scratch);
    return ok;
}

static bool open_all(CoremlRunner *c, const Package *package, Str function,
                     const Progress *progress, Err *err) {
    CoremlSource source = coreml_source(package, &c->arena);
    const MilFunction *f = mil_find_function(package->program, function);
    if (!f)
        return err_set(err, ERR_FORMAT, "%s: no function '%.*s'", package->path, STR_ARG(function));
    if (!coreml_compiled(&c->compiled, &source, progress, &c->arena, err)) return false;
    const char *name = arena_cstr(&c->arena, function);
    c->function = package->program->n_functions > 1 ? name : NULL;
    c->times = (RunnerTimes){.log = c->compiled.log};
    coreml_first_times(&c->compiled, name, &c->times);
    return load(c, &c->model, err) && list_ports(c, f, err);
}

static void close_coreml(Runner *r) {
    CoremlRunner *c = (CoremlRunner *)r;
    coreml_close(c->model);
    arena_free(&c->arena);
    free(c);
}

// Core ML computes in fp16, with threads of its own.
static Runner *open_coreml(const Package *package, Str function, const RunnerOpening *how,
                           Err *err) {
    CoremlRunner *c = calloc(1, sizeof *c);
    if (!c) die_out_of_memory(sizeof *c);
    c->runner.ops = &runner_coreml;
    if (open_all(c, package, function, how->progress, err)) return &c->runner;
    close_coreml(&c->runner);
    return NULL;
}

// ---- ports

static size_t port_bytes(const CoremlPort *p) {
    return p->count * (p->type == COREML_FP16 ? sizeof(uint16_t) : sizeof(float));
}

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

// None once the model is gone (exchange()).
static size_t n_states(const DeviceState *s) {
    if (s->caches) return s->maker->n_caches;
    return s->tensors && s->maker->model ? coreml_n_states(s->maker->model) : 0;
}

static const CoremlPort *port_at(const DeviceState *s, size_t i) {
    return s->caches ? &s->maker->caches[i].shape : coreml_state_at(s->maker->model, i);
}

// The state `i` of the runner that made `s`, copied out; NULL and `err` when it cannot be read.
static uint16_t *read_state(const DeviceState *s, size_t i, Err *err) {
    const CoremlPort *p = port_at(s, i);
    uint16_t *numbers = big_alloc(p->count * sizeof *numbers, "a copy of a state", err);
    if (numbers && s->caches) {
        memcpy(numbers, s->caches[i], p->count * sizeof *numbers);
        return numbers;
    }
    if (numbers && coreml_state_read(s->tensors, p->name, numbers, p->count, err)) return numbers;
    free(numbers);
    return NULL;
}

static bool write_state(DeviceState *s, size_t i, const uint16_t *numbers, Err *err) {
    const CoremlPort *p = port_at(s, i);
    if (!s->caches) return coreml_state_write(s->tensors, p->name, numbers, p->count, err);
    memcpy(s->caches[i], numbers, p->count * sizeof *numbers);
    s->version++;
    return true;
}

static bool refuse_lost_state(Err *err) {
    return err_set(err, ERR_SYSTEM, "Core ML made no new state after a reset");
}

static bool is_lost(const DeviceState *s) {
    return !s->caches && !s->tensors;
}

static bool open_caches(DeviceState *s, Err *err) {
    size_t n = s->maker->n_caches;
    s->caches = calloc(n, sizeof *s->caches);
    if (!s->caches) die_out_of_memory(n * sizeof *s->caches);
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes = s->maker->caches[i].shape.count * sizeof **s->caches;
        s->caches[i] = big_alloc(n_bytes, "a KV cache", err);
        if (!s->caches[i]) return false;
    }
    return true;
}

static void close_state(RunnerState *state) {
    DeviceState *s = (DeviceState *)state;
    coreml_state_close(s->tensors);
    for (size_t i = 0; s->caches && i < s->maker->n_caches; i++) free(s->caches[i]);
    free(s->caches);
    free(s);
}

static RunnerState *open_state(Runner *r, Err *err) {
    CoremlRunner *c = (CoremlRunner *)r;
    DeviceState *s = calloc(1, sizeof *s);
    if (!s) die_out_of_memory(sizeof *s);
    *s = (DeviceState){.state.ops = &runner_coreml, .maker = c};
    if (!c->n_caches) s->tensors = coreml_state_open(c->model, err);
    if (c->n_caches ? open_caches(s, err) : s->tensors != NULL) return &s->state;
    close_state(&s->state);
    return NULL;
}

// A new state holds zeros; after an error the old one's contents are unknown anyway.
static void reset_state(RunnerState *state) {
    DeviceState *s = (DeviceState *)state;
    for (size_t i = 0; s->caches && i < s->maker->n_caches; i++)
        memset(s->caches[i], 0, s->maker->caches[i].shape.count * sizeof **s->caches);
    s->version++;
    if (s->caches) return;
    coreml_state_close(s->tensors);
    s->tensors = s->maker->model ? coreml_state_open(s->maker->model, NULL) : NULL;
}

static void copy_state(RunnerState *to, const RunnerState *from) {
    const DeviceState *source = (const DeviceState *)from;
    for (size_t i = 0; i < n_states(source); i++) {
        uint16_t *numbers = read_state(source, i, NULL);
        if (numbers) write_state((DeviceState *)to, i, numbers, NULL);
        free(numbers);
    }
}

// Slots are the dimension before the last. Numbers of one slot; 0 for a state without slots.
static size_t slot_count(const CoremlPort *p) {
    return p->n_dims >= 2 ? p->count / p->dims[p->n_dims - 2] : 0;
}

// Rows of one matrix [slots, width]; `old` has room for it.
static void gather(uint16_t *matrix, size_t width, size_t slots, const uint32_t *from, uint32_t n,
                   uint16_t *old) {
    memcpy(old, matrix, slots * width * sizeof *old);
    for (uint32_t i = 0; i < n; i++)
        memcpy(matrix + i * width, old + from[i] * width, width * sizeof *old);
}

static void gather_slots(RunnerState *state, uint32_t n_slots, const uint32_t *from, uint32_t n) {
    DeviceState *s = (DeviceState *)state;
    for (size_t i = 0; i < n_states(s); i++) {
        const CoremlPort *p = port_at(s, i);
        if (!slot_count(p) || p->dims[p->n_dims - 2] != n_slots) continue;
        size_t width = p->dims[p->n_dims - 1];
        uint16_t *numbers = read_state(s, i, NULL);
        uint16_t *old = big_alloc(n_slots * width * sizeof *old, "slots of a state", NULL);
        for (size_t at = 0; numbers && old && at < p->count; at += n_slots * width)
            gather(numbers + at, width, n_slots, from, n, old);
        if (numbers && old) write_state(s, i, numbers, NULL);
        free(old);
        free(numbers);
    }
}

static RunnerPort state_at(const RunnerState *state, uint32_t i) {
    const DeviceState *s = (const DeviceState *)state;
    if (i >= n_states(s)) return (RunnerPort){.count = 0};
    const CoremlPort *p = port_at(s, i);
    return (RunnerPort){str_of(p->name), slot_count(p), true};
}

// [n, matrices, width] of a state [matrices, slots, width].
static bool read_slots(const RunnerState *state, uint32_t i, uint32_t n, float *values, Err *err) {
    const DeviceState *s = (const DeviceState *)state;
    if (is_lost(s)) return refuse_lost_state(err);
    const CoremlPort *p = port_at(s, i);
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

// ---- caches

// Puts the caches of `s` into the inputs of `c`, where those hold something else.
static void give_caches(CoremlRunner *c, const DeviceState *s) {
    if (!s || !s->caches) return;
    bool is_known = c->holds == s && c->holds_version == s->version;
    for (size_t i = 0; i < c->n_caches; i++) {
        DeviceCache *cache = &c->caches[i];
        if (is_known && cache->given == cache->device->at) continue;
        memcpy(cache->device->at, s->caches[i], cache->shape.count * sizeof(uint16_t));
        cache->given = cache->device->at;
    }
    c->holds = s;
    c->holds_version = s->version;
}

// The run before has put the caches into the inputs of `r`: rows go to both.
static bool put_rows(Runner *r, RunnerState *state, Str name, uint32_t output, uint32_t at,
                     Err *err) {
    CoremlRunner *c = (CoremlRunner *)r;
    DeviceState *s = (DeviceState *)state;
    const CoremlPort *rows = c->devices[r->n_inputs + output];
    size_t i = 0;
    while (i < c->n_caches && !str_is(name, c->caches[i].shape.name)) i++;
    if (!s->caches || i == c->n_caches || rows->type != COREML_FP16)
        return err_set(err, ERR_FORMAT, "no cache '%.*s' of fp16", STR_ARG(name));
    DeviceCache *cache = &c->caches[i];
    const CoremlPort *p = &cache->shape;
    size_t width = p->dims[p->n_dims - 1], slots = p->dims[p->n_dims - 2];
    size_t n_matrices = p->count / slots / width, n = rows->count / n_matrices;
    if (at * width + n > slots * width || n * n_matrices != rows->count)
        return err_set(err, ERR_FORMAT, "cache '%.*s': %zu numbers do not fit at slot %u",
                       STR_ARG(name), rows->count, at);
    bool is_given = cache->given == cache->device->at;
    for (size_t m = 0; m < n_matrices; m++) {
        const uint16_t *from = (const uint16_t *)rows->at + m * n;
        size_t to = (m * slots + at) * width;
        memcpy(s->caches[i] + to, from, n * sizeof *from);
        if (is_given) memcpy((uint16_t *)cache->device->at + to, from, n * sizeof *from);
    }
    c->holds = s;
    c->holds_version = ++s->version;
    return true;
}

// ---- running

// The inputs of the new instance hold what those of the old one held.
static void take_model(CoremlRunner *c, CoremlModel *fresh, void *const *inputs) {
    for (uint32_t i = 0; i < c->runner.n_inputs + c->runner.n_outputs; i++) {
        bool is_input = i < c->runner.n_inputs;
        const CoremlPort *p = is_input ? coreml_input(fresh, c->ports[i].name)
                                       : coreml_output(fresh, c->ports[i].name);
        if (is_input) memcpy(p->at, inputs[i], port_bytes(p));
        c->devices[i] = p;
    }
    for (size_t i = 0; i < c->n_caches; i++)
        c->caches[i].device = coreml_input(fresh, str_of(c->caches[i].shape.name));
    c->holds = NULL;
    c->model = fresh;
}

// What is carried over from one instance to the next.
typedef struct {
    void **inputs; // [n_inputs]
    uint16_t **states;
    size_t n_inputs, n_states;
} Carried;

static void free_carried(Carried *k) {
    for (size_t i = 0; k->inputs && i < k->n_inputs; i++) free(k->inputs[i]);
    for (size_t i = 0; k->states && i < k->n_states; i++) free(k->states[i]);
    free(k->inputs);
    free(k->states);
}

static bool carry(Carried *k, CoremlRunner *c, const DeviceState *s, Err *err) {
    *k = (Carried){.n_inputs = c->runner.n_inputs, .n_states = s && !s->caches ? n_states(s) : 0};
    k->inputs = calloc(k->n_inputs + 1, sizeof *k->inputs);
    k->states = calloc(k->n_states + 1, sizeof *k->states);
    if (!k->inputs || !k->states) die_out_of_memory(sizeof *k->states);
    for (size_t i = 0; i < k->n_inputs; i++) {
        k->inputs[i] = big_alloc(port_bytes(c->devices[i]), "a copy of an input", err);
        if (!k->inputs[i]) return false;
        memcpy(k->inputs[i], c->devices[i]->at, port_bytes(c->devices[i]));
    }
    for (size_t i = 0; i < k->n_states; i++)
        if (!(k->states[i] = read_state(s, i, err))) return false;
    return true;
}

static void add_counts(CoremlRunner *c) {
    CoremlCounts n = coreml_counts(c->model);
    c->before.n_declined += n.n_declined;
    c->before.n_padded += n.n_padded;
    c->before.n_held += n.n_held;
}

// The old instance goes before the new one comes: what it holds of the process's surfaces is what the
// new one needs. Where the new one cannot be loaded the runner has none: later runs fail.
static bool exchange(CoremlRunner *c, DeviceState *s, const Carried *k, Err *err) {
    if (s) {
        coreml_state_close(s->tensors);
        s->tensors = NULL;
    }
    add_counts(c);
    coreml_close(c->model);
    c->model = NULL;
    CoremlModel *fresh;
    if (!load(c, &fresh, err)) return false;
    take_model(c, fresh, k->inputs);
    if (!s || s->caches) return true;
    s->tensors = coreml_state_open(fresh, err);
    bool ok = s->tensors != NULL;
    for (size_t i = 0; ok && i < k->n_states; i++) ok = write_state(s, i, k->states[i], err);
    return ok;
}

// Loads the model again, and moves what `s` holds into a state of the new instance.
static bool reload(CoremlRunner *c, DeviceState *s, Err *err) {
    enum { LEAST_BETWEEN = 4 }; // runs: an instance that gives fewer is no cure
    if (c->times.n_reloads && c->times.n_runs - c->reloaded_at < LEAST_BETWEEN)
        return err_prefix(err, "after %" PRIu64 " predictions since the model was loaded again",
                          c->times.n_runs - c->reloaded_at);
    c->times.n_reloads++;
    c->reloaded_at = c->times.n_runs;
    Carried k;
    bool ok = carry(&k, c, s, err) && exchange(c, s, &k, err);
    free_carried(&k);
    return ok;
}

static bool run_once(CoremlRunner *c, DeviceState *s, bool *is_exhausted, Err *err) {
    give_caches(c, s);
    double started = now_seconds();
    if (!coreml_run(c->model, s ? s->tensors : NULL, is_exhausted, err)) return false;
    double *sum = c->times.n_runs++ ? &c->times.warm_runs : &c->times.cold_run;
    *sum += now_seconds() - started;
    return true;
}

static bool run_coreml(Runner *r, RunnerState *state, Err *err) {
    CoremlRunner *c = (CoremlRunner *)r;
    DeviceState *s = (DeviceState *)state;
    if (!c->model)
        return err_set(err, ERR_SYSTEM,
                       "Core ML could not load the model again; start lathe again");
    if (s && is_lost(s)) return refuse_lost_state(err);
    bool is_exhausted = false;
    Err why = {0};
    if (run_once(c, s, &is_exhausted, &why)) return true;
    if (is_exhausted && reload(c, s, &why) && run_once(c, s, NULL, &why)) return true;
    if (err) *err = why;
    return false;
}

static void tell_times(const Runner *r, RunnerTimes *times) {
    const CoremlRunner *c = (const CoremlRunner *)r;
    CoremlCounts n = c->model ? coreml_counts(c->model) : (CoremlCounts){0};
    *times = c->times;
    times->n_declined = c->before.n_declined + n.n_declined;
    times->n_padded = c->before.n_padded + n.n_padded;
    times->n_held = c->before.n_held + n.n_held;
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
    return coreml_plan(c->compiled.path, c->function, units, take_planned, &t, err);
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
    .prepare = coreml_prepare,
    .open = open_coreml,
    .close = close_coreml,
    .write = write_input,
    .read = read_output,
    .run = run_coreml,
    .put_rows = put_rows,
    .state_open = open_state,
    .state_close = close_state,
    .state_reset = reset_state,
    .state_copy = copy_state,
    .state_gather = gather_slots,
    .may_lose_states = true,
    .state_at = state_at,
    .state_read = read_slots,
    .plan = plan_coreml,
    .machine = describe_machine,
    .times = tell_times,
    .tapped = NULL,
};
