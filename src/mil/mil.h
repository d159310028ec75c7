// mil.h — ML Programs in memory: the typed intermediate form that Core ML packages carry.
//
// A Program holds functions; a Function holds values and ops in arrays. Values and ops are named by
// index and each value is defined once, before its uses. The builder (build.h) infers types as ops
// are added; the validator checks them when a program was read from a file. Everything lives in one
// arena.
//
// Constants are values with data: immediate bytes, or a place in a weight file. A `const` op gives
// a constant a name in the program; a literal is a constant that is written in place, as an operand
// (as in the iOS 18 constexpr ops).
//
// An op's definition is a row of ops.def. Core ML widened many definitions over the years; a row is
// the widest one, and a program of an older specification is judged by it. Where two definitions
// exclude each other there are two rows.
//
// The text form, made by mil_print() and read by mil_parse():
//
//     program 9 default decode              # `default` only when there are several functions
//     func main(x: fp16[1, 4, 1, 1], cache: state<fp16[1, 4, 1, 1]>) {
//       w: fp16[8, 4, 1, 1] = constexpr_blockwise_shift_scale(
//           data = int8[8, 4, 1, 1](blob("@model_path/weights/weight.bin", 64)),
//           scale = fp16[1, 1, 1, 1]([0.5]))
//       pad_type: string = const(val = "valid")
//       y: fp16[1, 8, 1, 1] = conv(x = x, weight = w, pad_type = pad_type)
//       a: fp16[1, 4, 1, 1], b: fp16[1, 4, 1, 1] =
//           split(x = y, num_splits = int32(2), axis = int32(1))
//       ab: fp16[1, 8, 1, 1] = concat(values = (a, b), axis = int32(1)) name "joined"
//       write_state(input = cache, data = a) name "cache_write"
//     } -> (ab)
//
// Scalars have no brackets, an unknown dim is `?`, `#` opens a comment. `name "…"` is the op's name
// where it is not its first output's; `opset "…"` comes before the brace where it is not the
// version's. A type left out is inferred.
#ifndef LATHE_MIL_MIL_H
#define LATHE_MIL_MIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { MIL_MAX_RANK = 6, MIL_MAX_PARAMS = 16 };
enum { MIL_UNKNOWN_DIM = -1 };

// One row per dtype: name in the text form, number in MIL.proto's DataType, number in a blob's
// mil_dtype, bits. Checked against coremltools mlmodel/format/MIL.proto and
// mlmodel/src/MILBlob/Blob/BlobDataType.hpp.
#define MIL_DTYPES(ROW)                                                                            \
    ROW(BOOL, "bool", 1, 0, 8)                                                                     \
    ROW(STRING, "string", 2, 0, 0)                                                                 \
    ROW(F16, "fp16", 10, 1, 16)                                                                    \
    ROW(F32, "fp32", 11, 2, 32)                                                                    \
    ROW(F64, "fp64", 12, 0, 64)                                                                    \
    ROW(BF16, "bf16", 13, 5, 16)                                                                   \
    ROW(I8, "int8", 21, 4, 8)                                                                      \
    ROW(I16, "int16", 22, 6, 16)                                                                   \
    ROW(I32, "int32", 23, 14, 32)                                                                  \
    ROW(I64, "int64", 24, 0, 64)                                                                   \
    ROW(I4, "int4", 25, 8, 4)                                                                      \
    ROW(U8, "uint8", 31, 3, 8)                                                                     \
    ROW(U16, "uint16", 32, 7, 16)                                                                  \
    ROW(U32, "uint32", 33, 15, 32)                                                                 \
    ROW(U64, "uint64", 34, 0, 64)                                                                  \
    ROW(U4, "uint4", 35, 11, 4)                                                                    \
    ROW(U2, "uint2", 36, 10, 2)                                                                    \
    ROW(U1, "uint1", 37, 9, 1)                                                                     \
    ROW(U6, "uint6", 38, 13, 6)                                                                    \
    ROW(U3, "uint3", 39, 12, 3)

typedef enum {
#define ROW(name, text, proto, blob, bits) MIL_##name,
    MIL_DTYPES(ROW)
#undef ROW
    // clang-format off
    MIL_DTYPE_COUNT,
    // clang-format on
} MilDtype;

typedef struct {
    const char *name;
    uint32_t proto_id; // DataType of MIL.proto
    uint32_t blob_id;  // mil_dtype of a blob record; 0: cannot live in a blob
    uint32_t bits;     // of one element; 0 for strings
} MilDtypeInfo;
extern const MilDtypeInfo mil_dtypes[MIL_DTYPE_COUNT];

