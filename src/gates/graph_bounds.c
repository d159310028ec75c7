#include "gates/graph_bounds.h"

#include <stdint.h>

// Knuth's MMIX generator; its upper bits are the random ones.
static uint64_t next_state(uint64_t state) {
    return state * 6364136223846793005u + 1442695040888963407u;
}

static void shake(uint64_t state, float *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        state = next_state(state);
        to[i] = (float)((double)from[i] * (state >> 63 ? 1 + SHAKE : 1 - SHAKE));
    }
}

void shake_rows(float *to, const float *from, size_t n) {
    shake(1, to, from, n);
}

// Numbers that lie side by side begin sequences that are alike: their bits are mixed first, as
// SplitMix does it (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195).
void shake_on(uint64_t which, float *rows, size_t n) {
    uint64_t z = which * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    shake(z ^ z >> 31, rows, rows, n);
}

void make_small_rows(float *rows, size_t n, const Contract *c) {
    uint64_t state = 1;
    for (size_t t = 0; t < n; t++, rows += c->d_model) {
        double squares = 0;
        for (uint32_t i = 0; i < c->d_model; i++) {
            state = next_state(state);
            rows[i] = (float)((double)(state >> 40) * 0x1p-23 - 1);
            squares += (double)rows[i] * (double)rows[i];
        }
        double scale = sqrt((double)c->norm_eps * c->d_model / squares);
        for (uint32_t i = 0; i < c->d_model; i++) rows[i] = (float)((double)rows[i] * scale);
    }
}
