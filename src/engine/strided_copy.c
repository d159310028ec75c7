// Copies boxes, with axes merged where possible, in contiguous runs.
#include "engine/strided_copy.h"

#include <string.h>

enum { ELEMENT = sizeof(float), BLOCK = 16 };

// Drops axes of size 1 and merges neighbours that both sides walk through as one.
static Box merged(const Box *b) {
    Box m = {0};
    for (int i = 0; i < b->rank; i++) {
        if (b->dims[i] == 1) continue;
        ptrdiff_t size = (ptrdiff_t)b->dims[i];
        int last = m.rank - 1;
        if (m.rank && m.to_step[last] == b->to_step[i] * size &&
            m.from_step[last] == b->from_step[i] * size) {
            m.dims[last] *= b->dims[i];
            m.to_step[last] = b->to_step[i];
            m.from_step[last] = b->from_step[i];
            continue;
        }
        m.dims[m.rank] = b->dims[i];
        m.to_step[m.rank] = b->to_step[i];
        m.from_step[m.rank++] = b->from_step[i];
    }
    return m;
}

static void copy_line(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step,
                      size_t n) {
    if (to_step == 1 && from_step == 1) {
        memcpy(to, from, n * ELEMENT);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + (ptrdiff_t)i * to_step * ELEMENT, from + (ptrdiff_t)i * from_step * ELEMENT,
               ELEMENT);
}

// The last two axes of a transpose: block by block, so that both sides stay in the cache.
static void copy_plane(char *to, const char *from, const Box *b, int axis) {
    size_t rows = b->dims[axis], cols = b->dims[axis + 1];
    for (size_t r0 = 0; r0 < rows; r0 += BLOCK)
        for (size_t c0 = 0; c0 < cols; c0 += BLOCK)
            for (size_t r = r0; r < min_size(r0 + BLOCK, rows); r++) {
                ptrdiff_t to_at =
                    (ptrdiff_t)r * b->to_step[axis] + (ptrdiff_t)c0 * b->to_step[axis + 1];
                ptrdiff_t from_at =
                    (ptrdiff_t)r * b->from_step[axis] + (ptrdiff_t)c0 * b->from_step[axis + 1];
                copy_line(to + to_at * ELEMENT, b->to_step[axis + 1], from + from_at * ELEMENT,
                          b->from_step[axis + 1], min_size(BLOCK, cols - c0));
            }
}

static void copy_from_axis(const Box *b, int axis, char *to, const char *from) {
    if (axis == b->rank) {
        memcpy(to, from, ELEMENT);
    } else if (axis == b->rank - 1) {
        copy_line(to, b->to_step[axis], from, b->from_step[axis], b->dims[axis]);
    } else if (axis == b->rank - 2 && b->from_step[axis] == 1) {
        copy_plane(to, from, b, axis);
    } else {
        for (size_t i = 0; i < b->dims[axis]; i++)
            copy_from_axis(b, axis + 1, to + (ptrdiff_t)i * b->to_step[axis] * ELEMENT,
                           from + (ptrdiff_t)i * b->from_step[axis] * ELEMENT);
    }
}

static size_t box_count(const Box *b) {
    size_t count = 1;
    for (int i = 0; i < b->rank; i++) count *= b->dims[i];
    return count;
}

void box_copy(const Box *b, void *to, const void *from) {
    if (box_count(b) == 0) return;
    Box m = merged(b);
    copy_from_axis(&m, 0, to, from);
}

typedef struct {
    Box box;
    char *to;
    const char *from;
} CopyTask;

static void copy_task(void *context, size_t first, size_t end, unsigned worker) {
    (void)worker;
    const CopyTask *t = context;
    Box part = t->box;
    part.dims[0] = end - first;
    box_copy(&part, t->to + (ptrdiff_t)first * part.to_step[0] * ELEMENT,
             t->from + (ptrdiff_t)first * part.from_step[0] * ELEMENT);
}

void box_copy_threaded(const Box *b, Pool *pool, void *to, const void *from) {
    size_t count = box_count(b);
    if (count == 0) return;
    CopyTask task = {merged(b), to, from};
    if (task.box.rank == 0 || count < 2 * ELEMENT_GRAIN) {
        copy_from_axis(&task.box, 0, to, from);
        return;
    }
    size_t row = count / task.box.dims[0];
    pool_run(pool, task.box.dims[0], max_size(1, ELEMENT_GRAIN / max_size(row, 1)), copy_task,
             &task);
}
