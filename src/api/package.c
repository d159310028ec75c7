// package.c — Core ML packages through the CPU engine: ports with shapes, elements in and out in the
// dtypes that the package declares.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/half.h"
#include "base/size.h"
#include "engine/engine.h"

typedef struct {
    LathePort *at;
    size_t count;
} PortList;

// What callers see of a MilFunction.
typedef struct {
    const char *name;
    PortList ports[LATHE_STATE + 1]; // by kind
} FunctionInfo;

struct LathePackage {
    Arena arena;
    Package package;
    Pool *pool;
    EngineState *states;     // NULL when no function has any
    FunctionInfo *functions; // [package.program->n_functions]
};

struct LatheFunction {
    LathePackage *package;
    const FunctionInfo *info;
    Engine *engine;
};

static const struct {
    const char *name;
    MilDtype dtype;
    size_t n_bytes; // of an element
} dtypes[] = {
    [LATHE_FP16] = {"fp16", MIL_F16, 2},
    [LATHE_FP32] = {"fp32", MIL_F32, 4},
    [LATHE_INT8] = {"int8", MIL_I8, 1},
    [LATHE_INT32] = {"int32", MIL_I32, 4},
};

const char *lathe_dtype_name(LatheDtype dtype) {
    return dtypes[dtype].name;
}

size_t lathe_dtype_bytes(LatheDtype dtype) {
    return dtypes[dtype].n_bytes;
}

// ---- packages

static LatheDtype port_dtype(MilDtype dtype) {
    for (size_t i = 0; i < COUNT_OF(dtypes); i++)
        if (dtypes[i].dtype == dtype) return (LatheDtype)i;
    assert(false && "mil_validate() lets no other through");
    return LATHE_FP32;
}

static void add_port(Arena *arena, PortList *list, const MilValue *value) {
    LathePort *port = &list->at[list->count++];
    size_t *shape = arena_array(arena, (size_t)value->type.rank + 1, size_t);
    *port = (LathePort){.name = arena_cstr(arena, value->name),
                        .dtype = port_dtype(value->type.dtype),
                        .rank = (size_t)value->type.rank,
                        .shape = shape,
                        .n_elements = 1};
    for (size_t i = 0; i < port->rank; i++) {
        shape[i] = (size_t)value->type.dims[i];
        port->n_elements *= shape[i];
    }
    port->n_bytes = port->n_elements * dtypes[port->dtype].n_bytes;
}

static void describe(Arena *arena, FunctionInfo *info, const MilFunction *f) {
    info->name = arena_cstr(arena, f->name);
    info->ports[LATHE_INPUT].at = arena_array(arena, f->n_inputs + 1, LathePort);
    info->ports[LATHE_STATE].at = arena_array(arena, f->n_inputs + 1, LathePort);
    info->ports[LATHE_OUTPUT].at = arena_array(arena, f->n_outputs + 1, LathePort);
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        const MilValue *v = mil_value(f, f->inputs[i]);
        add_port(arena, &info->ports[v->type.is_state ? LATHE_STATE : LATHE_INPUT], v);
    }
    for (uint32_t i = 0; i < f->n_outputs; i++)
        add_port(arena, &info->ports[LATHE_OUTPUT], mil_value(f, f->outputs[i]));
}

LathePackage *lathe_package_open(const char *path, unsigned n_threads, LatheError *error) {
    Err err = {0};
    LathePackage *p = calloc(1, sizeof *p);
    if (!p) die_out_of_memory(sizeof *p);
    if (!package_open(&p->package, &p->arena, path, &err)) goto fail;
    p->pool = pool_open(n_threads, &err);
    if (!p->pool) goto fail;
    const MilProgram *program = p->package.program;
    bool has_states = false;
    p->functions = arena_array(&p->arena, program->n_functions, FunctionInfo);
    for (uint32_t i = 0; i < program->n_functions; i++) {
        describe(&p->arena, &p->functions[i], program->functions[i]);
        has_states = has_states || p->functions[i].ports[LATHE_STATE].count;
    }
    if (has_states && !(p->states = engine_state_open(&p->package, &err))) goto fail;
    return p;

fail:
    lathe_package_close(p);
    api_fail(error, &err);
    return NULL;
}

void lathe_package_close(LathePackage *p) {
    if (!p) return;
    engine_state_close(p->states);
    pool_close(p->pool);
    package_close(&p->package);
    arena_free(&p->arena);
    free(p);
}

static const FunctionInfo *find_function(const LathePackage *p, const char *name) {
    for (uint32_t i = 0; i < p->package.program->n_functions; i++)
        if (strcmp(p->functions[i].name, name) == 0) return &p->functions[i];
    return NULL;
}

const char *lathe_package_function(const LathePackage *p, size_t i) {
    return i < p->package.program->n_functions ? p->functions[i].name : NULL;
}

const char *lathe_package_default(const LathePackage *p) {
    Str name = p->package.program->default_function;
    for (uint32_t i = 0; i < p->package.program->n_functions; i++)
        if (str_is(name, p->functions[i].name)) return p->functions[i].name;
    return p->functions[0].name; // the only one
}

