// Reads weights piece by piece.
#include "engine/weight.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"

enum { PIECE = 512 }; // floats decoded at a time on the stack

// Element `i` of a stream of `bits`-wide elements, lowest bits first (MIL blob storage, sub-byte
// types).
static uint32_t bits_at(const uint8_t *bytes, size_t i, unsigned bits) {
    size_t bit = i * bits;
    uint32_t value = bytes[bit / 8] >> (bit % 8);
    if (bit % 8 + bits > 8) value |= (uint32_t)bytes[bit / 8 + 1] << (8 - bit % 8);
    return value & ((1u << bits) - 1);
}

void decode_ints(MilDtype dtype, const void *bytes, size_t first, size_t n, int32_t *out) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        size_t e = first + i;
        switch (dtype) {
        case MIL_BOOL: out[i] = at[e] != 0; break;
        case MIL_I8: out[i] = ((const int8_t *)bytes)[e]; break;
        case MIL_U8: out[i] = at[e]; break;
        case MIL_I16: out[i] = ((const int16_t *)bytes)[e]; break;
        case MIL_U16: out[i] = ((const uint16_t *)bytes)[e]; break;
        case MIL_I32:
        case MIL_U32: out[i] = ((const int32_t *)bytes)[e]; break;
        case MIL_I4: {
            int32_t code = (int32_t)bits_at(at, e, 4);
            out[i] = code < 8 ? code : code - 16;
            break;
        }
        case MIL_U1:
        case MIL_U2:
        case MIL_U3:
        case MIL_U4:
        case MIL_U6: out[i] = (int32_t)bits_at(at, e, mil_dtypes[dtype].bits); break;
        default: assert(false && "an integer dtype"); out[i] = 0;
        }
    }
}

void decode_floats(const Kernels *k, MilDtype dtype, const void *bytes, size_t first, size_t n,
                   float *out) {
    if (n == 0) return;
    switch (dtype) {
    case MIL_F32: memcpy(out, (const float *)bytes + first, n * sizeof *out); return;
    case MIL_F16: k->decode_f16(out, (const uint16_t *)bytes + first, n); return;
    case MIL_I8: k->decode_i8(out, (const int8_t *)bytes + first, 1, n); return;
    default: break;
    }
    int32_t codes[PIECE];
    for (size_t done = 0; done < n; done += PIECE) {
        size_t now = min_size(n - done, PIECE);
        decode_ints(dtype, bytes, first + done, now, codes);
        for (size_t i = 0; i < now; i++) out[done + i] = (float)codes[i];
    }
}

Blocks blocks_of(int rank, const int64_t *dims, const int64_t *cuts) {
    // Walk inwards and merge an axis into the one before it when both are uncut or both are cut
    // into single elements; axes of size 1 vanish.
    Blocks b = {0};
    size_t n_cuts[MIL_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        size_t dim = (size_t)dims[i], cut = (size_t)cuts[i];
        if (dim == 1) continue;
        int last = b.rank - 1;
        if (b.rank && cut == 1 && n_cuts[last] == 1) {
            b.dims[last] *= dim;
        } else if (b.rank && cut == dim && n_cuts[last] == b.dims[last]) {
            b.dims[last] *= dim;
            n_cuts[last] *= cut;
        } else {
            b.dims[b.rank] = dim;
            n_cuts[b.rank++] = cut;
        }
    }
    if (b.rank == 0) {
        b.dims[0] = n_cuts[0] = 1;
        b.rank = 1;
    }
    size_t stride = 1;
    for (int i = b.rank - 1; i >= 0; i--) {
        b.block[i] = n_cuts[i] ? b.dims[i] / n_cuts[i] : 1;
        b.stride[i] = stride;
        stride *= n_cuts[i];
    }
    return b;
}

// The index of the block that holds `element`; *run is how many elements from it on share it.
static size_t block_at(const Blocks *b, size_t element, size_t *run) {
    size_t index = 0;
    *run = 1;
    for (int i = b->rank - 1; i >= 0; i--) {
        size_t at = element % b->dims[i];
        element /= b->dims[i];
        index += at / b->block[i] * b->stride[i];
        if (i == b->rank - 1) *run = b->block[i] - at % b->block[i];
    }
    return index;
}

// int8 codes as they lie, without offsets: what kernels take whole.
static bool is_plain_i8(const Weight *w) {
    return w->codes->storage == WEIGHT_RAW && w->codes->dtype == MIL_I8 && !w->offset;
}

static void decode_scaled(const Weight *w, size_t first, size_t n, float *out) {
    const Weight *codes = w->codes;
    bool plain_i8 = is_plain_i8(w);
    if (!plain_i8) weight_decode(codes, first, n, out);
    for (size_t done = 0; done < n;) {
        size_t run, index = block_at(&w->blocks, first + done, &run);
        size_t now = min_size(run, n - done);
        float scale = w->scale[index];
        if (plain_i8) {
            const int8_t *at = (const int8_t *)codes->bytes + first + done;
            (w->rounds ? w->k->decode_i8h : w->k->decode_i8)(out + done, at, scale, now);
        } else {
            float offset = w->offset ? w->offset[index] : 0;
            for (size_t i = done; i < done + now; i++) out[i] = scale * (out[i] - offset);
            if (w->rounds) w->k->round_half(out + done, now);
        }
        done += now;
    }
}

// Entry `code` of the table for `block`, or of the part of a vector entry.
static float palette_entry(const Weight *w, size_t block, size_t code, size_t part) {
    return w->table[(block * w->entries + code) * w->vector + part];
}

