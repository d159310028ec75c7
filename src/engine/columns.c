// Tasks over part of each line of an output.
#include "engine/columns.h"

typedef struct {
    NodeTask task;
    Columns columns;
    PoolTask *elements;
} ColumnsTask;

static void lines_task(void *context, size_t first, size_t end, unsigned worker) {
    ColumnsTask *t = context;
    for (size_t line = first; line < end; line++) {
        size_t at = line * t->columns.line;
        t->elements(&t->task, at + t->columns.first, at + t->columns.end, worker);
    }
}

void columns_run(const Engine *e, const Node *n, Columns c, PoolTask *elements) {
    ColumnsTask task = {{e, n}, c, elements};
    pool_run(e->pool, n->output->count / c.line, 1 + ELEMENT_GRAIN / max_size(c.end - c.first, 1),
             lines_task, &task);
}
