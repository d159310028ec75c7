// runner.h — one function of a package, executed by some engine.
//
// The host knows programs by their ports alone (decoder/ports.h): it finds each port once, writes
// numbers into inputs, runs, and reads numbers from outputs. An engine may store them in any form
// (fp16, padded rows, buffers shared with a device); write and read convert. An engine is one file
// with a RunnerOps and one row of engines.def.
//
// Shapes: numbers are handed over contiguous and row-major, in the shape that the package declares;
// floats for float ports, int32_t for integer ports. Ownership: package and pool must outlive
// runner and state, and states are closed before runners. write() copies from, and read() into,
// buffers of the caller. Threads: one at a time for all runners and states of a package. Errors:
// run() fails because of values (an index out of range) or of a device; the states are then
// undefined, and the caller resets them.
#ifndef LATHE_RUNTIME_RUNNER_H
#define LATHE_RUNTIME_RUNNER_H

#include "base/progress.h"
#include "bundle/bundle.h"
#include "engine/engine.h"

typedef struct {
    Str name;
    size_t count; // numbers
    bool is_float;
} RunnerPort;

enum { RUNNER_NO_PORT = UINT32_MAX };

typedef struct RunnerOps RunnerOps;

typedef enum { RUNNER_ON_CPU, RUNNER_ON_GPU, RUNNER_ON_ANE } RunnerDevice;

// An operation of a function and where it is planned to run. Good during the call that gives it.
typedef struct {
    const char *op, *output; // "ios18.conv", and the name of its first result
    RunnerDevice device;
} RunnerPlannedOp;
typedef void RunnerPlanTaker(void *context, const RunnerPlannedOp *op);

// The machine that an engine runs on. Results are valid only for its chip, build of the system and
// version of the framework. Unknown texts are empty.
typedef struct {
    bool is_device; // false: a stand-in for the framework, whose figures are not a device's
    bool has_ane, is_virtual;
    uint32_t n_ane_cores;
    uint32_t os; // "macOS 27.0.1": 27; 0: not known
    char chip[64], model[64], system[64], build[32], framework[64];
} RunnerMachine;

// An engine's own struct begins with this one.
typedef struct {
    const RunnerOps *ops;
    const RunnerPort *inputs, *outputs; // in the function's order; states are not among them
    uint32_t n_inputs, n_outputs;
} Runner;

// The KV states of one conversation in one package, shared by its functions; zeroed when made.
// Caches that a program takes as inputs (decoder/ports.h: port_is_cache) belong to them: they are
// not among the runner's inputs, and everything stated about states applies to them.
typedef struct {
    const RunnerOps *ops;
} RunnerState;

// Options for opening a function. What they point at must outlive the runner, except `progress`,
// which is used during the call only.
typedef struct {
    Arithmetic arithmetic;
    Pool *pool;
    const Progress *progress; // of what takes minutes the first time on a machine; may be NULL
} RunnerOpening;

// Times of a device in seconds (0 where it has not happened), and how it used the arrays that it
// was given. The first load on a machine, the first prediction after a load, and later predictions
// are counted separately.
typedef struct {
    const char *log;              // what the framework wrote meanwhile: a file; NULL: none is kept
    double first_load, first_run; // the first on this machine, in a process of its own
    double load, cold_run, warm_runs; // in this process: load, first prediction, all later ones
    uint64_t n_runs, n_reloads; // predictions; loads again because the process ran out of surfaces
    uint64_t n_declined, n_padded,
        n_held; // outputs copied; of these with padded rows; inputs moved
} RunnerTimes;

struct RunnerOps {
    // Of an engine that may end the process when it first loads or runs a bundle; NULL in the table
    // of others. Called before functions are opened: runs, in a process of its own, the steps that
    // were not done on this machine yet. False and `err` when that failed or the process died.
    bool (*prepare)(const Bundle *bundle, const Progress *progress, Err *err);
    // NULL and `err` when the package has no such function, or the engine cannot run it.
    Runner *(*open)(const Package *package, Str function, const RunnerOpening *how, Err *err);
    void (*close)(Runner *r);

    void (*write)(Runner *r, uint32_t input, const void *values);
    // The last run's. Float outputs only.
    void (*read)(const Runner *r, uint32_t output, float *values);
    // `state`: NULL for a function without states.
    bool (*run)(Runner *r, RunnerState *state, Err *err);

    // Copies `output` of the last run, the numbers of n slots, to slots [at, at + n) of the cache
    // called `cache`.
    bool (*put_rows)(Runner *r, RunnerState *s, Str cache, uint32_t output, uint32_t at, Err *err);

    // Makes states for the package of `r`, for all of its functions.
    RunnerState *(*state_open)(Runner *r, Err *err);
    void (*state_close)(RunnerState *s);
    void (*state_reset)(RunnerState *s); // back to zeros
    // Both belong to the same package; numbers are rounded as `to` stores them.
    void (*state_copy)(RunnerState *to, const RunnerState *from);
    // Of every state of `n_slots` slots, replaces slots [0, n) by what slots from[0 … n) held before.
    void (*state_gather)(RunnerState *s, uint32_t n_slots, const uint32_t *from, uint32_t n);

    // Whether states have to be tested when a bundle is opened (state_test.h): the engine may lose
    // what is written to them.
    bool may_lose_states;
    // NULL in the table of an engine whose states cannot be read. State `i`, in a fixed order: its
    // name, valid as long as the state is open, and the numbers per slot. count is 0 past the last.
    RunnerPort (*state_at)(const RunnerState *s, uint32_t i);
    // The first `n` slots of state `i`, one after another: [n, state_at(i).count].
    bool (*state_read)(const RunnerState *s, uint32_t i, uint32_t n, float *values, Err *err);

    // For an engine that plans where it runs operations (device_plan.h); both NULL in the tables of
    // others. plan() gives every operation that the engine has a device for: constants have none.
    bool (*plan)(Runner *r, RunnerPlanTaker *take, void *context, Err *err);
    void (*machine)(RunnerMachine *m);
    // NULL in the table of an engine that counts nothing. The log's name is good as long as the runner.
    void (*times)(const Runner *r, RunnerTimes *times);

    // For gates that look at values inside a program: the CPU engine that executes it. NULL in the
    // table where the engine has no taps.
    Engine *(*tapped)(Runner *r);
};

// RUNNER_NO_PORT when there is none of that name.
uint32_t runner_find_input(const Runner *r, const char *name);
uint32_t runner_find_output(const Runner *r, const char *name);

void runner_close(Runner *r);            // safe on NULL
void runner_state_close(RunnerState *s); // safe on NULL
// The CPU engine behind `r`, to be tapped; NULL when `r` is NULL or its engine has no taps.
Engine *runner_tapped(Runner *r);

#endif
