// infer.h — types of an op's results from its operands. Internal to mil/.
//
// The same rules serve the builder, which adds an op only when its rule agrees, and the validator,
// which compares declared types with inferred ones.
#ifndef LATHE_MIL_INFER_H
#define LATHE_MIL_INFER_H

#include "mil/mil.h"

enum { MIL_MAX_RESULTS = 64 };

typedef struct {
    const MilFunction *f;
    const MilOp *op;
    Err *err;
    MilType out[MIL_MAX_RESULTS]; // out[0] starts as a rank-0 tensor
    uint32_t n_out;
} Infer;

typedef bool InferRule(Infer *in);

// Checks operands (present, dtypes, groups, constness, states) and runs the op's rule. The message
// names op and parameter.
bool mil_infer(Infer *in);

// For rules: fails with a message about the op; returns false.
bool infer_refuse(Infer *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Type of the first operand of `param`, or NULL when not given.
const MilType *infer_type(const Infer *in, const char *param);
ValueId infer_operand(const Infer *in, const char *param);
// Constants, with `otherwise` when not given. A run-time value where a constant is needed was
// refused before the rule ran.
int64_t infer_int(const Infer *in, const char *param, int64_t otherwise);
bool infer_bool(const Infer *in, const char *param, bool otherwise);
// Items of an integer constant; false when not given or not a constant.
bool infer_ints(const Infer *in, const char *param, int64_t *out, size_t cap, size_t *count);
bool infer_bools(const Infer *in, const char *param, bool *out, size_t cap, size_t *count);
// `axis` of a tensor of rank `rank`, counted from the front; false when out of range.
bool infer_axis(Infer *in, int64_t axis, int rank, int *out);

#define OP(name, rule, ...) InferRule infer_##rule;
#define P(...)
#include "mil/ops.def"
#undef OP
#undef P

#endif
