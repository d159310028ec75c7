#include "engine/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

bool program_try(Program *p, const char *text, Arithmetic arithmetic, Err *err) {
    *p = (Program){0};
    p->package.program = mil_parse(&p->arena, str_of(text), err);
    if (!p->package.program) return false;
    p->package.path = "text";
    p->engine = engine_open(&p->package, STR("main"), arithmetic, NULL, err);
    return p->engine != NULL;
}

void program_open(Program *p, const char *text, Arithmetic arithmetic, unsigned n_threads) {
    Err err = {0};
    *p = (Program){0};
    p->package.program = mil_parse(&p->arena, str_of(text), &err);
    if (!p->package.program) fail_msg("%s\n%s", err.text, text);
    p->pool = pool_open(n_threads, &err);
    assert_non_null(p->pool);
    p->engine = engine_open(&p->package, STR("main"), arithmetic, p->pool, &err);
    if (!p->engine) fail_msg("%s\n%s", err.text, text);
}

void program_close(Program *p) {
    engine_close(p->engine);
    pool_close(p->pool);
    arena_free(&p->arena);
}

float *program_input(Program *p, const char *name) {
    EngineTensor *t = engine_input(p->engine, str_of(name));
    assert_non_null(t);
    return t->f32;
}

const float *program_run(Program *p) {
    Err err = {0};
    if (!engine_run(p->engine, NULL, &err)) fail_msg("%s", err.text);
    return engine_output_at(p->engine, 0)->f32;
}
