// values.c — a key's items as the type the caller wants, when that loses nothing.
#include <math.h>
#include <string.h>

#include "base/reader.h"
#include "gguf/gguf.h"

// The item as a signed or unsigned 64-bit integer; false for types that are not integers.
static bool integer_item(const GgufKey *k, size_t i, uint64_t *bits, bool *is_negative) {
    unsigned n;
    bool is_signed = false;
    switch (k->item_type) {
    case GGUF_I8:
        is_signed = true;
        n = 1;
        break;
    case GGUF_U8: n = 1; break;
    case GGUF_I16:
        is_signed = true;
        n = 2;
        break;
    case GGUF_U16: n = 2; break;
    case GGUF_I32:
        is_signed = true;
        n = 4;
        break;
    case GGUF_U32: n = 4; break;
    case GGUF_I64:
        is_signed = true;
        n = 8;
        break;
    case GGUF_U64: n = 8; break;
    default: return false;
    }
    if (i >= k->n_items) return false;
    *bits = load_le(k->data + i * n, n);
    *is_negative = is_signed && (*bits >> (8 * n - 1));
    if (*is_negative && n < 8) *bits |= ~UINT64_C(0) << (8 * n);
    return true;
}

bool gguf_u64(const GgufKey *k, size_t i, uint64_t *out) {
    bool is_negative;
    return integer_item(k, i, out, &is_negative) && !is_negative;
}

bool gguf_i64(const GgufKey *k, size_t i, int64_t *out) {
    uint64_t bits;
    bool is_negative;
    if (!integer_item(k, i, &bits, &is_negative) || (!is_negative && bits > INT64_MAX))
        return false;
    *out = (int64_t)bits;
    return true;
}

bool gguf_f64(const GgufKey *k, size_t i, double *out) {
    if (i >= k->n_items) return false;
    if (k->item_type == GGUF_F32) {
        uint32_t bits = (uint32_t)load_le(k->data + 4 * i, 4);
        float x;
        memcpy(&x, &bits, sizeof x);
        *out = (double)x;
        return true;
    }
    if (k->item_type == GGUF_F64) {
        uint64_t bits = load_le(k->data + 8 * i, 8);
        memcpy(out, &bits, sizeof *out);
        return true;
    }
    int64_t integer;
    if (!gguf_i64(k, i, &integer)) return false;
    *out = (double)integer;
    return (int64_t)*out == integer;
}

bool gguf_bool(const GgufKey *k, size_t i, bool *out) {
    if (k->item_type != GGUF_BOOL || i >= k->n_items) return false;
    *out = k->data[i] != 0;
    return true;
}

bool gguf_str(const GgufKey *k, size_t i, Str *out) {
    if (k->item_type != GGUF_STRING || i >= k->n_items) return false;
    *out = k->strings[i];
    return true;
}
