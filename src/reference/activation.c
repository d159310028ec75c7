// activation.c — silu and gelu (Hendrycks and Gimpel 2016, arXiv 1606.08415), relu² (So et al. 2021, arXiv 2109.08668), xIELU
// (Huang and Schlag 2024, arXiv 2411.13010).
#include "reference/activation.h"

#include <math.h>

Curve reference_curve(const Contract *c, uint32_t layer) {
    Curve curve = {.kind = contract_layer(c, layer)->activation};
    if (curve.kind != ACTIVATION_XIELU) return curve;
    curve.alpha_p = c->xielu_alpha_p.at[layer];
    curve.alpha_n = c->xielu_alpha_n.at[layer];
    curve.beta = c->xielu_beta.at[layer];
    curve.eps = c->xielu_eps.at[layer];
    return curve;
}

float reference_activate(const Curve *curve, float x) {
    switch (curve->kind) {
    case ACTIVATION_SILU: return x / (1 + expf(-x));
    case ACTIVATION_RELU_SQUARED: return x > 0 ? x * x : 0;
    case ACTIVATION_GELU_TANH: // 0.797… is sqrt(2 / pi)
        return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case ACTIVATION_XIELU:
        if (x > 0) return curve->alpha_p * x * x + curve->beta * x;
        return curve->alpha_n * (expm1f(fminf(x, curve->eps)) - x) + curve->beta * x;
    }
    return x;
}
