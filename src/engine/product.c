// Products in blocks that stay in the second-level cache; as dot products for few rows; as whole
// sums for arithmetics that need them; and of integers.
#include "engine/product.h"

#include <assert.h>
#include <string.h>

#include "engine/sums.h"

// A block of y is DEPTH x COLS floats (64 KiB), of x ROWS x DEPTH (24 KiB): together they stay in a
// second-level cache of 256 KiB. COLS is the widest kernel tile, ROWS a multiple of the tallest.
enum { COLS = 64, DEPTH = 256, ROWS = 24, FEW_ROWS = 4 };

size_t product_scratch(const Node *n) {
    if (n->rules->sum_products) return product_sums_scratch(n);
    return DEPTH * COLS + ROWS * DEPTH + DEPTH;
}

typedef struct {
    const Engine *e;
    const Node *n;
    const Product *p;
    size_t n_columns, depth; // of p->n and p->k, those to compute
    size_t col_blocks;
} ProductTask;

// out columns [c0, c0 + cols) of one product whose operands start at x0 and y0.
static void product_block(const ProductTask *t, size_t x0, size_t y0, float *out, size_t c0,
                          size_t cols, float *scratch) {
    const Product *p = t->p;
    const Kernels *k = t->e->k;
    float *y_block = scratch, *x_block = y_block + DEPTH * COLS, *line = x_block + ROWS * DEPTH;
    const float *x_ready = p->transpose_x ? NULL : weight_floats(p->x);
    const float *y_ready = p->transpose_y ? NULL : weight_floats(p->y);
    for (size_t m = 0; m < p->m; m++) memset(out + m * p->n + c0, 0, cols * sizeof *out);
    for (size_t k0 = 0; k0 < t->depth; k0 += DEPTH) {
        size_t depth = min_size(DEPTH, t->depth - k0), y_stride = y_ready ? p->n : COLS;
        const float *y = y_ready ? y_ready + y0 + k0 * p->n + c0 : y_block;
        if (p->transpose_y)
            weight_block(p->y, y0 + c0 * p->k + k0, p->k, cols, depth, true, y_block, COLS, line);
        else if (!y_ready)
            weight_block(p->y, y0 + k0 * p->n + c0, p->n, depth, cols, false, y_block, COLS, line);
        for (size_t m0 = 0; m0 < p->m; m0 += ROWS) {
            size_t rows = min_size(ROWS, p->m - m0), x_stride = x_ready ? p->k : DEPTH;
            const float *x = x_ready ? x_ready + x0 + m0 * p->k + k0 : x_block;
            if (p->transpose_x)
                weight_block(p->x, x0 + k0 * p->m + m0, p->m, depth, rows, true, x_block, DEPTH,
                             line);
            else if (!x_ready)
                weight_block(p->x, x0 + m0 * p->k + k0, p->k, rows, depth, false, x_block, DEPTH,
                             line);
            k->gemm_f32(out + m0 * p->n + c0, p->n, x, x_stride, y, y_stride, rows, depth, cols);
        }
    }
}

// The same for few rows of x against rows of y: dot products, nothing unpacked.
static void product_dots(const Product *p, size_t x0, size_t y0, float *out, size_t c0,
                         size_t cols) {
    const float *x = weight_floats(p->x) + x0;
    for (size_t c = c0; c < c0 + cols; c++)
        for (size_t m = 0; m < p->m; m++)
            out[m * p->n + c] = weight_dot(p->y, y0 + c * p->k, p->k, x + m * p->k);
}

static void product_task(void *context, size_t first, size_t end, unsigned worker) {
    const ProductTask *t = context;
    const Product *p = t->p;
    bool by_dots =
        p->transpose_y && p->m <= FEW_ROWS && (!p->transpose_x || p->m == 1) && weight_floats(p->x);
    for (size_t i = first; i < end; i++) {
        size_t batch = i / t->col_blocks, c0 = i % t->col_blocks * COLS;
        size_t cols = min_size(COLS, t->n_columns - c0);
        BroadcastRun at = broadcast_run(&p->batches, batch, batch + 1);
        size_t x0 = at.from[0] * p->m * p->k, y0 = at.from[1] * p->k * p->n;
        float *out = p->out->f32 + batch * p->m * p->n;
        if (by_dots)
            product_dots(p, x0, y0, out, c0, cols);
        else
            product_block(t, x0, y0, out, c0, cols, engine_scratch(t->e, worker));
        for (size_t m = 0; m < p->m; m++) {
            float *row = out + m * p->n + c0;
            // A sum that underflowed to -0 becomes +0 with the next product, +0, of those left out.
            for (size_t c = 0; t->depth < p->k && c < cols; c++) row[c] += 0.0f;
            for (size_t c = 0; p->bias && c < cols; c++) row[c] += p->bias->f32[c0 + c];
            node_round(t->e, t->n, row, cols);
        }
    }
}

