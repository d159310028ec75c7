// pool.h — a fixed set of threads that divide the rows of one loop among them.
//
// One pool serves one caller: pool_run() must not be called from two threads at once, nor from
// inside a task.
#ifndef LATHE_BASE_POOL_H
#define LATHE_BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

typedef struct Pool Pool;

// `n_threads` counts the caller; 0 means one per processor. NULL and `err` when a thread cannot be
// started.
Pool *pool_open(unsigned n_threads, Err *err);
unsigned pool_threads(const Pool *p);

// Work on rows [first, end) as worker `worker` (0 … pool_threads - 1).
typedef void PoolTask(void *context, size_t first, size_t end, unsigned worker);

// Calls `task` until rows [0, n_rows) are done, in pieces of at least `grain` rows. Which worker
// gets which piece is not fixed; a task's result must not depend on its worker. Returns when all
// are done. With a NULL pool the calling thread runs `task`.
void pool_run(Pool *p, size_t n_rows, size_t grain, PoolTask *task, void *context);

void pool_close(Pool *p); // safe on NULL

#endif
