// ops.c — the table of ops, made from ops.def: each with its parameters, the specification versions
// that have it and the rule that gives the types of its outputs.
#include <assert.h>

#include "base/size.h"
#include "mil/infer.h"

static const char *const opsets[] = {"CoreML5", "CoreML6", "CoreML7", "CoreML8", "CoreML9"};
static_assert(COUNT_OF(opsets) == MIL_SPEC_LAST - MIL_SPEC_FIRST + 1, "one opset a version");

const char *mil_opset(int32_t spec_version) {
    if (spec_version < MIL_SPEC_FIRST || spec_version > MIL_SPEC_LAST) return NULL;
    return opsets[spec_version - MIL_SPEC_FIRST];
}

// ---- the vocabulary of ops.def

#define BIT(dtype) (1u << MIL_##dtype)
enum {
    BOOL = BIT(BOOL),
    STRING = BIT(STRING),
    F16 = BIT(F16),
    F32 = BIT(F32),
    U1 = BIT(U1),
    U8 = BIT(U8),
    U32 = BIT(U32),
    I32 = BIT(I32),
    F = BIT(F16) | BIT(F32),
    FI = F | I32,
    FIB = FI | BOOL,
    IX = BIT(I8) | BIT(I16) | I32,
    INDEX = IX | BIT(U8) | BIT(U16),
    ALL7 = FI | INDEX,
    ALL8 = ALL7 | BOOL,
    Q8 = BIT(I8) | BIT(U8),
    QF = Q8 | BIT(I4) | BIT(U4) | F,
    CODES = BIT(U1) | BIT(U2) | BIT(U3) | BIT(U4) | BIT(U6) | BIT(U8),
    ANY = (1u << MIL_DTYPE_COUNT) - 1,
};
static_assert(MIL_DTYPE_COUNT < 32, "dtype sets are 32 bits");

enum {
    GROUP__ = 0,
    GROUP_D = 'D',
    GROUP_I = 'I',
    GROUP_K = 'K',
    GROUP_M = 'M',
    GROUP_O = 'O',
    GROUP_S = 'S',
    GROUP_T = 'T',
    GROUP_U = 'U',
    GROUP_Z = 'Z',
};

// clang-format off
#define IN(name, group, dtypes)    {#name, (uint32_t)(dtypes), GROUP_##group, 0, {0}}
#define MAY(name, group, dtypes)   {#name, (uint32_t)(dtypes), GROUP_##group, MIL_PARAM_OPTIONAL, {0}}
#define FIXED(name, group, dtypes) {#name, (uint32_t)(dtypes), GROUP_##group, MIL_PARAM_CONST, {0}}
#define OPT(name, group, dtypes, ...)                                                              \
    {#name, (uint32_t)(dtypes), GROUP_##group, MIL_PARAM_CONST | MIL_PARAM_OPTIONAL, __VA_ARGS__}
#define TUPLE(name, dtypes)        {#name, (uint32_t)(dtypes), 0, MIL_PARAM_TUPLE, {0}}
#define STATE(name)                {#name, ANY, 0, MIL_PARAM_STATE, {0}}

#define ABSENT       {MIL_DEFAULT_NONE, 0, NULL}
#define INT(n)       {MIL_DEFAULT_INT, (n), NULL}
#define NO           {MIL_DEFAULT_BOOL, 0, NULL}
#define YES          {MIL_DEFAULT_BOOL, 1, NULL}
#define TEXT(s)      {MIL_DEFAULT_TEXT, 0, s}
#define REAL(x)      {MIL_DEFAULT_REAL, (x), NULL}
#define REAL_OF_X(x) {MIL_DEFAULT_REAL_OF_X, (x), NULL}
#define ONES         {MIL_DEFAULT_ONES, 1, NULL}
#define ZERO_PAIRS   {MIL_DEFAULT_ZERO_PAIRS, 0, NULL}
#define ALL_AXES     {MIL_DEFAULT_ALL_AXES, 0, NULL}
#define ZERO_BIAS    {MIL_DEFAULT_ZERO_BIAS, 0, NULL}
// clang-format on

#define NO_PARAMS .n_params = 0
#define PARAMS(...)                                                                                \
    .params = (const MilParam[]){__VA_ARGS__},                                                     \
    .n_params = COUNT_OF(((const MilParam[]){__VA_ARGS__}))

// parameter lists that several ops have
#define XY(dtypes)   PARAMS(IN(x, T, dtypes), IN(y, T, dtypes))
#define X(dtypes)    PARAMS(IN(x, T, dtypes))
#define X_ALPHA      PARAMS(IN(x, T, F), FIXED(alpha, U, F))
#define X_ALPHA_BETA PARAMS(IN(x, T, F), FIXED(alpha, U, F), FIXED(beta, U, F))
#define X_AXES       PARAMS(IN(x, T, FI), OPT(axes, _, I32, ABSENT), OPT(keep_dims, _, BOOL, NO))
#define X_AXIS_ARG                                                                                 \
    PARAMS(IN(x, T, FI), OPT(axis, _, I32, INT(-1)), OPT(keep_dims, _, BOOL, NO),                  \
           OPT(output_dtype, _, STRING, TEXT("int32")))
#define POOLING                                                                                    \
    IN(x, T, F), FIXED(kernel_sizes, _, I32), OPT(strides, _, I32, ONES),                          \
        FIXED(pad_type, _, STRING), OPT(pad, _, I32, ZERO_PAIRS), OPT(ceil_mode, _, BOOL, NO)
#define SLICE                                                                                      \
    IN(begin, U, IX), IN(end, U, IX), OPT(stride, U, IX, ABSENT),                                  \
        OPT(begin_mask, _, BOOL, ABSENT), OPT(end_mask, _, BOOL, ABSENT),                          \
        OPT(squeeze_mask, _, BOOL, ABSENT)
#define SCATTER      IN(data, T, FI), IN(indices, _, I32), IN(updates, T, FI)
#define SCATTER_MODE OPT(mode, _, STRING, TEXT("add")), OPT(validate_indices, _, BOOL, NO)

// ---- the table

static const MilOpInfo ops[MIL_OP_COUNT] = {
#define OP(name, rule, first, op_flags, ...)                                                       \
    [MIL_OP_##name] = {#name,                                                                      \
                       MIL_OP_##name,                                                              \
                       .flags = (op_flags),                                                        \
                       .since = (first),                                                           \
                       .until = MIL_SPEC_LAST,                                                     \
                       .infer = infer_##rule,                                                      \
                       __VA_ARGS__},
#define OP_FORM(opcode, name, rule, first, op_flags, ...)                                          \
    [MIL_OP_##opcode] = {#name,      MIL_OP_##opcode,       .flags = (op_flags), .since = (first), \
                         .until = 8, .infer = infer_##rule, __VA_ARGS__},
#include "mil/ops.def"
#undef OP
};

const MilOpInfo *mil_op(MilOpcode opcode) {
    assert(opcode < MIL_OP_COUNT);
    return &ops[opcode];
}

const MilOpInfo *mil_op_for(Str name, int32_t spec_version) {
    for (size_t i = 0; i < MIL_OP_COUNT; i++)
        if (spec_version >= ops[i].since && spec_version <= ops[i].until &&
            str_is(name, ops[i].name))
            return &ops[i];
    return NULL;
}

const MilOpInfo *mil_op_named(Str name) {
    return mil_op_for(name, MIL_SPEC_LAST);
}
