// pass.h — passes over the prepared nodes; they run between prepare_ops and plan_buffers.
//
// A pass looks for neighbouring ops that it can run as one, and covers them with a Span. The nodes
// stay as they are: if a tap is set, the engine runs them one by one, because a tap sees every
// value; in the arithmetic `ane`, which models each op, no pass runs. A span gives every reader
// outside of it the same bits as its ops would; values that only its own ops read need not be
// written.
//
// A pass matches opcodes, shapes and uses of values, never names. It must not rely on where values
// are stored, which is decided later.
#ifndef LATHE_ENGINE_PASS_H
#define LATHE_ENGINE_PASS_H

#include "engine/plan.h"

// Runs the passes of the table, or those of them that the environment variable LATHE_PASSES lists
// ("none", or names with commas between). False and `err` when it lists an unknown pass.
bool passes_run(Engine *e, Err *err);

// One line for each node that does work: "VALUES = OPCODE", and for a span "VALUES = PASS(VALUES OF
// ITS OPS, …)".
void nodes_print(const Engine *e, StrBuf *out);

// ---- for passes

// The readers of a value.
typedef struct {
    uint32_t n;    // number of readers, one for each operand, and one for an output of the function
    uint32_t only; // the op that reads it when n is 1, or NO_INDEX for an output
} ValueUse;
ValueUse *pass_uses(const Engine *e, Arena *arena); // [n_values]

// The first op after op `i` that does work, or n_ops.
uint32_t pass_next_op(const Engine *e, uint32_t i);
Span *pass_new_span(Engine *e, const char *pass, uint32_t first, uint32_t n_ops);
// While running: rows of every matrix of value `v` before which all that is not zero lies; `slots`
// when that is not known.
size_t pass_written_rows(const Engine *e, uint32_t v, size_t slots);

// While running: whether a tensor has no infinity and no NaN.
bool pass_all_finite(const EngineTensor *t);

// ---- the passes, each in pass_<name>.c
void pass_attend_written(Engine *e);
void pass_blend_rows(Engine *e);
void pass_sum_written(Engine *e);

#endif
