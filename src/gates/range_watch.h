// range_watch.h — records how large the numbers of a function are, op by op, over runs of the CPU
// engine.
//
// It uses the engine's taps. It finds products and norms by the graph, not by names: a norm is a
// sum over axes whose result reaches an inverse square root through a few elementwise ops.
#ifndef LATHE_GATES_RANGE_WATCH_H
#define LATHE_GATES_RANGE_WATCH_H

#include "engine/engine.h"

typedef enum {
    RANGE_OTHER,
    RANGE_PRODUCT,    // conv, linear, matmul
    RANGE_NORM_INPUT, // scales or squares the rows that enter a norm; a norm that is one op
    RANGE_NORM_SUM,   // adds up the squares
    RANGE_NORM_SCALE, // the inverse of the root
} RangeRole;
const char *range_role_name(RangeRole role);
// The largest number that the op may have on the ANE: 32752 for sums of products, else 65504.
float range_limit(RangeRole role);

typedef struct {
    const MilOp *op;
    RangeRole role;
    // over all runs, infinite when an infinity or NaN was seen
    float in;  // largest |x| of the operands given or computed at run time
    float out; // largest |x| of the results
    // over the runs that were kept
    EngineSums sums;   // of products, if measured
    uint64_t n_broken; // results that are infinite or NaN
    uint64_t n_zero;   // rows of the results with zeros only
    // Whether such a row is a fault if it is not zero in fp32. Not for a product that is added to
    // another one, as attention over caches and over new rows; there the sum is judged.
    bool judges_rows;
    // in this run
    uint64_t run_broken, run_zero;
    EngineSums run_sums;
} OpRange;

// The size that is compared with the limit: of a norm's input rows, of all other ops' results.
float range_size(const OpRange *r);

typedef struct {
    const MilFunction *f;
    Engine *engine;
    OpRange *ops;     // [f->n_ops]
    float *peaks;     // [f->n_values] over all runs
    uint32_t last_op; // last op seen in this run; UINT32_MAX before the first
    bool measures_sums, failed;
    bool grew; // in this run a number came nearer to its limit, and within a few bits of it
    Err err;
} RangeWatch;

// Watches `engine`, which runs `f`, from now on. The lists live in `arena`.
void range_watch(RangeWatch *w, Engine *engine, const MilFunction *f, bool measures_sums,
                 Arena *arena);
void range_watch_start(RangeWatch *w); // before a run
// Adds what was seen since range_watch_start() to the totals. False when a measurement failed.
bool range_watch_keep(RangeWatch *w, Err *err);

#endif
