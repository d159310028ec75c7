// arithmetic.h — the rules of an arithmetic as a table of functions: a row of arithmetics.def.
//
// A node has the rules of the engine's arithmetic when the program declares its first output fp16,
// else those of fp32, which round nothing. Ops call their node's rules and never ask which
// arithmetic runs.
#ifndef LATHE_ENGINE_ARITHMETIC_H
#define LATHE_ENGINE_ARITHMETIC_H

#include "engine/ane.h"
#include "engine/engine.h"

// For c < cols: out[c] of bias[c bias_step] and w[k] x[k x_stride + c], k < depth. `bias` may be
// NULL. `out` receives one number per sum, in the order of the op's output.
typedef void SumKernel(void *context, const Kernels *k, float *out, const float *w, const float *x,
                       size_t x_stride, size_t depth, size_t cols, const float *bias,
                       size_t bias_step);

// A function that is NULL is skipped.
typedef struct {
    const char *name, *label;
    // Results x[0, n), and constants that ops decompress, where the program declares them fp16;
    // NULL if nothing is rounded to binary16.
    void (*round)(const Kernels *k, float *x, size_t n);
    // Operands of elementwise ops: `x`, or a copy in `piece` with other numbers for some.
    const float *(*decode_operands)(const float *x, float *piece, size_t n);
    // The table for the unary op called `op`; NULL if it is computed without one.
    const AneCurve *(*curve_of)(const char *op);
    // Computes sums of products one by one, each whole and rounded (sums.h); NULL: the kernels'
    // products are used.
    SumKernel *sum_products;
    bool drops_l2_eps; // l2_norm ignores its epsilon; a row of zeros stays zeros
    bool allows_spans; // passes run (pass.h): whole ops may be computed in parts
} ArithmeticRules;

const ArithmeticRules *arithmetic_rules(Arithmetic arithmetic);

#endif
