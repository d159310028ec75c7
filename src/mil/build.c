#include "mil/build.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/size.h"
#include "mil/function.h"
#include "mil/infer.h"

Builder builder_begin(MilProgram *p, const char *name, Err *err) {
    return (Builder){.program = p, .f = mil_function_new(p, str_of(name)), .err = err};
}

static ValueId refuse(Builder *b, const char *name, const char *why) {
    if (!b->failed)
        err_set(b->err, ERR_FORMAT, "%.*s%svalue '%s': %s", STR_ARG(b->scope),
                b->scope.len ? ": " : "", name, why);
    b->failed = true;
    return MIL_NO_VALUE;
}

// Names are compared when the program is validated; here only their form is.
static bool check_name(Builder *b, const char *name) {
    if (b->failed) return false;
    if (!mil_name_is_valid(str_of(name))) refuse(b, name, "not a name a program may use");
    return !b->failed;
}

MilType mil_tensor(MilDtype dtype, int rank, const int64_t *dims) {
    MilType type = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) type.dims[i] = dims[i];
    return type;
}

static ValueId add_input(Builder *b, const char *name, MilType type) {
    if (!check_name(b, name)) return MIL_NO_VALUE;
    ValueId v = mil_function_add_value(
        b->f,
        (MilValue){.name = arena_str(b->f->arena, str_of(name)), .type = type, .op = MIL_NO_OP});
    mil_function_add_input(b->f, v);
    return v;
}

ValueId build_input(Builder *b, const char *name, MilType type) {
    return add_input(b, name, type);
}

ValueId build_state(Builder *b, const char *name, MilType type) {
    type.is_state = true;
    return add_input(b, name, type);
}

void build_output(Builder *b, ValueId v) {
    if (!b->failed && !value_is_none(v)) mil_function_add_output(b->f, v);
}

// ---- constants

static ValueId add_const(Builder *b, const char *name, MilType type, MilData data) {
    if (!check_name(b, name)) return MIL_NO_VALUE;
    MilFunction *f = b->f;
    MilData *kept = arena_new(f->arena, MilData);
    *kept = data;
    MilValue value = {
        .name = arena_str(f->arena, str_of(name)), .type = type, .data = kept, .op = f->n_ops};
    ValueId v = mil_function_add_value(f, value);
    mil_function_add_op(f, (MilOp){.info = mil_op(MIL_OP_const),
                                   .name = value.name,
                                   .first_output = v.at,
                                   .n_outputs = 1});
    return v;
}

static MilData immediate(Builder *b, const void *bytes, size_t n) {
    void *copy = arena_alloc(b->f->arena, n ? n : 1, 1);
    if (n) memcpy(copy, bytes, n);
    return (MilData){.bytes = copy, .n_bytes = n};
}

static ValueId const_bytes(Builder *b, const char *name, MilType type, const void *bytes,
                           size_t n) {
    if (b->failed) return MIL_NO_VALUE;
    return add_const(b, name, type, immediate(b, bytes, n));
}

ValueId build_const_f16(Builder *b, const char *name, float value) {
    uint16_t half = half_from_f32(value);
    return const_bytes(b, name, (MilType){.dtype = MIL_F16}, &half, sizeof half);
}

ValueId build_const_int(Builder *b, const char *name, int32_t value) {
    return const_bytes(b, name, (MilType){.dtype = MIL_I32}, &value, sizeof value);
}

ValueId build_const_ints(Builder *b, const char *name, const int32_t *values, size_t n) {
    MilType type = {.dtype = MIL_I32, .rank = 1, .dims = {(int64_t)n}};
    return const_bytes(b, name, type, values, n * sizeof *values);
}

ValueId build_const_bool(Builder *b, const char *name, bool value) {
    uint8_t byte = value;
    return const_bytes(b, name, (MilType){.dtype = MIL_BOOL}, &byte, 1);
}

ValueId build_const_bools(Builder *b, const char *name, const bool *values, size_t n) {
    MilType type = {.dtype = MIL_BOOL, .rank = 1, .dims = {(int64_t)n}};
    uint8_t bytes[2 * MIL_MAX_RANK];
    if (n > sizeof bytes) return refuse(b, name, "more booleans than a tensor has axes");
    for (size_t i = 0; i < n; i++) bytes[i] = values[i];
    return const_bytes(b, name, type, bytes, n);
}

ValueId build_const_str(Builder *b, const char *name, const char *value) {
    if (b->failed) return MIL_NO_VALUE;
    Str *strings = arena_new(b->f->arena, Str);
    *strings = arena_str(b->f->arena, str_of(value));
    return add_const(b, name, (MilType){.dtype = MIL_STRING}, (MilData){.strings = strings});
}