typedef struct {
    MilDtype dtype;
    bool is_state;              // a state that wraps this tensor type
    int rank;                   // 0: scalar
    int64_t dims[MIL_MAX_RANK]; // outermost first; MIL_UNKNOWN_DIM for a dim that is not fixed
} MilType;

// Number of elements; false when a dim is unknown or the product overflows.
bool mil_type_count(const MilType *t, size_t *count);
// Packed bytes of a value of this type (sub-byte types rounded up); false as above.
bool mil_type_bytes(const MilType *t, size_t *n_bytes);
bool mil_type_eq(const MilType *a, const MilType *b);
void mil_type_print(const MilType *t, StrBuf *out); // "fp16[1, 8, 1, 4]", "state<fp16[2, 4]>"

typedef struct {
    uint32_t at; // index into Function.values
} ValueId;
#define MIL_NO_VALUE ((ValueId){UINT32_MAX})
static inline bool value_is_none(ValueId v) {
    return v.at == UINT32_MAX;
}

// Where packages keep weights, as programs name it: a folder with one file or several. The first
// is weight.bin, the others weight_1.bin, weight_2.bin, …: names that Core ML was seen to take
// (kasper0406/gemma-coreml-chat: radar 1).
#define MIL_WEIGHT_FOLDER "@model_path/weights/"
#define MIL_WEIGHT_FILE   MIL_WEIGHT_FOLDER "weight.bin"

// Where a blob's metadata record is: in which file of the folder, and at which offset.
typedef struct {
    uint32_t file;
    uint64_t offset;
} MilPlace;
// "weight.bin", "weight_1.bin", …, in the arena.
char *mil_weight_name(uint32_t file, Arena *arena);

// The content of a constant.
typedef struct {
    bool is_blob;
    // immediate: packed little-endian elements (bool one byte each, sub-byte types as a bit
    // stream)…
    const void *bytes;
    size_t n_bytes;
    const Str *strings; // …or strings, when the dtype is MIL_STRING
    // blob: the file as the program names it ("@model_path/weights/weight.bin") and its metadata
    // record's offset
    Str file;
    uint64_t offset;
} MilData;

typedef struct MilOpInfo MilOpInfo; // a row of ops.def

typedef struct {
    Str name; // unique in the function; empty for literals
    MilType type;
    const MilData *data; // of a constant; NULL for what is computed
    // Known when the model is compiled: it has data, or is computed from such values only.
    bool is_constant;
    uint32_t op;     // defining op, or MIL_NO_OP for function inputs and literals
    uint32_t result; // which of its outputs
} MilValue;
enum { MIL_NO_OP = UINT32_MAX };

// Operands of one parameter: values [first, first + count) of Function.operands. count 0: not
// given.
typedef struct {
    uint32_t first, count;
} MilArg;

typedef struct {
    const MilOpInfo *info;       // never NULL: a file with an unknown op does not become a Program
    Str name;                    // the op's `name` attribute
    MilArg args[MIL_MAX_PARAMS]; // in the order of info->params
    uint32_t first_output, n_outputs; // values [first_output, first_output + n_outputs)
} MilOp;

typedef struct {
    Str name;
    Str opset; // "CoreML8"
    Arena *arena;
    MilValue *values;
    MilOp *ops; // in execution order
    ValueId *operands;
    ValueId *inputs;  // in declared order, states among them
    ValueId *outputs; // an output has the name of its value
    uint32_t n_values, n_ops, n_operands, n_inputs, n_outputs;
    uint32_t cap_values, cap_ops, cap_operands, cap_inputs, cap_outputs;
    uint32_t *by_name, cap_by_name, n_names; // hash index over value names, see mil_find_value()
} MilFunction;

typedef struct {
    int32_t spec_version; // 9 for CoreML8
    Arena *arena;
    MilFunction **functions;
    uint32_t n_functions, cap_functions;
    Str default_function; // of a multi-function program; empty when there is one, called main
} MilProgram;

typedef enum {
    // parameters are written as attributes (constexpr_affine_dequantize and the other iOS 16
    // constexpr ops)
    MIL_OP_ATTRIBUTES = 1,
    // parameters are written as inputs with values in place (iOS 18 constexpr ops)
    MIL_OP_LITERALS = 2,
    MIL_OP_CONSTEXPR = 4, // computed when the model is compiled, no run-time work
} MilOpFlags;

enum {
    MIL_PARAM_OPTIONAL = 1,
    MIL_PARAM_CONST = 2, // must be a compile-time constant
    MIL_PARAM_TUPLE = 4, // one or more operands
    MIL_PARAM_STATE = 8, // takes a state, not a tensor
};

