// range_watch.h — how large the numbers of a function are, op by op, over runs of the CPU engine.
//
// A watch looks through the engine's taps. It knows no names: which ops are products and which
// belong to a norm is read from the graph. A norm is a sum over axes whose result reaches the
// inverse of a root through a few elementwise ops.
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
// What a number of the op may be at most on the ANE: 32752 for sums of products, else 65504.
float range_limit(RangeRole role);

typedef struct {
    const MilOp *op;
    RangeRole role;
    // over all runs, infinite when something infinite or NaN was seen
    float in;  // largest |x| of the operands given or computed at run time
    float out; // largest |x| of the results
    // over the runs that were kept
    EngineSums sums;   // of products, where they are measured
    uint64_t n_broken; // results that are infinite or NaN
    uint64_t n_zero;   // rows of the results that are zeros alone
    // Whether such a row is a fault, where fp32 has another: not of a product that is added to another
    // one, as attention over caches and over new rows are, but of their sum.
    bool judges_rows;
    // in this run
    uint64_t run_broken, run_zero;
    EngineSums run_sums;
} OpRange;

// What is large in the op: the rows that enter a norm, results everywhere else.
float range_size(const OpRange *r);

typedef struct {
    const MilFunction *f;
    Engine *engine;
    OpRange *ops;     // [f->n_ops]
    float *peaks;     // [f->n_values] over all runs
    uint32_t last_op; // seen in this run; UINT32_MAX before the first
    bool measures_sums, failed;
    bool grew; // in this run something came nearer to its limit, and within a few bits of it
    Err err;
} RangeWatch;

// Watches `engine`, which runs `f`, from now on. The lists live in `arena`.
void range_watch(RangeWatch *w, Engine *engine, const MilFunction *f, bool measures_sums,
                 Arena *arena);
void range_watch_start(RangeWatch *w); // before a run
// Counts what was seen since range_watch_start(). False when a measurement failed.
bool range_watch_keep(RangeWatch *w, Err *err);

#endif
