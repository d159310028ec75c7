#include "reference/rope.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

// The pair that makes `turns` turns over the original context (YaRN, arXiv 2309.00071,
// section 3.2).
static double pair_of_turns(const Contract *c, const LayerKind *k, double turns) {
    return k->rope_dim * log(c->original_context / (turns * 2 * PI)) /
           (2 * log((double)k->rope_base));
}

// How much of pair i's frequency stays unstretched: 1 for fast pairs, 0 for slow ones, a ramp
// between.
static double yarn_kept(const Contract *c, const LayerKind *k, uint32_t i) {
    double low = floor(pair_of_turns(c, k, (double)k->yarn_beta_fast));
    double high = ceil(pair_of_turns(c, k, (double)k->yarn_beta_slow));
    low = fmax(low, 0);
    high = fmin(high, (double)k->rope_dim - 1);
    double ramp = (i - low) / fmax(0.001, high - low);
    return (1 - fmin(1, fmax(0, ramp))) * (double)k->yarn_ext_factor;
}

void reference_rope_frequencies(const Contract *c, const LayerKind *k, bool is_long,
                                double *angles) {
    F32List factors = is_long ? k->rope_factors_long : k->rope_factors_short;
    for (uint32_t i = 0; i < k->rope_dim / 2; i++) {
        double angle = pow((double)k->rope_base, -2.0 * i / k->rope_dim);
        switch (k->rope_scaling) {
        case ROPE_SCALING_NONE: break;
        case ROPE_SCALING_LINEAR: angle /= (double)k->rope_factor; break;
        case ROPE_SCALING_LLAMA3: angle /= (double)k->rope_freq_factors.at[i]; break;
        case ROPE_SCALING_LONGROPE: angle /= (double)factors.at[i]; break;
        case ROPE_SCALING_YARN: {
            double kept = yarn_kept(c, k, i);
            angle = angle * kept + angle / (double)k->rope_factor * (1 - kept);
            break;
        }
        }
        angles[i] = angle;
    }
}
