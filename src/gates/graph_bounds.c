#include "gates/graph_bounds.h"

#include <stdint.h>

// Knuth's MMIX generator; its upper bits are the random ones.
static uint64_t next_state(uint64_t state) {
    return state * 6364136223846793005u + 1442695040888963407u;
}

void shake_rows(float *to, const float *from, size_t n) {
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = next_state(state);
        to[i] = (float)((double)from[i] * (state >> 63 ? 1 + SHAKE : 1 - SHAKE));
    }
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
