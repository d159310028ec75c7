// values.c — the types of values, and conversion of a key's items to the type that the caller asks
// for, if that loses nothing.
#include <string.h>

#include "gguf/parse.h"

// Type numbers and sizes: ggml docs/gguf.md, gguf_metadata_value_type.
static const GgufTypeRow type_rows[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1, .is_integer = true},
    [GGUF_I8] = {"i8", 1, .is_integer = true, .is_signed = true},
    [GGUF_U16] = {"u16", 2, .is_integer = true},
    [GGUF_I16] = {"i16", 2, .is_integer = true, .is_signed = true},
    [GGUF_U32] = {"u32", 4, .is_integer = true},
    [GGUF_I32] = {"i32", 4, .is_integer = true, .is_signed = true},
    [GGUF_F32] = {"f32", 4},
    [GGUF_BOOL] = {"bool", 1},
    [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0},
    [GGUF_U64] = {"u64", 8, .is_integer = true},
    [GGUF_I64] = {"i64", 8, .is_integer = true, .is_signed = true},
    [GGUF_F64] = {"f64", 8},
};

const GgufTypeRow *gguf_type_row(GgufType type) {
    return &type_rows[type];
}

const char *gguf_type_name(GgufType type) {
    return type < GGUF_TYPE_COUNT ? type_rows[type].name : "?";
}

// The bits of item `i`, zero-extended.
static uint64_t item_bits(const GgufKey *k, size_t i) {
    unsigned n = gguf_type_row(k->item_type)->n_bytes;
    return load_le(k->data + i * n, n);
}

// An integer item as sign and magnitude; false for other types.
static bool integer_item(const GgufKey *k, size_t i, bool *is_negative, uint64_t *magnitude) {
    const GgufTypeRow *type = gguf_type_row(k->item_type);
    if (!type->is_integer || i >= k->n_items) return false;
    uint64_t bits = item_bits(k, i), sign = UINT64_C(1) << (8 * type->n_bytes - 1);
    *is_negative = type->is_signed && (bits & sign);
    // Two's complement: the sign bit counts -sign, the others their own value.
    *magnitude = *is_negative ? sign - (bits & (sign - 1)) : bits;
    return true;
}

bool gguf_u64(const GgufKey *k, size_t i, uint64_t *out) {
    bool is_negative;
    return integer_item(k, i, &is_negative, out) && !is_negative;
}

bool gguf_i64(const GgufKey *k, size_t i, int64_t *out) {
    bool is_negative;
    uint64_t magnitude;
    if (!integer_item(k, i, &is_negative, &magnitude)) return false;
    if (is_negative) {
        *out = -(int64_t)(magnitude - 1) - 1; // also for -2^63
        return true;
    }
    if (magnitude > INT64_MAX) return false;
    *out = (int64_t)magnitude;
    return true;
}

bool gguf_f64(const GgufKey *k, size_t i, double *out) {
    if (i >= k->n_items) return false;
    if (k->item_type == GGUF_F32) {
        uint32_t bits = (uint32_t)item_bits(k, i);
        float x;
        memcpy(&x, &bits, sizeof x);
        *out = (double)x;
        return true;
    }
    if (k->item_type == GGUF_F64) {
        uint64_t bits = item_bits(k, i);
        memcpy(out, &bits, sizeof *out);
        return true;
    }
    bool is_negative;
    uint64_t magnitude, odd;
    if (!integer_item(k, i, &is_negative, &magnitude)) return false;
    for (odd = magnitude; odd && odd % 2 == 0;) odd /= 2;
    if (odd >> 53) return false; // more digits than a double has
    *out = is_negative ? -(double)magnitude : (double)magnitude;
    return true;
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