static const LathePort *port_at(const FunctionInfo *info, LathePortKind kind, size_t i) {
    return info && i < info->ports[kind].count ? &info->ports[kind].at[i] : NULL;
}

const LathePort *lathe_package_port(const LathePackage *p, const char *function, LathePortKind kind,
                                    size_t i) {
    return port_at(find_function(p, function), kind, i);
}

void lathe_package_reset(LathePackage *p) {
    if (p->states) engine_state_reset(p->states);
}

// ---- functions

LatheFunction *lathe_function_open(LathePackage *package, const char *name,
                                   LatheArithmetic arithmetic, LatheError *error) {
    static const Arithmetic arithmetics[] = {[LATHE_ARITHMETIC_FP16] = ARITHMETIC_FP16,
                                             [LATHE_ARITHMETIC_FP32] = ARITHMETIC_FP32,
                                             [LATHE_ARITHMETIC_ANE] = ARITHMETIC_ANE};
    Err err = {0};
    if (!name) name = lathe_package_default(package);
    Engine *engine =
        engine_open(&package->package, str_of(name), arithmetics[arithmetic], package->pool, &err);
    if (!engine) {
        api_fail(error, &err);
        return NULL;
    }
    LatheFunction *f = malloc(sizeof *f);
    if (!f) die_out_of_memory(sizeof *f);
    *f = (LatheFunction){package, find_function(package, name), engine};
    return f;
}

void lathe_function_close(LatheFunction *f) {
    if (!f) return;
    engine_close(f->engine);
    free(f);
}

const LathePort *lathe_function_port(const LatheFunction *f, LathePortKind kind, size_t i) {
    return port_at(f->info, kind, i);
}

// ---- elements

static bool check_bytes(const LathePort *port, size_t n_bytes, LatheError *error) {
    if (n_bytes == port->n_bytes) return true;
    Err err = {0};
    err_set(&err, ERR_USAGE, "'%s': %zu bytes, expected %zu (%zu elements of %s)", port->name,
            n_bytes, port->n_bytes, port->n_elements, dtypes[port->dtype].name);
    return api_fail(error, &err);
}

// The engine holds every number as float or int32_t.
static void unpack(EngineTensor *t, LatheDtype dtype, const uint8_t *bytes) {
    for (size_t i = 0; i < t->count; i++) {
        switch (dtype) {
        case LATHE_FP16:
            t->f32[i] = f32_from_half((uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8));
            break;
        case LATHE_FP32: memcpy(&t->f32[i], bytes + 4 * i, 4); break;
        case LATHE_INT8: t->i32[i] = (int8_t)bytes[i]; break;
        case LATHE_INT32: memcpy(&t->i32[i], bytes + 4 * i, 4); break;
        }
    }
}

static void pack(const EngineTensor *t, LatheDtype dtype, uint8_t *bytes) {
    for (size_t i = 0; i < t->count; i++) {
        switch (dtype) {
        case LATHE_FP16: {
            uint16_t half = half_from_f32(t->f32[i]);
            bytes[2 * i] = (uint8_t)half;
            bytes[2 * i + 1] = (uint8_t)(half >> 8);
            break;
        }
        case LATHE_FP32: memcpy(bytes + 4 * i, &t->f32[i], 4); break;
        case LATHE_INT8: bytes[i] = (uint8_t)t->i32[i]; break;
        case LATHE_INT32: memcpy(bytes + 4 * i, &t->i32[i], 4); break;
        }
    }
}

bool lathe_function_write(LatheFunction *f, size_t i, const void *elements, size_t n_bytes,
                          LatheError *error) {
    const LathePort *port = lathe_function_port(f, LATHE_INPUT, i);
    if (!check_bytes(port, n_bytes, error)) return false;
    unpack(engine_input(f->engine, str_of(port->name)), port->dtype, elements);
    return true;
}

bool lathe_function_run(LatheFunction *f, LatheError *error) {
    Err err = {0};
    return engine_run(f->engine, f->package->states, &err) || api_fail(error, &err);
}

bool lathe_function_read(const LatheFunction *f, size_t i, void *elements, size_t n_bytes,
                         LatheError *error) {
    const LathePort *port = lathe_function_port(f, LATHE_OUTPUT, i);
    if (!check_bytes(port, n_bytes, error)) return false;
    pack(engine_output_at(f->engine, (uint32_t)i), port->dtype, elements);
    return true;
}

void lathe_function_numbers(const LatheFunction *f, LathePortKind kind, size_t i, double *numbers) {
    const LathePort *port = lathe_function_port(f, kind, i);
    const EngineTensor *t = kind == LATHE_STATE
                                ? engine_state_find(f->package->states, str_of(port->name))
                                : engine_output_at(f->engine, (uint32_t)i);
    for (size_t k = 0; k < t->count; k++) numbers[k] = t->f32 ? (double)t->f32[k] : t->i32[k];
}

const char *lathe_engine_op(size_t i) {
    return engine_op_name(i);
}