// What an optional parameter is when it is not given.
typedef enum {
    MIL_DEFAULT_NONE, // absent means absent
    MIL_DEFAULT_INT,
    MIL_DEFAULT_BOOL,
    MIL_DEFAULT_TEXT,
    MIL_DEFAULT_REAL,       // fp32, or the dtype of its group
    MIL_DEFAULT_REAL_OF_X,  // in the dtype of the op's first parameter
    MIL_DEFAULT_ONES,       // int32, one for each spatial dim of x (rank - 2)
    MIL_DEFAULT_ZERO_PAIRS, // int32, two zeros for each spatial dim of x
    MIL_DEFAULT_ALL_AXES,   // int32, 0 … rank of x - 1
    MIL_DEFAULT_ZERO_BIAS,  // a zero for each row of `weight`, in its dtype
} MilDefaultKind;

typedef struct {
    MilDefaultKind kind;
    double number;    // INT, BOOL, REAL
    const char *text; // TEXT
} MilDefault;

typedef struct {
    const char *name;
    uint32_t dtypes; // bit set over MilDtype
    uint8_t group;   // parameters with the same letter share one dtype; 0: free
    uint8_t flags;
    MilDefault fallback;
} MilParam;

typedef struct MilInfer MilInfer; // infer.h

struct MilOpInfo {
    const char *name;       // as in the file, without opset prefix
    uint32_t opcode;        // MIL_OP_<name>
    const MilParam *params; // in the order in which coremltools writes their constants
    uint32_t n_params;
    uint32_t flags;
    int32_t since;             // first spec version that has the op in this form
    int32_t until;             // last one
    bool (*infer)(MilInfer *); // gives the types of its outputs
};

typedef enum {
#define OP(name, ...) MIL_OP_##name,
#include "mil/ops.def"
#undef OP
    MIL_OP_COUNT,
} MilOpcode;

// Specification versions that can carry ML Programs.
enum { MIL_SPEC_FIRST = 6, MIL_SPEC_LAST = 10 };
const char *mil_opset(int32_t spec_version); // 9: "CoreML8"; NULL when out of range

const MilOpInfo *mil_op(MilOpcode opcode);
const MilOpInfo *mil_op_named(Str name); // the newest form; NULL when unknown
// The form that is valid in this version; NULL when there is none.
const MilOpInfo *mil_op_for(Str name, int32_t spec_version);
// Index of the parameter called `name`, or -1.
int mil_param(const MilOpInfo *info, const char *name);

// The value must exist; operand() returns MIL_NO_VALUE for a parameter that was not given.
static inline const MilValue *mil_value(const MilFunction *f, ValueId v) {
    return &f->values[v.at];
}
static inline ValueId mil_operand(const MilFunction *f, const MilOp *op, int param) {
    return op->args[param].count ? f->operands[op->args[param].first] : MIL_NO_VALUE;
}
MilFunction *mil_find_function(const MilProgram *p, Str name); // NULL when absent
// The first value of that name; MIL_NO_VALUE when absent.
ValueId mil_find_value(const MilFunction *f, Str name);

// Types of the outputs of `op` from its operands, by its rule, after checking that its operands fit
// its row: required ones given, dtypes, groups, constness. `out` has room for MIL_MAX_OUTPUTS. The
// message opens with the op's name.
enum { MIL_MAX_OUTPUTS = 256 };
bool mil_infer(const MilFunction *f, const MilOp *op, MilType *out, uint32_t *n_out, Err *err);

// Immediate constants as numbers: false when `v` is not an immediate constant of that kind or has
// not `count` items.
bool mil_const_ints(const MilFunction *f, ValueId v, int64_t *out, size_t cap, size_t *count);
bool mil_const_int(const MilFunction *f, ValueId v, int64_t *out);
bool mil_const_bool(const MilFunction *f, ValueId v, bool *out);
bool mil_const_float(const MilFunction *f, ValueId v, double *out); // fp16 or fp32
bool mil_const_str(const MilFunction *f, ValueId v, Str *out);
// A scalar parameter of `op`, as given or by default. False when it has neither.
bool mil_arg_int(const MilFunction *f, const MilOp *op, const char *param, int64_t *out);
bool mil_arg_bool(const MilFunction *f, const MilOp *op, const char *param, bool *out);
bool mil_arg_float(const MilFunction *f, const MilOp *op, const char *param, double *out);
bool mil_arg_str(const MilFunction *f, const MilOp *op, const char *param, Str *out);

// The text form. Parsing what mil_print() printed gives the same program.
void mil_print(const MilProgram *p, StrBuf *out);
MilProgram *mil_parse(Arena *arena, Str text, Err *err);

// Checks everything that can be wrong in a file: operands defined before use, parameters present
// and of allowed types and constness, declared output types equal to inferred ones, names unique
// and well-formed, states only where states may be, outputs defined. `where` opens the message.
bool mil_validate(const MilProgram *p, const char *where, Err *err);

#endif
