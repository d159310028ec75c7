// columns.h — computes some columns of an op's output, for spans (pass.h), by the same code as the
// whole op, so that they have the same bits.
#ifndef LATHE_ENGINE_COLUMNS_H
#define LATHE_ENGINE_COLUMNS_H

#include "engine/prepare.h"

// Elements [first, end) of each line of `line` elements.
typedef struct {
    size_t line, first, end;
} Columns;

// Runs `elements`, a task over the node's output whose context is a NodeTask, on those columns.
void columns_run(const Engine *e, const Node *n, Columns c, PoolTask *elements);

// An elementwise op of two operands, or of one; operands as the op has them.
void binary_run_columns(const Engine *e, const Node *n, Columns c);
void unary_run_columns(const Engine *e, const Node *n, Columns c);

// A softmax over the last axis of which the columns from `n_columns` on would be 0; these are not
// written. `n_columns` is a multiple of SOFTMAX_COLUMNS, so that sums keep their order.
enum { SOFTMAX_COLUMNS = 64 };
void softmax_run_columns(const Engine *e, const Node *n, size_t n_columns);
bool softmax_is_over_last_axis(const Node *n);

#endif
