// engine.h — run any ML Program on the CPU, op by op, from one table.
//
// The engine executes the program in the package on disk; it knows ops, not models. Opening fails,
// with the name, for an op that the engine lacks and for a shape that is not known before the run.
// Buffers are planned once; a run allocates nothing. All numbers are held as float (fp16, fp32) or
// int32 (integers, bool); the arithmetic says how results are rounded:
//   fp32  nothing is rounded below float, not even compressed weights (scale times code) and casts
//         to fp16: shows errors of the graph alone
//   fp16  inputs, results of ops and decompressed weights that the program declares fp16 are
//         rounded to binary16, to nearest, ties to even, overflow to infinity; within one op (sums
//         of products, means, softmax) all is kept in float or wider, as Core ML promises
//   ane   fp16 as the Neural Engine is reported to compute it (ane.h): sums of products in fixed
//         point that overflow at 32768, small products lost, halves rounded away from zero,
//         functions by table. A model made from measurements that others published; slow
// Neighbouring ops may run as one where that changes no bit (pass.h; not in ane, nor under a tap).
// Integers are exact and wrap. Results do not depend on the number of threads; they may differ in
// the last bits between instruction sets (kernels/kernels.h).
#ifndef LATHE_ENGINE_ENGINE_H
#define LATHE_ENGINE_ENGINE_H

#include "base/pool.h"
#include "mlpackage/package.h"

typedef enum {
#define ARITHMETIC_ROW(id, ...) ARITHMETIC_##id,
#include "engine/arithmetics.def"
    ARITHMETIC_COUNT
} Arithmetic;
const char *arithmetic_name(Arithmetic arithmetic);  // "fp32", "fp16", "ane"
const char *arithmetic_label(Arithmetic arithmetic); // for people: "fp16", "ane, a model"
// whether values declared fp16 are rounded to binary16
bool arithmetic_rounds(Arithmetic arithmetic);
// The arithmetic called `name`; false and `err`, with the known names, when there is none.
bool arithmetic_named(const char *name, Arithmetic *out, Err *err);

typedef struct {
    Str name;
    MilType type;
    size_t count;
    float *f32; // one of the two, by dtype
    int32_t *i32;
} EngineTensor;

// States by name, shared by the functions of one package (decode and prefill see the same cache).
// Zeroed at open.
typedef struct EngineState EngineState;
EngineState *engine_state_open(const Package *package, Err *err);
// Whether the input of this name is kept as a state that the program never writes: it is then
// stored in the EngineState, is not an input any more, and only engine_state_put_rows() changes it.
typedef bool EngineHolds(Str input);
void engine_state_reset(EngineState *s); // back to zeros
// Read access to a state; NULL when absent, or past the last.
const EngineTensor *engine_state_find(const EngineState *s, Str name);
const EngineTensor *engine_state_at(const EngineState *s, uint32_t i);
// Copies `from` to `to`, states of the same package; rounds to binary16 if `rounds`.
void engine_state_copy(EngineState *to, const EngineState *from, bool rounds);
// In every matrix (the last two axes) of every state whose matrices have n_rows rows, replaces rows
// [0, n) by what rows from[0 … n) held before.
void engine_state_gather_rows(EngineState *s, size_t n_rows, const uint32_t *from, uint32_t n);
// In every matrix of the state called `name`, replaces rows [at, at + n) by those of `rows`, which
// has as many matrices of n rows each. False when there is no such state, or `rows` do not fit into
// it.
bool engine_state_put_rows(EngineState *s, Str name, const EngineTensor *rows, uint32_t at,
                           Err *err);
EngineState *engine_state_open_holding(const Package *package, EngineHolds *holds, Err *err);
void engine_state_close(EngineState *s);

// One function of a package, ready to run. `package` and `pool` must outlive it. Only one thread at
// a time may use it.
typedef struct Engine Engine;
Engine *engine_open(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                    Err *err);
Engine *engine_open_holding(const Package *package, Str function, Arithmetic arithmetic, Pool *pool,
                            EngineHolds *holds, Err *err);
// NULL when the function has no input or output of that name. The caller fills all inputs before
// each run; in fp16 and ane arithmetic the engine rounds fp16 inputs as Core ML would. Outputs are
// valid until the next run.
EngineTensor *engine_input(Engine *e, Str name);
EngineTensor *engine_input_at(Engine *e, uint32_t i); // without states
const EngineTensor *engine_output(const Engine *e, Str name);
const EngineTensor *engine_output_at(const Engine *e, uint32_t i);
size_t engine_workspace_bytes(const Engine *e);
// `state` may be NULL for a function without states. Fails only because of values: an index out of
// range, a slice beyond a state.
bool engine_run(Engine *e, EngineState *state, Err *err);
void engine_close(Engine *e);

// Called after each op of a run with its outputs: op-by-op comparison (verify/). Later ops read
// what the tap writes into `output`.
typedef void EngineTap(void *context, const MilOp *op, const EngineTensor *output);
void engine_set_tap(Engine *e, EngineTap *tap, void *context);
// The name of op `i` that the engine has; NULL after the last.
const char *engine_op_name(size_t i);
// Whether the op is a conv, linear or matmul: one whose results are sums of products.
bool engine_sums_products(const MilOp *op);
// The result of engine_measure_sums() over all results of such an op; zeros for other ops and for
// integers.
typedef struct {
    float bound; // largest Σ |x w| + |bias|: no partial sum exceeds it, whatever the order
    double all;  // Σ |x w|
    double lost; // the same over the products that the ANE drops (rule I02, ane_rules.def)
} EngineSums;
// To be called inside a tap of the op. Allocates.
bool engine_measure_sums(const Engine *e, const MilOp *op, EngineSums *sums, Err *err);

#endif
