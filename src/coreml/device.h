// device.h — one function of a compiled Core ML model, loaded for the Neural Engine.
//
// A thin layer over Apple's public classes with a C interface: it compiles a package, loads a
// function by name, owns the arrays of inputs and outputs, makes states, runs, and asks for the
// plan. It makes no decisions. device.m needs Core ML, or the stand-in that tests link in its
// place; on other systems absent.c is built, which fails every call with a message.
//
// Behaviour of the framework that is unexpected and handled here:
//
//   backings   Output arrays are only proposed: whether the framework took ours is seen by the
//              identity of what it returns. A declined one is copied, row by row.
//   strides    Rows of a returned array may be padded; the strides that the access block gets hold,
//              not those of the property.
//   threads    One prediction at a time for a model, and one at a time for a state, which functions
//              share: locks guard them. Completion handlers run on other threads: they are waited for.
//   inputs     The framework may hold input arrays for seconds after a prediction: held ones are not
//              written, others take their place; memory goes when the last holder of its array does.
//   exceptions Loading and running may throw NSException where an NSError would be expected.
//   states     A state belongs to a model's instance. After a failed run its contents are unknown.
//
// Nothing here has run on Apple hardware; tests run it with the stand-in.
//
// Sources: Apple's documentation of MLModel, MLState, MLMultiArray, MLPredictionOptions and
// MLComputePlan; behaviour as public projects reported it.
#ifndef LATHE_COREML_DEVICE_H
#define LATHE_COREML_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

// Where a model may run. The GPU is never offered, because Core ML would then choose it for graphs
// that the Neural Engine could run.
typedef enum { COREML_CPU, COREML_CPU_AND_ANE } CoremlUnits;

enum { COREML_MAX_RANK = 5, COREML_MAX_PORTS = 512 };

typedef enum { COREML_FP16, COREML_FP32, COREML_INT32 } CoremlType;

// An input, an output or a state of a function. Row-major and packed, whatever layout the framework
// uses.
typedef struct {
    const char *name;
    CoremlType type;
    size_t n_dims, dims[COREML_MAX_RANK];
    size_t count; // elements
    void *at; // of an input: written by the caller between runs; each run may move it, with what it
              // holds. Of an output: what the last run gave. NULL for a state.
} CoremlPort;

typedef struct CoremlModel CoremlModel;
typedef struct CoremlState CoremlState;

// Whether this build can run Core ML models at all.
bool coreml_is_present(void);

// Compiles the .mlpackage at `package` and moves the result to `compiled`, which must not exist
// yet. Takes minutes for a large model, and may crash or hang, so worker.h runs it in a process of
// its own.
bool coreml_compile(const char *package, const char *compiled, Err *err);

// Loads `function` of the compiled model (NULL: the only one). NULL on failure.
CoremlModel *coreml_open(const char *compiled, const char *function, CoremlUnits units, Err *err);
void coreml_close(CoremlModel *m); // safe on NULL; its states must be closed before

// Ports are valid until coreml_close(). NULL when there is none of that name.
const CoremlPort *coreml_input(const CoremlModel *m, Str name);
const CoremlPort *coreml_output(const CoremlModel *m, Str name);
size_t coreml_n_inputs(const CoremlModel *m);
size_t coreml_n_outputs(const CoremlModel *m);
size_t coreml_n_states(const CoremlModel *m);
const CoremlPort *coreml_input_at(const CoremlModel *m, size_t i);
const CoremlPort *coreml_output_at(const CoremlModel *m, size_t i);
const CoremlPort *coreml_state_at(const CoremlModel *m, size_t i);

// A new state, all zeros. Make it from a function that declares every state of the package; other
// functions of the same package then take it.
CoremlState *coreml_state_open(CoremlModel *m, Err *err);
void coreml_state_close(CoremlState *s); // safe on NULL
// Copies the state `name` out, or in: `count` binary16 numbers, row-major and packed.
bool coreml_state_read(CoremlState *s, const char *name, uint16_t *out, size_t count, Err *err);
bool coreml_state_write(CoremlState *s, const char *name, const uint16_t *in, size_t count,
                        Err *err);

// Runs the function on its inputs; outputs are valid until the next run. `s` is NULL for a function
// without states. After a failure the state's contents are unknown: close it. *is_exhausted (may be
// NULL): set if the process ran out of IOSurface objects; loading the model again helps.
bool coreml_run(CoremlModel *m, CoremlState *s, bool *is_exhausted, Err *err);

// How the framework used the arrays that it was offered, since coreml_open().
typedef struct {
    uint64_t n_runs;
    uint64_t n_declined; // outputs whose backing was not taken
    uint64_t n_padded;   // outputs that came with padded rows
    // runs after which input arrays were replaced because the framework still held them
    uint64_t n_held;
} CoremlCounts;
CoremlCounts coreml_counts(const CoremlModel *m);

// One operation of a plan. `output` is the name of its first result. Where the framework gives no
// usage (constants), has_usage is false and the rest is empty.
typedef struct {
    const char *op, *output;
    bool has_usage;
    bool on_cpu, on_gpu, on_ane; // supported there
    enum { COREML_ON_CPU, COREML_ON_GPU, COREML_ON_ANE } preferred;
    double cost; // share of the whole function, 0 … 1; 0 when unknown
} CoremlPlanOp;
typedef void CoremlPlanTaker(void *context, const CoremlPlanOp *op);

// Asks where each operation of `function` (NULL: the default one) is planned to run. A plan is no
// measurement: what is planned may still fail or be slow.
bool coreml_plan(const char *compiled, const char *function, CoremlUnits units,
                 CoremlPlanTaker *take, void *context, Err *err);

// Cores of the Neural Engine, 0 when the machine has none.
size_t coreml_n_ane_cores(void);
// The version of the framework as its bundle states it; empty when it states none.
void coreml_framework_version(char *out, size_t size);

#endif
