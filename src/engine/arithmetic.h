// arithmetic.h — what an arithmetic asks of ops, as functions: a row of arithmetics.def.
//
// A node has the rules of the engine's arithmetic when the program declares its first output fp16,
// else those of fp32, which round nothing. An op asks its node's rules and never which arithmetic it
// is.
#ifndef LATHE_ENGINE_ARITHMETIC_H
#define LATHE_ENGINE_ARITHMETIC_H

#include "engine/ane.h"
#include "engine/engine.h"

// For c < cols: out[c] of bias[c bias_step] and w[k] x[k x_stride + c], k < depth. `bias` may be
// NULL. `out` takes one number a sum, as the op's output lies.
typedef void SumKernel(void *context, const Kernels *k, float *out, const float *w, const float *x,
                       size_t x_stride, size_t depth, size_t cols, const float *bias,
                       size_t bias_step);

// A NULL function: nothing of the kind is done.
typedef struct {
    const char *name, *label;
    // Results x[0, n), and constants that ops decompress, where the program declares them fp16; NULL
    // too when halves are not rounded at all.
    void (*round)(const Kernels *k, float *x, size_t n);
    // Operands of elementwise ops: `x`, or a copy in `piece` with other numbers for some.
    const float *(*decode_operands)(const float *x, float *piece, size_t n);
    // The table by which it computes the unary op called `op`; NULL for one without.
    const AneCurve *(*curve_of)(const char *op);
    // Sums of products whole, one by one, already rounded (sums.h); NULL: by the kernels' products.
    SumKernel *sum_products;
    bool drops_l2_eps; // l2_norm adds nothing to its sum; a row of zeros stays one
    bool allows_spans; // passes run (pass.h): whole ops may be computed in parts
} ArithmeticRules;

const ArithmeticRules *arithmetic_rules(Arithmetic arithmetic);

#endif
