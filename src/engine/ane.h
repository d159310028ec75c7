// ane.h — the arithmetic `ane`: a model of how the Neural Engine computes, made from measurements
// that others have published. We never measured it, and no Neural Engine has confirmed it.
//
// It shows overflow, lost products and rows of zeros before a bundle is run on a Mac. It is not
// bit-exact. ane_rules.def lists the rules with their sources and confidence. The rules apply to
// results that the program declares fp16 (the Neural Engine computes nothing else); other ops run
// as in fp16 arithmetic, because Core ML would run them on the CPU.
#ifndef LATHE_ENGINE_ANE_H
#define LATHE_ENGINE_ANE_H

#include "kernels/kernels.h"

typedef struct {
    const char *id, *rule, *applied, *source, *confidence;
} AneRule;
const AneRule *ane_rule_at(size_t i); // NULL past the last

// I01: sums of this size are infinite. The largest binary16 below it is 32752.
#define ANE_SUM_LIMIT 32768.0

// I07: x[i] rounded to binary16, halves away from zero; 65520 and above, and NaN, become infinity.
void ane_round(float *x, size_t n);

// I07: `n` operands with infinity as ±2^16 and NaN as 1.5 2^16. `x` itself when there are none,
// else a copy in `piece`.
const float *ane_decode(const float *x, float *piece, size_t n);

// out[c] = bias[c bias_step] + Σ_k w[k] x[k x_stride + c] by I01, I02 and I07, for c < cols. `bias`
// may be NULL. All numbers are binary16 values; infinities and NaN are decoded first.
void ane_products(const Kernels *k, float *out, const float *w, const float *x, size_t x_stride,
                  size_t depth, size_t cols, const float *bias, size_t bias_step);
// I02: a product with `w` is not lost if the other factor is at least this large.
float ane_least_factor(float w);
// The number of columns that callers preferably ask for at once.
enum { ANE_STRIP = KERNEL_STRIP };

// I08: the function of the unary op `op`, or NULL when the ANE computes it without a table.
typedef struct AneCurve AneCurve;
const AneCurve *ane_curve(const char *op);
// out[i] = f(in[i] + shift) not yet rounded; out may be in. `shift` is the op's epsilon or 0.
void ane_curve_apply(const AneCurve *curve, float *out, const float *in, size_t n, float shift);

#endif