static MilData in_weight_file(uint64_t offset) {
    return (MilData){.is_blob = true, .file = STR(MIL_WEIGHT_FILE), .offset = offset};
}

ValueId build_const_blob(Builder *b, const char *name, MilType type, uint64_t offset) {
    return add_const(b, name, type, in_weight_file(offset));
}

static ValueId add_literal(Builder *b, MilType type, MilData data) {
    if (b->failed) return MIL_NO_VALUE;
    MilData *kept = arena_new(b->f->arena, MilData);
    *kept = data;
    return mil_function_add_value(b->f, (MilValue){.type = type, .data = kept, .op = MIL_NO_OP});
}

ValueId build_literal(Builder *b, MilType type, const void *bytes, size_t n_bytes) {
    return b->failed ? MIL_NO_VALUE : add_literal(b, type, immediate(b, bytes, n_bytes));
}

ValueId build_literal_blob(Builder *b, MilType type, uint64_t offset) {
    return add_literal(b, type, in_weight_file(offset));
}

// ---- ops

static bool add_args(Builder *b, MilOp *op, const BuildArg *args, size_t n_args) {
    for (size_t i = 0; i < n_args; i++) {
        int param = mil_param(op->info, args[i].param);
        if (param < 0) {
            refuse(b, args[i].param, "not a parameter of this op");
            return false;
        }
        if (args[i].count == 1 && value_is_none(args[i].values[0])) continue; // optional, left out
        for (size_t k = 0; k < args[i].count; k++)
            if (value_is_none(args[i].values[k])) {
                refuse(b, args[i].param, "an operand that was not built");
                return false;
            }
        op->args[param] = mil_function_add_operands(b->f, args[i].values, args[i].count);
    }
    return true;
}

ValueId build_op(Builder *b, const char *name, MilOpcode opcode, const BuildArg *args,
                 size_t n_args) {
    if (!check_name(b, name)) return MIL_NO_VALUE;
    MilFunction *f = b->f;
    MilOp op = {.info = mil_op(opcode), .name = arena_str(f->arena, str_of(name))};
    if (!add_args(b, &op, args, n_args)) return MIL_NO_VALUE;
    Infer infer = {.f = f, .op = &op, .err = b->err};
    if (!mil_infer(&infer)) {
        if (b->scope.len) err_prefix(b->err, "%.*s", STR_ARG(b->scope));
        b->failed = true;
        return MIL_NO_VALUE;
    }
    op.first_output = f->n_values;
    op.n_outputs = infer.n_out;
    for (uint32_t i = 0; i < infer.n_out; i++) {
        Str value_name = i ? arena_printf(f->arena, "%s_%u", name, i) : op.name;
        mil_function_add_value(
            f, (MilValue){.name = value_name, .type = infer.out[i], .op = f->n_ops, .result = i});
    }
    mil_function_add_op(f, op);
    return infer.n_out ? (ValueId){op.first_output} : MIL_NO_VALUE;
}

ValueId build_unary(Builder *b, const char *name, MilOpcode opcode, ValueId x) {
    return build_op(b, name, opcode, (BuildArg[]){{"x", &x, 1}}, 1);
}

ValueId build_binary(Builder *b, const char *name, MilOpcode opcode, ValueId x, ValueId y) {
    return build_op(b, name, opcode, (BuildArg[]){{"x", &x, 1}, {"y", &y, 1}}, 2);
}

// The const of a parameter is called <op>_<parameter>_0, as coremltools calls it.
typedef struct {
    char text[160];
} ParamName;

static const char *param_name(ParamName *out, const char *op, const char *param) {
    snprintf(out->text, sizeof out->text, "%s_%s_0", op, param);
    return out->text;
}

static ValueId param_int(Builder *b, const char *op, const char *param, int32_t value) {
    ParamName n;
    return build_const_int(b, param_name(&n, op, param), value);
}

static ValueId param_ints(Builder *b, const char *op, const char *param, const int32_t *values,
                          size_t count) {
    ParamName n;
    return build_const_ints(b, param_name(&n, op, param), values, count);
}

static ValueId param_bool(Builder *b, const char *op, const char *param, bool value) {
    ParamName n;
    return build_const_bool(b, param_name(&n, op, param), value);
}

ValueId build_conv1x1(Builder *b, const char *name, ValueId x, ValueId weight, ValueId bias) {
    static const int32_t ones[2] = {1, 1}, zeros[4] = {0};
    ParamName n;
    ValueId strides = param_ints(b, name, "strides", ones, 2);
    ValueId pad_type = build_const_str(b, param_name(&n, name, "pad_type"), "valid");
    ValueId pad = param_ints(b, name, "pad", zeros, 4);
    ValueId dilations = param_ints(b, name, "dilations", ones, 2);
    ValueId groups = param_int(b, name, "groups", 1);
    BuildArg args[] = {{"x", &x, 1},       {"weight", &weight, 1},      {"strides", &strides, 1},
                       {"pad", &pad, 1},   {"pad_type", &pad_type, 1},  {"groups", &groups, 1},
                       {"bias", &bias, 1}, {"dilations", &dilations, 1}};
    return build_op(b, name, MIL_OP_conv, args, COUNT_OF(args));
}

