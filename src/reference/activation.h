// activation.h — the curve between the projections of a feed-forward block.
#ifndef LATHE_REFERENCE_ACTIVATION_H
#define LATHE_REFERENCE_ACTIVATION_H

#include "contract/contract.h"

// A layer's curve, with the numbers that it has.
typedef struct {
    Activation kind;
    float alpha_p, alpha_n, beta, eps; // of xielu
} Curve;

Curve reference_curve(const Contract *c, uint32_t layer);
float reference_activate(const Curve *curve, float x);

#endif