static void decode_palette(const Weight *w, size_t first, size_t n, float *out) {
    if (w->vector == 1) {
        weight_decode(w->codes, first, n, out);
        for (size_t done = 0; done < n;) {
            size_t run, block = block_at(&w->blocks, first + done, &run);
            size_t now = min_size(run, n - done);
            for (size_t i = done; i < done + now; i++)
                out[i] = palette_entry(w, block, (size_t)out[i], 0);
            done += now;
        }
        return;
    }
    // One code is the index of `vector` neighbours along the vector axis.
    size_t size = w->vector_size * w->vector;
    for (size_t i = 0; i < n; i++) {
        size_t inner = (first + i) % w->vector_inner, outer = (first + i) / w->vector_inner;
        size_t along = outer % size, run;
        size_t at = (outer / size * w->vector_size + along / w->vector) * w->vector_inner + inner;
        float code;
        weight_decode(w->codes, at, 1, &code);
        out[i] = palette_entry(w, block_at(&w->blocks, at, &run), (size_t)code, along % w->vector);
    }
}

static void decode_sparse(const Weight *w, size_t first, size_t n, float *out) {
    size_t rank = w->ranks[first / MASK_STEP];
    for (size_t i = first / MASK_STEP * MASK_STEP; i < first; i++) rank += bits_at(w->mask, i, 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = 0;
        if (bits_at(w->mask, first + i, 1)) weight_decode(w->codes, rank++, 1, &out[i]);
    }
}

static void decode_tensor(const Weight *w, size_t first, size_t n, float *out) {
    if (w->tensor->f32)
        memcpy(out, w->tensor->f32 + first, n * sizeof *out);
    else
        for (size_t i = 0; i < n; i++) out[i] = (float)w->tensor->i32[first + i];
}

static void decode_raw(const Weight *w, size_t first, size_t n, float *out) {
    decode_floats(w->k, w->dtype, w->bytes, first, n, out);
}

// ---- products with floats

// Any storage: decoded piece by piece.
static float dot_decoded(const Weight *w, size_t first, size_t n, const float *x) {
    float sum = 0, piece[PIECE];
    for (size_t done = 0; done < n; done += PIECE) {
        size_t now = min_size(n - done, PIECE);
        weight_decode(w, first + done, now, piece);
        sum += w->k->dot_f32_f32(piece, x + done, now);
    }
    return sum;
}

static float dot_tensor(const Weight *w, size_t first, size_t n, const float *x) {
    if (!w->tensor->f32) return dot_decoded(w, first, n, x);
    return w->k->dot_f32_f32(w->tensor->f32 + first, x, n);
}

static float dot_raw(const Weight *w, size_t first, size_t n, const float *x) {
    switch (w->dtype) {
    case MIL_F32: return w->k->dot_f32_f32((const float *)w->bytes + first, x, n);
    case MIL_F16: return w->k->dot_f16_f32((const uint16_t *)w->bytes + first, x, n);
    default: return dot_decoded(w, first, n, x);
    }
}

static float dot_scaled(const Weight *w, size_t first, size_t n, const float *x) {
    if (!is_plain_i8(w)) return dot_decoded(w, first, n, x);
    float sum = 0;
    for (size_t done = 0; done < n;) {
        size_t run, index = block_at(&w->blocks, first + done, &run);
        size_t now = min_size(run, n - done);
        const int8_t *at = (const int8_t *)w->codes->bytes + first + done;
        sum +=
            (w->rounds ? w->k->dot_i8h_f32 : w->k->dot_i8_f32)(at, w->scale[index], x + done, now);
        done += now;
    }
    return sum;
}

// ---- one row a storage

static const struct {
    void (*decode)(const Weight *w, size_t first, size_t n, float *out);   // n > 0
    float (*dot)(const Weight *w, size_t first, size_t n, const float *x); // Σ w[first + i] x[i]
} storages[] = {
    [WEIGHT_TENSOR] = {decode_tensor, dot_tensor},
    [WEIGHT_RAW] = {decode_raw, dot_raw},
    [WEIGHT_SCALED] = {decode_scaled, dot_scaled},
    [WEIGHT_PALETTE] = {decode_palette, dot_decoded},
    [WEIGHT_SPARSE] = {decode_sparse, dot_decoded},
};

const float *weight_floats(const Weight *w) {
    if (w->storage == WEIGHT_TENSOR) return w->tensor->f32;
    if (w->storage == WEIGHT_RAW && w->dtype == MIL_F32) return w->bytes;
    return NULL;
}

void weight_decode(const Weight *w, size_t first, size_t n, float *out) {
    if (n > 0) storages[w->storage].decode(w, first, n, out);
}

float weight_dot(const Weight *w, size_t first, size_t n, const float *x) {
    return storages[w->storage].dot(w, first, n, x);
}

void weight_block(const Weight *w, size_t first, size_t row_stride, size_t rows, size_t cols,
                  bool transpose, float *out, size_t out_stride, float *scratch) {
    const float *ready = weight_floats(w);
    for (size_t r = 0; r < rows; r++) {
        size_t at = first + r * row_stride;
        if (!transpose) {
            weight_decode(w, at, cols, out + r * out_stride);
            continue;
        }
        const float *row = ready ? ready + at : scratch;
        if (!ready) weight_decode(w, at, cols, scratch);
        for (size_t c = 0; c < cols; c++) out[c * out_stride + r] = row[c];
    }
}
