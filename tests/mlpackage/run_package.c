// run_package PACKAGE STEP… — runs functions of a package one after the other on one state and
// prints the bits of every output and, at the end, of every state.
//
// A step is FUNCTION or FUNCTION:NAME=INT/INT,NAME=INT; integer inputs take the values given. All other
// inputs are filled with numbers made from the input's name and the step, so that two packages with
// the same ports see the same.
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"

static uint32_t hash(uint32_t h, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)bytes)[i]) * 16777619u; // FNV-1a
    return h;
}

// Numbers within -1 … 1, of every size fp16 has there.
static void fill(EngineTensor *t, uint32_t seed) {
    uint32_t x = hash(seed ^ 2166136261u, t->name.at, t->name.len) | 1;
    for (size_t i = 0; i < t->count; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5; // xorshift32
        t->f32[i] = ((float)(x >> 8) / (float)(1 << 23) - 1) / (float)(1 << (x & 7));
    }
}

static void print(const char *what, const EngineTensor *t) {
    printf("%s %.*s %zu ", what, STR_ARG(t->name), t->count);
    for (size_t i = 0; i < t->count; i++) {
        uint32_t bits;
        memcpy(&bits, t->f32 ? (const void *)&t->f32[i] : (const void *)&t->i32[i], 4);
        printf("%08x", bits);
    }
    printf("\n");
}

static bool give(Engine *e, Str values, Err *err) {
    while (values.len) {
        const char *equals = memchr(values.at, '=', values.len);
        if (!equals) return err_set(err, ERR_USAGE, "'%.*s': no value", STR_ARG(values));
        Str name = {values.at, (size_t)(equals - values.at)};
        EngineTensor *t = engine_input(e, name);
        if (!t || !t->i32) return err_set(err, ERR_USAGE, "no integer input '%.*s'", STR_ARG(name));
        char *end = (char *)(uintptr_t)equals;
        for (size_t i = 0; i < t->count && (*end == '=' || *end == '/'); i++)
            t->i32[i] = (int32_t)strtol(end + 1, &end, 10);
        end += *end == ',';
        values = str_of(end);
    }
    return true;
}

static bool run_step(const Package *p, EngineState *state, const char *step, uint32_t seed,
                     Err *err) {
    size_t n = strcspn(step, ":");
    Str function = {step, n}, values = str_of(step[n] ? step + n + 1 : "");
    const MilFunction *f = mil_find_function(p->program, function);
    Engine *e = engine_open(p, function, ARITHMETIC_FP16, NULL, err);
    if (!e) return false;
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        EngineTensor *t = engine_input(e, mil_value(f, f->inputs[i])->name);
        if (t && t->f32) fill(t, seed);
    }
    bool ok = give(e, values, err) && engine_run(e, state, err);
    for (uint32_t i = 0; ok && i < f->n_outputs; i++) print(step, engine_output_at(e, i));
    engine_close(e);
    return ok;
}

// Functions that have states have the same ones.
static void print_states(const MilProgram *p, EngineState *state) {
    bool is_done = false;
    for (uint32_t k = 0; !is_done && k < p->n_functions; k++) {
        const MilFunction *f = p->functions[k];
        for (uint32_t i = 0; i < f->n_inputs; i++) {
            const MilValue *v = mil_value(f, f->inputs[i]);
            if (!v->type.is_state) continue;
            print("state", engine_state_find(state, v->name));
            is_done = true;
        }
    }
}

static bool run(const char *path, char **steps, int n_steps, Err *err) {
    Arena arena = {0};
    Package p;
    if (!package_open(&p, &arena, path, err)) return false;
    EngineState *state = engine_state_open(&p, err);
    bool ok = state != NULL;
    for (int i = 0; ok && i < n_steps; i++) ok = run_step(&p, state, steps[i], (uint32_t)i, err);
    if (ok) print_states(p.program, state);
    engine_state_close(state);
    package_close(&p);
    arena_free(&arena);
    return ok;
}

int main(int argc, char **argv) {
    Err err = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: run_package PACKAGE STEP…\n");
        return 2;
    }
    if (run(argv[1], argv + 2, argc - 2, &err)) return 0;
    fprintf(stderr, "run_package: %s\n", err.text);
    return 1;
}
