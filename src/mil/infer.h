// infer.h — infers the types of an op's outputs by its row of ops.def. Internal to mil/.
//
// A rule is `bool infer_<rule>(MilInfer *i)`: it reads the operands, refuses what does not fit with
// infer_fail(), and gives output types with infer_result(). Before a rule runs, mil_infer() checks
// the operands against the row: required ones are given, dtypes and groups are allowed, parameters
// that must be constant are. After the rule it checks that every dim is in range.
//
// Dims may be unknown (MIL_UNKNOWN_DIM), and so may the content of constants (in a weight file, or
// folded from others). A rule must handle both: an unknown operand makes the result unknown, and is
// never an error.
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

// The largest dim. Sums of dims fit into int64_t; products are computed by dim_mul().
#define MIL_MAX_DIM ((int64_t)1 << 40)

bool infer_fail(MilInfer *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The type of an operand; NULL when the parameter was not given.
const MilType *infer_type(const MilInfer *i, const char *param);
// The same for operand number `at` of a parameter that takes several; infer_count() gives their
// number.
const MilType *infer_type_at(const MilInfer *i, const char *param, uint32_t at);
uint32_t infer_count(const MilInfer *i, const char *param);
bool infer_has(const MilInfer *i, const char *param);

// Adds an output type. False, with a message, when there are too many or a dim is out of range.
bool infer_result(MilInfer *i, MilType type);

// The numbers of a parameter. `given`: the parameter was given; `known`: its content is known; `n`:
// its length, 0 if unknown. Refuses numbers beyond MIL_MAX_DIM, rank above 1 and more than
// MIL_MAX_OUTPUTS items.
typedef struct {
    bool given, known;
    uint32_t n;
    int64_t at[MIL_MAX_OUTPUTS];
} InferInts;
bool infer_ints(MilInfer *i, const char *param, InferInts *out);
// The same for exactly `n` items; each is `fallback` when the parameter was not given.
bool infer_ints_or(MilInfer *i, const char *param, uint32_t n, int64_t fallback, InferInts *out);
// A scalar parameter, given or by default; fails when its content is not known.
bool infer_int(MilInfer *i, const char *param, int64_t *out);
bool infer_bool(MilInfer *i, const char *param, bool *out);
bool infer_text(MilInfer *i, const char *param, Str *out);
// The scalar `param` as an axis of a tensor of `rank`, counted from the front.
bool infer_axis(MilInfer *i, const char *param, int rank, int *axis);
bool infer_axis_of(MilInfer *i, const char *param, int64_t axis, int rank, int *out);
// A dtype that a parameter names; it must be in the bit set `dtypes`.
bool infer_dtype(MilInfer *i, const char *param, uint32_t dtypes, MilDtype *out);

// Whether two dims are equal, or one of them is unknown.
static inline bool dims_agree(int64_t a, int64_t b) {
    return a == b || a == MIL_UNKNOWN_DIM || b == MIL_UNKNOWN_DIM;
}
static inline int64_t dim_known_of(int64_t a, int64_t b) {
    return a == MIL_UNKNOWN_DIM ? b : a;
}
// Unknown when an operand is. A result that is too large becomes one above MIL_MAX_DIM, which
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