ValueId build_matmul(Builder *b, const char *name, ValueId x, ValueId y, bool transpose_x,
                     bool transpose_y) {
    ValueId tx = param_bool(b, name, "transpose_x", transpose_x);
    ValueId ty = param_bool(b, name, "transpose_y", transpose_y);
    BuildArg args[] = {
        {"x", &x, 1}, {"y", &y, 1}, {"transpose_x", &tx, 1}, {"transpose_y", &ty, 1}};
    return build_op(b, name, MIL_OP_matmul, args, COUNT_OF(args));
}

ValueId build_softmax(Builder *b, const char *name, ValueId x, int axis) {
    ValueId a = param_int(b, name, "axis", axis);
    return build_op(b, name, MIL_OP_softmax, (BuildArg[]){{"x", &x, 1}, {"axis", &a, 1}}, 2);
}

ValueId build_reduce(Builder *b, const char *name, MilOpcode opcode, ValueId x, int axis,
                     bool keep_dims) {
    int32_t axes[1] = {axis};
    ValueId a = param_ints(b, name, "axes", axes, 1);
    ValueId k = param_bool(b, name, "keep_dims", keep_dims);
    BuildArg args[] = {{"x", &x, 1}, {"axes", &a, 1}, {"keep_dims", &k, 1}};
    return build_op(b, name, opcode, args, COUNT_OF(args));
}

ValueId build_rsqrt(Builder *b, const char *name, ValueId x, float epsilon) {
    ParamName n;
    ValueId e = build_const_f16(b, param_name(&n, name, "epsilon"), epsilon);
    return build_op(b, name, MIL_OP_rsqrt, (BuildArg[]){{"x", &x, 1}, {"epsilon", &e, 1}}, 2);
}

ValueId build_reshape(Builder *b, const char *name, ValueId x, const int32_t *shape, size_t rank) {
    ValueId s = param_ints(b, name, "shape", shape, rank);
    return build_op(b, name, MIL_OP_reshape, (BuildArg[]){{"x", &x, 1}, {"shape", &s, 1}}, 2);
}

ValueId build_transpose(Builder *b, const char *name, ValueId x, const int32_t *perm, size_t rank) {
    ValueId p = param_ints(b, name, "perm", perm, rank);
    return build_op(b, name, MIL_OP_transpose, (BuildArg[]){{"x", &x, 1}, {"perm", &p, 1}}, 2);
}

ValueId build_concat(Builder *b, const char *name, const ValueId *values, size_t n, int axis) {
    ValueId a = param_int(b, name, "axis", axis);
    ValueId i = param_bool(b, name, "interleave", false);
    BuildArg args[] = {{"values", values, n}, {"axis", &a, 1}, {"interleave", &i, 1}};
    return build_op(b, name, MIL_OP_concat, args, COUNT_OF(args));
}

ValueId build_slice(Builder *b, const char *name, ValueId x, const int32_t *begin,
                    const int32_t *end, size_t rank) {
    ValueId from = param_ints(b, name, "begin", begin, rank);
    ValueId to = param_ints(b, name, "end", end, rank);
    BuildArg args[] = {{"x", &x, 1}, {"begin", &from, 1}, {"end", &to, 1}};
    return build_op(b, name, MIL_OP_slice_by_index, args, COUNT_OF(args));
}

ValueId build_slice_update(Builder *b, const char *name, ValueId x, ValueId update, ValueId begin,
                           ValueId end) {
    BuildArg args[] = {
        {"x", &x, 1}, {"update", &update, 1}, {"begin", &begin, 1}, {"end", &end, 1}};
    return build_op(b, name, MIL_OP_slice_update, args, COUNT_OF(args));
}

ValueId build_read_state(Builder *b, const char *name, ValueId state) {
    return build_op(b, name, MIL_OP_read_state, (BuildArg[]){{"input", &state, 1}}, 1);
}

void build_write_state(Builder *b, const char *name, ValueId state, ValueId data) {
    build_op(b, name, MIL_OP_write_state, (BuildArg[]){{"input", &state, 1}, {"data", &data, 1}},
             2);
}

ValueId build_constexpr_blockwise(Builder *b, const char *name, ValueId data, ValueId scale) {
    BuildArg args[] = {{"data", &data, 1}, {"scale", &scale, 1}};
    return build_op(b, name, MIL_OP_constexpr_blockwise_shift_scale, args, COUNT_OF(args));
}
