#include "compile/condition.h"

#include <math.h>

#include "base/half.h"

// Limits allow a sixteenth of what overflows, because other texts may give larger activations than
// the calibration text.
//
// FP16_PEAK     65504 ends fp16: elements of tensors SUM_PEAK      sums of products overflow at
// 32752 on M4 and M6, also when only a partial sum reaches it
//               (751K/Apple-Neural-Engine-Microarchitecture-Study-M6, notes/numerics.md)
// BOUND_PEAK    the same for Σ|products|, which no order of summing exceeds: half the limit is
// enough STREAM_PEAK   norms divide by a row's largest magnitude (norm.c). Where that is done by a
//               reciprocal, the reciprocal of anything above 2^14 is subnormal, and the ANE loses
//               subnormals (Anemll/anemll-forge). eeANE 2.1.0 (PyPI) keeps streams below 64, since
//               its norms square them as they are; ours never do, and a factor 16 more would cost
//               the quiet rows of the same model: SmolLM2's first layers, at an rms of 0.08, share
//               a package with a token at 27,000
#define FP16_PEAK   4094.0f
#define SUM_PEAK    2047.0f
#define BOUND_PEAK  16376.0f
#define STREAM_PEAK 1024.0f

// Products are rounded to 2^-16 as they are summed, and those below about 2^-17 are lost (the same
// study): over 8192 terms an error of 4e-4, which stays below that of int8 weights while the sum's
// rms is a tenth or more.
#define LEAST_BRANCH_RMS 0.1f
// Elements below 2^-14 are lost. From this rms on they are less than a 250th of it.
#define LEAST_STREAM_RMS 0x1p-6f
// The same for values and for what enters the down projection, by their peaks.
#define LEAST_PEAK   0x1p-6f
#define LEAST_HALF   0x1p-14f // smallest normal number of fp16
#define LARGEST_HALF 65504.0f

// Exponents of two: the least e with x / 2^e <= limit, and the greatest with x / 2^e >= limit.
static int least_exponent(float x, float limit) {
    return x > 0 ? (int)ceil(log2((double)x / (double)limit)) : INT8_MIN;
}
static int most_exponent(float x, float limit) {
    return x > 0 ? (int)floor(log2((double)x / (double)limit)) : INT8_MAX;
}

static int clamp(int x, int low, int high) {
    return x < low ? low : x > high ? high : x;
}

static void widen(float *peak, float *shortest, float other_peak, float other_shortest) {
    if (other_peak > *peak) *peak = other_peak;
    if (other_shortest < *shortest) *shortest = other_shortest;
}

float condition_root_eps(const Contract *c, uint32_t width, int residual_exp2) {
    return ldexpf(sqrtf((float)width * c->norm_eps), -residual_exp2);
}

bool condition_keeps_eps(const Contract *c, int residual_exp2, Err *err) {
    float held = round_to_half(condition_root_eps(c, c->d_model, residual_exp2));
    if (held >= LEAST_HALF) return true;
    float root = condition_root_eps(c, c->d_model, 0);
    const char *lost =
        "norms hold it as sqrt(d_model · norm_eps), in fp16 numbers of 6.10e-05 and above: smaller "
        "ones are subnormal, the Neural Engine is reported to lose those, and a row of zeros would "
        "then come out as NaN";
    if (root == 0)
        return err_set(err, ERR_FORMAT, "norm_eps %g: %s; no scaling can mend a zero",
                       (double)c->norm_eps, lost);
    return err_set(err, ERR_FORMAT,
                   "norm_eps %g with d_model %u becomes %.3g: %s; --range auto carries the stream "
                   "and eps with it multiplied by 2^%d",
                   (double)c->norm_eps, c->d_model, (double)held, lost,
                   -most_exponent(root, LEAST_HALF));
}

float condition_l2_eps(const Contract *c, uint32_t width, int residual_exp2) {
    return ldexpf((float)width * c->norm_eps, -2 * residual_exp2);
}

bool condition_keeps_l2_eps(const Contract *c, int residual_exp2, Err *err) {
    float held = round_to_half(condition_l2_eps(c, c->d_model, residual_exp2));
    if (held >= LEAST_HALF && held <= LARGEST_HALF) return true;
    return err_set(err, ERR_FORMAT,
                   "--norm l2: an l2_norm would hold norm_eps %g as %.3g, with d_model %u and the "
                   "stream divided by 2^%d, and the Neural Engine is reported to lose fp16 numbers "
                   "below 6.10e-05; --norm max holds its root",
                   (double)c->norm_eps, (double)held, c->d_model, residual_exp2);
}

// sqrt(1 + eps / mean(x²)) is 1.01 at a fiftieth.
#define MOST_EPS_SHARE 0.02f

bool condition_rows_need_no_eps(const Contract *c, const Ranges *ranges, Err *err) {
    float shortest = ranges->out_shortest;
    uint32_t at = c->n_layers;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        float row = fminf(ranges->layers[i].attn_in_shortest, ranges->layers[i].ffn_in_shortest);
        if (row >= shortest) continue;
        shortest = row;
        at = i;
    }
    float mean = shortest * shortest / (float)c->d_model;
    if (c->norm_eps <= MOST_EPS_SHARE * mean) return true;
    return err_set(err, ERR_FORMAT,
                   "--norm l2: a row before a norm of layer %u (%u is the head's) has a mean "
                   "square of only %.3g, with norm_eps %g; the Neural Engine is reported to leave "
                   "eps out of l2_norm, so the row would be %.0f %% too large; use --norm max",
                   at, c->n_layers, (double)mean, (double)c->norm_eps,
                   100 * (sqrt(1 + (double)c->norm_eps / (double)mean) - 1));
}

