// operands.c — reads an op's operands: parameters by name, constants as numbers and text.
#include <assert.h>

#include "base/half.h"
#include "base/reader.h"
#include "mil/mil.h"

int mil_param(const MilOpInfo *info, const char *name) {
    for (uint32_t i = 0; i < info->n_params; i++)
        if (strcmp(info->params[i].name, name) == 0) return (int)i;
    return -1;
}

// ---- content of constants

// `count` elements of the immediate constant `v`, or NULL when its content is not in memory.
static const uint8_t *immediate(const MilFunction *f, ValueId v, size_t *count) {
    if (value_is_none(v)) return NULL;
    const MilValue *value = mil_value(f, v);
    size_t n_bytes;
    if (!value->data || value->data->is_blob || !mil_type_bytes(&value->type, &n_bytes))
        return NULL;
    if (n_bytes != value->data->n_bytes || !mil_type_count(&value->type, count)) return NULL;
    return n_bytes ? value->data->bytes : (const uint8_t *)"";
}

bool mil_const_ints(const MilFunction *f, ValueId v, int64_t *out, size_t cap, size_t *count) {
    size_t n;
    const uint8_t *bytes = immediate(f, v, &n);
    if (!bytes || n > cap) return false;
    unsigned bits = mil_dtypes[mil_value(f, v)->type.dtype].bits;
    bool is_signed = false;
    switch (mil_value(f, v)->type.dtype) {
    case MIL_I8:
    case MIL_I16:
    case MIL_I32:
    case MIL_I64: is_signed = true; break;
    case MIL_BOOL:
    case MIL_U8:
    case MIL_U16:
    case MIL_U32: break;
    default: return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t u = load_le(bytes + i * (bits / 8), bits / 8);
        if (is_signed && bits < 64 && u >> (bits - 1)) u |= ~(uint64_t)0 << bits;
        out[i] = (int64_t)u;
    }
    *count = n;
    return true;
}

bool mil_const_int(const MilFunction *f, ValueId v, int64_t *out) {
    size_t count;
    int64_t value;
    if (value_is_none(v) || mil_value(f, v)->type.dtype == MIL_BOOL) return false;
    if (!mil_const_ints(f, v, &value, 1, &count) || count != 1) return false;
    *out = value;
    return true;
}

bool mil_const_bool(const MilFunction *f, ValueId v, bool *out) {
    size_t count;
    int64_t value;
    if (value_is_none(v) || mil_value(f, v)->type.dtype != MIL_BOOL) return false;
    if (!mil_const_ints(f, v, &value, 1, &count) || count != 1) return false;
    *out = value != 0;
    return true;
}

bool mil_const_float(const MilFunction *f, ValueId v, double *out) {
    size_t count;
    const uint8_t *bytes = immediate(f, v, &count);
    if (!bytes || count != 1) return false;
    MilDtype dtype = mil_value(f, v)->type.dtype;
    if (dtype == MIL_F16) {
        *out = (double)f32_from_half((uint16_t)load_le(bytes, 2));
    } else if (dtype == MIL_F32) {
        *out = (double)f32_from_bits((uint32_t)load_le(bytes, 4));
    } else {
        return false;
    }
    return true;
}

bool mil_const_str(const MilFunction *f, ValueId v, Str *out) {
    if (value_is_none(v)) return false;
    const MilValue *value = mil_value(f, v);
    size_t count;
    if (value->type.dtype != MIL_STRING || !value->data || value->data->is_blob) return false;
    if (!mil_type_count(&value->type, &count) || count != 1) return false;
    *out = value->data->strings[0];
    return true;
}

// ---- scalar parameters

// The operand of `param`, or its default when it was not given (`fallback` is NULL otherwise).
static ValueId given_or_default(const MilFunction *f, const MilOp *op, const char *param,
                                const MilDefault **fallback) {
    int at = mil_param(op->info, param);
    assert(at >= 0);
    ValueId v = mil_operand(f, op, at);
    *fallback = value_is_none(v) ? &op->info->params[at].fallback : NULL;
    return v;
}

bool mil_arg_int(const MilFunction *f, const MilOp *op, const char *param, int64_t *out) {
    const MilDefault *fallback;
    ValueId v = given_or_default(f, op, param, &fallback);
    if (!fallback) return mil_const_int(f, v, out);
    if (fallback->kind != MIL_DEFAULT_INT) return false;
    *out = (int64_t)fallback->number;
    return true;
}

bool mil_arg_bool(const MilFunction *f, const MilOp *op, const char *param, bool *out) {
    const MilDefault *fallback;
    ValueId v = given_or_default(f, op, param, &fallback);
    if (!fallback) return mil_const_bool(f, v, out);
    if (fallback->kind != MIL_DEFAULT_BOOL) return false;
    *out = fallback->number != 0;
    return true;
}

bool mil_arg_float(const MilFunction *f, const MilOp *op, const char *param, double *out) {
    const MilDefault *fallback;
    ValueId v = given_or_default(f, op, param, &fallback);
    if (!fallback) return mil_const_float(f, v, out);
    bool of_x = fallback->kind == MIL_DEFAULT_REAL_OF_X;
    if (!of_x && fallback->kind != MIL_DEFAULT_REAL) return false;
    double x = fallback->number;
    ValueId first = mil_operand(f, op, 0);
    if (of_x && !value_is_none(first) && mil_value(f, first)->type.dtype == MIL_F16)
        x = (double)round_to_half((float)x);
    *out = x;
    return true;
}

bool mil_arg_str(const MilFunction *f, const MilOp *op, const char *param, Str *out) {
    const MilDefault *fallback;
    ValueId v = given_or_default(f, op, param, &fallback);
    if (!fallback) return mil_const_str(f, v, out);
    if (fallback->kind != MIL_DEFAULT_TEXT) return false;
    *out = str_of(fallback->text);
    return true;
}
