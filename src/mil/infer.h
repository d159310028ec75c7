// infer.h — inside mil/: how an op's row of ops.def becomes the types of its outputs.
//
// A rule is `bool infer_<rule>(MilInfer *i)`: it reads the operands, refuses what does not fit with
// infer_fail(), and gives output types with infer_result(). Before a rule runs, mil_infer() has
// held the operands to the row: required ones are there, dtypes and groups are right, constants are
// constants. After it, every dim given is in range.
//
// Dims may be unknown (MIL_UNKNOWN_DIM), and so may the content of constants (in a weight file, or
// folded from others). A rule must handle both: what is unknown makes the result unknown, never an
// error.
#ifndef LATHE_MIL_INFER_H
#define LATHE_MIL_INFER_H

#include "mil/mil.h"

struct MilInfer {
    const MilFunction *f;
    const MilOp *op;
    MilType *out; // [MIL_MAX_OUTPUTS]
    uint32_t n_out;
    Err *err;
};

// No dim and no count of elements in one dim is larger: leaves room for sums and products of two in
// int64_t.
#define MIL_MAX_DIM ((int64_t)1 << 40)

bool infer_fail(MilInfer *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The type of an operand; NULL when the parameter was not given.
const MilType *infer_type(const MilInfer *i, const char *param);
// As above for a parameter that takes several, by position; count with infer_count().
const MilType *infer_type_at(const MilInfer *i, const char *param, uint32_t at);
uint32_t infer_count(const MilInfer *i, const char *param);
bool infer_has(const MilInfer *i, const char *param);

// Gives one more output type. False, with the message, when there are too many or a dim is out of
// range.
bool infer_result(MilInfer *i, MilType type);

// Numbers of a parameter. `given` is false when it was left out, `known` when its content is not; `n` is the length in any case where it is known, else 0. Refuses numbers beyond
// MIL_MAX_DIM, rank above 1 and more than MIL_MAX_OUTPUTS items.
typedef struct {
    bool given, known;
    uint32_t n;
    int64_t at[MIL_MAX_OUTPUTS];
} InferInts;
bool infer_ints(MilInfer *i, const char *param, InferInts *out);
// As above, with `n` items when known, or `fallback` in each when it was left out.
bool infer_ints_or(MilInfer *i, const char *param, uint32_t n, int64_t fallback, InferInts *out);
// Scalars, given or by default, whose content must be known.
bool infer_int(MilInfer *i, const char *param, int64_t *out);
bool infer_bool(MilInfer *i, const char *param, bool *out);
bool infer_text(MilInfer *i, const char *param, Str *out);
// The scalar `param` as an axis of a tensor of `rank`, counted from the front.
bool infer_axis(MilInfer *i, const char *param, int rank, int *axis);
bool infer_axis_of(MilInfer *i, const char *param, int64_t axis, int rank, int *out);
// A dtype named by text; one of the bit set `dtypes`.
bool infer_dtype(MilInfer *i, const char *param, uint32_t dtypes, MilDtype *out);

// Dims that are the same, as far as is known.
static inline bool dims_agree(int64_t a, int64_t b) {
    return a == b || a == MIL_UNKNOWN_DIM || b == MIL_UNKNOWN_DIM;
}
static inline int64_t dim_known_of(int64_t a, int64_t b) {
    return a == MIL_UNKNOWN_DIM ? b : a;
}
// Unknown when an operand is; a result that does not fit is given as one above MIL_MAX_DIM, which
// infer_result refuses.
int64_t dim_mul(int64_t a, int64_t b);
int64_t dim_add(int64_t a, int64_t b);
int64_t dims_product(const MilType *t, int from, int to); // of dims [from, to)

MilType type_of(MilDtype dtype); // rank 0
void type_append(MilType *t,
                 int64_t dim); // keeps MIL_MAX_RANK dims; infer_result refuses a larger rank
void type_append_dims(MilType *t, const MilType *from, int first, int end);

// "[1, ?, 3]" for messages; lives in the function's arena.
const char *infer_shape_text(const MilInfer *i, const MilType *t);

// The rules: infer_<rule> for each rule named in ops.def.
#define OP(name, rule, ...)              bool infer_##rule(MilInfer *i);
#define OP_FORM(opcode, name, rule, ...) bool infer_##rule(MilInfer *i);
#include "mil/ops.def"
#undef OP

// NumPy broadcasting of two shapes, in the dtype of `a`.
bool infer_broadcast_shapes(MilInfer *i, const MilType *a, const MilType *b, MilType *out);

#endif