// ---- whole sums, by strips of columns

typedef struct {
    const Engine *e;
    const Product *p;
    SumKernel *kernel;
    void *context;
    float *out;
    size_t strips; // in a row
} ProductSumTask;

static void sum_task(void *context, size_t first, size_t end, unsigned worker) {
    const ProductSumTask *t = context;
    const Product *p = t->p;
    float *y_block = engine_scratch(t->e, worker), *line = y_block + p->k * ANE_STRIP;
    const float *x_ready = p->transpose_x ? NULL : weight_floats(p->x);
    const float *y_ready = p->transpose_y ? NULL : weight_floats(p->y);
    for (size_t i = first; i < end; i++) {
        size_t batch = i / t->strips, c0 = i % t->strips * ANE_STRIP;
        size_t cols = min_size(ANE_STRIP, p->n - c0);
        BroadcastRun at = broadcast_run(&p->batches, batch, batch + 1);
        size_t x0 = at.from[0] * p->m * p->k, y0 = at.from[1] * p->k * p->n;
        float *out = t->out + batch * p->m * p->n + c0;
        if (p->transpose_y)
            weight_block(p->y, y0 + c0 * p->k, p->k, cols, p->k, true, y_block, ANE_STRIP, line);
        else if (!y_ready)
            weight_block(p->y, y0 + c0, p->n, p->k, cols, false, y_block, ANE_STRIP, line);
        for (size_t m = 0; m < p->m; m++) {
            const float *x = x_ready ? x_ready + x0 + m * p->k : line;
            if (p->transpose_x)
                weight_block(p->x, x0 + m, p->m, p->k, 1, false, line, 1, NULL);
            else if (!x_ready)
                weight_decode(p->x, x0 + m * p->k, p->k, line);
            t->kernel(t->context, t->e->k, out + m * p->n, x, y_ready ? y_ready + y0 + c0 : y_block,
                      y_ready ? p->n : ANE_STRIP, p->k, cols, p->bias ? p->bias->f32 + c0 : NULL,
                      1);
        }
    }
}

size_t product_sums_scratch(const Node *n) {
    const Product *p = n->plan;
    return p->k * (ANE_STRIP + 1);
}

void product_sums(const Engine *e, const Node *n, SumKernel *kernel, void *context, float *out) {
    const Product *p = n->plan;
    ProductSumTask task = {e, p, kernel, context, out, (p->n + ANE_STRIP - 1) / ANE_STRIP};
    pool_run(e->pool, p->batches.count * task.strips, 1, sum_task, &task);
}

// int32: sums wrap.
static void product_ints(const Product *p) {
    const int32_t *x = p->x->tensor->i32, *y = p->y->tensor->i32;
    for (size_t batch = 0; batch < p->batches.count; batch++) {
        BroadcastRun at = broadcast_run(&p->batches, batch, batch + 1);
        size_t x0 = at.from[0] * p->m * p->k, y0 = at.from[1] * p->k * p->n;
        for (size_t m = 0; m < p->m; m++)
            for (size_t n = 0; n < p->n; n++) {
                uint32_t sum = p->bias ? (uint32_t)p->bias->i32[n] : 0;
                for (size_t k = 0; k < p->k; k++)
                    sum += (uint32_t)x[x0 + (p->transpose_x ? k * p->m + m : m * p->k + k)] *
                           (uint32_t)y[y0 + (p->transpose_y ? n * p->k + k : k * p->n + n)];
                p->out->i32[(batch * p->m + m) * p->n + n] = (int32_t)sum;
            }
    }
}

void product_run_part(const Engine *e, const Node *n, const Product *p, size_t n_columns,
                      size_t depth) {
    assert(depth == p->k || !p->transpose_y);
    ProductTask task = {e, n, p, n_columns, depth, (n_columns + COLS - 1) / COLS};
    // A block of 64 columns is worth a thread from about 64 K products on.
    size_t work = p->m * depth * min_size(COLS, n_columns);
    pool_run(e->pool, p->batches.count * task.col_blocks, 1 + 65536 / max_size(work, 1),
             product_task, &task);
}

void product_run(const Engine *e, const Node *n, const Product *p) {
    if (p->out->i32)
        product_ints(p);
    else if (n->rules->sum_products)
        product_sums(e, n, n->rules->sum_products, NULL, p->out->f32);
    else
        product_run_part(e, n, p, p->n, p->k);
}