bool condition_stream(int *residual_exp2, const Contract *c, const Ranges *ranges, uint32_t first,
                      uint32_t end, Err *err) {
    float peak = 0, shortest = INFINITY;
    for (uint32_t i = first; i < end; i++) {
        const LayerRange *l = &ranges->layers[i];
        widen(&peak, &shortest, l->attn_in_peak, l->attn_in_shortest);
        widen(&peak, &shortest, l->ffn_in_peak, l->ffn_in_shortest);
    }
    if (end == ranges->n_layers)
        widen(&peak, &shortest, ranges->out_peak, ranges->out_shortest);
    else
        widen(&peak, &shortest, ranges->layers[end].attn_in_peak,
              ranges->layers[end].attn_in_shortest);

    float rms = shortest / sqrtf((float)c->d_model);
    int loud = least_exponent(peak, STREAM_PEAK);
    int quiet = rms < LEAST_STREAM_RMS ? most_exponent(rms, LEAST_STREAM_RMS) : 0;
    int wanted = loud > quiet ? loud : quiet;
    float root_eps = condition_root_eps(c, c->d_model, 0); // a number of its own
    *residual_exp2 = root_eps > 0 ? clamp(wanted, least_exponent(root_eps, LARGEST_HALF),
                                          most_exponent(root_eps, LEAST_HALF))
                                  : wanted;
    if (ldexpf(peak, -*residual_exp2) <= LARGEST_HALF / 4) return true;
    return err_set(err, ERR_FORMAT,
                   "layers %u to %u: the stream reaches %g, and no factor keeps both that and the "
                   "norms' eps of %g within fp16%s",
                   first, end, (double)peak, (double)c->norm_eps,
                   condition_keeps_eps(c, 0, NULL) ? "; --range off scales neither" : "");
}

// How much of a writer's factor goes into its weights. `given` is what they are multiplied by
// already, as an exponent.
typedef struct {
    float peak, rms, sum, bound, least_row, most_weight;
} Writer;

static int fold(const Writer *w, int given, int residual_exp2) {
    // What must be: sums that stay finite, weights that fp16 holds.
    int least = least_exponent(w->bound, BOUND_PEAK);
    int by_sum = least_exponent(fmaxf(w->peak, w->sum), SUM_PEAK);
    int by_weight = given + least_exponent(w->most_weight, LARGEST_HALF / 2);
    if (by_sum > least) least = by_sum;
    if (by_weight > least) least = by_weight;
    // What may be: int8 scales stay normal numbers, or as they are, so that codes are the same as
    // without; sums stay well above what is lost in them.
    int exact = given + most_exponent(w->least_row / 127, LEAST_HALF);
    if (exact < given) exact = given;
    int most = most_exponent(w->rms, LEAST_BRANCH_RMS);
    if (exact < most) most = exact;
    if (least <= residual_exp2 && residual_exp2 <= most)
        return residual_exp2; // and no multiplication is needed
    if (w->rms == 0) return clamp(residual_exp2, least, exact > least ? exact : least);
    // With a multiplication there is a choice. Sums that are large enough stay as they are: the
    // smaller they are made, the more of them the accumulator rounds off (SmolLM2 with fp16 weights
    // in arithmetic `ane`: rmse 0.766 so, 0.814 with all sums near 1, 0.765 unconditioned).
    int best = w->rms >= LEAST_BRANCH_RMS ? 0 : (int)lroundf(log2f(w->rms));
    if (best > exact) best = exact;
    // The multiplication's own factor, 2^(fold - residual_exp2), is an fp16 number too.
    if (best < residual_exp2 - 13) best = residual_exp2 - 13;
    return best > least ? best : least;
}

// Down when a peak is above the limit, up when it is so small that most elements are lost.
static int shift(float peak, float limit) {
    int least = least_exponent(peak, limit);
    if (least > 0) return least;
    return peak > 0 && peak < LEAST_PEAK ? most_exponent(peak, LEAST_PEAK) : 0;
}

LayerScaling condition_layer(const LayerKind *kind, const LayerRange *l, int residual_exp2) {
    int branch = has_post_norms(kind) ? 0 : residual_exp2; // what its sums are best divided by
    LayerScaling out = {
        .residual_exp2 = residual_exp2,
        .v = shift(l->v_peak, SUM_PEAK / PROBABILITY_GAIN),
        .up = scales_what_it_makes(kind) ? shift(l->gated_peak, FP16_PEAK) : 0,
    };
    const Writer attn = {l->attn_out_peak,  l->attn_out_rms,       l->attn_out_sum,
                         l->attn_out_bound, l->attn_out_least_row, l->attn_out_most_weight};
    const Writer ffn = {l->ffn_out_peak,  l->ffn_out_rms,       l->ffn_out_sum,
                        l->ffn_out_bound, l->ffn_out_least_row, l->ffn_out_most_weight};
    out.attn = fold(&attn, out.v, branch);
    out.ffn = fold(&ffn, out.up, branch);
    return out;
}
