// decode.c — decodes GGUF blocks to floats with the arithmetic of ggml's scalar reference
// (ggml-quants.c, dequantize_row_*): the same products and sums in the same order, so that weights
// are the same floats as in ggml.
#include <assert.h>
#include <string.h>

#include "base/every_cpu.h"
#include "base/half.h"
#include "quant/decoders.h"
#include "quant/quant.h"

// Blocks are read directly from the file's bytes.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF data are little-endian");

void decode_f32(const void *blocks, float *out, size_t n) {
    memcpy(out, blocks, n * sizeof *out);
}

void decode_f16(const void *blocks, float *out, size_t n) {
    const uint16_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = f32_from_half(x[i]);
}

void decode_bf16(const void *blocks, float *out, size_t n) {
    const uint16_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = f32_from_bf16(x[i]);
}

void decode_f64(const void *blocks, float *out, size_t n) {
    const double *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

void decode_i8(const void *blocks, float *out, size_t n) {
    const int8_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

void decode_i16(const void *blocks, float *out, size_t n) {
    const int16_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

void decode_i32(const void *blocks, float *out, size_t n) {
    const int32_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

void decode_i64(const void *blocks, float *out, size_t n) {
    const int64_t *x = blocks;
    for (size_t i = 0; i < n; i++) out[i] = (float)x[i];
}

EVERY_CPU void decode_q4_0(const void *blocks, float *out, size_t n) {
    const BlockQ4_0 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK) {
        float d = f32_from_half(b[i].d);
        for (int j = 0; j < QK / 2; j++) {
            out[j] = (float)((b[i].codes[j] & 15) - 8) * d;
            out[j + QK / 2] = (float)((b[i].codes[j] >> 4) - 8) * d;
        }
    }
}

EVERY_CPU void decode_q4_1(const void *blocks, float *out, size_t n) {
    const BlockQ4_1 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK) {
        float d = f32_from_half(b[i].d), m = f32_from_half(b[i].m);
        for (int j = 0; j < QK / 2; j++) {
            out[j] = (float)(b[i].codes[j] & 15) * d + m;
            out[j + QK / 2] = (float)(b[i].codes[j] >> 4) * d + m;
        }
    }
}

// 32 codes of 5 bits: four bits of each as in q4_0, the fifth of code j at bit j of `high`. One loop
// over all 32, with the bytes of codes twice, is what compilers vectorise.
typedef struct {
    uint8_t pairs[QK];
    uint32_t fifth;
} FiveBits;

static inline FiveBits five_bits(const uint8_t *codes, const uint8_t *high) {
    FiveBits f;
    memcpy(f.pairs, codes, QK / 2);
    memcpy(f.pairs + QK / 2, codes, QK / 2);
    memcpy(&f.fifth, high, sizeof f.fifth);
    return f;
}

static inline int five_bit_code(const FiveBits *f, uint32_t j) {
    return (f->pairs[j] >> (j / (QK / 2) * 4) & 15) | (int)((f->fifth >> j & 1) << 4);
}

EVERY_CPU void decode_q5_0(const void *blocks, float *out, size_t n) {
    const BlockQ5_0 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK) {
        float d = f32_from_half(b[i].d);
        FiveBits f = five_bits(b[i].codes, b[i].high);
        for (uint32_t j = 0; j < QK; j++) out[j] = (float)(five_bit_code(&f, j) - 16) * d;
    }
}

EVERY_CPU void decode_q5_1(const void *blocks, float *out, size_t n) {
    const BlockQ5_1 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK) {
        float d = f32_from_half(b[i].d), m = f32_from_half(b[i].m);
        FiveBits f = five_bits(b[i].codes, b[i].high);
        for (uint32_t j = 0; j < QK; j++) out[j] = (float)five_bit_code(&f, j) * d + m;
    }
}

EVERY_CPU void decode_q8_0(const void *blocks, float *out, size_t n) {
    const BlockQ8_0 *b = blocks;
    for (size_t i = 0; i < n / QK; i++, out += QK) {
        float d = f32_from_half(b[i].d);
        for (int j = 0; j < QK; j++) out[j] = (float)b[i].codes[j] * d;
    }
}

// Super-blocks. Runs of 16 or 32 weights share a scale; `run` below numbers them in weight order.

EVERY_CPU void decode_q2_k(const void *blocks, float *out, size_t n) {
    const BlockQ2_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d), dmin = f32_from_half(b[i].dmin);
        for (int run = 0; run < QK_K / 16; run++) {
            // 128 weights use 32 bytes, two bits a weight from the low ones up.
            const uint8_t *codes = b[i].codes + run / 8 * 32 + run % 2 * 16;
            int shift = run % 8 / 2 * 2;
            float scale = d * (float)(b[i].scales[run] & 15),
                  min = dmin * (float)(b[i].scales[run] >> 4);
            for (int j = 0; j < 16; j++)
                out[run * 16 + j] = scale * (float)(codes[j] >> shift & 3) - min;
        }
    }
}

