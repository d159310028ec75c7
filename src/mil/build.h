// build.h — builds an ML Program op by op. Each call infers its output type and refuses wrong
// operands at once.
//
// The first refusal sticks: `b->err` holds it, later calls return MIL_NO_VALUE and add nothing, so
// a layer is built as straight code and checked once (builder_ok). A name is that of the op and of
// its value; it must be unique in the function. Optional parameters are written with their default
// values, as coremltools does, so that readers need not know the defaults.
#ifndef LATHE_MIL_BUILD_H
#define LATHE_MIL_BUILD_H

#include "mil/mil.h"

typedef struct {
    MilProgram *program;
    MilFunction *f; // under construction
    Err *err;
    bool failed;
    Str scope; // put before names in messages: "layer 3"
} Builder;

MilProgram *mil_program_new(Arena *arena, int32_t spec_version);
// Starts function `name` of `p`.
Builder builder_begin(MilProgram *p, const char *name, Err *err);
static inline bool builder_ok(const Builder *b) {
    return !b->failed;
}

// Sets the message, with the scope before it, unless one is set. Returns MIL_NO_VALUE.
ValueId builder_refuse(Builder *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

MilType mil_tensor(MilDtype dtype, int rank, const int64_t *dims);
#define MIL_TENSOR(dtype, ...)                                                                     \
    mil_tensor((dtype), (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                 \
               (int64_t[]){__VA_ARGS__})

ValueId build_input(Builder *b, const char *name, MilType type);
ValueId build_state(Builder *b, const char *name, MilType type); // type of the wrapped tensor
void build_output(Builder *b, ValueId v);

// Constants. Immediate data is copied; equal scalars may share one value.
ValueId build_const_f16(Builder *b, const char *name, float value);
// A scalar of fp16, fp32, int32 or bool.
ValueId build_const_real(Builder *b, const char *name, MilDtype dtype, double value);
ValueId build_const_int(Builder *b, const char *name, int32_t value);
ValueId build_const_ints(Builder *b, const char *name, const int32_t *values, size_t n);
ValueId build_const_bool(Builder *b, const char *name, bool value);
ValueId build_const_str(Builder *b, const char *name, const char *value);
// A tensor that lives in a weight file of the package, at the record `at`.
ValueId build_const_blob(Builder *b, const char *name, MilType type, MilPlace at);
// Literals, for constexpr operands.
ValueId build_literal(Builder *b, MilType type, const void *bytes, size_t n_bytes);
ValueId build_literal_blob(Builder *b, MilType type, MilPlace at);

// The general call: operands by parameter name, { "x", v }, …; parameters not listed are absent or
// take their default.
typedef struct {
    const char *param;
    const ValueId *values;
    size_t count;
} BuildArg;
ValueId build_op(Builder *b, const char *name, MilOpcode opcode, const BuildArg *args,
                 size_t n_args);

// The ops that lathe emits, one function each. `name` is copied.
ValueId build_unary(Builder *b, const char *name, MilOpcode opcode, ValueId x);
ValueId build_binary(Builder *b, const char *name, MilOpcode opcode, ValueId x, ValueId y);
ValueId build_conv1x1(Builder *b, const char *name, ValueId x, ValueId weight,
                      ValueId bias /* or none */);
ValueId build_matmul(Builder *b, const char *name, ValueId x, ValueId y, bool transpose_x,
                     bool transpose_y);
ValueId build_softmax(Builder *b, const char *name, ValueId x, int axis);
ValueId build_reduce(Builder *b, const char *name, MilOpcode opcode, ValueId x, int axis,
                     bool keep_dims);
ValueId build_rsqrt(Builder *b, const char *name, ValueId x, float epsilon);
ValueId build_reshape(Builder *b, const char *name, ValueId x, const int32_t *shape, size_t rank);
ValueId build_transpose(Builder *b, const char *name, ValueId x, const int32_t *perm, size_t rank);
ValueId build_concat(Builder *b, const char *name, const ValueId *values, size_t n, int axis);
// x[begin:end] with constants; `rank` entries each.
ValueId build_slice(Builder *b, const char *name, ValueId x, const int32_t *begin,
                    const int32_t *end, size_t rank);
// `x` with the elements from `begin` up to, not including, `end` replaced on each axis (int32
// vectors, which may be run-time values).
ValueId build_slice_update(Builder *b, const char *name, ValueId x, ValueId update, ValueId begin,
                           ValueId end);
ValueId build_read_state(Builder *b, const char *name, ValueId state);
void build_write_state(Builder *b, const char *name, ValueId state, ValueId data);
// int8 codes with one scale an output channel ([rows,1,1,1]) or one for all ([1,1,1,1]), both in
// the weight file.
ValueId build_constexpr_blockwise(Builder *b, const char *name, ValueId data, ValueId scale);

#endif
