#include "mil/infer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "mil/dtypes.h"

static InferRule *const rules[MIL_OP_COUNT] = {
#define P(...)
#define OP(name, rule, ...) [MIL_OP_##name] = infer_##rule,
#include "mil/ops.def"
#undef OP
#undef P
};

bool infer_refuse(Infer *in, const char *fmt, ...) {
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(in->err, ERR_FORMAT, "op '%.*s' (%s): %s", STR_ARG(in->op->name),
                   in->op->info->name, text);
}

ValueId infer_operand(const Infer *in, const char *param) {
    return mil_operand(in->f, in->op, mil_param(in->op->info, param));
}

const MilType *infer_type(const Infer *in, const char *param) {
    ValueId v = infer_operand(in, param);
    return value_is_none(v) ? NULL : &mil_value(in->f, v)->type;
}

int64_t infer_int(const Infer *in, const char *param, int64_t otherwise) {
    int64_t value;
    return mil_const_int(in->f, infer_operand(in, param), &value) ? value : otherwise;
}

bool infer_bool(const Infer *in, const char *param, bool otherwise) {
    bool value;
    return mil_const_bool(in->f, infer_operand(in, param), &value) ? value : otherwise;
}

bool infer_ints(const Infer *in, const char *param, int64_t *out, size_t cap, size_t *count) {
    return mil_const_ints(in->f, infer_operand(in, param), out, cap, count);
}

bool infer_bools(const Infer *in, const char *param, bool *out, size_t cap, size_t *count) {
    ValueId v = infer_operand(in, param);
    if (value_is_none(v)) return false;
    const MilValue *value = mil_value(in->f, v);
    if (!value->data || value->data->is_blob || value->type.dtype != MIL_BOOL ||
        value->data->n_bytes > cap)
        return false;
    *count = value->data->n_bytes;
    for (size_t i = 0; i < *count; i++) out[i] = ((const uint8_t *)value->data->bytes)[i] != 0;
    return true;
}

bool infer_axis(Infer *in, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank)
        return infer_refuse(in, "axis %lld of a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

static bool is_constant(const MilFunction *f, ValueId v) {
    const MilValue *value = mil_value(f, v);
    if (value->data) return true;
    return value->op != MIL_NO_OP && (f->ops[value->op].info->flags & MIL_OP_CONSTEXPR);
}

static bool check_operand(Infer *in, const MilParam *param, ValueId v) {
    const MilType *type = &mil_value(in->f, v)->type;
    bool wants_state = param->flags & MIL_PARAM_STATE;
    if (type->is_state != wants_state)
        return infer_refuse(in, "parameter '%s' is %s state", param->name,
                            wants_state ? "not a" : "a");
    if (!(param->dtypes & 1u << type->dtype))
        return infer_refuse(in, "parameter '%s' is %s, which it does not take", param->name,
                            mil_dtypes[type->dtype].name);
    if ((param->flags & MIL_PARAM_CONST) && !is_constant(in->f, v))
        return infer_refuse(in, "parameter '%s' must be a constant", param->name);
    return true;
}

static bool check_operands(Infer *in) {
    const MilOpInfo *info = in->op->info;
    int group_dtype[128];
    memset(group_dtype, -1, sizeof group_dtype);
    for (uint32_t i = 0; i < info->n_params; i++) {
        const MilParam *param = &info->params[i];
        const MilArg *arg = &in->op->args[i];
        if (arg->count == 0 && !(param->flags & MIL_PARAM_OPTIONAL))
            return infer_refuse(in, "parameter '%s' is missing", param->name);
        if (arg->count > 1 && !(param->flags & MIL_PARAM_TUPLE))
            return infer_refuse(in, "parameter '%s' has %u operands, expected 1", param->name,
                                arg->count);
        for (uint32_t k = 0; k < arg->count; k++) {
            ValueId v = in->f->operands[arg->first + k];
            if (!check_operand(in, param, v)) return false;
            int dtype = (int)mil_value(in->f, v)->type.dtype;
            int *group = &group_dtype[param->group & 127];
            if (param->group && *group >= 0 && *group != dtype)
                return infer_refuse(in, "parameter '%s' is %s where another is %s", param->name,
                                    mil_dtypes[dtype].name, mil_dtypes[*group].name);
            *group = dtype;
        }
    }
    return true;
}

bool mil_infer(Infer *in) {
    in->out[0] = (MilType){0};
    in->n_out = 1;
    if (!check_operands(in) || !rules[in->op->info->opcode](in)) return false;
    for (uint32_t i = 0; i < in->n_out; i++) {
        size_t count;
        if (in->out[i].rank > MIL_MAX_RANK)
            return infer_refuse(in, "a result of rank %d", in->out[i].rank);
        for (int d = 0; d < in->out[i].rank; d++)
            if (in->out[i].dims[d] == MIL_UNKNOWN_DIM) return true;
        if (!mil_type_count(&in->out[i], &count) || count > (size_t)1 << 40)
            return infer_refuse(in, "the shape of its result overflows");
    }
    return true;
}
