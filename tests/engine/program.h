// program.h — small programs in text form, run by the engine in memory.
#ifndef LATHE_TESTS_ENGINE_PROGRAM_H
#define LATHE_TESTS_ENGINE_PROGRAM_H

#include "engine/engine.h"

typedef struct {
    Arena arena;
    Package package;
    Engine *engine;
    Pool *pool;
} Program;

// Opens function `main` of the text, on `n_threads` threads; fails the test when it cannot.
void program_open(Program *p, const char *text, Arithmetic arithmetic, unsigned n_threads);
// Opens a function whose failure is expected; the message lands in `err`.
bool program_try(Program *p, const char *text, Arithmetic arithmetic, Err *err);
void program_close(Program *p);

// Runs it on inputs given by name before; fails the test when the run fails.
float *program_input(Program *p, const char *name);
const float *program_run(Program *p); // the first output

#endif
