// Functions by table, rule I08: 33 entries of binary16 at equal steps, with linear interpolation.
//
// The compiler's own tables were read by M6 (notes/numerics.md, F3b): which interval each covers,
// how symmetry or the exponent takes care of the rest, and what lies beyond. Entries are the
// function's values at the knots, except where a different published entry is known. erf and sin
// have tables too, but what lies beyond erf's is not published, and no model here uses either.
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "engine/ane.h"

enum { N_STEPS = 32 };

typedef enum {
    REACH_ODD,         // the table has x >= 0; f(-x) = -f(x)
    REACH_BOTH,        // the table has both sides
    REACH_EXPONENT,    // of x: the table has [0.5, 1) or, for roots, [0.5, 2)
    REACH_EXPONENTIAL, // 2^x: the table has [0, 1)
} Reach;

struct AneCurve {
    const char *op;
    Reach reach;
    double first, step; // of the table
    double (*entry)(double x);
    float (*beyond)(float x); // REACH_ODD, REACH_BOTH: past the table's ends
    double at[2];             // knots whose entry is fitted; by symmetry -at[1] too
    double fitted[2];
    float (*whole)(const AneCurve *curve, float x); // REACH_EXPONENT: all of f, for finite x > 0
    float at_zero, at_infinity, at_negative;        // REACH_EXPONENT
};

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double silu(double x) {
    return x * sigmoid(x);
}
static double gelu(double x) {
    return 0.5 * x * (1 + erf(x * 0x1.6a09e667f3bcdp-1));
}
static double inverse_root(double x) {
    return 1 / sqrt(x);
}
static double inverse(double x) {
    return 1 / x;
}
static float step_to_one(float x) {
    return x < 0 ? 0 : 1;
}
static float step_sign(float x) {
    return x < 0 ? -1 : 1;
}
static float ramp(float x) {
    return x < 0 ? 0 : x;
}

static double entry_at(const AneCurve *c, int i) {
    double x = c->first + c->step * i, value = c->entry(x);
    if (c->fitted[1] != 0) { // silu and gelu: f(x) - f(-x) = x holds for the fitted ones too
        if (x == c->at[0]) value = c->fitted[0];
        if (x == c->at[1]) value = c->fitted[1];
        if (x == -c->at[1]) value = c->fitted[1] - c->at[1];
    }
    return (double)round_to_half((float)value);
}

static double look_up(const AneCurve *c, double x) {
    double place = (x - c->first) / c->step;
    int i = place < N_STEPS ? (int)place : N_STEPS - 1;
    double low = entry_at(c, i);
    return low + (entry_at(c, i + 1) - low) * (place - i);
}

// x = part 2^n with part in [0.5, 1).
static float whole_inverse(const AneCurve *c, float x) {
    int n;
    double part = frexp((double)x, &n);
    return (float)ldexp(look_up(c, part), -n);
}
static float whole_log(const AneCurve *c, float x) {
    int n;
    float part = (float)look_up(c, frexp((double)x, &n));
    ane_round(&part, 1); // our reading again: so log(1.004) errs by the published 91 units
    return (float)(((double)part + n) * 0x1.62e42fefa39efp-1);
}
// …with n even and part in [0.5, 2).
static double split_even(float x, int *n) {
    double part = frexp((double)x, n);
    if (*n % 2 == 0) return part;
    (*n)--;
    return part * 2;
}
static float whole_root(const AneCurve *c, float x) {
    int n;
    double part = split_even(x, &n);
    return (float)ldexp(look_up(c, part), n / 2);
}
static float whole_inverse_root(const AneCurve *c, float x) {
    int n;
    double part = split_even(x, &n);
    return (float)ldexp(look_up(c, part), -n / 2);
}

// 2^(x log2 e): the whole part is the exponent, the table has the rest. With factor and power in
// binary16 the worst error up to x = 10 is the published one, at the published place; that they are
// in binary16 is our reading.
static float exponential(const AneCurve *c, float x) {
    if (x > 11.5f) return INFINITY; // e^11.09 is 65520
    if (x < -20) return 0;          // below 2^-25
    float power = x * round_to_half(0x1.715476p0f);
    ane_round(&power, 1);
    double n = floor((double)power);
    return (float)ldexp(look_up(c, (double)power - n), (int)n);
}

// clang-format off
static const AneCurve curves[] = {
    {"sigmoid", REACH_BOTH, -8, 0.5,      sigmoid, step_to_one, {0}, {0}, NULL, 0, 0, 0},
    {"tanh",    REACH_ODD,   0, 0.125,    tanh,    step_sign,   {0}, {0}, NULL, 0, 0, 0},
    // silu(0) comes out as -0.00171 and silu(0.5) = 0.3112 as 0.296; gelu(0) as -0.000761, gelu(0.25) = 0.1497 as 0.1436
    {"silu",    REACH_BOTH, -8, 0.5,      silu,    ramp,        {0, 0.5},  {-0.00171, 0.296},   NULL, 0, 0, 0},
    // one table for all modes of gelu
    {"gelu",    REACH_BOTH, -4, 0.25,     gelu,    ramp,        {0, 0.25}, {-0.000761, 0.1436}, NULL, 0, 0, 0},
    {"exp",     REACH_EXPONENTIAL, 0, 1.0 / 32, exp2, NULL,     {0}, {0}, NULL, 0, 0, 0},
    {"log",     REACH_EXPONENT, 0.5, 1.0 / 64, log2,         NULL, {0}, {0}, whole_log,          -INFINITY, INFINITY, NAN},
    {"sqrt",    REACH_EXPONENT, 0.5, 1.0 / 16, sqrt,         NULL, {0}, {0}, whole_root,         0,         INFINITY, NAN},
    {"rsqrt",   REACH_EXPONENT, 0.5, 1.0 / 16, inverse_root, NULL, {0}, {0}, whole_inverse_root, INFINITY,  0,        NAN},
    {"inverse", REACH_EXPONENT, 0.5, 1.0 / 64, inverse,      NULL, {0}, {0}, whole_inverse,      INFINITY,  0,        NAN},
};
// clang-format on

const AneCurve *ane_curve(const char *op) {
    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (strcmp(curves[i].op, op) == 0) return &curves[i];
    return NULL;
}

static float curve_at(const AneCurve *c, float x) {
    if (x != x) x = 0x1.8p16f; // I07: NaN is a large number
    double end = c->first + c->step * N_STEPS;
    switch (c->reach) {
    case REACH_ODD: {
        float size = fabsf(x);
        return (double)size > end ? c->beyond(x) : copysignf((float)look_up(c, (double)size), x);
    }
    case REACH_BOTH:
        return (double)x < c->first || (double)x > end ? c->beyond(x)
                                                       : (float)look_up(c, (double)x);
    case REACH_EXPONENTIAL: return exponential(c, x);
    case REACH_EXPONENT: break;
    }
    if (c->whole == whole_inverse && x < 0) return -curve_at(c, -x);
    if (x < 0) return c->at_negative;
    if (x == 0) return c->at_zero;
    return x > 65504 * 2.0f ? c->at_infinity : c->whole(c, x);
}

void ane_curve_apply(const AneCurve *curve, float *out, const float *in, size_t n, float shift) {
    for (size_t i = 0; i < n; i++) out[i] = curve_at(curve, in[i] + shift);
}
