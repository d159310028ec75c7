// decode_codebook.c — blocks whose 4-bit codes are indices into a list of values. In all of them
// the low halves of a run's bytes hold the first weights, the high halves the others.
#include <math.h>

#include "base/half.h"
#include "quant/decoders.h"
#include "quant/quant.h"

// Denser where most weights are: the values chosen by the author of the format, kvalues_iq4nl in
// ggml-common.h.
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

// `n` weights, even, from n / 2 bytes.
static void decode_iq4_run(const uint8_t *codes, float scale, float *out, int n) {
    for (int j = 0; j < n / 2; j++) {
        out[j] = scale * (float)iq4_values[codes[j] & 15];
        out[j + n / 2] = scale * (float)iq4_values[codes[j] >> 4];
    }
}

void decode_iq4_nl(const void *blocks, float *out, size_t n) {
    const BlockIQ4_NL *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK)
        decode_iq4_run(b[i].codes, f32_from_half(b[i].d), out, QK);
}

void decode_iq4_xs(const void *blocks, float *out, size_t n) {
    const BlockIQ4_XS *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d);
        for (int run = 0; run < QK_K / QK; run++) {
            int low = b[i].scales_low[run / 2] >> (run % 2 * 4) & 15;
            int high = b[i].scales_high >> (2 * run) & 3;
            float scale = d * (float)((low | high << 4) - 32);
            decode_iq4_run(b[i].codes + run * (QK / 2), scale, out + run * QK, QK);
        }
    }
}

// Twice the value of an E2M1 number (OCP Microscaling Formats 1.0, 5.3.3): sign, two bits of exponent
// with bias 1, one of mantissa. Whole numbers; there is no -0, as in ggml.
static int fp4_doubled(int code) {
    int exponent = code >> 1 & 3, mantissa = code & 1;
    int value = exponent ? (2 + mantissa) << (exponent - 1) : mantissa;
    return code & 8 ? -value : value;
}

static void decode_fp4_run(const uint8_t *codes, float half_scale, float *out, int n) {
    for (int j = 0; j < n / 2; j++) {
        out[j] = half_scale * (float)fp4_doubled(codes[j] & 15);
        out[j + n / 2] = half_scale * (float)fp4_doubled(codes[j] >> 4);
    }
}

// The scale is E8M0: 2^(e - 127), of which half is taken here. The standard's NaN, e = 255, is a power
// of two to ggml, and so here.
void decode_mxfp4(const void *blocks, float *out, size_t n) {
    const BlockMXFP4 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK)
        decode_fp4_run(b[i].codes, ldexpf(1, b[i].exponent - 128), out, QK);
}

// Half the value of an E4M3 number without sign, whose bit 7 is not looked at: bias 7, NaN as 0.
static float half_of_e4m3(uint8_t x) {
    int exponent = x >> 3 & 15, mantissa = x & 7;
    if (x == 0x7F) return 0;
    return exponent ? ldexpf((float)(8 + mantissa), exponent - 11) : ldexpf((float)mantissa, -10);
}

// A scale for 16 weights each. A tensor's own scale is a tensor of its own, not in the blocks.
void decode_nvfp4(const void *blocks, float *out, size_t n) {
    const BlockNVFP4 *b = blocks;
    enum { RUN = QK_NVFP4 / 4 };
    for (size_t i = 0; i < n / QK_NVFP4; i++, out += QK_NVFP4)
        for (int run = 0; run < 4; run++)
            decode_fp4_run(b[i].codes + run * (RUN / 2), half_of_e4m3(b[i].scales[run]),
                           out + run * RUN, RUN);
}
