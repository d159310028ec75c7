#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "mil/dtypes.h"
#include "mil/mil.h"

const MilDtypeInfo mil_dtypes[MIL_DTYPE_COUNT] = {
#define ROW(name, text, proto, blob, bits) [MIL_##name] = {text, proto, blob, bits},
    MIL_DTYPES(ROW)
#undef ROW
};

// Parameter lists, one array an op.
#define P(name, dtypes, group, flags)                                                              \
    { #name, dtypes, group, flags }
#define OP(name, rule, since, flags, ...) static const MilParam params_##name[] = {__VA_ARGS__};
#include "mil/ops.def"
#undef OP
#undef P

#define P(...)
#define OP(name, rule, since, flags, ...)                                                          \
    [MIL_OP_##name] = {#name, MIL_OP_##name, params_##name, COUNT_OF(params_##name), flags, since},
static const MilOpInfo ops[MIL_OP_COUNT] = {
#include "mil/ops.def"
};
#undef OP
#undef P

const MilOpInfo *mil_op(MilOpcode opcode) {
    return &ops[opcode];
}

const MilOpInfo *mil_op_named(Str name) {
    for (int i = 0; i < MIL_OP_COUNT; i++)
        if (str_is(name, ops[i].name)) return &ops[i];
    return NULL;
}

int mil_param(const MilOpInfo *info, const char *name) {
    for (uint32_t i = 0; i < info->n_params; i++)
        if (strcmp(info->params[i].name, name) == 0) return (int)i;
    return -1;
}

bool mil_type_count(const MilType *t, size_t *count) {
    *count = 1;
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 0 || !mul_size(*count, (size_t)t->dims[i], count)) return false;
    return true;
}

bool mil_type_bytes(const MilType *t, size_t *n_bytes) {
    size_t count, bits;
    if (!mil_type_count(t, &count) || !mul_size(count, mil_dtypes[t->dtype].bits, &bits))
        return false;
    *n_bytes = bits / 8 + (bits % 8 != 0);
    return true;
}

bool mil_type_eq(const MilType *a, const MilType *b) {
    if (a->dtype != b->dtype || a->is_state != b->is_state || a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

MilFunction *mil_find_function(const MilProgram *p, Str name) {
    for (uint32_t i = 0; i < p->n_functions; i++)
        if (str_eq(p->functions[i]->name, name)) return p->functions[i];
    return NULL;
}

// ---- immediate constants as numbers

static const MilData *immediate(const MilFunction *f, ValueId v) {
    if (value_is_none(v)) return NULL;
    const MilData *data = mil_value(f, v)->data;
    return data && !data->is_blob ? data : NULL;
}

static int64_t load_int(const uint8_t *at, MilDtype dtype) {
    switch (dtype) {
    case MIL_I8: return (int8_t)at[0];
    case MIL_U8:
    case MIL_BOOL: return at[0];
    case MIL_I16: return (int16_t)(at[0] | at[1] << 8);
    case MIL_U16: return at[0] | at[1] << 8;
    case MIL_I32: {
        int32_t x;
        memcpy(&x, at, sizeof x);
        return x;
    }
    default: return 0;
    }
}

bool mil_const_ints(const MilFunction *f, ValueId v, int64_t *out, size_t cap, size_t *count) {
    const MilData *data = immediate(f, v);
    if (!data) return false;
    const MilType *type = &mil_value(f, v)->type;
    if (!(D_INDEX & 1u << type->dtype) || !mil_type_count(type, count) || *count > cap)
        return false;
    size_t n = mil_dtypes[type->dtype].bits / 8;
    for (size_t i = 0; i < *count; i++)
        out[i] = load_int((const uint8_t *)data->bytes + i * n, type->dtype);
    return true;
}

bool mil_const_int(const MilFunction *f, ValueId v, int64_t *out) {
    size_t count;
    return mil_const_ints(f, v, out, 1, &count) && count == 1;
}

bool mil_const_bool(const MilFunction *f, ValueId v, bool *out) {
    const MilData *data = immediate(f, v);
    if (!data || mil_value(f, v)->type.dtype != MIL_BOOL || data->n_bytes != 1) return false;
    *out = *(const uint8_t *)data->bytes != 0;
    return true;
}

bool mil_const_float(const MilFunction *f, ValueId v, double *out) {
    const MilData *data = immediate(f, v);
    if (!data) return false;
    const MilType *type = &mil_value(f, v)->type;
    if (type->dtype == MIL_F16 && data->n_bytes == 2) {
        uint16_t h;
        memcpy(&h, data->bytes, sizeof h);
        *out = (double)f32_from_half(h);
        return true;
    }
    if (type->dtype == MIL_F32 && data->n_bytes == 4) {
        float x;
        memcpy(&x, data->bytes, sizeof x);
        *out = (double)x;
        return true;
    }
    return false;
}

bool mil_const_str(const MilFunction *f, ValueId v, Str *out) {
    const MilData *data = immediate(f, v);
    if (!data || mil_value(f, v)->type.dtype != MIL_STRING || mil_value(f, v)->type.rank)
        return false;
    *out = data->strings[0];
    return true;
}
