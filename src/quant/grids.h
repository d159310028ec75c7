// grids.h — the codebooks of IQ1, IQ2 and IQ3: a code stands for 8 weights (4 in IQ3) at once.
//
// A point of a grid is a list of small digits, one a weight, the first weight's lowest: base 3 in
// two bits each (IQ1, IQ2), base 8 in three bits each (IQ3). The formats say what a digit stands for
// (decode_grid.c). Points ascend, so the number of a point is its place in that order.
#ifndef LATHE_QUANT_GRIDS_H
#define LATHE_QUANT_GRIDS_H

#include <stdint.h>

extern const uint16_t grid_iq1[2048];    // of IQ1_S and IQ1_M
extern const uint16_t grid_iq2_xxs[256]; // the three of IQ2 differ in more than their sizes
extern const uint16_t grid_iq2_xs[512];
extern const uint16_t grid_iq2_s[1024];
extern const uint16_t grid_iq3_xxs[256];
extern const uint16_t grid_iq3_s[512];

#endif
