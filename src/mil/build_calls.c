// build_calls.c — the ops that lathe emits, one typed function each. Constants made here are named
// op_param_0, as in coremltools.
#include "base/half.h"
#include "base/size.h"
#include "mil/build.h"

// The name of the constant for the parameter `param` of op `name`.
static const char *const_name(Builder *b, const char *name, const char *param) {
    return arena_cstr(b->f->arena, arena_printf(b->f->arena, "%s_%s_0", name, param));
}

// An argument of one value, absent when there is none.
static BuildArg arg(const char *param, const ValueId *v) {
    return (BuildArg){param, v, value_is_none(*v) ? 0 : 1};
}

ValueId build_unary(Builder *b, const char *name, MilOpcode opcode, ValueId x) {
    return build_op(b, name, opcode, &(BuildArg){"x", &x, 1}, 1);
}

ValueId build_binary(Builder *b, const char *name, MilOpcode opcode, ValueId x, ValueId y) {
    const BuildArg args[] = {{"x", &x, 1}, {"y", &y, 1}};
    return build_op(b, name, opcode, args, COUNT_OF(args));
}

ValueId build_conv1x1(Builder *b, const char *name, ValueId x, ValueId weight, ValueId bias) {
    const BuildArg args[] = {{"x", &x, 1}, {"weight", &weight, 1}, arg("bias", &bias)};
    return build_op(b, name, MIL_OP_conv, args, COUNT_OF(args));
}

ValueId build_matmul(Builder *b, const char *name, ValueId x, ValueId y, bool transpose_x,
                     bool transpose_y) {
    ValueId tx = build_const_bool(b, const_name(b, name, "transpose_x"), transpose_x);
    ValueId ty = build_const_bool(b, const_name(b, name, "transpose_y"), transpose_y);
    const BuildArg args[] = {
        {"x", &x, 1}, {"y", &y, 1}, {"transpose_x", &tx, 1}, {"transpose_y", &ty, 1}};
    return build_op(b, name, MIL_OP_matmul, args, COUNT_OF(args));
}

ValueId build_softmax(Builder *b, const char *name, ValueId x, int axis) {
    ValueId a = build_const_int(b, const_name(b, name, "axis"), axis);
    const BuildArg args[] = {{"x", &x, 1}, {"axis", &a, 1}};
    return build_op(b, name, MIL_OP_softmax, args, COUNT_OF(args));
}

ValueId build_reduce(Builder *b, const char *name, MilOpcode opcode, ValueId x, int axis,
                     bool keep_dims) {
    bool takes_one = mil_param(mil_op(opcode), "axis") >= 0; // argmax, argmin
    const char *param = takes_one ? "axis" : "axes";
    ValueId a = takes_one ? build_const_int(b, const_name(b, name, param), axis)
                          : build_const_ints(b, const_name(b, name, param), &(int32_t){axis}, 1);
    ValueId keep = build_const_bool(b, const_name(b, name, "keep_dims"), keep_dims);
    const BuildArg args[] = {{"x", &x, 1}, {param, &a, 1}, {"keep_dims", &keep, 1}};
    return build_op(b, name, opcode, args, COUNT_OF(args));
}

ValueId build_rsqrt(Builder *b, const char *name, ValueId x, float epsilon) {
    if (b->failed) return MIL_NO_VALUE;
    // In the dtype of x, as coremltools has it. A small number is zero in binary16, and a norm
    // without its epsilon is another norm, so that is refused.
    if (mil_value(b->f, x)->type.dtype == MIL_F16 && epsilon > 0 && round_to_half(epsilon) <= 0)
        return builder_refuse(b, "rsqrt '%s': epsilon %g is zero in fp16", name, (double)epsilon);
    ValueId e = build_const_real(b, const_name(b, name, "epsilon"), mil_value(b->f, x)->type.dtype,
                                 epsilon);
    const BuildArg args[] = {{"x", &x, 1}, {"epsilon", &e, 1}};
    return build_op(b, name, MIL_OP_rsqrt, args, COUNT_OF(args));
}

ValueId build_reshape(Builder *b, const char *name, ValueId x, const int32_t *shape, size_t rank) {
    ValueId s = build_const_ints(b, const_name(b, name, "shape"), shape, rank);
    const BuildArg args[] = {{"x", &x, 1}, {"shape", &s, 1}};
    return build_op(b, name, MIL_OP_reshape, args, COUNT_OF(args));
}

ValueId build_transpose(Builder *b, const char *name, ValueId x, const int32_t *perm, size_t rank) {
    ValueId p = build_const_ints(b, const_name(b, name, "perm"), perm, rank);
    const BuildArg args[] = {{"x", &x, 1}, {"perm", &p, 1}};
    return build_op(b, name, MIL_OP_transpose, args, COUNT_OF(args));
}

ValueId build_concat(Builder *b, const char *name, const ValueId *values, size_t n, int axis) {
    ValueId a = build_const_int(b, const_name(b, name, "axis"), axis);
    const BuildArg args[] = {{"values", values, n}, {"axis", &a, 1}};
    return build_op(b, name, MIL_OP_concat, args, COUNT_OF(args));
}

ValueId build_slice(Builder *b, const char *name, ValueId x, const int32_t *begin,
                    const int32_t *end, size_t rank) {
    ValueId from = build_const_ints(b, const_name(b, name, "begin"), begin, rank);
    ValueId to = build_const_ints(b, const_name(b, name, "end"), end, rank);
    const BuildArg args[] = {{"x", &x, 1}, {"begin", &from, 1}, {"end", &to, 1}};
    return build_op(b, name, MIL_OP_slice_by_index, args, COUNT_OF(args));
}

ValueId build_slice_update(Builder *b, const char *name, ValueId x, ValueId update, ValueId begin,
                           ValueId end) {
    const BuildArg args[] = {
        {"x", &x, 1}, {"update", &update, 1}, {"begin", &begin, 1}, {"end", &end, 1}};
    return build_op(b, name, MIL_OP_slice_update, args, COUNT_OF(args));
}

ValueId build_read_state(Builder *b, const char *name, ValueId state) {
    return build_op(b, name, MIL_OP_read_state, &(BuildArg){"input", &state, 1}, 1);
}

void build_write_state(Builder *b, const char *name, ValueId state, ValueId data) {
    const BuildArg args[] = {{"input", &state, 1}, {"data", &data, 1}};
    build_op(b, name, MIL_OP_write_state, args, COUNT_OF(args));
}

ValueId build_constexpr_blockwise(Builder *b, const char *name, ValueId data, ValueId scale) {
    const BuildArg args[] = {{"data", &data, 1}, {"scale", &scale, 1}};
    return build_op(b, name, MIL_OP_constexpr_blockwise_shift_scale, args, COUNT_OF(args));
}
