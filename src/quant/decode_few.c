// decode_few.c — formats with two, three or four values per weight: multiples of one scale.
#include "base/half.h"
#include "quant/decoders.h"
#include "quant/quant.h"

// Digit `nth` of a byte in base 3, the highest first. The byte is not the number n itself but n ·
// 256 / 3^5, rounded up, so that multiplying by 3 brings one digit after the other to the top,
// without a division.
static int ternary_digit(uint8_t byte, int nth) {
    unsigned rest = byte;
    for (int i = 0; i < nth; i++) rest = rest * 3 & 255;
    return (int)(rest * 3 >> 8);
}

// Weight j * n_bytes + k is digit j of byte k.
static void decode_ternary_run(const uint8_t *codes, int n_bytes, int n_digits, float d,
                               float *out) {
    for (int j = 0; j < n_digits; j++)
        for (int k = 0; k < n_bytes; k++)
            out[j * n_bytes + k] = (float)(ternary_digit(codes[k], j) - 1) * d;
}

// 32 bytes of five digits, 16 bytes of five, 4 bytes of four.
void decode_tq1_0(const void *blocks, float *out, size_t n) {
    const BlockTQ1_0 *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d);
        decode_ternary_run(b[i].codes, 32, 5, d, out);
        decode_ternary_run(b[i].codes + 32, 16, 5, d, out + 160);
        decode_ternary_run(b[i].last, 4, 4, d, out + 240);
    }
}

void decode_tq2_0(const void *blocks, float *out, size_t n) {
    const BlockTQ2_0 *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d);
        for (int j = 0; j < QK_K; j++) {
            int byte = j / 128 * 32 + j % 32, shift = j / 32 % 4 * 2;
            out[j] = (float)((b[i].codes[byte] >> shift & 3) - 1) * d;
        }
    }
}

void decode_q1_0(const void *blocks, float *out, size_t n) {
    const BlockQ1_0 *b = blocks;
    for (size_t i = 0; i < n / QK_Q1_0; i++, out += QK_Q1_0) {
        float d = f32_from_half(b[i].d);
        for (int j = 0; j < QK_Q1_0; j++) out[j] = b[i].codes[j / 8] >> j % 8 & 1 ? d : -d;
    }
}

void decode_q2_0(const void *blocks, float *out, size_t n) {
    const BlockQ2_0 *b = blocks;
    for (size_t i = 0; i < n / QK_Q2_0; i++, out += QK_Q2_0) {
        float d = f32_from_half(b[i].d);
        for (int j = 0; j < QK_Q2_0; j++)
            out[j] = (float)((b[i].codes[j / 4] >> j % 4 * 2 & 3) - 1) * d;
    }
}
