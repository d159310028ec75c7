// Measures how large the partial sums of an op can become, and how much of them the ANE would drop.
// Used by range measurements, not by runs.
#include <math.h>
#include <stdlib.h>

#include "engine/sums.h"

typedef struct {
    float *sizes, *lost; // one a result
} Sizes;

// |bias| + Σ |w x| into `out`, and what is dropped of it into `lost`, at the same place.
static void sum_sizes(void *context, const Kernels *k, float *out, const float *w, const float *x,
                      size_t x_stride, size_t depth, size_t cols, const float *bias,
                      size_t bias_step) {
    const Sizes *s = context;
    float *lost = s->lost + (out - s->sizes);
    for (size_t c = 0; c < cols; c++) {
        out[c] = bias ? fabsf(bias[c * bias_step]) : 0;
        lost[c] = 0;
    }
    size_t at = 0;
    for (; cols - at >= KERNEL_STRIP; at += KERNEL_STRIP)
        k->sizes_q16(out + at, lost + at, w, x + at, x_stride, depth);
    for (size_t i = 0; i < depth; i++) {
        float least = ane_least_factor(w[i]);
        for (size_t c = at; c < cols; c++) {
            float size = fabsf(x[i * x_stride + c]), product = fabsf(w[i]) * size;
            out[c] += product;
            lost[c] += size < least ? product : 0;
        }
    }
}

bool engine_sums_products(const MilOp *op) {
    uint32_t opcode = op->info->opcode;
    return opcode == MIL_OP_conv || opcode == MIL_OP_linear || opcode == MIL_OP_matmul;
}

bool engine_measure_sums(const Engine *e, const MilOp *op, EngineSums *sums, Err *err) {
    const Node *n = &e->nodes[op - e->f->ops];
    bool is_conv = op->info->opcode == MIL_OP_conv;
    *sums = (EngineSums){0};
    if (!engine_sums_products(op) || !n->output->f32) return true;
    size_t count = n->output->count;
    size_t floats = is_conv ? conv_sums_scratch(n) : product_sums_scratch(n);
    // The engine with a scratch of its own: other arithmetics reserve less.
    Engine walker = *e;
    walker.scratch_bytes = (size_t)round_up(floats * sizeof(float), 64);
    walker.scratch = big_alloc(walker.scratch_bytes * pool_threads(e->pool), "sums", err);
    Sizes s = {
        .sizes = big_alloc(count * sizeof(float), "sums", err),
        .lost = big_alloc(count * sizeof(float), "sums", err),
    };
    bool ok = walker.scratch && s.sizes && s.lost;
    if (ok) (is_conv ? conv_sums : product_sums)(&walker, n, sum_sizes, &s, s.sizes);
    for (size_t i = 0; ok && i < count; i++) {
        float size = isnan(s.sizes[i]) ? INFINITY : s.sizes[i]; // infinity times zero
        if (size > sums->bound) sums->bound = size;
        sums->all += (double)s.sizes[i];
        sums->lost += (double)s.lost[i];
    }
    free(walker.scratch);
    free(s.sizes);
    free(s.lost);
    return ok;
}
