// decode_grid.c — blocks whose codes are points of a grid (grids.h): the magnitudes of 8 or 4
// weights, with separate signs (IQ2, IQ3), or signed and shifted values (IQ1).
//
// Scales are products of a binary16 and a small number, exact in a float in whichever order they are
// multiplied; so are the weights.
#include <string.h>

#include "base/half.h"
#include "quant/decoders.h"
#include "quant/grids.h"
#include "quant/quant.h"

// Bit j of the result is the sign of weight j of 8. Only seven signs are stored: the number of
// negative ones is even.
static unsigned even_signs(unsigned stored) {
    unsigned parity = stored ^ stored >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return stored | (parity & 1) << 7;
}

static float negative_if(unsigned bit, float x) {
    return bit & 1 ? -x : x;
}

// ---- IQ2: sizes 8, 25, 43 in units of an eighth; a run of 16 weights or more has a scale

static void put_iq2(uint16_t point, unsigned signs, float scale, float *out) {
    static const float sizes[4] = {8, 25, 43}; // no point has digit 3
    for (int j = 0; j < 8; j++)
        out[j] = negative_if(signs >> j, scale * sizes[point >> (2 * j) & 3]);
}

static float iq2_scale(float d, unsigned bits) {
    return d * (0.5f + (float)bits) * 0.25f;
}

// 32 weights: four numbers of points, then a word of four times seven signs and the scale's 4 bits.
void decode_iq2_xxs(const void *blocks, float *out, size_t n) {
    const BlockIQ2_XXS *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int run = 0; run < QK_K / 32; run++) {
            const uint8_t *points = b[i].codes + 8 * run;
            uint32_t word;
            memcpy(&word, points + 4, sizeof word);
            float scale = iq2_scale(d, word >> 28);
            for (int k = 0; k < 4; k++, out += 8)
                put_iq2(grid_iq2_xxs[points[k]], even_signs(word >> (7 * k) & 127), scale, out);
        }
    }
}

void decode_iq2_xs(const void *blocks, float *out, size_t n) {
    const BlockIQ2_XS *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int k = 0; k < QK_K / 8; k++, out += 8) {
            unsigned code = b[i].codes[k], scale = b[i].scales[k / 4] >> (k / 2 % 2 * 4) & 15;
            put_iq2(grid_iq2_xs[code & 511], even_signs(code >> 9), iq2_scale(d, scale), out);
        }
    }
}

void decode_iq2_s(const void *blocks, float *out, size_t n) {
    const BlockIQ2_S *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int k = 0; k < QK_K / 8; k++, out += 8) {
            unsigned point = b[i].codes[k] | (b[i].high[k / 4] >> (k % 4 * 2) & 3u) << 8;
            unsigned scale = b[i].scales[k / 4] >> (k / 2 % 2 * 4) & 15;
            put_iq2(grid_iq2_s[point], b[i].signs[k], iq2_scale(d, scale), out);
        }
    }
}

// ---- IQ3: points of four weights

static void put_iq3(uint16_t point, const float *sizes, unsigned signs, float scale, float *out) {
    for (int j = 0; j < 4; j++)
        out[j] = negative_if(signs >> j, scale * sizes[point >> (3 * j) & 7]);
}

void decode_iq3_xxs(const void *blocks, float *out, size_t n) {
    static const float sizes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
    const BlockIQ3_XXS *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int run = 0; run < QK_K / 32; run++) {
            uint32_t word;
            memcpy(&word, b[i].words + 4 * run, sizeof word);
            float scale = d * (0.5f + (float)(word >> 28)) * 0.5f;
            for (int k = 0; k < 8; k++, out += 4) {
                unsigned signs = even_signs(word >> (k / 2 * 7) & 127) >> (k % 2 * 4);
                put_iq3(grid_iq3_xxs[b[i].codes[8 * run + k]], sizes, signs, scale, out);
            }
        }
    }
}

void decode_iq3_s(const void *blocks, float *out, size_t n) {
    static const float sizes[8] = {1, 3, 5, 7, 9, 11, 13, 15};
    const BlockIQ3_S *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int k = 0; k < QK_K / 4; k++, out += 4) {
            unsigned point = b[i].codes[k] | (b[i].high[k / 8] >> k % 8 & 1u) << 8;
            unsigned scale = b[i].scales[k / 16] >> (k / 8 % 2 * 4) & 15;
            unsigned signs = b[i].signs[k / 2] >> (k % 2 * 4);
            put_iq3(grid_iq3_s[point], sizes, signs, d * (float)(2 * scale + 1), out);
        }
    }
}

// ---- IQ1: -1, 0, 1, all eight shifted up or down by an eighth

static void put_iq1(unsigned point, bool is_down, float scale, float *out) {
    float shift = is_down ? -0.125f : 0.125f;
    for (int j = 0; j < 8; j++)
        out[j] = scale * ((float)(grid_iq1[point] >> (2 * j) & 3) - 1 + shift);
}

// 32 weights: a word of four times three high bits of a point, the scale's 3 bits, the shift's sign.
void decode_iq1_s(const void *blocks, float *out, size_t n) {
    const BlockIQ1_S *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        float d = f32_from_half(b[i].d);
        for (int k = 0; k < QK_K / 8; k++, out += 8) {
            unsigned word = b[i].words[k / 4];
            unsigned point = b[i].codes[k] | (word >> (k % 4 * 3) & 7) << 8;
            put_iq1(point, word >> 15, d * (float)(2 * (word >> 12 & 7) + 1), out);
        }
    }
}

// The block's binary16 scale lies in the top four bits of its four words of scales, lowest first;
// below are four scales of 16 weights each, 3 bits wide.
void decode_iq1_m(const void *blocks, float *out, size_t n) {
    const BlockIQ1_M *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++) {
        unsigned d_bits = 0;
        for (int w = 0; w < 4; w++) d_bits |= (unsigned)(b[i].words[w] >> 12) << (4 * w);
        float d = f32_from_half((uint16_t)d_bits);
        for (int k = 0; k < QK_K / 8; k++, out += 8) {
            unsigned scale = b[i].words[k / 8] >> (k / 2 % 4 * 3) & 7;
            unsigned high = b[i].high[k / 2] >> (k % 2 * 4) & 15;
            put_iq1(b[i].codes[k] | (high & 7) << 8, high & 8, d * (float)(2 * scale + 1), out);
        }
    }
}