EVERY_CPU void decode_q3_k(const void *blocks, float *out, size_t n) {
    const BlockQ3_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d);
        for (int run = 0; run < QK_K / 16; run++) {
            const uint8_t *s = b[i].scales;
            int low = run < 8 ? s[run] & 15 : s[run - 8] >> 4;
            int high = s[8 + run % 4] >> (run / 4 * 2) & 3;
            float scale = d * (float)((low | high << 4) - 32);
            const uint8_t *codes = b[i].codes + run / 8 * 32 + run % 2 * 16;
            const uint8_t *third = b[i].high + run % 2 * 16;
            int shift = run % 8 / 2 * 2, bit = run / 2;
            for (int j = 0; j < 16; j++)
                out[run * 16 + j] =
                    scale * (float)((codes[j] >> shift & 3) - (third[j] >> bit & 1 ? 0 : 4));
        }
    }
}

// The 6-bit scale and minimum of run `run`, packed in 12 bytes (q4_K and q5_K).
static void scale_and_min(const uint8_t *s, int run, int *scale, int *min) {
    if (run < 4) {
        *scale = s[run] & 63;
        *min = s[run + 4] & 63;
    } else {
        *scale = (s[run + 4] & 15) | (s[run - 4] >> 6) << 4;
        *min = s[run + 4] >> 4 | (s[run] >> 6) << 4;
    }
}

EVERY_CPU void decode_q4_k(const void *blocks, float *out, size_t n) {
    const BlockQ4_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d), dmin = f32_from_half(b[i].dmin);
        for (int run = 0; run < QK_K / 32; run++) {
            int scale, min;
            scale_and_min(b[i].scales, run, &scale, &min);
            float ds = d * (float)scale, dm = dmin * (float)min;
            const uint8_t *codes = b[i].codes + run / 2 * 32;
            for (int j = 0; j < 32; j++)
                out[run * 32 + j] = ds * (float)(codes[j] >> (run % 2 * 4) & 15) - dm;
        }
    }
}

EVERY_CPU void decode_q5_k(const void *blocks, float *out, size_t n) {
    const BlockQ5_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d), dmin = f32_from_half(b[i].dmin);
        for (int run = 0; run < QK_K / 32; run++) {
            int scale, min;
            scale_and_min(b[i].scales, run, &scale, &min);
            float ds = d * (float)scale, dm = dmin * (float)min;
            const uint8_t *codes = b[i].codes + run / 2 * 32;
            for (int j = 0; j < 32; j++) {
                int code = (codes[j] >> (run % 2 * 4) & 15) | (b[i].high[j] >> run & 1) << 4;
                out[run * 32 + j] = ds * (float)code - dm;
            }
        }
    }
}

EVERY_CPU void decode_q6_k(const void *blocks, float *out, size_t n) {
    const BlockQ6_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        float d = f32_from_half(b[i].d);
        for (int run = 0; run < QK_K / 16; run++) {
            int in_half = run % 8;
            const uint8_t *low = b[i].low + run / 8 * 64 + in_half % 4 * 16;
            const uint8_t *high = b[i].high + run / 8 * 32 + in_half % 2 * 16;
            int low_shift = in_half / 4 * 4, high_shift = in_half / 2 * 2;
            float scale = d * (float)b[i].scales[run];
            for (int j = 0; j < 16; j++) {
                int code = (low[j] >> low_shift & 15) | (high[j] >> high_shift & 3) << 4;
                out[run * 16 + j] = scale * (float)(code - 32);
            }
        }
    }
}

EVERY_CPU void decode_q8_k(const void *blocks, float *out, size_t n) {
    const BlockQ8_K *b = blocks;
    for (size_t i = 0; i < n / QK_K; i++, out += QK_K) {
        for (int j = 0; j < QK_K; j++) out[j] = b[i].d * (float)b[i].codes[j];
    }
}

#define BLOCK(id, name, n_weights, n_bytes, decoder) [id] = decoder,
#define BLOCK_NAMED(id, name, n_weights, n_bytes, advice)
static Decoder *const decoders[] = {
#include "gguf/blocks.def"
};
#undef BLOCK
#undef BLOCK_NAMED

void decode_blocks(const BlockType *type, const void *blocks, float *out, size_t n) {
    assert(type->is_decodable && n % type->n_weights == 0);
    decoders[type->id](blocks, out, n);
}

void decode_row(const TensorInfo *t, size_t row, float *out) {
    size_t n = t->dims[0], row_bytes = n / t->type->n_weights * t->type->n_bytes;
    assert(row < t->n_weights / n);
    decode_blocks(t->type, t->data + row * row_bytes, out, n);
}
