// run_stdin — for tests/oracle/test_engine_ops.py, and to run a program in text form by hand.
//
//     run_stdin < CASES
//
// A case is a program whose function is `main`, a line "%%", lines "NAME BITS BITS …" with the 32
// bits of each element of an input (floats as float, integers and bool as int32), and "%%" again.
// For each arithmetic it prints its name and the outputs as "NAME TYPE BITS …", or "error: why";
// then "%%". The same case also runs a second time, on two and three threads and with a plan that
// reuses no buffer and runs no pass: "differs: …" is printed when one bit is another, and "allocates: N" when a run
// asks for memory.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "engine/count_allocations.h"
#include "engine/plan.h"

// ---- one case

enum { MOST_THREADS = 3 };

typedef struct {
    StrBuf program, inputs;
    Pool *pools[MOST_THREADS];
} Case;

static bool fill_inputs(Engine *e, const char *lines) {
    for (const char *at = lines; *at;) {
        size_t name = strcspn(at, " \n");
        EngineTensor *t = engine_input(e, (Str){at, name});
        at += name;
        for (size_t i = 0; *at == ' '; i++) {
            char *end;
            uint32_t bits = (uint32_t)strtoul(at + 1, &end, 16);
            at = end;
            if (!t) continue;
            if (i >= t->count) {
                printf("error: too many numbers for %.*s\n", STR_ARG(t->name));
                return false;
            }
            if (t->f32)
                t->f32[i] = f32_from_bits(bits);
            else
                t->i32[i] = (int32_t)bits;
        }
        if (*at == '\n') at++;
    }
    return true;
}

static const void *bits_of(const EngineTensor *t) {
    return t->f32 ? (const void *)t->f32 : (const void *)t->i32;
}

static void print_outputs(const Engine *e) {
    const EngineTensor *t;
    for (uint32_t i = 0; (t = engine_output_at(e, i)); i++) {
        StrBuf type = {0};
        mil_type_print(&t->type, &type);
        for (char *c = type.at; *c; c++)
            if (*c == ' ') *c = '_';
        printf("%.*s %s", STR_ARG(t->name), type.at);
        strbuf_free(&type);
        for (size_t k = 0; k < t->count; k++) {
            uint32_t bits;
            memcpy(&bits, (const char *)bits_of(t) + k * sizeof bits, sizeof bits);
            printf(" %" PRIx32, bits);
        }
        putchar('\n');
    }
}

static bool same_outputs(const Engine *a, const Engine *b) {
    const EngineTensor *t;
    for (uint32_t i = 0; (t = engine_output_at(a, i)); i++)
        if (t->count &&
            memcmp(bits_of(t), bits_of(engine_output_at(b, i)), t->count * sizeof(float)) != 0)
            return false;
    return true;
}

// Opens, fills and runs; NULL when an error was printed.
static Engine *run(const Case *c, const Package *package, Arithmetic arithmetic, unsigned n_threads,
                   unsigned plan) {
    Err err = {0};
    Pool *pool = c->pools[n_threads - 1];
    Engine *e = engine_open_planned(package, STR("main"), arithmetic, pool, plan, &err);
    const char *inputs = c->inputs.at ? c->inputs.at : "";
    if (!e) {
        printf("error: %s\n", err.text);
        return NULL;
    }
    // Twice: what a run leaves behind must not matter to the next.
    for (int i = 0; i < 2; i++) {
        if (!fill_inputs(e, inputs)) goto fail;
        size_t before = allocations_so_far();
        bool ok = engine_run(e, NULL, &err);
        size_t n = allocations_so_far() - before;
        if (n) printf("allocates: %zu\n", n);
        if (ok) continue;
        printf("error: %s\n", err.text);
        goto fail;
    }
    return e;

fail:
    engine_close(e);
    return NULL;
}

static void run_case(const Case *c) {
    Arena arena = {0};
    Err err = {0};
    Package package = {.program = mil_parse(&arena, strbuf_str(&c->program), &err)};
    if (!package.program) printf("error: %s\n", err.text);
    for (int a = 0; package.program && a < ARITHMETIC_COUNT; a++) {
        puts(arithmetic_name((Arithmetic)a));
        Engine *e = run(c, &package, (Arithmetic)a, 1, PLAN_WHOLE);
        if (!e) continue;
        print_outputs(e);
        static const struct {
            const char *what;
            unsigned n_threads;
            unsigned plan;
        } others[] = {{"two threads", 2, PLAN_WHOLE},
                      {"three threads", 3, PLAN_WHOLE},
                      {"no reuse", 1, PLAN_AS_WRITTEN}};
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            Engine *other = run(c, &package, (Arithmetic)a, others[i].n_threads, others[i].plan);
            if (other && !same_outputs(e, other)) printf("differs: %s\n", others[i].what);
            engine_close(other);
        }
        engine_close(e);
    }
    puts("%%");
    fflush(stdout);
    arena_free(&arena);
}

int main(void) {
    Case c = {0};
    Err err = {0};
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        c.pools[i] = pool_open(i + 1, &err);
        if (!c.pools[i]) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    char *line = NULL;
    size_t cap = 0;
    bool in_program = true;
    while (getline(&line, &cap, stdin) > 0) {
        if (strcmp(line, "%%\n") != 0) {
            strbuf_add(in_program ? &c.program : &c.inputs, str_of(line));
            continue;
        }
        if (!in_program) {
            run_case(&c);
            strbuf_free(&c.program);
            strbuf_free(&c.inputs);
            c.program = c.inputs = (StrBuf){0};
        }
        in_program = !in_program;
    }
    free(line);
    for (unsigned i = 0; i < MOST_THREADS; i++) pool_close(c.pools[i]);
    return 0;
}
